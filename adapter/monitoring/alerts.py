"""Alerts without a monitoring stack: ALERT_URL gets one message when a problem starts and one when it is resolved.

Which problems have been reported is stored in the database, so that a restart doesn't repeat them. Messages contain names of stores and
accounts and numbers of deliveries, nothing about a shopper.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row

from adapter.errors import WorkFailed
from adapter.inbox import figures, troubles
from adapter.inbox.database import Clock, snapshot, transaction
from adapter.inbox.lost_orders import lost_orders
from adapter.inbox.troubles import Name
from adapter.monitoring.alert_channels import send
from adapter.operations.health import STUCK_AFTER, losing
from adapter.operations.silence import store_silence
from adapter.operations.waiting import read_waiting
from adapter.settings import Settings
from mappings import timestamp

log = logging.getLogger(__name__)
BETWEEN_MESSAGES = timedelta(minutes=1)
LONGEST_BETWEEN_TRIES = timedelta(minutes=15)
DEAD_AGAIN_AFTER = timedelta(hours=1)
"""Further dead letters of a store already reported are reported no sooner than this."""
# How long a problem must last before it is reported; Drip often responds again within minutes.
_REPORTED_AFTER = {"outage": timedelta(minutes=5)}
_SILENCE_CHECKED_EVERY = timedelta(minutes=1)
_MAX_LINES = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong now. `since` of dead letters is when the newest of them died."""

    kind: str
    subject: str
    since: datetime
    text: str

    @property
    def name(self) -> Name:
        """What identifies it."""
        return self.kind, self.subject


