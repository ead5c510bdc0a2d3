"""Statements of the reader: what is unread, and what it records about each delivery."""

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Row,
    Text,
    and_,
    bindparam,
    case,
    exists,
    literal,
    or_,
    select,
    true,
    update,
)

from adapter.inbox.erasure import email_digest
from adapter.inbox.sending import Lane
from adapter.inbox.tables import Instant, deliveries, orders
from mappings import HOLDS, Identity

_LONGEST_NUMBER = 255

# Built once: an idle reader runs it five times a second, and building it costs more than running it.
_UNREAD = (
    select(deliveries)
    .where(deliveries.c.state == "pending", deliveries.c.read_at.is_(None), deliveries.c.store.in_(bindparam("stores", expanding=True)))
    .order_by(deliveries.c.id)
    .limit(bindparam("most", type_=Integer))
)


def unread(connection: Connection, stores: Sequence[str], limit: int, but: Collection[int] = ()) -> Sequence[Row[Any]]:
    """The oldest unread deliveries of these stores, except the few in `but`."""
    statement = _UNREAD.where(deliveries.c.id.not_in(but)) if but else _UNREAD
    return connection.execute(statement, {"stores": list(stores), "most": limit}).all()


def mark_started(connection: Connection, ids: Iterable[int]) -> None:
    """Record that work on these starts now: a delivery started three times and never finished crashes the process."""
    connection.execute(update(deliveries).where(deliveries.c.id.in_(list(ids))).values(starts=deliveries.c.starts + 1))


def unmark_started(connection: Connection, ids: Iterable[int]) -> None:
    """Undo `mark_started` where the work ended for a reason unrelated to the delivery."""
    started = and_(deliveries.c.id.in_(list(ids)), deliveries.c.starts > 0)
    connection.execute(update(deliveries).where(started).values(starts=deliveries.c.starts - 1))


def set_read(
    connection: Connection, delivery_id: int, identity: Identity, *, snapshot_at: datetime | None, placed: bool, at: datetime
) -> None:
    """Record the order and version of a delivery."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id)
        .values(
            read_at=at,
            # The web process's clock may be ahead of the database's, which senders use.
            due_at=case((deliveries.c.due_at > at, literal(at, Instant)), else_=deliveries.c.due_at),
            starts=0,
            order_id=identity.order_id,
            snapshot_at=snapshot_at,
            progress=json.dumps([str(rank) for rank in identity.progress]),
            placed=placed,
            order_number=identity.order_number.removeprefix("#")[:_LONGEST_NUMBER] or None,
            # If it was erased while it was read, no personal data may come back.
            email_digest=case((deliveries.c.payload.is_not(None), literal(email_digest(identity.email), Text)), else_=None),
        )
    )


def is_placed(connection: Connection, lane: Lane) -> bool:
    """Whether any snapshot of the order was placed, or any account has the order."""
    in_inbox = exists().where(deliveries.c.store == lane.store, deliveries.c.order_id == lane.order_id, deliveries.c.placed == true())
    at_drip = exists().where(orders.c.store == lane.store, orders.c.order_id == lane.order_id)
    return bool(connection.execute(select(or_(in_inbox, at_drip))).scalar())


def last_payload(connection: Connection, lane: Lane) -> bytes | None:
    """The payload of the newest delivery of an order that still has one."""
    mine = and_(deliveries.c.store == lane.store, deliveries.c.order_id == lane.order_id, deliveries.c.payload.is_not(None))
    payload: bytes | None = connection.execute(select(deliveries.c.payload).where(mine).order_by(deliveries.c.id.desc()).limit(1)).scalar()
    return payload


def reopen_held(connection: Connection, lane: Lane) -> Sequence[int]:
    """skipped -> pending for snapshots held back until the order was placed; which deliveries."""
    held = and_(
        deliveries.c.store == lane.store,
        deliveries.c.order_id == lane.order_id,
        deliveries.c.state == "skipped",
        deliveries.c.reason.in_([str(reason) for reason in HOLDS]),
        deliveries.c.payload.is_not(None),
    )
    values = {"state": "pending", "reason": None, "detail": None, "settled_at": None}
    return connection.execute(update(deliveries).where(held).values(values).returning(deliveries.c.id)).scalars().all()
