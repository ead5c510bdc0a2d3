"""The tables' indexes, as the migrations create them. Statements name the few that SQLite would not choose by itself.

Only migrations import this module: a partial index makes SQLAlchemy load the support of both databases, of which a process needs one.
"""

from typing import Any

from sqlalchemy import Index, text

from adapter.inbox.tables import attempts, deliveries, login_attempts, metadata, orders, products, requests

__all__ = ["metadata"]


def _where(condition: str) -> dict[str, Any]:
    """The condition of a partial index, for both databases."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


_UNREAD = _where("state = 'pending' AND read_at IS NULL")
_WAITING = _where("state = 'pending' AND read_at IS NOT NULL")
# The account comes first, so that the waiting deliveries of a paused account cost the others nothing. State and time of reading are the
# condition of the index, but SQLite would look them up in each row, behind its payload.
Index(
    "ix_deliveries_due",
    deliveries.c.account,
    deliveries.c.priority,
    deliveries.c.due_at,
    deliveries.c.id,
    deliveries.c.state,
    deliveries.c.read_at,
    **_WAITING,
)
# For the figures of each store.
Index(
    "ix_deliveries_waiting",
    deliveries.c.store,
    deliveries.c.priority,
    deliveries.c.due_at,
    deliveries.c.state,
    deliveries.c.read_at,
    **_WAITING,
)
# By store, so that a store with many unread deliveries does not keep the others waiting.
Index(
    "ix_deliveries_unread",
    deliveries.c.priority,
    deliveries.c.store,
    deliveries.c.id,
    **_UNREAD,
)
# Without the deliveries that have no such value yet: storing a webhook then writes these four less.
Index("ix_deliveries_lane", deliveries.c.store, deliveries.c.order_id, deliveries.c.state, **_where("order_id IS NOT NULL"))
Index("ix_deliveries_order_number", deliveries.c.order_number, deliveries.c.id, **_where("order_number IS NOT NULL"))
Index("ix_deliveries_email_digest", deliveries.c.email_digest, deliveries.c.id, **_where("email_digest IS NOT NULL"))
Index("ix_deliveries_settled_at", deliveries.c.settled_at, deliveries.c.id, deliveries.c.state, **_where("settled_at IS NOT NULL"))
Index("ix_deliveries_state", deliveries.c.state, deliveries.c.id)
Index("ix_deliveries_store", deliveries.c.store, deliveries.c.id)
Index("ix_deliveries_arrivals", deliveries.c.store, deliveries.c.priority, deliveries.c.received_at)
Index("ix_deliveries_reason", deliveries.c.reason, deliveries.c.id, **_where("reason IS NOT NULL"))
Index("ix_orders_lane", orders.c.store, orders.c.order_id)
Index("ix_requests_ledger", requests.c.account, requests.c.kind, requests.c.begun_at)
Index("ix_attempts_delivery_id", attempts.c.delivery_id)
Index("ix_attempts_request_id", attempts.c.request_id)
Index("ix_products_fetched_at", products.c.fetched_at)
Index("ix_login_attempts_since", login_attempts.c.since)
