"""What `backfill` and `reconcile` share: progress while a store's orders are read, while they are sent, and the result."""

import sys
import time

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine

from adapter.cli import output
from adapter.cli.exit_status import interruptible
from adapter.cli.text import say
from adapter.errors import WorkFailed
from adapter.inbox import figures
from adapter.inbox.database import snapshot
from adapter.operations import backfill
from adapter.operations.backfill import KEPT_SO_FAR, Backfill
from adapter.operations.wording import counted
from adapter.settings import Settings, Store, unknown_store

_STUCK_S = 90.0
"""Longer than a batch that is not full waits for its turn: docs/pacing.md."""


def configured_store(name: str, settings: Settings) -> Store:
    """A store by its name; raises `WorkFailed`."""
    store = settings.store(name)
    if store is None:
        raise WorkFailed(unknown_store(name, settings.stores))
    return store


def read_orders(reading: Backfill, settings: Settings, *, as_json: bool) -> backfill.Progress:
    """Read page after page. On a terminal a bar shows how fast, and how long Drip will take for what was new so far."""
    if reading.resumed and not as_json:
        say("resuming where the last run was interrupted", err=True)
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(), console=output.console(), disable=as_json or not sys.stdout.isatty(), transient=True,
    )  # fmt: skip
    with bar, interruptible(KEPT_SO_FAR):
        begun = time.monotonic()
        task = bar.add_task("orders read", total=None, rate="")
        first = None
        for far in reading.run():
            first = far.found if first is None else first
            rate = _rate(far.found - first, time.monotonic() - begun, far.total - far.found if far.total else None)
            at_drip = f", then about {_duration(_seconds_at_drip(far.kept, settings))} at Drip" if far.kept else ""
            bar.update(task, total=far.total, completed=far.found, rate=f"{rate}{at_drip}")
    return far


def print_result(store: str, far: backfill.Progress, engine: Engine, settings: Settings, *, as_json: bool) -> None:
    """What was found, and how long Drip will take for it."""
    waiting = _waiting(store, engine)
    seconds = _seconds_at_drip(waiting, settings)
    if as_json:
        report = {"store": store, "found": far.found, "kept": far.kept, "never_heard_of": far.never_heard_of, "waiting": waiting}
        output.document(report | {"seconds_at_drip": seconds, "note": far.note})
        return
    found = counted(far.found, "order", "orders")
    say(f"{store}: {found} found, {far.kept} new to Drip, {far.never_heard_of} never received by webhook")
    configured = settings.store(store)
    wait = f"{counted(waiting, 'order', 'orders')} of this store {'is' if waiting == 1 else 'are'} waiting"
    if waiting and (configured is None or configured.account is None):
        say(f"{wait} for a Drip account: set DRIP_ACCOUNT_ID and DRIP_API_KEY, and run a sender")
    elif waiting:
        say(f"{wait}; with a sender running, Drip's quota lets them through in about {_duration(seconds)}")
    if far.note:
        say(f"note: {far.note}")


def wait_until_sent(store: str, engine: Engine, settings: Settings) -> None:
    """Watch the sender, which may be another process or another machine, until no order of the store is waiting."""
    begun_with, begun, moved = _waiting(store, engine), time.monotonic(), (0, time.monotonic())
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"),
        console=output.console(), disable=not sys.stdout.isatty(),
    )  # fmt: skip
    with bar:
        task = bar.add_task("orders sent", total=begun_with, left="")
        while waiting := _waiting(store, engine):
            now, done = time.monotonic(), max(0, begun_with - waiting)
            moved = moved if done == moved[0] else (done, now)
            if now - moved[1] > _STUCK_S:
                left = "nothing is being sent: is a sender running? See drip-adapter status"
            else:  # Drip's quota allows that much; Drip or this machine may be slower
                per_s = done / max(now - begun, 0.001)
                longest = max(_seconds_at_drip(waiting, settings), waiting / per_s if done else 0.0)
                left = f"{per_s:.0f} per second, about {_duration(longest)} left"
            bar.update(task, completed=done, left=left)
            time.sleep(1.0)
        bar.update(task, completed=begun_with, left="")


def _waiting(store: str, engine: Engine) -> int:
    with snapshot(engine) as connection:
        return figures.count_pending(connection, store)


def _rate(done: int, seconds: float, left: int | None) -> str:
    """How fast, and how long the rest takes at that pace."""
    if not done:
        return ""
    rate = done / max(seconds, 0.001)
    return f"{rate:.0f} per second" + (f", about {_duration(left / rate)} left" if left else "")


def _seconds_at_drip(orders: int, settings: Settings) -> int:
    """How long Drip's quota makes this many orders take if nothing else is sent."""
    # Three quarters of an hour's quota go at once, and as many each hour after that: the last quarter is kept for live orders.
    an_hour = max(1, (settings.single_requests_per_hour + 1000 * settings.batch_requests_per_hour) * 3 // 4)
    return 60 + round(max(0, orders - an_hour) / an_hour * 3600) if orders else 0


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"
