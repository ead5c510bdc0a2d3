"""The commands that speak with the stores' own APIs: past orders, and the registration of webhooks."""

import secrets
import signal
import string
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine

from adapter.cli import output
from adapter.cli.common import AS_JSON, explained, inbox, settings_for
from adapter.errors import SettingsError, WorkFailed
from adapter.inbox import figures
from adapter.inbox.database import snapshot
from adapter.operations.backfill import KEPT_SO_FAR, Backfill
from adapter.operations.backfill import Progress as Far
from adapter.settings import Settings, Store
from adapter.stores import registration as connecting
from adapter.stores.api import Registry, Window
from adapter.stores.http import StoreTrouble
from adapter.stores.platforms import history_of, registry_of
from adapter.stores.registration import Step, Work
from mappings import PROVIDERS

_DATE = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
_RECONCILED_DAYS = 3
_SECRET_LENGTH = 40
_STUCK_S = 90.0
"""Longer than a batch that is not full waits for its turn: docs/pacing.md."""


# --- past orders -------------------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("store")
@click.option(
    "--since", required=True, type=_DATE, metavar="DATE", help="Orders placed then or later (UTC): 2026-01-31 or 2026-01-31T12:00."
)
@click.option("--until", type=_DATE, metavar="DATE", help="Only orders placed before then (UTC).")
@click.option("--again", is_flag=True, help="From the beginning, also where an earlier run was broken off.")
@click.option("--wait", is_flag=True, help="Stay until a running sender has brought them all to Drip.")
@AS_JSON
@explained
def backfill(store: str, since: datetime, until: datetime | None, again: bool, wait: bool, as_json: bool) -> None:
    """Sends a store's past orders to Drip, the oldest first.

    Reads them from the store's API into the inbox, from where the sender takes them when nothing newer waits. May be broken off and run
    again: it goes on where it was, and no order is sent twice.
    """
    settings = settings_for()
    _possible(since, until)
    window = Window(created_since=since.replace(tzinfo=UTC), created_until=until.replace(tzinfo=UTC) if until else None)
    with inbox(settings) as engine:
        reading = Backfill(engine, settings, _configured(store, settings), window, again=again)
        resumed = reading.resumed
        _tell(store, _read(reading, settings, as_json=as_json), engine, settings, as_json=as_json)
        if resumed and not as_json:
            click.echo("those without a webhook are counted from where it went on")
        if wait:
            with _broken_off("the orders are kept, and a sender brings them to Drip without this command too"):
                _wait(store, engine, settings)


def _possible(since: datetime, until: datetime | None) -> None:
    """Refuse a window that can hold no order: it would look as if the store had none."""
    if since.replace(tzinfo=UTC) > datetime.now(UTC):
        raise click.BadParameter(f"{since:%Y-%m-%dT%H:%M} is yet to come", param_hint="--since")
    if until is not None and until <= since:
        raise click.BadParameter("is not later than --since", param_hint="--until")


@click.command()
@click.argument("store", required=False)
@click.option(
    "--days", default=_RECONCILED_DAYS, show_default=True, type=click.IntRange(1, 365), help="Orders changed within so many days."
)
@AS_JSON
@explained
def reconcile(store: str | None, days: int, as_json: bool) -> None:
    """Sends orders whose webhook never came.

    To be run every day. Asks STORE, or all stores whose API may be asked, for the orders that changed in the last days.
    """
    settings = settings_for()
    stores = [_configured(store, settings)] if store else [each for each in settings.stores.values() if history_of(each, settings)]
    if not stores:
        raise WorkFailed("no store has credentials for its API: see docs/settings.md, Options that open a store's API")
    # By whole days, so that a run that was broken off is taken up by the next one of the same day.
    since = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)
    failed = False
    with inbox(settings) as engine:
        for each in stores:
            try:
                far = _read(Backfill(engine, settings, each, Window(changed_since=since)), settings, as_json=as_json)
                _tell(each.name, far, engine, settings, as_json=as_json)
            except _BrokenOff:
                raise
            except WorkFailed as error:
                click.echo(f"{each.name}: {error}", err=True)
                failed = True
    sys.exit(1 if failed else 0)


