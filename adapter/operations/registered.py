"""Which of our webhooks are registered at the stores: asked by `check`, for a limited time in all."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from adapter.errors import DatabaseAway
from adapter.inbox.arrivals import last_arrivals
from adapter.inbox.database import snapshot
from adapter.inbox.sqlite_file import missing_file
from adapter.operations.asking import ask_each
from adapter.operations.finding import Finding
from adapter.operations.webhooks import experience_of
from adapter.operations.wording import counted
from adapter.settings import ApiSettings, Settings, Store
from adapter.stores.http import StoreTrouble
from adapter.stores.platforms import registry_of
from adapter.stores.registration import Work, plan

ASKING_S = 20.0
"""How long stores are asked, in all."""
_AT_ONCE = 8
_MOST_NAMED = 10
_NEVER = datetime.min.replace(tzinfo=UTC)


def registered_webhooks(settings: Settings, engine: Engine, on_asked: Callable[[int, int], None]) -> Iterator[Finding]:
    """The webhooks at the stores whose API can be asked; of very many, first at those that have been silent for longest."""
    lasts = _last_arrivals(engine)
    with_api = [store for store in settings.stores.values() if store.api != ApiSettings()]
    with_api.sort(key=lambda store: lasts.get(store.name, _NEVER))
    left = dict.fromkeys(store.name for store in with_api)
    answers = ask_each(with_api, lambda store: list(_webhooks(store, settings, engine)), at_once=_AT_ONCE, within_s=ASKING_S)
    on_asked(0, len(with_api))
    for store, found in answers:
        if isinstance(found, BaseException):
            raise found
        yield from found
        del left[store.name]
        on_asked(len(with_api) - len(left), len(with_api))
    if left:
        some, more = list(left)[:_MOST_NAMED], len(left) - _MOST_NAMED
        names = f"{', '.join(some)}{f' and {more:,} more' if more > 0 else ''}"
        say = f"{counted(len(left), 'store', 'stores')} weren't asked, or didn't answer, within {ASKING_S:g} s: {names}"
        yield Finding("webhooks", None, f"{say}; drip-adapter connect STORE asks one of them")


def _last_arrivals(engine: Engine) -> dict[str, datetime]:
    if missing_file(engine):
        return {}
    try:
        with snapshot(engine) as connection:
            return last_arrivals(connection)
    except (DatabaseAway, DBAPIError):  # `_database` reports it
        return {}


def _webhooks(store: Store, settings: Settings, engine: Engine) -> Iterator[Finding]:
    """Which of our webhooks are registered in a store, if there are credentials for its API."""
    what = f"webhooks of {store.name}"
    try:
        registry = registry_of(store, settings)
        if registry is None:
            return
        experience = experience_of(engine, store, registry)
        steps = plan(store, registry, settings, experience.fault)
    except StoreTrouble as trouble:
        yield Finding(what, False, str(trouble))
        return
    for step in steps:
        fix = "" if step.work is Work.KEEP else f"; run drip-adapter connect {store.name}"
        yield Finding(what, step.work is Work.KEEP, f"{step.topic} {step.why}{fix}")
        if step.work is Work.KEEP and step.webhook and (why := experience.failing(step.webhook)):
            yield Finding(what, None, f"{step.topic}: {why}; {store.provider.title} disables a webhook that keeps failing")
