"""Deliveries per hour, counted once the hour is over, so that a chart of a month reads some hundred rows and not a million.

A later retry does not change an hour already counted: the chart shows what happened at the time.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Engine, and_, cast, delete, func, literal, select

from adapter.inbox.database import snapshot, transaction
from adapter.inbox.sending import PRIORITIES
from adapter.inbox.sql import upserting
from adapter.inbox.tables import Instant, deliveries, hours
from adapter.inbox.views import store_names_cte

KINDS = ("kept", "delivered", "skipped", "dead")
HOUR = timedelta(hours=1)
KEPT_FOR = timedelta(days=32)
"""The longest chart covers a month."""
_SETTLED_AFTER = timedelta(minutes=2)
"""This long after an hour's end, every transaction started in it has been committed."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
Counts = dict[str, dict[int, int]]
"""Kind -> index of the step -> number."""


def step_of(moment: datetime, step: timedelta) -> datetime:
    """The start of the step that contains a moment; steps are counted from the start of 1970."""
    return moment - (moment - _EPOCH) % step


def count_steps(connection: Connection, begin: datetime, end: datetime, step: timedelta) -> Counts:
    """How many deliveries were kept, delivered, skipped and dead in each step from `begin` to `end`; reads only indexes."""
    counted: Counts = {kind: {} for kind in KINDS}
    names = store_names_cte()
    mine = and_(deliveries.c.store == names.c.store, deliveries.c.priority.in_(PRIORITIES), _within(deliveries.c.received_at, begin, end))
    index = _index(deliveries.c.received_at, begin, step)
    kept = select(index, func.count()).join_from(names, deliveries, mine).group_by(index)
    counted["kept"] = dict(connection.execute(kept).all())
    index = _index(deliveries.c.settled_at, begin, step)
    settled = select(index, deliveries.c.state, func.count()).where(_within(deliveries.c.settled_at, begin, end))
    for number_of, state, number in connection.execute(settled.group_by(index, deliveries.c.state)):
        if state in counted:
            counted[state][number_of] = number
    return counted


def counted_until(connection: Connection) -> datetime | None:
    """The time up to which all hours are counted; None if none is."""
    newest: datetime | None = connection.execute(select(func.max(hours.c.begun_at))).scalar()
    return newest + HOUR if newest else None


def counted_since(connection: Connection, begin: datetime) -> Sequence[Any]:
    """The counted hours since `begin`: `begun_at`, `kind`, `number`."""
    return connection.execute(select(hours).where(hours.c.begun_at >= begin)).all()


def count_hour(engine: Engine, now: datetime) -> bool:
    """Count the oldest finished hour not counted yet; whether there was one. Safe to run twice at once: both write the same."""
    with snapshot(engine) as connection:
        begin = counted_until(connection) or _first(connection)
        if begin is None:
            return False
        begin = max(begin, step_of(now - KEPT_FOR, HOUR))
        if begin + HOUR + _SETTLED_AFTER > now:
            return False
        counts = count_steps(connection, begin, begin + HOUR, HOUR)
    with transaction(engine) as connection:
        rows = [{"begun_at": begin, "kind": kind, "number": counts[kind].get(0, 0)} for kind in KINDS]
        connection.execute(upserting(connection, hours).on_conflict_do_nothing(), rows)
        connection.execute(delete(hours).where(hours.c.begun_at < step_of(now - KEPT_FOR, HOUR)))
    return True


def _first(connection: Connection) -> datetime | None:
    """The hour of the oldest delivery: ids follow the order of arrival."""
    oldest = connection.execute(select(deliveries.c.received_at).order_by(deliveries.c.id).limit(1)).scalar()
    return step_of(oldest, HOUR) if oldest else None


def _within(column: ColumnElement[Any], begin: datetime, end: datetime) -> ColumnElement[bool]:
    return and_(column >= begin, column < end)


def _index(column: ColumnElement[Any], begin: datetime, step: timedelta) -> ColumnElement[int]:
    # Both databases truncate when they divide integers.
    return (cast(column, BigInteger) - cast(literal(begin, Instant), BigInteger)) // (step // _MICROSECOND)
