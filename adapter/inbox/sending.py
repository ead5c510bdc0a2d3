"""Statements of the sender: what is due, what Drip has, and what was tried.

Those that run with every order are built once: building one costs more than running it. None grows with the number of stores or accounts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    Row,
    Select,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    type_coerce,
    union_all,
)

from adapter.inbox.sql import as_lanes, lanes_of, parts, using
from adapter.inbox.tables import BACKFILL, LIVE, RETRY, Instant, attempts, deliveries, leases, orders, requests

PRIORITIES = (LIVE, RETRY, BACKFILL)


@dataclass(frozen=True, slots=True)
class Lane:
    """The deliveries of one order of one store."""

    store: str
    order_id: str


class Due(NamedTuple):
    """An account with orders that are due: live ones, or others."""

    account: str
    live: bool
    other: bool


# A literal, so that both databases see that the partial indexes apply, whatever the parameters are.
_PENDING = deliveries.c.state == literal_column("'pending'")
_BY_DUE = "ix_deliveries_due"
_WAITING = and_(_PENDING, deliveries.c.read_at.is_not(None))


# --- what is due -------------------------------------------------------------------------------------------------------------------


def due_accounts(connection: Connection, now: datetime) -> Sequence[Due]:
    """All accounts with anything due, in one look: it costs a step into the index for each account that has deliveries waiting."""
    return [Due(*row) for row in connection.execute(_due_accounts(), {"now": now})]


@cache
def _due_accounts() -> Select[str, bool, bool]:
    first = select(func.min(deliveries.c.account).label("account")).where(_WAITING, deliveries.c.account.is_not(None))
    waiting = using(first, deliveries, _BY_DUE).cte("waiting", recursive=True)
    following = using(select(func.min(deliveries.c.account)), deliveries, _BY_DUE).where(_WAITING, deliveries.c.account > waiting.c.account)
    waiting = waiting.union_all(select(following.correlate(waiting).scalar_subquery()).where(waiting.c.account.is_not(None)))

    def any_due(priority: int) -> ColumnElement[bool]:
        # In the order of the index: for a plain `exists` PostgreSQL would read the table, past all finished deliveries.
        mine = and_(_WAITING, deliveries.c.account == waiting.c.account, deliveries.c.priority == priority, _DUE)
        return (
            using(select(deliveries.c.id), deliveries, _BY_DUE)
            .where(mine)
            .order_by(deliveries.c.due_at)
            .limit(1)
            .correlate(waiting)
            .scalar_subquery()
            .is_not(None)
        )

    live, others = any_due(LIVE), or_(any_due(RETRY), any_due(BACKFILL))
    found = select(waiting.c.account, live.label("live"), others.label("others")).where(waiting.c.account.is_not(None)).subquery()
    return select(found.c.account, found.c.live, found.c.others).where(or_(found.c.live, found.c.others))


def outlook(connection: Connection, account: str, now: datetime, most: int) -> Row[Any] | None:
    """An account's lease with its troubles, how many of its deliveries are due, `live` ones and `other`s, and `since` when the first is.

    None without a lease. Counts up to `most` deliveries of each priority, in the index alone: several may be of one order.
    """
    return connection.execute(_outlook(), {"account": account, "now": now, "most": most}).one_or_none()


@cache
def _outlook() -> Select[Any]:
    def count(priority: int) -> ColumnElement[int]:
        some = (
            using(select(deliveries.c.due_at), deliveries, _BY_DUE)
            .where(*_due(priority))
            .order_by(deliveries.c.due_at)
            .limit(bindparam("most", type_=Integer))
        )
        return select(func.count()).select_from(some.subquery(f"due_{priority}")).scalar_subquery()

    first = union_all(*(select(_first_due(priority).limit(1).subquery()) for priority in PRIORITIES)).subquery("firsts")
    since = select(func.min(first.c.due_at)).scalar_subquery().label("since")
    other = (count(RETRY) + count(BACKFILL)).label("other")
    return select(leases, count(LIVE).label("live"), other, since).where(leases.c.account == bindparam("account"))


def _first_due(priority: int) -> Select[datetime]:
    return using(select(deliveries.c.due_at), deliveries, _BY_DUE).where(*_due(priority)).order_by(deliveries.c.due_at)


def due_lanes(connection: Connection, account: str, now: datetime, limit: int, *, live_only: bool = False) -> list[Lane]:
    """An account's lanes that are due, live ones first, the oldest first."""
    lanes: dict[Lane, None] = {}
    for priority in PRIORITIES[:1] if live_only else PRIORITIES:
        rows = connection.execute(_oldest_due(priority), {"account": account, "now": now, "limit": limit})
        lanes.update(dict.fromkeys(Lane(row.store, row.order_id) for row in rows))
        if len(lanes) >= limit:
            break
    return list(lanes)[:limit]


