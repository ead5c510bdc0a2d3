"""What of an order goes next: the newest snapshot that waits, or the one of which nobody knows whether Drip has it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from adapter.delivery.drip import Outcome
from adapter.inbox import sending, settling, sources
from adapter.inbox.sending import Lane
from adapter.inbox.versions import Version, newest_known, version_of

log = logging.getLogger(__name__)
OUTCOME_UNKNOWN = "unknown"
# What Drip said to a later attempt at the same body; a 429 or a refused batch says nothing of what became of an earlier one.
_DOUBT_ENDS = (Outcome.DELIVERED, Outcome.REFUSED)


@dataclass(frozen=True, slots=True)
class LaneQueue:
    """A lane as it waits for one account."""

    lane: Lane
    rows: Sequence[Row[Any]]
    target: Row[Any]
    """The delivery that goes next."""
    previous: Row[Any] | None
    """The target's last attempt."""
    unconfirmed: Row[Any] | None
    """The attempt at the target of which nobody knows whether Drip took it: it is repeated as it was stored."""
    has: Row[Any] | None
    """What Drip has of the order."""

    @property
    def newest(self) -> datetime:
        """The newest time that any of its snapshots carries."""
        return newest_known(self.rows, self.has)

    def version(self, row: Row[Any]) -> Version:
        """The version of one of its rows."""
        return version_of(row, self.newest)

    def older(self) -> list[Row[Any]]:
        """The rows that have nothing left to tell once the target is delivered."""
        mine = self.version(self.target)
        return [row for row in self.rows if self.version(row) < mine]


def load_queues(connection: Connection, account: str, lanes: Sequence[Lane], now: datetime) -> list[LaneQueue]:
    """The lanes that can go now, in the order given; the others are put off or settled on the way."""
    rows = sending.waiting(connection, lanes)
    has = sending.what_drip_has(connection, account, lanes)
    tried = sending.attempts_for(connection, account, [row.id for waiting in rows.values() for row in waiting])
    queues = []
    for lane in lanes:
        if lane in rows:
            queue = _queue(lane, rows[lane], has.get(lane), tried)
            if not _must_wait(connection, queue, now):
                queues.append(queue)
    return queues


def _queue(lane: Lane, rows: Sequence[Row[Any]], has: Row[Any] | None, tried: dict[int, list[Row[Any]]]) -> LaneQueue:
    newest = newest_known(rows, has)
    doubts = {row.id: doubt for row in rows if (doubt := _doubt(tried.get(row.id, ()))) is not None}
    target = next((row for row in rows if row.id in doubts), None) or max(rows, key=lambda row: version_of(row, newest))
    previous = tried[target.id][-1] if target.id in tried else None
    return LaneQueue(lane, rows, target, previous, doubts.get(target.id), has)


def _must_wait(connection: Connection, queue: LaneQueue, now: datetime) -> bool:
    target = queue.target
    if target.starts >= sources.MOST_STARTS:
        settling.kill(connection, target.id, sources.too_often(), now)
        about = {"action": "dead", "delivery": target.id, "store": queue.lane.store, "order": queue.lane.order_id}
        log.warning("it was begun again and again and never ended", extra=about)
        return True
    # A newer snapshot hurries its lane; an older one that comes late does not.
    hurried = any(row.due_at <= now and queue.version(row) > queue.version(target) for row in queue.rows)
    if target.due_at > now and not hurried:
        settling.postpone(connection, [row.id for row in queue.rows], target.due_at)
        return True
    return False


def _doubt(attempts: Sequence[Row[Any]]) -> Row[Any] | None:
    for attempt in reversed(attempts):
        if attempt.outcome in (None, OUTCOME_UNKNOWN):
            return attempt if attempt.body is not None else None
        if attempt.outcome in _DOUBT_ENDS:
            return None
    return None
