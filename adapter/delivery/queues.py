"""Picks an order's next snapshot: the newest that waits, or one whose last request has an unknown outcome."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from adapter.delivery.answers import Outcome
from adapter.inbox import holdups, sending, settling, sources
from adapter.inbox.packing import LOCKED, Packing, packing_of
from adapter.inbox.sending import Lane
from adapter.inbox.versions import Version, latest_time, newest_of, version_at_drip, version_of

log = logging.getLogger(__name__)
OUTCOME_UNKNOWN = "unknown"
LOCKED_FOR = timedelta(minutes=5)
"""How long a delivery waits whose payload no key opens. It spends no attempt: with the key it goes on."""
# A later attempt with one of these outcomes settles an unknown one. A 429 or a refused batch does not: an earlier request may have arrived.
_CONFIRMING = (Outcome.DELIVERED, Outcome.REFUSED)


@dataclass(frozen=True, slots=True)
class LaneQueue:
    """What waits in a lane, as one account sees it."""

    lane: Lane
    rows: Sequence[Row[Any]]
    target: Row[Any]
    """The delivery to send next."""
    previous: Row[Any] | None
    """The target's last attempt."""
    unconfirmed: Row[Any] | None
    """The target's attempt with an unknown outcome, which is repeated from its stored body; None: there is none."""
    has: Row[Any] | None
    """The order's row in `orders`; None: Drip does not have it."""
    newest: Version
    """The newest version of the order, at Drip or waiting."""
    is_locked: bool
    """Whether no key opens what is to be sent."""

    @property
    def version(self) -> Version:
        """The target's version."""
        return version_of(self.target, self.latest)

    @property
    def latest(self) -> datetime:
        """The latest time among its snapshots."""
        return latest_time((*self.rows, self.has))

    @property
    def is_stale(self) -> bool:
        """Whether Drip has a newer version than any that waits."""
        return self.has is not None and self.newest.delivery_id == self.has.delivery_id != self.target.id

    def older(self) -> list[Row[Any]]:
        """The rows that become obsolete once the target is delivered."""
        return [row for row in self.rows if row.id != self.target.id] if self.newest.delivery_id == self.target.id else []


def load_queues(connection: Connection, account: str, lanes: Sequence[Lane]) -> list[LaneQueue]:
    """What waits in these lanes, in the order given; without those in which nothing does."""
    rows = sending.waiting(connection, lanes)
    has = sending.what_drip_has(connection, account, lanes)
    tried = sending.attempts_for(connection, account, [row.id for waiting in rows.values() for row in waiting])
    packing = packing_of(connection.dialect)
    return [_queue(lane, rows[lane], has.get(lane), tried, packing) for lane in lanes if lane in rows]


def _queue(lane: Lane, rows: Sequence[Row[Any]], has: Row[Any] | None, tried: dict[int, list[Row[Any]]], packing: Packing) -> LaneQueue:
    latest = latest_time((*rows, has))
    versions = [version_of(row, latest) for row in rows]
    newest = newest_of([*versions, version_at_drip(has, latest)] if has is not None else versions)
    unconfirmed = {row.id: attempt for row in rows if (attempt := _unconfirmed(tried.get(row.id, ()))) is not None}
    by_id = {row.id: row for row in rows}
    newest_waiting = by_id.get(newest.delivery_id) or by_id[newest_of(versions).delivery_id]
    target = next((row for row in rows if row.id in unconfirmed), newest_waiting)
    previous = tried[target.id][-1] if target.id in tried else None
    repeated = unconfirmed.get(target.id)
    is_locked = packing.locks(target.packed) or (repeated is not None and packing.locks(repeated.packed))
    return LaneQueue(lane, rows, target, previous, repeated, has, newest, is_locked)


def may_go(queue: LaneQueue, now: datetime) -> bool:
    """Whether a lane's target can be sent now."""
    return not (_crashes(queue) or queue.is_locked or _is_early(queue, now))


def hold_up(connection: Connection, queue: LaneQueue, now: datetime) -> None:
    """Settle or postpone the target of a lane that may not go."""
    target = queue.target
    about = {"delivery": target.id, "store": queue.lane.store, "order": queue.lane.order_id}
    if _crashes(queue):
        settling.kill(connection, target.id, sources.too_often(), now)
        log.warning("work on it was started repeatedly and never finished", extra={"action": "dead", **about})
    elif queue.is_locked:
        settling.postpone(connection, [row.id for row in queue.rows], now + LOCKED_FOR)
        holdups.note(connection, queue.lane.store, holdups.LOCKED, LOCKED, at=now, until=now + LOCKED_FOR)
        log.error("the payload or body can't be read: %s", LOCKED, extra={"action": "locked", **about})
    else:
        settling.postpone(connection, [row.id for row in queue.rows], target.due_at)


def _crashes(queue: LaneQueue) -> bool:
    return bool(queue.target.starts >= sources.MOST_STARTS)


def _is_early(queue: LaneQueue, now: datetime) -> bool:
    # A newer snapshot does not wait for an older one's retry; an older one that arrives late changes nothing.
    overtaken = any(row.due_at <= now and row.id == queue.newest.delivery_id for row in queue.rows)
    return bool(queue.target.due_at > now) and not overtaken


def _unconfirmed(attempts: Sequence[Row[Any]]) -> Row[Any] | None:
    """The attempt that may have reached Drip without our knowing; None if there is none, or its body has been erased."""
    for attempt in reversed(attempts):
        if attempt.outcome in (None, OUTCOME_UNKNOWN):
            return attempt if attempt.packed is not None else None
        if attempt.outcome in _CONFIRMING:
            return None
    return None
