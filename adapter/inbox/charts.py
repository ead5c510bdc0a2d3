"""Deliveries over time, for the overview's chart: from the hours already counted, plus the deliveries since."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, select

from adapter.inbox.hours import HOUR, KINDS, count_steps, counted_since, counted_until, step_of
from adapter.inbox.tables import LIVE, deliveries

_NEWEST = 2000


@dataclass(frozen=True, slots=True)
class Span:
    """A period of time, divided into steps."""

    name: str
    step: timedelta
    steps: int

    def begin(self, now: datetime) -> datetime:
        """The start of the period whose last step is the current one."""
        return step_of(now, self.step) - self.step * (self.steps - 1)


SPANS = {
    span.name: span
    for span in (
        Span("hour", timedelta(minutes=2), 30), Span("day", timedelta(hours=1), 24), Span("month", timedelta(days=1), 30),
    )
}  # fmt: skip


def first_span(connection: Connection, now: datetime) -> Span:
    """The period to show first: a day, but an hour while the first delivery is no older than that."""
    first = connection.execute(select(deliveries.c.received_at).order_by(deliveries.c.id).limit(1)).scalar()
    return SPANS["hour" if first is None or now - first < HOUR else "day"]


def over_time(connection: Connection, span: Span, now: datetime) -> dict[str, list[int]]:
    """How many deliveries were kept, delivered, skipped and dead in each step of a period, the oldest first."""
    begin = span.begin(now)
    counted = {kind: [0] * span.steps for kind in KINDS}
    since = begin
    if span.step >= HOUR and (known_until := counted_until(connection)):
        for row in counted_since(connection, begin):
            counted[row.kind][(row.begun_at - begin) // span.step] += row.number
        since = max(begin, known_until)
    # At most an hour, since the hours already counted may end in the middle of a step.
    piece = min(span.step, HOUR)
    end = begin + span.step * span.steps
    for kind, pieces in count_steps(connection, since, end, piece).items():
        for index, number in pieces.items():
            counted[kind][(since + piece * index - begin) // span.step] += number
    return counted


def times_to_drip(connection: Connection, since: datetime) -> tuple[timedelta, timedelta] | None:
    """The median and 95th percentile of the time from webhook to Drip's acceptance, over the newest live orders since; None if none."""
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
