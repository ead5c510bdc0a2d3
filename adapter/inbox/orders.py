"""Statements for lists of orders: which orders are newest, what was sent of them, and Drip's last action.

All run in the caller's transaction and read a bounded number of rows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, or_, select

from adapter.inbox.sending import Lane
from adapter.inbox.sql import parts
from adapter.inbox.tables import attempts, deliveries, requests
from mappings import Reason

LONGEST = 50_000
"""Bytes as stored, some 300 kB unpacked. Larger bodies and payloads aren't read for a list."""
_NAMELESS = and_(deliveries.c.state == "dead", deliveries.c.order_number.is_not(None))
"""Orders of which only the number could be read."""
_SHOWN = [
    deliveries.c[name]
    for name in ("id", "store", "order_id", "order_number", "received_at", "state", "reason", "problems", "detail", "read_at", "attempts")
]
_WINDOW = 2000
_MOST = 1000
NO_NEWS = (Reason.STALE, Reason.SUPERSEDED, Reason.UNCHANGED)
"""Skipped for these reasons, a delivery changes nothing of what is known of its order: another one has the order's state."""


@dataclass(frozen=True, slots=True)
class Page:
    """Orders by their newest delivery."""

    rows: Sequence[Row[Any]]
    before: int | None
    """The delivery's id to continue from; None at the end."""


def newest_orders(connection: Connection, limit: int, *, before: int | None = None, store: str = "") -> Page:
    """At most `limit` orders, those with the newest deliveries first; each with the delivery that has its state."""
    window = _window(connection, before, store)
    earlier = _listed_before(connection, window, before) if before is not None else set()
    following = window[-1].id if len(window) == _WINDOW else None
    found: dict[Lane, Row[Any]] = {}
    for row in window:
        # An order without a readable id is one of its own.
        lane = Lane(row.store, row.order_id or f"delivery {row.id}")
        if lane in earlier:
            continue
        if lane not in found and len(found) == limit:
            following = row.id + 1
            break
        found.setdefault(lane, row)
    return Page(_leading(connection, found), following)


def _leading(connection: Connection, newest: Mapping[Lane, Row[Any]]) -> Sequence[Row[Any]]:
    """For each order the delivery that has its state: its newest one with any news, else its newest one."""
    unsure = [lane for lane, row in newest.items() if row.reason in NO_NEWS]
    has_news = or_(deliveries.c.reason.is_(None), deliveries.c.reason.not_in(NO_NEWS))
    ids: list[int] = []
    for store, order_ids in _by_store(unsure):
        mine = and_(deliveries.c.store == store, deliveries.c.order_id.in_(order_ids), has_news)
        ids += connection.execute(select(func.max(deliveries.c.id)).where(mine).group_by(deliveries.c.order_id)).scalars()
    chosen: Select[Any] = select(*_SHOWN)
    rows = [row for some in parts(ids) for row in connection.execute(chosen.where(deliveries.c.id.in_(some)))]
    return list({**newest, **{Lane(row.store, row.order_id): row for row in rows}}.values())


def bodies(connection: Connection, ids: Sequence[int]) -> dict[int, bytes]:
    """The newest stored body of each of these deliveries, unless it is long."""
    wanted = and_(attempts.c.delivery_id.in_(ids), attempts.c.body.is_not(None), func.length(attempts.c.body) <= LONGEST)
    rows = connection.execute(select(attempts.c.delivery_id, attempts.c.body).where(wanted).order_by(attempts.c.id))
    return {row.delivery_id: row.body for row in rows}


def payloads(connection: Connection, ids: Sequence[int]) -> Sequence[Row[Any]]:
    """These deliveries with what a mapping needs, unless their payload is long or erased."""
    names = ("id", "store", "topic", "headers", "payload", "received_at")
    wanted = and_(deliveries.c.id.in_(ids), deliveries.c.payload.is_not(None), func.length(deliveries.c.payload) <= LONGEST)
    chosen: Select[Any] = select(*(deliveries.c[name] for name in names))
    return connection.execute(chosen.where(wanted)).all()


def last_actions(connection: Connection, lanes: Sequence[Lane]) -> dict[Lane, tuple[str, datetime]]:
    """Drip's last action for each order, and when it accepted it."""
    found: dict[Lane, tuple[str, datetime]] = {}
    for store, order_ids in _by_store(lanes):
        mine = and_(deliveries.c.store == store, deliveries.c.order_id.in_(order_ids), deliveries.c.state == "delivered")
        rows = connection.execute(
            select(deliveries.c.order_id, attempts.c.action, requests.c.ended_at)
            .join(attempts, attempts.c.delivery_id == deliveries.c.id)
            .join(requests, requests.c.id == attempts.c.request_id)
            .where(mine, attempts.c.outcome == "delivered", requests.c.ended_at.is_not(None))
            .order_by(attempts.c.id.desc())
            .limit(_MOST)
        )
        for row in rows:
            found.setdefault(Lane(store, row.order_id), (row.action, row.ended_at))
    return found


def sent_bodies(connection: Connection, ids: Sequence[int], most: int) -> Sequence[Row[Any]]:
    """The newest bodies of these deliveries that Drip accepted, unless they are long, the oldest first."""
    accepted = and_(attempts.c.delivery_id.in_(ids), attempts.c.outcome == "delivered", attempts.c.body.is_not(None))
    newest = select(attempts.c.id, attempts.c.delivery_id, attempts.c.body).where(accepted, func.length(attempts.c.body) <= LONGEST)
    return list(reversed(connection.execute(newest.order_by(attempts.c.id.desc()).limit(most)).all()))


def _window(connection: Connection, before: int | None, store: str) -> Sequence[Row[Any]]:
    chosen: Select[Any] = select(*_SHOWN).where(or_(deliveries.c.order_id.is_not(None), _NAMELESS))
    if store:
        chosen = chosen.where(deliveries.c.store == store)
    if before is not None:
        chosen = chosen.where(deliveries.c.id < before)
    return connection.execute(chosen.order_by(deliveries.c.id.desc()).limit(_WINDOW)).all()


def _listed_before(connection: Connection, window: Sequence[Row[Any]], before: int) -> set[Lane]:
    """Which of these deliveries' orders an earlier page has listed: they have a delivery as new as that."""
    found: set[Lane] = set()
    for store, order_ids in _by_store({Lane(row.store, row.order_id) for row in window if row.order_id}):
        newer = and_(deliveries.c.store == store, deliveries.c.order_id.in_(order_ids), deliveries.c.id >= before)
        rows = connection.execute(select(deliveries.c.order_id).where(newer).distinct()).scalars()
        found |= {Lane(store, order_id) for order_id in rows}
    return found


def _by_store(lanes: Iterable[Lane]) -> Iterator[tuple[str, Sequence[str]]]:
    """Each store's orders, in parts. For pairs of store and order SQLite would read the whole table."""
    grouped: dict[str, list[str]] = {}
    for lane in lanes:
        grouped.setdefault(lane.store, []).append(lane.order_id)
    for store, order_ids in grouped.items():
        for part in parts(order_ids):
            yield store, part
