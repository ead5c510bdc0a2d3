"""Copies of deliveries: when the same bytes again are the same delivery, and when the order has returned to an earlier state.

The hash of a body is an idempotency key for as long as its delivery is kept, whatever ID or topic comes with it: neither is signed, so who
has recorded a webhook can send it again under any. It stops counting only where an order can have returned to the state that the body
shows: another snapshot of the order has been kept since, and by the store's own time it is no newer (A, B, and A again within a second, or
without any time). If the other one is newer by the store's time, a genuine return would have other bytes, namely a later time.

Receiving parses nothing, so it can only compare with what has been read: where the other snapshot may be unread, it records when a copy
arrived. The reader, which finds out which order a delivery is of, decides then.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, insert, or_, select, update

from adapter.inbox.sending import Lane
from adapter.inbox.sql import as_lanes, lanes_of, parts, using
from adapter.inbox.tables import deliveries

# A body's hash, as mappings.core.provider.body_key and Shopify's key have it; other keys name one particular webhook.
_OF_BODY = re.compile(r"(?:[a-z]+:)?[0-9a-f]{64}")
_COLUMNS = [deliveries.c[name] for name in ("id", "store", "order_id", "parent_id", "key", "received_at", "snapshot_at", "copied_at")]


def has_returned(connection: Connection, delivery_id: int) -> bool:
    """Whether the same bytes as this delivery's, arriving now, show that its order has returned to that state."""
    return connection.execute(_has_returned(), {"delivery": delivery_id}).first() is not None


@cache
def _has_returned() -> Select[int]:
    mine, other = deliveries.alias("mine"), deliveries.alias("other")
    no_newer = or_(mine.c.snapshot_at.is_(None), other.c.snapshot_at.is_(None), other.c.snapshot_at == mine.c.snapshot_at)
    same_order = and_(other.c.store == mine.c.store, other.c.order_id == mine.c.order_id, other.c.id > mine.c.id)
    since = select(other.c.id).join_from(mine, other, same_order).where(mine.c.id == bindparam("delivery"), no_newer).limit(1)
    return using(since, other, "ix_deliveries_lane")


def retire_key(connection: Connection, delivery_id: int, key: str) -> None:
    """Let the bytes of a delivery be kept anew."""
    retired = {"key": f"{key}#{delivery_id}", "copied_at": None}
    connection.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(retired))


def keep_returned(connection: Connection, lanes: Iterable[Lane]) -> Sequence[int]:
    """Keep the copies that arrived after another snapshot of their order, but before that was read; returns their ids.

    Pages of orders are let in anew as soon as one of their orders is followed.
    """
    followed: dict[int, list[Row[Any]]] = {}
    for row, rows in _copied(connection, lanes):
        if later := [other for other in rows if _follows(other, row)]:
            followed.setdefault(row.parent_id or row.id, []).extend(later)
    kept: list[int] = []
    for some in parts(sorted(followed)):
        # Locked, so that a copy that is arriving is either seen here or sees what was read here.
        locked = select(*_COLUMNS).where(deliveries.c.id.in_(some)).order_by(deliveries.c.id).with_for_update()
        for row in connection.execute(locked).all():
            if _OF_BODY.fullmatch(row.key):
                kept += _keep_copy(connection, row, followed[row.id])
    return kept


def _follows(other: Row[Any], row: Row[Any]) -> bool:
    """Whether `other` was kept after `row`, and is no newer by the store's own time."""
    # What a page was split into is followed by other pages, not by its own parts.
    if other.id <= row.id or (row.parent_id is not None and other.parent_id == row.parent_id):
        return False
    return None in (row.snapshot_at, other.snapshot_at) or bool(row.snapshot_at == other.snapshot_at)


def _copied(connection: Connection, lanes: Iterable[Lane]) -> Iterable[tuple[Row[Any], Sequence[Row[Any]]]]:
    """The deliveries of these orders that have a copy or are part of a page, each with all of its order's."""
    wanted = as_lanes((lane.store, lane.order_id) for lane in lanes)
    copied = connection.execute(_of_lanes(connection.dialect.name, only_copied=True), {"lanes": wanted}).all()
    found: dict[Lane, list[Row[Any]]] = defaultdict(list)
    if copied:  # few are
        wanted = as_lanes({(row.store, row.order_id) for row in copied})
        for row in connection.execute(_of_lanes(connection.dialect.name, only_copied=False), {"lanes": wanted}):
            found[Lane(row.store, row.order_id)].append(row)
    return ((row, found[Lane(row.store, row.order_id)]) for row in copied)


@cache
def _of_lanes(dialect: str, *, only_copied: bool) -> Any:
    wanted = lanes_of(dialect)
    same = and_(deliveries.c.store == wanted.c.store, deliveries.c.order_id == wanted.c.order_id)
    chosen = select(*_COLUMNS).join_from(wanted, deliveries, same)
    if only_copied:
        chosen = chosen.where(or_(deliveries.c.copied_at.is_not(None), deliveries.c.parent_id.is_not(None)))
    return using(chosen, deliveries, "ix_deliveries_lane")


def _keep_copy(connection: Connection, row: Row[Any], later: Sequence[Row[Any]]) -> Sequence[int]:
    retire_key(connection, row.id, row.key)
    if row.copied_at is None or not any(other.received_at < row.copied_at for other in later):
        return ()
    same = select(deliveries.c.store, deliveries.c.topic, deliveries.c.headers, deliveries.c.payload)
    original = connection.execute(same.where(deliveries.c.id == row.id, deliveries.c.payload.is_not(None))).one_or_none()
    if original is None:
        return ()
    copy = {**original._mapping, "key": row.key, "received_at": row.copied_at, "due_at": row.copied_at}
    return connection.execute(insert(deliveries).values(copy).returning(deliveries.c.id)).scalars().all()