def _configured(name: str, settings: Settings) -> Store:
    store = settings.store(name)
    if store is None:
        raise WorkFailed(f"no store is called {name!r}; there are {', '.join(settings.stores) or 'none: see docs/settings.md'}")
    return store


def _read(backfill: Backfill, settings: Settings, *, as_json: bool) -> Far:
    """Read page after page, with a bar where somebody looks: how fast, and how long Drip will then take for what was new so far."""
    if backfill.resumed and not as_json:
        click.echo("going on where the last run was broken off", err=True)
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(), console=output.console(), disable=as_json or not sys.stdout.isatty(), transient=True,
    )  # fmt: skip
    with bar, _broken_off(KEPT_SO_FAR):
        begun = time.monotonic()
        task = bar.add_task("orders read", total=None, rate="")
        first = None
        for far in backfill.run():
            first = far.found if first is None else first
            rate = _rate(far.found - first, time.monotonic() - begun, far.total - far.found if far.total else None)
            at_drip = f", then about {_duration(_seconds_at_drip(far.kept, settings))} at Drip" if far.kept else ""
            bar.update(task, total=far.total, completed=far.found, rate=f"{rate}{at_drip}")
    return far


class _BrokenOff(WorkFailed):
    """By whoever runs the command."""


@contextmanager
def _broken_off(consequence: str) -> Iterator[None]:
    """End with a word on Ctrl-C, and likewise on SIGTERM, by which Heroku and systemd stop a command."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise _BrokenOff(f"broken off; {consequence}") from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _rate(done: int, seconds: float, left: int | None) -> str:
    """How fast, and how long it will go on so."""
    if not done:
        return ""
    rate = done / max(seconds, 0.001)
    return f"{rate:.0f} a second" + (f", about {_duration(left / rate)} left" if left else "")


def _tell(store: str, far: Far, engine: Engine, settings: Settings, *, as_json: bool) -> None:
    waiting = _waiting(store, engine)
    seconds = _seconds_at_drip(waiting, settings)
    report = {"store": store, "found": far.found, "kept": far.kept, "never_heard_of": far.never_heard_of, "waiting": waiting}
    if as_json:
        output.document(report | {"seconds_at_drip": seconds, "note": far.note})
        return
    click.echo(f"{store}: {far.found} orders found, {far.kept} of them new to Drip; of {far.never_heard_of} no webhook had come")
    configured = settings.store(store)
    if waiting and (configured is None or configured.account is None):
        click.echo(f"{waiting} orders of this store wait for a Drip account: set DRIP_ACCOUNT_ID and DRIP_API_KEY, and run a sender")
    elif waiting:
        click.echo(f"{waiting} orders of this store wait; at Drip's quota they take about {_duration(seconds)} while a sender runs")
    if far.note:
        click.echo(f"note: {far.note}")


def _wait(store: str, engine: Engine, settings: Settings) -> None:
    """Watch the sender, which may be another process or another machine, until nothing of the store waits."""
    begun_with, begun, moved = _waiting(store, engine), time.monotonic(), (0, time.monotonic())
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"),
        console=output.console(), disable=not sys.stdout.isatty(),
    )  # fmt: skip
    with bar:
        task = bar.add_task("orders at Drip", total=begun_with, left="")
        while waiting := _waiting(store, engine):
            now, done = time.monotonic(), max(0, begun_with - waiting)
            moved = moved if done == moved[0] else (done, now)
            if now - moved[1] > _STUCK_S:
                left = "nothing moves: does a sender run? drip-adapter status says more"
            else:  # Drip's quota allows that much; Drip or this machine may be slower
                per_s = done / max(now - begun, 0.001)
                longest = max(_seconds_at_drip(waiting, settings), waiting / per_s if done else 0.0)
                left = f"{per_s:.0f} a second, about {_duration(longest)} left"
            bar.update(task, completed=done, left=left)
            time.sleep(1.0)
        bar.update(task, completed=begun_with, left="")


def _waiting(store: str, engine: Engine) -> int:
    with snapshot(engine) as connection:
        return figures.count_pending(connection, store)


def _seconds_at_drip(orders: int, settings: Settings) -> int:
    """How long Drip's quota lets so many orders take, when nothing else is sent."""
    # Three quarters of an hour's quota go at once, and so many each hour after that: the last quarter is kept for live orders.
    an_hour = max(1, (settings.single_requests_per_hour + 1000 * settings.batch_requests_per_hour) * 3 // 4)
    return 60 + round(max(0, orders - an_hour) / an_hour * 3600) if orders else 0


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"


# --- registration ------------------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("store")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@explained
def connect(store: str, dry_run: bool, yes: bool) -> None:
    """Registers our webhooks at a store.

    With credentials for the store's API: looks at the webhooks that are there, shows what is missing or wrong, and mends it. Without:
    prints what to do by hand. STORE is a store of the settings, or a platform that has none yet.
    """
    settings = settings_for()
    configured = settings.store(store)
    try:
        registry = registry_of(configured, settings) if configured else None
        if configured is None or registry is None:
            _by_hand(store, configured, settings)
            return
        _register(configured, registry, settings, dry_run=dry_run, yes=yes)
    except StoreTrouble as trouble:
        raise WorkFailed(str(trouble)) from trouble


def _register(store: Store, registry: Registry, settings: Settings, *, dry_run: bool, yes: bool) -> None:
    address = connecting.address_of(store.name, settings)
    if not settings.public_url_is_set:
        raise SettingsError(
            f"PUBLIC_URL: unset, so the webhooks would point to {address}, which no store can reach; set it to this adapter's address"
        )
    steps = connecting.plan(store, registry, settings)
    click.echo(f"webhooks of store {store.name} to {address}")
    for step in steps:
        click.echo(f"  {step.work:6} {step.topic}: {step.why}")
    todo = [step for step in steps if step.work is not Work.KEEP]
    if not todo:
        click.echo("nothing to do")
        return
    if dry_run or not (yes or click.confirm("do this?")):
        click.echo("nothing was changed")
        return
    for step in todo:
        connecting.carry_out(step, registry, address)
    _confirm(store, registry, settings, todo)


def _confirm(store: Store, registry: Registry, settings: Settings, done: list[Step]) -> None:
    """Look again: what was asked for is not always what a store did."""
    left = [step for step in connecting.plan(store, registry, settings) if step.work is not Work.KEEP]
    if left:
        raise WorkFailed("the store took it, but still: " + "; ".join(f"{step.topic} {step.why}" for step in left))
    click.echo(f"done: {len(done)} changed; every topic has one active webhook to this adapter")
    if store.provider.name == "shopify":
        click.echo(f"they are signed with the app's client secret: {store.secret_setting} must hold that")


def _by_hand(name: str, store: Store | None, settings: Settings) -> None:
    platform = connecting.platform_named(name, settings)
    address = connecting.address_of(store.name if store else name, settings)
    secret = f"the value of {store.secret_setting}" if store else _fresh_secret()
    for line in platform.by_hand(address, secret):
        click.echo(line)
    if not settings.public_url_is_set:
        click.echo(f"note: PUBLIC_URL is not set: put this adapter's own address in the place of {settings.public_url}")
    if store is None and name in PROVIDERS:
        click.echo(f"then set {name.upper()}_WEBHOOK_SECRET to the secret, and start the adapter again")
    elif platform.credentials:
        click.echo(f"or let this command do it: set {' or '.join(platform.credentials)}")


def _fresh_secret() -> str:
    """Letters and digits only: some platforms change anything else."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(_SECRET_LENGTH))


COMMANDS = (backfill, reconcile, connect)
