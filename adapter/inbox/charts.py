"""What happened over time, for the overview: counted in the database by the indexes on times alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, and_, cast, func, literal, select

from adapter.inbox.statements import PRIORITIES
from adapter.inbox.tables import LIVE, Instant, deliveries

KINDS = ("kept", "delivered", "skipped", "dead")
_MICROSECOND = timedelta(microseconds=1)
_NEWEST = 2000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in steps."""

    name: str
    step: timedelta
    steps: int

    def begin(self, now: datetime) -> datetime:
        """When it began: the last of its steps is the one that runs."""
        return now - (now - _EPOCH) % self.step - self.step * (self.steps - 1)


SPANS = {
    span.name: span
    for span in (
        Span("hour", timedelta(minutes=2), 30), Span("day", timedelta(hours=1), 24), Span("month", timedelta(days=1), 30),
    )
}  # fmt: skip


def over_time(connection: Connection, stores: Sequence[str], span: Span, now: datetime) -> dict[str, list[int]]:
    """How many were kept, delivered, skipped and dead in each step of a span, the oldest first."""
    begin = span.begin(now)
    counted = {kind: [0] * span.steps for kind in KINDS}
    for store in stores:
        for priority in PRIORITIES:
            mine = and_(deliveries.c.store == store, deliveries.c.priority == priority, deliveries.c.received_at >= begin)
            step = _step(deliveries.c.received_at, begin, span)
            for index, number in connection.execute(select(step, func.count()).where(mine).group_by(step)):
                _add(counted["kept"], index, number)
    step = _step(deliveries.c.settled_at, begin, span)
    settled = select(step, deliveries.c.state, func.count()).where(deliveries.c.settled_at >= begin)
    for index, state, number in connection.execute(settled.group_by(step, deliveries.c.state)):
        if state in counted:
            _add(counted[state], index, number)
    return counted


def times_to_drip(connection: Connection, since: datetime) -> tuple[timedelta, timedelta] | None:
    """The median and the 95th percentile from a webhook's receipt to Drip's yes, of the newest live orders since then; None without any."""
    newest = and_(deliveries.c.settled_at >= since, deliveries.c.state == "delivered")
    some = (
        select(deliveries.c.received_at, deliveries.c.settled_at, deliveries.c.priority)
        .where(newest)
        .order_by(deliveries.c.settled_at.desc())
        .limit(_NEWEST)
    )
    took = sorted(row.settled_at - row.received_at for row in connection.execute(some) if row.priority == LIVE)
    if not took:
        return None
    return took[(len(took) - 1) // 2], took[min(len(took) - 1, -(-len(took) * 95 // 100) - 1)]


def _step(column: ColumnElement[Any], begin: datetime, span: Span) -> ColumnElement[int]:
    # Both databases cut the fraction off when they divide whole numbers.
    return (cast(column, BigInteger) - cast(literal(begin, Instant), BigInteger)) // (span.step // _MICROSECOND)


def _add(counts: list[int], index: int, number: int) -> None:
    if 0 <= index < len(counts):  # beyond: by a clock ahead of ours
        counts[index] += number
