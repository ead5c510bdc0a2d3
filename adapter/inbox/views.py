"""Statements for the dashboard's pages. Each uses an index and stops reading at a bound.

All run in the caller's transaction. Lists continue from an id, never from an offset, so that a page stays the same while new deliveries
arrive.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import CTE, ColumnElement, Connection, Integer, Row, Select, and_, bindparam, func, literal_column, select, true

from adapter.inbox.sql import first_since
from adapter.inbox.tables import attempts, deliveries, orders, requests

PAGE = 50
MOST = 1000
"""Matching deliveries are counted only up to this number."""
MOST_RETRIED = 100_000
_READ_AT_MOST = 10_000
"""How many rows one page examines where no index covers the whole filter; the page then shows how far it has searched."""
_MOST_FOUND = 1000
_SHOWN = [
    deliveries.c[name]
    for name in (
        "id", "store", "topic", "received_at", "order_id", "order_number", "state", "reason", "problems", "detail",
        "attempts", "settled_at", "read_at",
    )
]  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A filter for deliveries; a blank value matches any."""

    store: str = ""
    state: str = ""
    reason: str = ""
    topic: str = ""
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""
    """An order number, an order id, or a delivery's id."""
    email_digests: tuple[str, ...] = ()
    """Of the shopper who was searched for; see `digests_of`."""

    @property
    def is_all(self) -> bool:
        """Whether it matches every delivery."""
        return self == Choice()


@dataclass(frozen=True, slots=True)
class Page:
    """A page of deliveries, the newest first."""

    rows: Sequence[Row[Any]]
    before: int | None
    """The id to continue from; None at the end."""
    searched: bool = field(default=False)
    """Whether the page ended because enough rows were examined, not because it is full."""


def page(connection: Connection, choice: Choice, before: int | None = None) -> Page:
    """The newest deliveries that match, older than `before`."""
    which, floor = _bounded(connection, choice, before)
    shown: Select[Any] = select(*_SHOWN)
    rows = connection.execute(shown.where(which).order_by(deliveries.c.id.desc()).limit(PAGE + 1)).all()
    if len(rows) > PAGE:
        return Page(rows[:PAGE], rows[PAGE - 1].id)
    return Page(rows, floor, searched=floor is not None)


def counted(connection: Connection, choice: Choice) -> int:
    """How many match, counted up to `MOST` + 1 among the rows that a page would examine."""
    which, _ = _bounded(connection, choice, None)
    some = select(literal_column("1")).where(which).order_by(deliveries.c.id.desc()).limit(MOST + 1).subquery("some")
    number: int = connection.execute(select(func.count()).select_from(some)).scalar_one()
    return number


def newest_sent(connection: Connection, store: str, most: int) -> Sequence[Row[Any]]:
    """Delivered orders among a store's newest deliveries, whose payload is still stored; newest first."""
    return connection.execute(_newest_sent(), {"store": store, "most": most}).all()


@cache
def _newest_sent() -> Select[Any]:
    mine = deliveries.c.store == bindparam("store")
    newest = select(deliveries.c.id).where(mine).order_by(deliveries.c.id.desc()).limit(MOST).subquery()
    wanted = select(deliveries).where(
        deliveries.c.id.in_(select(newest.c.id)), deliveries.c.state == "delivered", deliveries.c.payload.is_not(None)
    )
    return wanted.order_by(deliveries.c.id.desc()).limit(bindparam("most", type_=Integer))


def one(connection: Connection, delivery_id: int) -> Row[Any] | None:
    """A delivery with all its columns."""
    return connection.execute(select(deliveries).where(deliveries.c.id == delivery_id)).one_or_none()


def parts_of(connection: Connection, row: Row[Any]) -> Sequence[int]:
    """The deliveries that one was split into: their keys start with its id."""
    mine = and_(
        deliveries.c.store == row.store, deliveries.c.key >= f"{row.id}/", deliveries.c.key < f"{row.id}0", deliveries.c.parent_id == row.id
    )
    return connection.execute(select(deliveries.c.id).where(mine).order_by(deliveries.c.id).limit(MOST)).scalars().all()


