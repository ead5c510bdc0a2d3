"""`check`: problems with the setup, and how to fix them."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from adapter.errors import DatabaseAway, WorkFailed
from adapter.inbox.database import snapshot
from adapter.inbox.figures import newest_requests
from adapter.inbox.packing import LOCKED
from adapter.inbox.public_address import with_learned_address
from adapter.inbox.readiness import why_not_storing
from adapter.inbox.reencryption import sample
from adapter.inbox.schema_version import require_schema
from adapter.inbox.sqlite_file import missing_file, why_no_file
from adapter.operations.drip_account import ask_drip
from adapter.operations.finding import Finding
from adapter.operations.health import status_report
from adapter.operations.registered import registered_webhooks
from adapter.operations.sums import Difference, recent_differences
from adapter.operations.verdict import when
from adapter.settings import WEAK_PASSWORD, Account, Settings, secret_variables
from adapter.stores.registration import address_of
from mappings import Verdict

# So many accounts are asked about, a few at the same time.
_MOST_ASKED, _ASKED_AT_ONCE = 20, 8
_COMPARING_S = 0.3
_STOPPED_SANDBOX = Finding("sandbox", False, "not running: start it with drip-adapter serve --sandbox")


def look(settings: Settings, engine: Engine, on_asked: Callable[[int, int], None] = lambda asked, of: None) -> Iterator[Finding]:
    """Check settings, database, Drip and stores. `on_asked` is called with how many stores' APIs have been asked, and of how many."""
    given, settings = settings, _with_learned_address(settings, engine)
    yield from _stores(settings)
    yield from registered_webhooks(settings, engine, on_asked)
    yield from _address(given, settings)
    if settings.password_is_weak:
        yield Finding("dashboard", None, f"ADMIN_PASSWORD {WEAK_PASSWORD}; set a longer one")
    yield from _database(settings, engine)
    yield from _accounts(settings, engine)
    if not settings.accounts:
        why = "no Drip account: set DRIP_ACCOUNT_ID and DRIP_API_KEY; until then orders are stored but not sent"
        yield Finding("drip", False, why, "no_account" if settings.stores else "")


def _stores(settings: Settings) -> Iterator[Finding]:
    if not settings.stores:
        yield Finding("stores", False, f"no store is configured: set {secret_variables()}, or STORES", "no_store")
    for store in settings.stores.values():
        yield Finding(f"store {store.name}", True, f"{store.provider.title}; webhook address {address_of(store.name, settings)}")


def _with_learned_address(settings: Settings, engine: Engine) -> Settings:
    if missing_file(engine):
        return settings
    try:
        with snapshot(engine) as connection:
            return with_learned_address(connection, settings)
    except (DatabaseAway, DBAPIError):  # `_database` reports it
        return settings


def _address(given: Settings, settings: Settings) -> Iterator[Finding]:
    if given.public_url != settings.public_url:
        how = "PUBLIC_URL is not set; stores send their webhooks to it, so it is used until you set PUBLIC_URL"
        yield Finding("address", None, f"{settings.public_url}: {how}")
    elif not settings.public_url_is_set:
        yield Finding(
            "address",
            None,
            f"PUBLIC_URL is not set: stores can't send webhooks to {settings.public_url}, and shoppers can't load the placeholder "
            "image for products without one",
        )


def _database(settings: Settings, engine: Engine) -> Iterator[Finding]:
    if why := why_no_file(engine):
        yield Finding("database", False, why, "database")
    else:
        yield from _contents(settings, engine)


def _contents(settings: Settings, engine: Engine) -> Iterator[Finding]:
    """What the database says about the schema, the orders and the stores."""
    kind = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(engine.dialect.name, engine.dialect.name)
    try:
        require_schema(engine)
        with snapshot(engine) as connection:
            report = status_report(connection, settings, datetime.now(UTC), not_storing=why_not_storing(engine))
            differing = _differing(connection, settings, report)
        encrypted, unencrypted = _encryption(settings, engine)
    except (DatabaseAway, WorkFailed) as error:
        yield Finding("database", False, str(error), "database")
        return
    yield Finding("database", True, f"{kind} is up to date; payloads are {encrypted}")
    if unencrypted:
        yield unencrypted
    yield from _verdict(report)
    covered: defaultdict[str, set[str]] = defaultdict(set)
    for finding in report["findings"]:
        covered[finding.get("store", "")].add(finding["code"])
    for name, differences in differing.items():
        if differences and "sums_differ" not in covered[name]:
            yield Finding(f"store {name}", None, _sums(differences))
    for name, store in report["stores"].items():
        if settings.store(name) is None:
            yield Finding(f"store {name}", None, _orphan(name, store))
        yield from (_refused(name, store, reason, settings) for reason in store["refused"] if _is_notable(store, reason, covered[name]))


