"""Statements for backfilling past orders. All run in the caller's transaction."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, and_, delete, select, update

from adapter.inbox.erasure import was_given_up
from adapter.inbox.sql import parts, upserting
from adapter.inbox.tables import BACKFILL, backfills, deliveries, orders
from adapter.inbox.versions import progress_of

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
    newest: dict[str, State]

    def includes(self, past: Past) -> bool:
        """Whether any delivery of this order exists."""
        return past.order_id in self.orders

    def covers(self, past: Past) -> bool:
        """Whether this state of the order, or a newer one, is at Drip or waits to be sent."""
        newest = self.newest.get(past.order_id)
        return newest is not None and past.version is not None and newest >= past.version


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


def known_orders(connection: Connection, names: Sequence[str], account: str, past: Iterable[Past]) -> KnownOrders:
    """What is known of these orders under any name of their store, since rows under an old name may not have been taken over yet.

    What another account has of them does not count as sent.
    """
    known: set[str] = set()
    newest: dict[str, State] = {}

    def note(row: Any) -> None:
        if row.snapshot_at is not None:
            state = (row.snapshot_at, progress_of(row))
            newest[row.order_id] = max(state, newest.get(row.order_id, state))

    for part in parts([each.order_id for each in past if each.order_id]):
        columns = (deliveries.c[name] for name in ("order_id", "state", "snapshot_at", "progress", "problems"))
        kept = select(*columns)
        for row in connection.execute(kept.where(deliveries.c.store.in_(names), deliveries.c.order_id.in_(part))):
            known.add(row.order_id)
            if row.state == "pending" or was_given_up(row):
                note(row)
        for row in connection.execute(select(orders).where(orders.c.store.in_(names), orders.c.order_id.in_(part))):
            known.add(row.order_id)
            if row.account == account:
                note(row)
    return KnownOrders(frozenset(known), newest)


def keep_past(connection: Connection, store: str, account: str, topic: str, past: Sequence[Past], at: datetime) -> int:
    """Store orders as deliveries of the lowest priority, in the order given; how many are new."""
    kept = 0
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
        statement = upserting(connection, deliveries).values(**row).on_conflict_do_nothing(index_elements=["store", "key"])
        kept += connection.execute(statement.returning(deliveries.c.id)).scalar() is not None
    return kept
