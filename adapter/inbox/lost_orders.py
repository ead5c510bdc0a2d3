"""Stores that lose orders: they send an error in place of each order, and keep doing so until somebody acts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, func, or_, select

from adapter.inbox.tables import LIVE, deliveries
from mappings import LOSES_ORDERS, Reason

_MOST = 10_000


@dataclass(frozen=True, slots=True)
class LostOrders:
    """The webhooks that contained an error instead of an order, since the store's last order."""

    number: int
    since: datetime
    last_at: datetime
    why: str


def lost_orders(connection: Connection, stores: Iterable[str]) -> dict[str, LostOrders]:
    """The stores that are losing orders. Errors count until the next webhook with an order; backfilled orders don't end it."""
    errors = and_(deliveries.c.reason == Reason.STORE_ERROR, deliveries.c.detail.startswith(LOSES_ORDERS, autoescape=True))
    of_orders = or_(deliveries.c.topic.startswith("order"), deliveries.c.topic == "")
    # The index on the reason bounds this: few rows have this one.
    some = select(deliveries.c.store, deliveries.c.id).where(errors, of_orders).order_by(deliveries.c.id.desc()).limit(_MOST).subquery()
    found = {}
    for store in set(stores) & set(connection.execute(select(some.c.store).distinct()).scalars()):
        last_order = connection.execute(
            select(deliveries.c.id)
            .where(deliveries.c.store == store, deliveries.c.priority == LIVE, deliveries.c.order_id.is_not(None))
            .order_by(deliveries.c.received_at.desc())
            .limit(1)
        ).scalar()
        since = and_(some.c.store == store, some.c.id > (last_order or 0), deliveries.c.id == some.c.id)
        number, first_at, last_at, last_id = connection.execute(
            select(func.count(), func.min(deliveries.c.received_at), func.max(deliveries.c.received_at), func.max(deliveries.c.id))
            .select_from(deliveries.join(some, deliveries.c.id == some.c.id))
            .where(since)
        ).one()
        if number:
            detail = connection.execute(select(deliveries.c.detail).where(deliveries.c.id == last_id)).scalar_one()
            found[store] = LostOrders(number, first_at, last_at, detail.removeprefix(LOSES_ORDERS))
    return found
