"""Alerts without a monitoring stack: ALERT_URL is told once of each trouble, and once when it is over.

Which troubles have been told is kept in the database, so that a restart tells nothing again. Messages hold names of stores and accounts
and counts of deliveries, nothing of a shopper.
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
from adapter.monitoring.alert_channels import tell
from adapter.operations.health import STUCK_AFTER, losing, rhythm
from adapter.settings import Settings
from mappings import timestamp

log = logging.getLogger(__name__)
BETWEEN_MESSAGES = timedelta(minutes=1)
LONGEST_BETWEEN_TRIES = timedelta(minutes=15)
DEAD_AGAIN_AFTER = timedelta(hours=1)
"""More dead letters of a store that has been told to have some are told no sooner than this."""
# How long a trouble may last before anybody is told; Drip often answers again within minutes.
_PATIENCE = {"outage": timedelta(minutes=5)}
_QUIET_LOOKED_AT_EVERY = timedelta(minutes=1)
_MOST_LINES = 20


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong now. `since` of dead letters is when the last of them died."""

    kind: str
    subject: str
    since: datetime
    words: str

    @property
    def name(self) -> Name:
        """What it is known by."""
        return self.kind, self.subject


class Alerts:
    """Looks for troubles and tells of them. Used by one thread of whoever holds the reader's lease."""

    def __init__(self, engine: Engine, settings: Settings, clock: Clock) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._failures = 0
        self._next_message: datetime | None = None
        self._quiet: list[Trouble] = []
        self._looked_for_quiet: datetime | None = None

    def step(self) -> None:
        """Look once, and tell what is due to be told, in one message; raises nothing if the address does not take it."""
        if not self._settings.alert_url:
            return
        with snapshot(self._engine) as connection:
            self._clock.sync(connection)
            now = self._clock()
            there = {trouble.name: trouble for trouble in self._look(connection, now)}
            rows = troubles.known(connection)
        if self._note(there, rows, now):
            with snapshot(self._engine) as connection:
                rows = troubles.known(connection)
        self._tell(there, rows, now)

    # --- looking -------------------------------------------------------------------------------------------------------------------

    def _look(self, connection: Connection, now: datetime) -> Iterator[Trouble]:
        blocked: set[str] = set()
        for row in figures.all_leases(connection):
            if row.account not in self._settings.accounts:
                continue
            if row.paused_since is not None:
                blocked.add(row.account)
                yield Trouble("paused", row.account, row.paused_since, f"account {row.account} is paused: {row.pause_reason}")
            if row.outage_since is not None:
                blocked.add(row.account)
                yield Trouble("outage", row.account, row.outage_since, f"Drip does not answer for account {row.account}; orders wait")
        for store, (number, last) in figures.dead(connection).items():
            letters = f"{'at least ' if number >= figures.MOST else ''}{number} dead letter{'s' if number > 1 else ''}"
            yield Trouble("dead", store, last, f"{letters} of store {store}: drip-adapter deliveries list --state dead --store {store}")
        for store, lost in lost_orders(connection, self._settings.stores).items():
            yield Trouble("store_error", store, lost.since, losing(store, lost))
        yield from self._stuck(connection, blocked, now)
        if self._looked_for_quiet is None or now - self._looked_for_quiet >= _QUIET_LOOKED_AT_EVERY:
            self._quiet = list(self._look_for_quiet(connection, now))
            self._looked_for_quiet = now
        yield from self._quiet

    def _stuck(self, connection: Connection, blocked: set[str], now: datetime) -> Iterator[Trouble]:
        """Orders that wait though nothing is known to be in their way."""
        unread = figures.unread(connection)
        for store in self._settings.stores.values():
            free = store.account is not None and store.account.id not in blocked
            due = figures.backlog(connection, store.name, now).due_since if free else None
            since = min((moment for moment in (due, unread.get(store.name, (0, None))[1]) if moment is not None), default=now)
            if now - since > STUCK_AFTER:
                yield Trouble("stuck", store.name, since, f"orders of store {store.name} have waited since {timestamp(since)}")

    def _look_for_quiet(self, connection: Connection, now: datetime) -> Iterator[Trouble]:
        for store in self._settings.stores:
            known = rhythm(connection, store)
            if known.last_at is not None and known.is_quiet(now):
                words = f"store {store} has been silent since {timestamp(known.last_at)}, longer than ever: is its webhook still active?"
                yield Trouble("quiet", store, known.last_at, words)

    # --- noting --------------------------------------------------------------------------------------------------------------------

    def _note(self, there: dict[Name, Trouble], rows: Sequence[Row[Any]], now: datetime) -> bool:
        """Write down what is new, changed or over; whether anything was."""
        known = {(row.kind, row.subject): row for row in rows}
        changed = [each for each in there.values() if _is_news(each, known.get(each.name))]
        over = [name for name, row in known.items() if name not in there and row.ended_at is None]
        if changed or over:
            with transaction(self._engine) as connection:
                for trouble in changed:
                    troubles.note(connection, trouble.name, trouble.since, trouble.words)
                for name in over:
                    troubles.end(connection, name, now)
        return bool(changed or over)

    # --- telling -------------------------------------------------------------------------------------------------------------------

    def _tell(self, there: dict[Name, Trouble], rows: Sequence[Row[Any]], now: datetime) -> None:
        begun = [row for row in rows if row.ended_at is None and _is_due(row, there[row.kind, row.subject], now)]
        ended = [row for row in rows if row.ended_at is not None]
        if not begun and not ended:
            return
        if self._next_message is None:  # another process may have told something a moment ago
            last = max((row.sent_at for row in rows if row.sent_at is not None), default=None)
            self._next_message = last + BETWEEN_MESSAGES if last else now
        if now < self._next_message:
            return
        try:
            tell(self._settings.alert_url, self._message(begun, ended, now))
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
        log.info("troubles told", extra={"action": "alert_told", "count": len(begun) + len(ended)})

    def _message(self, begun: Sequence[Row[Any]], ended: Sequence[Row[Any]], now: datetime) -> str:
        lines = [row.message for row in begun]
        lines += [f"over, {_duration(row.ended_at - row.since)} after it began: {row.message}" for row in ended]
        if (more := len(lines) - _MOST_LINES) > 0:
            lines[_MOST_LINES:] = [f"and {more} more: drip-adapter status"]
        if self._settings.public_url_is_set:
            lines.append(self._settings.public_url)
        return "\n".join(lines)


def _is_news(trouble: Trouble, row: Row[Any] | None) -> bool:
    return row is None or row.ended_at is not None or row.message != trouble.words


def _is_due(row: Row[Any], trouble: Trouble, now: datetime) -> bool:
    if row.sent_at is None:
        return bool(now - row.since >= _PATIENCE.get(row.kind, timedelta()))
    more_died = row.kind == "dead" and trouble.since > row.sent_at
    return bool(more_died and now - row.sent_at >= DEAD_AGAIN_AFTER)


def _duration(span: timedelta) -> str:
    minutes = max(1, round(span.total_seconds() / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"