def _differing(connection: Connection, settings: Settings, report: Mapping[str, Any]) -> dict[str, Sequence[tuple[int, Difference]]]:
    """By store, its newest orders whose amounts don't add up; of as many stores as can be looked at in a moment."""
    until = time.monotonic() + _COMPARING_S
    found: dict[str, Sequence[tuple[int, Difference]]] = {}
    for store in settings.stores.values():
        if not report["stores"][store.name]["deliveries"].get("delivered"):
            continue
        found[store.name] = recent_differences(connection, store, settings)
        if time.monotonic() > until:
            break
    return found


def _verdict(report: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong by the verdict, but for the settings, which are checked here anyway."""
    for finding in report["findings"]:
        if finding["code"] not in ("no_store", "no_account"):
            what = next((f"{kind} {finding[kind]}" for kind in ("store", "account") if kind in finding), "adapter")
            yield Finding(what, False, f"{finding['text']} {finding['do']}", finding["code"])


def _is_notable(store: dict[str, Any], reason: str, covered: set[str]) -> bool:
    """Whether refused requests are worth a note: no finding is about them, and no genuine ones have arrived since."""
    is_over = store["last_at"] and store["refused"][reason]["last_at"] <= store["last_at"]
    return f"signature_{reason}" not in covered and not is_over


def _refused(name: str, store: dict[str, Any], reason: str, settings: Settings) -> Finding:
    seen = store["refused"][reason]
    last_at = when(datetime.fromisoformat(seen["last_at"]))
    times = f"{seen['count']} {'request' if seen['count'] == 1 else 'requests'} refused, the last at {last_at}"
    return Finding(f"store {name}", None, f"{times}, and none accepted since: {_refusal(settings, name, reason)}")


def _encryption(settings: Settings, engine: Engine) -> tuple[str, Finding | None]:
    """Whether payloads are encrypted, in a word, and what is wrong with that."""
    found = sample(engine)
    some = "of the oldest and newest payloads"
    if found.locked:
        return "encrypted", Finding("encryption", False, f"{found.locked} {some} can't be read: {LOCKED}")
    if not settings.payload_keys:
        return "not encrypted (PAYLOAD_KEYS)", None
    how = "aren't encrypted with the first of PAYLOAD_KEYS: run drip-adapter encrypt"
    return "encrypted", Finding("encryption", None, f"{found.others} {some} {how}") if found.others else None


def _sums(differences: Sequence[tuple[int, Difference]]) -> str:
    """What the newest orders' amounts miss; all of them usually miss it for one reason."""
    delivery, newest = differences[0]
    count = "1 recent order has" if len(differences) == 1 else f"{len(differences)} recent orders have"
    return f"{count} amounts that don't add up to the total, the newest in delivery {delivery}. {newest} {newest.advice}"


def _orphan(name: str, store: dict[str, Any]) -> str:
    count = sum(store["deliveries"].values())
    return f"not in the settings, but has {count} stored deliveries; if the store was renamed, add {name!r} to the aliases of its new name"


def _refusal(settings: Settings, name: str, reason: str) -> str:
    if reason == Verdict.MISSING:
        return "no signature; they came from elsewhere, or the store's webhook has no secret"
    if reason == Verdict.OTHER_SHOP:
        return f"they come from another shop that shares the secret; change the webhooks' address there, or the address of {name} here"
    store = settings.store(name)
    setting = store.secret_setting if store else "the store's secret"
    return (
        f"the signature does not match; set {setting} to the secret that the store signs with, or run drip-adapter connect {name} if the "
        "adapter has credentials for the store's API"
    )


def _accounts(settings: Settings, engine: Engine) -> Iterator[Finding]:
    """What Drip says about the accounts. Of very many, those are asked whose newest order it did not accept."""
    if settings.accounts and not settings.drip_api_url:
        yield _STOPPED_SANDBOX
        return
    accounts = list(settings.accounts.values())
    accepted = _accepted(settings, engine) if len(accounts) > _MOST_ASKED else set()
    asked = sorted(accounts, key=lambda account: account.id in accepted)[:_MOST_ASKED]
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        yield from pool.map(partial(_drip, settings), asked)
    if others := len(accounts) - len(asked):
        of_them = len({account.id for account in accounts} & accepted - {account.id for account in asked})
        yield Finding("drip", None, f"{others:,} more accounts weren't asked about; Drip accepted the newest order of {of_them:,} of them")


def _accepted(settings: Settings, engine: Engine) -> set[str]:
    """The accounts of which Drip accepted the newest order."""
    try:
        with snapshot(engine) as connection:
            newest = newest_requests(connection, settings.accounts, ("single",))
    except (DatabaseAway, DBAPIError):  # `_database` reports it
        return set()
    return {account for (account, _), row in newest.items() if row.status is not None and row.status // 100 == 2}


def _drip(settings: Settings, account: Account) -> Finding:
    proof = ask_drip(settings, account)
    return Finding(f"Drip account {account.id}", proof.is_accepted, proof.why or f"{settings.drip_api_url} accepts the credentials")