@cache
def _oldest_due(priority: int) -> Select[str, str]:
    oldest = (
        using(select(deliveries.c.store, deliveries.c.order_id), deliveries, _BY_DUE)
        .where(*_due(priority))
        .order_by(deliveries.c.due_at, deliveries.c.id)
    )
    return oldest.limit(bindparam("limit", type_=Integer))


def oldest_of_each(connection: Connection, account: str, stores: Iterable[str], now: datetime) -> list[Lane]:
    """The lane of each store's oldest live delivery that is due for an account, the oldest first; a step into the index for each store."""
    wanted = as_lanes((store, "") for store in stores)
    rows = connection.execute(_oldest_of_each(connection.dialect.name), {"lanes": wanted, "account": account, "now": now})
    return [Lane(row.store, row.order_id) for row in rows]


@cache
def _oldest_of_each(dialect: str) -> Select[str, str]:
    wanted = lanes_of(dialect)
    mine = and_(_WAITING, deliveries.c.store == wanted.c.store, deliveries.c.priority == LIVE, _DUE)
    oldest = using(select(deliveries.c.id), deliveries, "ix_deliveries_waiting").where(mine).order_by(deliveries.c.due_at).limit(1)
    chosen = select(oldest.correlate(wanted).scalar_subquery().label("id")).select_from(wanted).subquery("chosen")
    found = select(deliveries.c.store, deliveries.c.order_id).join_from(chosen, deliveries, deliveries.c.id == chosen.c.id)
    # Tested in the row: where a store's account has changed, its first delivery may still be for another.
    return found.where(deliveries.c.account == bindparam("account")).order_by(deliveries.c.due_at, deliveries.c.id)


_DUE = deliveries.c.due_at <= bindparam("now", type_=Instant)


def _due(priority: int) -> tuple[ColumnElement[bool], ...]:
    """What of an account is due: exactly the columns of the index `ix_deliveries_due`."""
    return _WAITING, deliveries.c.account == bindparam("account"), deliveries.c.priority == priority, _DUE


# --- an order's deliveries ---------------------------------------------------------------------------------------------------------


def waiting(connection: Connection, lanes: Iterable[Lane]) -> dict[Lane, list[Row[Any]]]:
    """The deliveries of these lanes that are read and pending, each lane's in the order of arrival. `packed` is the payload as stored."""
    found: dict[Lane, list[Row[Any]]] = {}
    for row in connection.execute(_of_lanes(connection.dialect.name), _parameter(lanes)):
        found.setdefault(Lane(row.store, row.order_id), []).append(row)
    return found


@cache
def _of_lanes(dialect: str) -> Select[Any]:
    wanted = lanes_of(dialect)
    same = and_(deliveries.c.store == wanted.c.store, deliveries.c.order_id == wanted.c.order_id)
    columns = (column for column in deliveries.c if column is not deliveries.c.payload)
    packed = type_coerce(deliveries.c.payload, LargeBinary).label("packed")  # there may be a thousand
    found = select(*columns, packed).join_from(wanted, deliveries, same).where(_WAITING).order_by(deliveries.c.id)
    return using(found, deliveries, "ix_deliveries_lane")


def what_drip_has(connection: Connection, account: str, lanes: Iterable[Lane]) -> dict[Lane, Row[Any]]:
    """What an account has of these orders."""
    rows = connection.execute(_at_drip(connection.dialect.name), {"account": account, **_parameter(lanes)})
    return {Lane(row.store, row.order_id): row for row in rows}


@cache
def _at_drip(dialect: str) -> Select[Any]:
    wanted = lanes_of(dialect)
    # Each with an account of its own: for a given one, SQLite would read all orders of the account.
    account: ColumnElement[str] = func.coalesce(bindparam("account"), wanted.c.store)
    same = and_(orders.c.account == account, orders.c.store == wanted.c.store, orders.c.order_id == wanted.c.order_id)
    return select(orders).join_from(wanted, orders, same)


def _parameter(lanes: Iterable[Lane]) -> dict[str, str]:
    return {"lanes": as_lanes((lane.store, lane.order_id) for lane in lanes)}


def attempts_for(connection: Connection, account: str, ids: Sequence[int]) -> dict[int, list[Row[Any]]]:
    """The attempts of each of these deliveries for one account, the oldest first. `packed` is the body as stored."""
    found: dict[int, list[Any]] = {}
    for part in parts(ids):
        for row in connection.execute(_ATTEMPTS, {"account": account, "ids": list(part)}):
            found.setdefault(row.delivery_id, []).append(row)
    return found


_ATTEMPTS = (
    select(
        *(column for column in attempts.c if column is not attempts.c.body),
        type_coerce(attempts.c.body, LargeBinary).label("packed"),
        requests.c.kind,
    )
    .join(requests, requests.c.id == attempts.c.request_id)
    .where(attempts.c.delivery_id.in_(bindparam("ids", expanding=True)), requests.c.account == bindparam("account"))
    .order_by(attempts.c.id)
)


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