def history(connection: Connection, stores: Sequence[str], order_id: str) -> Sequence[Row[Any]]:
    """All deliveries of an order, the oldest first."""
    mine = and_(deliveries.c.store.in_(stores), deliveries.c.order_id == order_id)
    newest = select(deliveries.c.id).where(mine).order_by(deliveries.c.id.desc()).limit(_MOST_FOUND)
    shown: Select[Any] = select(*_SHOWN, deliveries.c.snapshot_at)
    return connection.execute(shown.where(deliveries.c.id.in_(newest)).order_by(deliveries.c.id)).all()


def attempts_of(connection: Connection, ids_: Sequence[int]) -> Sequence[Row[Any]]:
    """The attempts to send these deliveries, without the bodies, the oldest first."""
    of_attempts = [attempts.c[name] for name in ("id", "delivery_id", "action", "outcome", "drip_request_id")]
    of_requests = [requests.c[name] for name in ("account", "kind", "begun_at", "ended_at", "status")]
    chosen: Select[Any] = select(*of_attempts, *of_requests).join(requests, requests.c.id == attempts.c.request_id)
    return connection.execute(chosen.where(attempts.c.delivery_id.in_(ids_)).order_by(attempts.c.id)).all()


def at_drip(connection: Connection, accounts: Sequence[str], stores: Sequence[str], order_id: str) -> Sequence[Row[Any]]:
    """What Drip has of an order, by account."""
    mine = and_(orders.c.account.in_(accounts), orders.c.store.in_(stores), orders.c.order_id == order_id)
    return connection.execute(select(orders).where(mine).order_by(orders.c.account)).all()


def newest_body(connection: Connection, ids_: Sequence[int]) -> Row[Any] | None:
    """The last body of these deliveries that Drip accepted."""
    mine = and_(attempts.c.delivery_id.in_(ids_), attempts.c.outcome == "delivered", attempts.c.body.is_not(None))
    return connection.execute(select(attempts).where(mine).order_by(attempts.c.id.desc()).limit(1)).one_or_none()


def states_of(connection: Connection, ids_: Sequence[int]) -> dict[str, int]:
    """How many of these deliveries are in each state."""
    rows = connection.execute(
        select(deliveries.c.state, func.count().label("number")).where(deliveries.c.id.in_(ids_)).group_by(deliveries.c.state)
    )
    return {row.state: row.number for row in rows}


def newest_of(connection: Connection, store: str) -> Row[Any] | None:
    """A store's newest delivery."""
    newest = select(*_SHOWN).where(deliveries.c.store == store).order_by(deliveries.c.id.desc()).limit(1)
    return connection.execute(newest).one_or_none()


def _bounded(connection: Connection, choice: Choice, before: int | None) -> tuple[ColumnElement[bool], int | None]:
    """The condition for a page, and the last id that it examines; None if it examines all."""
    by_index, beside = _conditions(connection, choice)
    low, high = _span(connection, choice, before)
    if beside is None:
        return _between(by_index, low, high), None
    # Given two lower bounds a database may use either, so only the higher one is passed.
    lowest = select(deliveries.c.id).where(_between(by_index, low, high)).order_by(deliveries.c.id.desc()).offset(_READ_AT_MOST).limit(1)
    floor: int | None = connection.execute(lowest).scalar()
    return _between(and_(by_index, beside), low if floor is None else floor, high), floor


def _conditions(connection: Connection, choice: Choice) -> tuple[ColumnElement[bool], ColumnElement[bool] | None]:
    """The part of a filter that one index covers, and the part checked row by row; None if nothing is left."""
    wanted: dict[str, Any] = {name: getattr(choice, name) for name in ("reason", "state", "store", "topic") if getattr(choice, name)}
    if choice.text or choice.email_digests:
        return and_(*_found(connection, choice), *(deliveries.c[name] == value for name, value in wanted.items())), None
    first = next((name for name in ("reason", "state", "store") if name in wanted), "")
    by_index = deliveries.c[first] == wanted.pop(first) if first else true()
    if first == "reason" and wanted.get("state") == "skipped":
        wanted.pop("state")  # only skipped deliveries have a reason
    beside = [deliveries.c[name] == value for name, value in wanted.items()]
    return by_index, and_(*beside) if beside else None


