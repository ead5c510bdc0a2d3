"""When a store's webhooks arrived."""

from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Connection,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
)

from adapter.inbox.tables import LIVE, RETRY, Instant, deliveries

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