class Alerts:
    """Finds problems and reports them. Used by one thread of the process that holds the reader's lease."""

    def __init__(self, engine: Engine, settings: Settings, clock: Clock) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._failures = 0
        self._next_message: datetime | None = None
        self._silent: list[Problem] = []
        self._checked_silence: datetime | None = None

    def step(self) -> None:
        """Check once and report what is due in one message; a failure to send it is logged, not raised."""
        if not self._settings.alert_url:
            return
        with snapshot(self._engine) as connection:
            self._clock.sync(connection)
            now = self._clock()
            current = {problem.name: problem for problem in self._find(connection, now)}
            rows = troubles.known(connection)
        if self._record(current, rows, now):
            with snapshot(self._engine) as connection:
                rows = troubles.known(connection)
        self._report(current, rows, now)

    # --- finding -------------------------------------------------------------------------------------------------------------------

    def _find(self, connection: Connection, now: datetime) -> Iterator[Problem]:
        blocked: set[str] = set()
        for row in figures.all_leases(connection):
            if row.account not in self._settings.accounts:
                continue
            if row.paused_since is not None:
                blocked.add(row.account)
                yield Problem("paused", row.account, row.paused_since, f"Drip account {row.account} is paused: {row.pause_reason}")
            if row.outage_since is not None:
                blocked.add(row.account)
                yield Problem(
                    "outage", row.account, row.outage_since, f"Drip is not responding for account {row.account}; orders are waiting"
                )
        for store, (number, last) in figures.dead(connection).items():
            letters = f"{'at least ' if number >= figures.MOST else ''}{number} dead letter{'s' if number > 1 else ''}"
            yield Problem("dead", store, last, f"{letters} in store {store}: drip-adapter deliveries list --state dead --store {store}")
        for store, lost in lost_orders(connection, self._settings.stores).items():
            yield Problem("store_error", store, lost.since, losing(store, lost))
        yield from self._stuck(connection, blocked, now)
        if self._checked_silence is None or now - self._checked_silence >= _SILENCE_CHECKED_EVERY:
            self._silent = list(self._find_silent_stores(connection, now))
            self._checked_silence = now
        yield from self._silent

    def _stuck(self, connection: Connection, blocked: set[str], now: datetime) -> Iterator[Problem]:
        """Orders that have been waiting too long for no known reason."""
        waiting = read_waiting(connection, self._settings.stores, now)
        for store in self._settings.stores.values():
            is_free = store.account is not None and store.account.id not in blocked
            since = waiting[store.name].since if is_free else waiting[store.name].unread_since
            if since is not None and now - since > STUCK_AFTER:
                yield Problem("stuck", store.name, since, f"Orders of store {store.name} have been waiting since {timestamp(since)}")

    def _find_silent_stores(self, connection: Connection, now: datetime) -> Iterator[Problem]:
        for store in self._settings.stores:
            silence = store_silence(connection, store)
            if silence.last_at is not None and silence.is_unusual(now):
                since = timestamp(silence.last_at)
                text = f"Store {store} has been silent since {since}, unusually long: is its webhook still active?"
                yield Problem("quiet", store, silence.last_at, text)

    # --- recording -----------------------------------------------------------------------------------------------------------------

    def _record(self, current: dict[Name, Problem], rows: Sequence[Row[Any]], now: datetime) -> bool:
        """Store what is new, changed or resolved; whether anything was."""
        known = {(row.kind, row.subject): row for row in rows}
        changed = [each for each in current.values() if _is_news(each, known.get(each.name))]
        over = [name for name, row in known.items() if name not in current and row.ended_at is None]
        if changed or over:
            with transaction(self._engine) as connection:
                for problem in changed:
                    troubles.note(connection, problem.name, problem.since, problem.text)
                for name in over:
                    troubles.end(connection, name, now)
        return bool(changed or over)

    # --- reporting -----------------------------------------------------------------------------------------------------------------

    def _report(self, current: dict[Name, Problem], rows: Sequence[Row[Any]], now: datetime) -> None:
        begun = [row for row in rows if row.ended_at is None and _is_due(row, current[row.kind, row.subject], now)]
        ended = [row for row in rows if row.ended_at is not None]
        if not begun and not ended:
            return
        if self._next_message is None:  # another process may have just sent a message
            last = max((row.sent_at for row in rows if row.sent_at is not None), default=None)
            self._next_message = last + BETWEEN_MESSAGES if last else now
        if now < self._next_message:
            return
        try:
            send(self._settings.alert_url, self._message(begun, ended, now))
        except WorkFailed as failure:
            self._failures += 1
            wait = min(BETWEEN_MESSAGES * 2 ** min(self._failures - 1, 10), LONGEST_BETWEEN_TRIES)
            self._next_message = now + wait
            log.warning(str(failure), extra={"action": "alert_failed", "seconds": round(wait.total_seconds())})
            return
        self._failures, self._next_message = 0, now + BETWEEN_MESSAGES
        with transaction(self._engine) as connection:
            troubles.set_sent(connection, [(row.kind, row.subject) for row in begun], now)
            troubles.forget(connection, [(row.kind, row.subject) for row in ended])
        log.info("alert sent", extra={"action": "alert_sent", "count": len(begun) + len(ended)})

    def _message(self, begun: Sequence[Row[Any]], ended: Sequence[Row[Any]], now: datetime) -> str:
        lines = [row.message for row in begun]
        lines += [f"Resolved after {_duration(row.ended_at - row.since)}: {row.message}" for row in ended]
        if (more := len(lines) - _MAX_LINES) > 0:
            lines[_MAX_LINES:] = [f"and {more} more; see drip-adapter status"]
        if self._settings.public_url_is_set:
            lines.append(self._settings.public_url)
        return "\n".join(lines)


def _is_news(problem: Problem, row: Row[Any] | None) -> bool:
    return row is None or row.ended_at is not None or row.message != problem.text


def _is_due(row: Row[Any], problem: Problem, now: datetime) -> bool:
    if row.sent_at is None:
        return bool(now - row.since >= _REPORTED_AFTER.get(row.kind, timedelta()))
    more_died = row.kind == "dead" and problem.since > row.sent_at
    return bool(more_died and now - row.sent_at >= DEAD_AGAIN_AFTER)


def _duration(span: timedelta) -> str:
    minutes = max(1, round(span.total_seconds() / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"
