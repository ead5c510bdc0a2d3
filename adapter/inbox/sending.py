"""Statements of the sender: what is due, what Drip has, and the ledger of requests and attempts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, reduce
from itertools import chain
from operator import add
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from adapter.inbox.sql import parts
from adapter.inbox.tables import BACKFILL, LIVE, RETRY, Instant, attempts, deliveries, orders, requests

LONGEST_REQUEST = timedelta(seconds=60)

"""A request whose end is unknown, because its sender died, was counted by Drip within this time."""

PRIORITIES = (LIVE, RETRY, BACKFILL)


@dataclass(frozen=True, slots=True)
class Lane:
    """The deliveries of one order of one store."""

    store: str
    order_id: str


def any_due(connection: Connection, stores: Sequence[str], now: datetime) -> bool:
    """Whether any delivery of these stores is due. An idle sender asks this five times a second."""
    return bool(connection.execute(_any_due(tuple(stores)), {"now": now}).scalar())


@cache
def _any_due(stores: tuple[str, ...]) -> Select[tuple[bool]]:
    # Built once, since building costs more than running. In the order of the index: for a plain `exists` PostgreSQL would read the table,
    # past all finished deliveries.
    firsts = [
        select(deliveries.c.id).where(_due(store, priority)).order_by(deliveries.c.due_at).limit(1).scalar_subquery()
        for store in stores
        for priority in PRIORITIES
    ]
    return select(or_(*(first.is_not(None) for first in firsts)))


def due_lanes(connection: Connection, stores: Sequence[str], now: datetime, limit: int, *, live_only: bool = False) -> list[Lane]:
    """The lanes that are due, live ones first, the oldest first."""
    lanes: dict[Lane, None] = {}
    for priority in PRIORITIES[:1] if live_only else PRIORITIES:
        rows = [row for store in stores for row in connection.execute(_oldest_due(store, priority), {"now": now, "limit": limit})]
        rows.sort(key=lambda row: (row.due_at, row.id))
        lanes.update(dict.fromkeys(Lane(row.store, row.order_id) for row in rows))
        if len(lanes) >= limit:
            break
    return list(lanes)[:limit]


@cache
def _oldest_due(store: str, priority: int) -> Select[str, str, datetime, int]:
    return (
        select(deliveries.c.store, deliveries.c.order_id, deliveries.c.due_at, deliveries.c.id)
        .where(_due(store, priority))
        .order_by(deliveries.c.due_at, deliveries.c.id)
        .limit(bindparam("limit"))
    )


def count_due(connection: Connection, stores: Sequence[str], now: datetime, most: int) -> tuple[int, int]:
    """How many orders are due: live ones, and others. Counts no further than about `most` deliveries a store."""
    counted = connection.execute(_counted_due(tuple(stores)), {"now": now, "most": most}).one()
    return counted[0], counted[1]


@cache
def _counted_due(stores: tuple[str, ...]) -> Select[int, int]:
    def count(store: str, priority: int) -> ColumnElement[int]:
        oldest = select(deliveries.c.order_id).where(_due(store, priority)).order_by(deliveries.c.due_at).limit(bindparam("most"))
        some = oldest.subquery()
        return select(func.count(some.c.order_id.distinct())).scalar_subquery()

    live, *others = ([count(store, priority) for store in stores] for priority in PRIORITIES)
    return select(reduce(add, live), reduce(add, chain(*others)))


def waiting(connection: Connection, lanes: Sequence[Lane]) -> dict[Lane, list[Row[Any]]]:
    """The deliveries of these lanes that are read and pending, each lane's in the order of arrival."""
    found: dict[Lane, list[Row[Any]]] = {}
    for store, order_ids in by_store(lanes):
        rows = connection.execute(
            select(deliveries)
            .where(
                deliveries.c.store == store,
                deliveries.c.order_id.in_(order_ids),
                deliveries.c.state == "pending",
                deliveries.c.read_at.is_not(None),
            )
            .order_by(deliveries.c.id)
        )
        for row in rows:
            found.setdefault(Lane(row.store, row.order_id), []).append(row)
    return found


def what_drip_has(connection: Connection, account: str, lanes: Sequence[Lane]) -> dict[Lane, Row[Any]]:
    """What an account has of these orders."""
    found: dict[Lane, Row[Any]] = {}
    for store, order_ids in by_store(lanes):
        wanted = and_(orders.c.account == account, orders.c.store == store, orders.c.order_id.in_(order_ids))
        for row in connection.execute(select(orders).where(wanted)):
            found[Lane(row.store, row.order_id)] = row
    return found


def attempts_for(connection: Connection, account: str, ids: Sequence[int]) -> dict[int, list[Row[Any]]]:
    """The attempts of each of these deliveries for one account, the oldest first."""
    found: dict[int, list[Row[Any]]] = {}
    for part in parts(ids):
        rows = connection.execute(
            select(attempts, requests.c.kind)
            .join(requests, requests.c.id == attempts.c.request_id)
            .where(attempts.c.delivery_id.in_(part), requests.c.account == account)
            .order_by(attempts.c.id)
        )
        for row in rows:
            found.setdefault(row.delivery_id, []).append(row)
    return found


