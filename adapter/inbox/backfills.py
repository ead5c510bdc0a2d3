"""Statements for backfilling past orders. All run in the caller's transaction."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, select, update

from adapter.inbox.erasure import was_given_up
from adapter.inbox.sql import parts, upserting
from adapter.inbox.tables import BACKFILL, backfills, deliveries, orders
from adapter.inbox.versions import Version, newest_of, version_at_drip, version_of

State = tuple[datetime, tuple[Decimal, ...]]


@dataclass(frozen=True, slots=True)
class Past:
    """An order as the store's API returns it now."""

    payload: bytes
    digest: str
    order_id: str
    """Blank if it could not be read."""
    version: State | None
    """Its time and the provider's rank of progress; None without a plausible time."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One backfill, and how far it has got."""

    store: str
    window: str
    cursor: str
    found: int
    kept: int


@dataclass(frozen=True, slots=True)
class KnownOrders:
    """What is known of some orders: which of them have deliveries, and for each the newest state that is at Drip, waits to be sent, or was
    dropped because its shopper's data had to be erased.
    """

    orders: frozenset[str]
    newest: dict[str, Version]
    at: datetime
    """The time at which the store's API was asked."""

    def includes(self, past: Past) -> bool:
        """Whether any delivery of this order exists."""
        return past.order_id in self.orders

    def covers(self, past: Past) -> bool:
        """Whether this state of the order, or a newer one, is at Drip or waits to be sent."""
        newest = self.newest.get(past.order_id)
        if newest is None or past.version is None:
            return False
        snapshot_at, progress = past.version
        now = Version(snapshot_at=snapshot_at, progress=progress, received_at=self.at, delivery_id=newest.delivery_id)
        return past.version == (newest.snapshot_at, newest.progress) or not now.overtakes(newest)


def open_past(connection: Connection, store: str, window: str, at: datetime, *, again: bool) -> Progress:
    """Start a backfill, or resume an interrupted one; a finished one starts over, as does any with `again`."""
    which = and_(backfills.c.store == store, backfills.c.window == window)
    row = connection.execute(select(backfills).where(which)).one_or_none()
    if row is not None and row.ended_at is None and not again:
        return Progress(store, window, row.cursor or "", row.found, row.kept)
    connection.execute(delete(backfills).where(which))
    connection.execute(upserting(connection, backfills).values(store=store, window=window, begun_at=at))
    return Progress(store, window, "", 0, 0)


def move_on(connection: Connection, progress: Progress, cursor: str, *, found: int, kept: int) -> Progress:
    """Record that a page has been stored, in the transaction that stores it."""
    moved = replace(progress, cursor=cursor, found=progress.found + found, kept=progress.kept + kept)
    which = and_(backfills.c.store == progress.store, backfills.c.window == progress.window)
    connection.execute(update(backfills).where(which).values(cursor=cursor, found=moved.found, kept=moved.kept))
    return moved


def close_past(connection: Connection, store: str, window: str, at: datetime) -> None:
    """Record that a backfill is complete."""
    connection.execute(update(backfills).where(backfills.c.store == store, backfills.c.window == window).values(ended_at=at))


def known_orders(connection: Connection, names: Sequence[str], account: str, past: Iterable[Past], at: datetime) -> KnownOrders:
    """What is known of these orders under any name of their store, since rows under an old name may not have been taken over yet.

    What another account has of them does not count as sent.
    """
    versions: dict[str, list[Version]] = {}
    for part in parts([each.order_id for each in past if each.order_id]):
        kept = select(*_COMPARED).where(deliveries.c.store.in_(names), deliveries.c.order_id.in_(part))
        for row in connection.execute(kept):
            of_order = versions.setdefault(row.order_id, [])
            if row.snapshot_at is not None and (row.state == "pending" or was_given_up(row)):
                of_order.append(version_of(row, row.snapshot_at))
        for row in connection.execute(select(orders).where(orders.c.store.in_(names), orders.c.order_id.in_(part))):
            of_order = versions.setdefault(row.order_id, [])
            if row.snapshot_at is not None and row.account == account:
                of_order.append(version_at_drip(row, row.snapshot_at))
    newest = {order_id: newest_of(of_order) for order_id, of_order in versions.items() if of_order}
    return KnownOrders(frozenset(versions), newest, at)


_COMPARED = [deliveries.c[name] for name in ("id", "order_id", "state", "snapshot_at", "progress", "received_at", "problems")]


def keep_past(connection: Connection, store: str, account: str, topic: str, past: Sequence[Past], at: datetime) -> list[Past]:
    """Store orders as deliveries of the lowest priority, in the order given; those that are new."""
    kept = []
    for each in past:
        row = {
            "store": store,
            "key": f"past:{account}:{each.order_id}:{each.digest}",
            "topic": topic,
            "headers": "{}",
            "payload": each.payload,
            "received_at": at,
            "due_at": at,
            "priority": BACKFILL,
            # Set before the reader runs, so that the next backfill finds it.
            "order_id": each.order_id or None,
            "snapshot_at": each.version[0] if each.version else None,
            "progress": json.dumps([str(rank) for rank in each.version[1]]) if each.version else None,
        }
        if _keep_one(connection, row):
            kept.append(each)
    return kept


def _keep_one(connection: Connection, row: Mapping[str, Any]) -> bool:
    """Store one order, unless this very state of it is stored and no other has been since; whether it is new."""
    statement = upserting(connection, deliveries).values(**row).on_conflict_do_nothing(index_elements=["store", "key"])
    inserting = statement.returning(deliveries.c.id)
    if connection.execute(inserting).scalar() is not None:
        return True
    same = and_(deliveries.c.store == row["store"], deliveries.c.key == row["key"])
    known: int = connection.execute(select(deliveries.c.id).where(same)).scalar_one()
    others = exists().where(deliveries.c.store == row["store"], deliveries.c.order_id == row["order_id"], deliveries.c.id > known)
    if not connection.execute(select(others)).scalar():
        return False
    connection.execute(update(deliveries).where(deliveries.c.id == known).values(key=f"{row['key']}#{known}"))
    return connection.execute(inserting).scalar() is not None