def _found(connection: Connection, choice: Choice) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if choice.email_digests:
        conditions.append(deliveries.c.email_digest.in_(choice.email_digests))
    if choice.text:
        conditions.append(deliveries.c.id.in_(_named(connection, choice.text)))
    return conditions


def _named(connection: Connection, text: str) -> list[int]:
    """Deliveries by order number, order id or their own id."""
    bare = text.removeprefix("#")
    by_number = select(deliveries.c.id).where(deliveries.c.order_number == bare)
    ways: list[Select[Any]] = [by_number]
    stores = connection.execute(_STORES).scalars().all()
    if stores:
        ways.append(select(deliveries.c.id).where(deliveries.c.store.in_(stores), deliveries.c.order_id == bare))
    found = [connection.execute(way.order_by(deliveries.c.id.desc()).limit(_MOST_FOUND)).scalars().all() for way in ways]
    own = [int(bare)] if bare.isascii() and bare.isdecimal() and int(bare) < 2**63 and not text.startswith("#") else []
    return sorted({*own, *(each for some in found for each in some)}, reverse=True)[:_MOST_FOUND]


# The names of all stores with deliveries, one index look-up each: the settings lack stores that have been removed.
def store_names_cte() -> CTE:
    """The names of all stores with deliveries, and one row of null: to select from in another statement."""
    first = select(func.min(deliveries.c.store).label("store")).cte("names", recursive=True)
    following = select(func.min(deliveries.c.store)).where(deliveries.c.store > first.c.store).correlate(first).scalar_subquery()
    return first.union_all(select(following).where(first.c.store.is_not(None)))


_NAMES = store_names_cte()
_STORES = select(_NAMES.c.store).where(_NAMES.c.store.is_not(None))


def store_names(connection: Connection) -> Sequence[str]:
    """The stores that have deliveries."""
    return connection.execute(_STORES).scalars().all()


def _span(connection: Connection, choice: Choice, before: int | None) -> tuple[int | None, int | None]:
    """The range of ids that a filter's times cover. The parts of a split body come a moment after their time."""
    low = _first_received(connection, choice.since) if choice.since is not None else None
    high = _first_received(connection, choice.until) if choice.until is not None else None
    return low, min((each for each in (high, before) if each is not None), default=None)


def _first_received(connection: Connection, moment: datetime) -> int:
    return first_since(connection, deliveries.c.id, deliveries.c.received_at, moment)


def _between(which: ColumnElement[bool], low: int | None, high: int | None) -> ColumnElement[bool]:
    conditions = [which]
    if low is not None:
        conditions.append(deliveries.c.id >= low)
    if high is not None:
        conditions.append(deliveries.c.id < high)
    return and_(*conditions)


def retriable(connection: Connection, choice: Choice, before: int, limit: int) -> Sequence[int]:
    """Ids of deliveries that match and can be sent again: with payload, and not pending unless the filter asks for pending ones."""
    found: Sequence[int] = connection.execute(_retriable(connection, choice, before).limit(limit)).scalars().all()
    return found


def count_retriable(connection: Connection, choice: Choice, before: int) -> int:
    """How many deliveries that match can be sent again, counted up to `MOST_RETRIED` + 1."""
    some = _retriable(connection, choice, before).limit(MOST_RETRIED + 1).subquery("some")
    number: int = connection.execute(select(func.count()).select_from(some)).scalar_one()
    return number


def _retriable(connection: Connection, choice: Choice, before: int) -> Select[Any]:
    by_index, beside = _conditions(connection, choice)
    which = [_between(by_index, *_span(connection, choice, before)), deliveries.c.payload.is_not(None)]
    which += [] if beside is None else [beside]
    which += [] if choice.state else [deliveries.c.state != "pending"]
    return select(deliveries.c.id).where(*which).order_by(deliveries.c.id.desc())
