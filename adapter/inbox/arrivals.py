"""When a store's webhooks arrived."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    and_,
    bindparam,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
)

from adapter.inbox.sql import as_lanes, lanes_of
from adapter.inbox.tables import LIVE, RETRY, Instant, deliveries
from adapter.inbox.views import store_names_cte

_AN_HOUR, _MICROSECOND = timedelta(hours=1), timedelta(microseconds=1)


def last_arrival(connection: Connection, store: str) -> datetime | None:
    """When a store's newest webhook arrived; backfilled orders do not count."""
    newest = [
        connection.execute(
            select(func.max(deliveries.c.received_at)).where(deliveries.c.store == store, deliveries.c.priority == priority)
        ).scalar()
        for priority in (LIVE, RETRY)
    ]
    return max((moment for moment in newest if moment is not None), default=None)


def last_arrivals(connection: Connection) -> dict[str, datetime]:
    """When each store's newest webhook arrived, by two steps into the index for each store."""
    rows = connection.execute(_last_arrivals())
    return {row.store: max(moment for moment in row[1:] if moment is not None) for row in rows if any(row[1:])}


@cache
def _last_arrivals() -> Select[Any]:
    names = store_names_cte()

    def newest(priority: int) -> Any:
        mine = and_(deliveries.c.store == names.c.store, deliveries.c.priority == priority)
        return select(func.max(deliveries.c.received_at)).where(mine).correlate(names).scalar_subquery()

    return select(names.c.store, newest(LIVE), newest(RETRY)).where(names.c.store.is_not(None))


def active_hours(connection: Connection, lasts: Mapping[str, datetime], hours: int) -> dict[str, set[int]]:
    """In which hours before its last webhook any of each store's arrived; 0 is the newest. Reads an index entry for each arrival."""
    given = as_lanes((store, str(Instant().process_bind_param(last, None))) for store, last in lasts.items())
    found: dict[str, set[int]] = {}
    for store, hour in connection.execute(_active_hours(connection.dialect.name), {"lanes": given, "hours": hours}):
        found.setdefault(store, set()).add(hour)
    return found


@cache
def _active_hours(dialect: str) -> Select[str, int]:
    wanted = lanes_of(dialect)
    last, received = cast(wanted.c.order_id, BigInteger), cast(deliveries.c.received_at, BigInteger)
    # More microseconds than an integer of PostgreSQL's holds.
    step = literal(_AN_HOUR // _MICROSECOND, BigInteger)
    mine = and_(
        deliveries.c.store == wanted.c.store,
        deliveries.c.priority.in_((LIVE, RETRY)),
        deliveries.c.received_at <= last,
        deliveries.c.received_at > last - bindparam("hours", type_=BigInteger) * step,
    )
    hour = ((last - received) // step).label("hour")
    return select(wanted.c.store, hour).join_from(wanted, deliveries, mine).distinct()


def hours_with_arrivals(connection: Connection, store: str, before: datetime, hours: int) -> list[bool]:
    """For each hour up to `before`, the newest first: whether any webhook of a store arrived. One index look-up per hour."""
    end = cast(literal(before, Instant), BigInteger)
    step = _AN_HOUR // _MICROSECOND
    hour = select((end - step).label("begin")).cte("hour", recursive=True)
    hour = hour.union_all(select(hour.c.begin - step).where(hour.c.begin > end - step * hours))
    any_arrival = or_(
        *(
            exists().where(
                deliveries.c.store == store,
                deliveries.c.priority == priority,
                deliveries.c.received_at > hour.c.begin,
                deliveries.c.received_at <= hour.c.begin + step,
            )
            for priority in (LIVE, RETRY)
        )
    )
    return [bool(row[1]) for row in connection.execute(select(hour.c.begin, any_arrival).order_by(hour.c.begin.desc()))]