def ledger(connection: Connection, account: str, kind: str, since: datetime) -> list[tuple[datetime, datetime | None]]:
    """Start and end of each request of one kind that ended, or may have ended, after `since`."""
    recent = or_(requests.c.ended_at > since, and_(requests.c.ended_at.is_(None), requests.c.begun_at > since - LONGEST_REQUEST))
    rows = connection.execute(
        select(requests.c.begun_at, requests.c.ended_at)
        .where(requests.c.account == account, requests.c.kind == kind, requests.c.begun_at > since - LONGEST_REQUEST, recent)
        .order_by(requests.c.begun_at)
    )
    return [(row.begun_at, row.ended_at) for row in rows]


def begin_request(connection: Connection, account: str, kind: str, at: datetime) -> int:
    """Enter a request in the ledger before it is made."""
    created = connection.execute(insert(requests).values(account=account, kind=kind, begun_at=at).returning(requests.c.id))
    request_id: int = created.scalar_one()
    return request_id


def last_body(connection: Connection, account: str, lane: Lane) -> bytes | None:
    """The newest body of an order that an account accepted; None if it has been erased, or there is none."""
    body: bytes | None = connection.execute(
        select(attempts.c.body)
        .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
        .join(requests, requests.c.id == attempts.c.request_id)
        .where(deliveries.c.store == lane.store, deliveries.c.order_id == lane.order_id, requests.c.account == account)
        .where(attempts.c.outcome == "delivered", attempts.c.body.is_not(None))
        .order_by(attempts.c.id.desc())
        .limit(1)
    ).scalar()
    return body


def begin_attempts(connection: Connection, request_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store the bodies that are about to be posted. Each row has the columns of `attempts` except those of its end."""
    connection.execute(insert(attempts), [{**row, "request_id": request_id} for row in rows])
    for part in parts([row["delivery_id"] for row in rows]):
        connection.execute(update(deliveries).where(deliveries.c.id.in_(part)).values(starts=0, attempts=deliveries.c.attempts + 1))


def end_request(connection: Connection, request_id: int, status: int | None, at: datetime) -> None:
    """Record Drip's status in the ledger."""
    connection.execute(update(requests).where(requests.c.id == request_id).values(ended_at=at, status=status))


def is_under_way(connection: Connection, request_id: int) -> bool:
    """Whether the end of a request has not been recorded yet."""
    return connection.execute(select(requests.c.ended_at).where(requests.c.id == request_id)).scalar_one_or_none() is None


def end_attempts(connection: Connection, request_id: int, outcome: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Record how a request's attempts ended. Each row has `of` (the delivery), `drip_request_id` and `answer`."""
    ended = update(attempts).where(attempts.c.request_id == request_id, attempts.c.delivery_id == bindparam("of"))
    values = {"outcome": outcome, "drip_request_id": bindparam("drip_request_id"), "answer": bindparam("answer")}
    connection.execute(ended.values(values), list(rows))


def took_others_since(connection: Connection, account: str, request_id: int) -> bool:
    """Whether Drip accepted any order of the account after a request."""
    later = and_(requests.c.account == account, requests.c.id > request_id, requests.c.status.between(200, 299))
    # A status alone is not enough: something other than Drip may have answered 200.
    accepted = exists().where(later, attempts.c.request_id == requests.c.id, attempts.c.outcome == "delivered")
    return bool(connection.execute(select(accepted)).scalar())


def drip_refused(connection: Connection, account: str, limit: int) -> list[int]:
    """The deliveries of an account's newest unbroken run of refused requests, the newest first."""
    rows = connection.execute(
        select(attempts.c.delivery_id, attempts.c.outcome)
        .join(requests, requests.c.id == attempts.c.request_id)
        .where(requests.c.account == account, attempts.c.outcome.is_not(None))
        .order_by(attempts.c.id.desc())
        .limit(limit)
    )
    run: list[int] = []
    for delivery_id, outcome in rows:
        if outcome != "refused":
            break
        run.append(delivery_id)
    return run


def _due(store: str, priority: int) -> ColumnElement[bool]:
    """What of a store is due at `now`: exactly the columns of the index `ix_deliveries_due`."""
    return and_(
        deliveries.c.state == "pending",
        deliveries.c.read_at.is_not(None),
        deliveries.c.store == store,
        deliveries.c.priority == priority,
        deliveries.c.due_at <= bindparam("now", type_=Instant),
    )


def by_store(lanes: Iterable[Lane]) -> Iterator[tuple[str, Sequence[str]]]:
    """Each store's orders, in parts. For pairs of store and order SQLite would read the whole table."""
    grouped: dict[str, list[str]] = {}
    for lane in lanes:
        grouped.setdefault(lane.store, []).append(lane.order_id)
    for store, order_ids in grouped.items():
        for part in parts(order_ids):
            yield store, part
