"""Statements of the reader: what is unread, and what it records about each delivery."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Boolean,
    Connection,
    Integer,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    true,
    update,
)

from adapter.inbox.accounts import READER
from adapter.inbox.email_digests import keyed, plain_digest
from adapter.inbox.erasure import NEVER
from adapter.inbox.packing import is_locked
from adapter.inbox.sending import Lane
from adapter.inbox.sql import as_lanes, lanes_of, parts, using
from adapter.inbox.tables import BACKFILL, LIVE, RETRY, Instant, deliveries, leases, orders
from mappings import HOLDS, Identity

_LONGEST_NUMBER = 255

# A literal, so that both databases see that the partial indexes apply, whatever the parameters are.
_PENDING = deliveries.c.state == literal_column("'pending'")
_UNREAD = and_(_PENDING, deliveries.c.read_at.is_(None))
_WAITING = and_(_PENDING, deliveries.c.read_at.is_not(None))
_BY_UNREAD, _BY_WAITING = "ix_deliveries_unread", "ix_deliveries_waiting"
_PRIORITY = deliveries.c.priority == bindparam("priority", type_=Integer)


def stores_with_unread(connection: Connection, priority: int, after: str, most: int) -> Sequence[str]:
    """Stores that have unread deliveries of a priority, by name, those after one name; a step into the index for each."""
    return connection.execute(_stores_with_unread(), {"priority": priority, "after": after, "most": most}).scalars().all()


@cache
def _stores_with_unread() -> Select[str]:
    first = select(func.min(deliveries.c.store).label("store")).where(_UNREAD, _PRIORITY, deliveries.c.store > bindparam("after"))
    names = using(first, deliveries, _BY_UNREAD).cte("names", recursive=True)
    following = using(select(func.min(deliveries.c.store)), deliveries, _BY_UNREAD).where(
        _UNREAD, _PRIORITY, deliveries.c.store > names.c.store
    )
    names = names.union_all(select(following.correlate(names).scalar_subquery()).where(names.c.store.is_not(None)))
    return select(names.c.store).where(names.c.store.is_not(None)).limit(bindparam("most", type_=Integer))


def oldest_unread(connection: Connection, priority: int, store: str, most: int, but: Collection[int] = ()) -> Sequence[Row[Any]]:
    """The oldest unread deliveries of a store and priority, except the few in `but`: `id`, `store` and `starts`."""
    statement = _OLDEST_UNREAD.where(deliveries.c.id.not_in(but)) if but else _OLDEST_UNREAD
    return connection.execute(statement, {"priority": priority, "store": store, "most": most}).all()


_OLDEST_UNREAD: Select[Any] = (
    using(select(deliveries.c.id, deliveries.c.store, deliveries.c.starts), deliveries, _BY_UNREAD)
    .where(_UNREAD, _PRIORITY, deliveries.c.store == bindparam("store"))
    .order_by(deliveries.c.id)
    .limit(bindparam("most", type_=Integer))
)


def with_payloads(connection: Connection, ids: Sequence[int]) -> list[Row[Any]]:
    """These deliveries, in this order."""
    found = {row.id: row for row in connection.execute(_WITH_PAYLOADS, {"ids": list(ids)})}
    return [found[each] for each in ids if each in found]


_WITH_PAYLOADS = select(deliveries).where(deliveries.c.id.in_(bindparam("ids", expanding=True)))


def mark_started(connection: Connection, ids: Iterable[int]) -> None:
    """Record that work on these starts now: a delivery started three times and never finished crashes the process."""
    connection.execute(_MARK_STARTED, {"ids": list(ids)})


_MARK_STARTED = (
    update(deliveries).where(deliveries.c.id.in_(bindparam("ids", expanding=True)), _PENDING).values(starts=deliveries.c.starts + 1)
)


def set_in_hand(connection: Connection, ids: Sequence[int], account: str = READER) -> None:
    """Record which deliveries the reader, or an account's sender, has in hand to read or map them; the caller holds the lease.

    One small row: to mark each of the deliveries would write all their payloads again.
    """
    connection.execute(_SET_IN_HAND, {"ids": json.dumps(ids) if ids else None, "whose": account})


_SET_IN_HAND = update(leases).where(leases.c.account == bindparam("whose")).values(reading=bindparam("ids", type_=Text))


def take_up_interrupted(connection: Connection, but: Collection[int] = (), account: str = READER) -> None:
    """Mark what an earlier holder of the lease had in hand when it ended as started, except those in `but`: one may have crashed it."""
    reading = connection.execute(select(leases.c.reading).where(leases.c.account == account)).scalar()
    if reading is not None:
        for some in parts(sorted(set(json.loads(reading)).difference(but))):
            mark_started(connection, some)
        set_in_hand(connection, (), account)


def read_values(
    delivery_id: int, identity: Identity, *, account: str | None, snapshot_at: datetime | None, placed: bool, at: datetime
) -> Mapping[str, Any]:
    """What `set_read` records of a delivery: its order and version, and the account that it is to go to."""
    return {
        "delivery": delivery_id,
        "at": at,
        "of_account": account,
        "of_order": identity.order_id,
        "as_of": snapshot_at,
        "ranks": json.dumps([str(rank) for rank in identity.progress]),
        "is_placed": placed,
        "number": _bare(identity.order_number),
        "digest": plain_digest(identity.email),
    }


def set_number(connection: Connection, delivery_id: int, number: str) -> None:
    """Record the number of an order whose id can't be read."""
    connection.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(order_number=_bare(number)))


def set_no_order(connection: Connection, delivery_id: int) -> None:
    """Record that a delivery is of no order itself: those that it was split into are."""
    connection.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(order_id=None, order_number=None))


def _bare(number: str) -> str | None:
    """An order's number as it is searched for."""
    return number.removeprefix("#")[:_LONGEST_NUMBER] or None


def set_read(connection: Connection, found: Sequence[Mapping[str, Any]]) -> None:
    """Record what was found out about deliveries, as returned by `read_values`."""
    if found:
        digests = keyed(connection, [each["digest"] for each in found])
        connection.execute(_SET_READ, [{**each, "digest": digest} for each, digest in zip(found, digests, strict=True)])


_AT = bindparam("at", type_=Instant)
_SET_READ = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("delivery"))
    .values(
        read_at=_AT,
        # The web process's clock may be ahead of the database's, which senders use.
        due_at=case((deliveries.c.due_at > _AT, _AT), else_=deliveries.c.due_at),
        starts=0,
        account=bindparam("of_account", type_=Text),
        order_id=bindparam("of_order"),
        snapshot_at=bindparam("as_of", type_=Instant),
        progress=bindparam("ranks"),
        placed=bindparam("is_placed", type_=Boolean),
        order_number=bindparam("number", type_=Text),
        # If it was erased while it was read, no personal data may come back.
        email_digest=case((deliveries.c.payload.is_not(None), bindparam("digest", type_=Text)), else_=None),
    )
)


def placed_lanes(connection: Connection, lanes: Iterable[Lane]) -> set[Lane]:
    """Those of these orders of which any snapshot was placed, or which any account has."""
    given = {"lanes": as_lanes((lane.store, lane.order_id) for lane in lanes)}
    return {Lane(*row) for row in connection.execute(_placed_lanes(connection.dialect.name), given)}


@cache
def _placed_lanes(dialect: str) -> Select[str, str]:
    wanted = lanes_of(dialect)

    def any_of(table: Any, *which: Any) -> Any:
        # With a limit: for a plain `exists` PostgreSQL would read the whole table.
        mine = select(table.c.order_id).where(table.c.store == wanted.c.store, table.c.order_id == wanted.c.order_id, *which)
        return mine.limit(1).correlate(wanted).scalar_subquery().is_not(None)

    placed = or_(any_of(deliveries, deliveries.c.placed == true()), any_of(orders))
    return select(wanted.c.store, wanted.c.order_id).where(placed)


def last_payload(connection: Connection, lane: Lane) -> bytes | None:
    """The payload of the newest delivery of an order that still has one, if it can be read."""
    mine = and_(deliveries.c.store == lane.store, deliveries.c.order_id == lane.order_id, deliveries.c.payload.is_not(None))
    payload: bytes | None = connection.execute(select(deliveries.c.payload).where(mine).order_by(deliveries.c.id.desc()).limit(1)).scalar()
    return None if is_locked(payload) else payload


def reopen_held(connection: Connection, lanes: Iterable[Lane], account_of: Callable[[str], str | None]) -> list[tuple[int, Lane]]:
    """skipped -> pending for snapshots held back until these orders were placed; which deliveries, of which orders."""
    given = {"lanes": as_lanes((lane.store, lane.order_id) for lane in lanes)}
    held = [(row.id, Lane(row.store, row.order_id)) for row in connection.execute(_held(connection.dialect.name), given)]
    if held:
        connection.execute(_REOPEN, [{"held": held_id, "of_account": account_of(lane.store)} for held_id, lane in held])
    return held


@cache
def _held(dialect: str) -> Select[Any]:
    wanted = lanes_of(dialect)
    same = and_(
        deliveries.c.store == wanted.c.store,
        deliveries.c.order_id == wanted.c.order_id,
        deliveries.c.state == "skipped",
        deliveries.c.reason.in_([str(reason) for reason in HOLDS]),
        deliveries.c.payload.is_not(None),
    )
    found = select(deliveries.c.id, deliveries.c.store, deliveries.c.order_id).join_from(wanted, deliveries, same)
    return using(found.order_by(deliveries.c.id), deliveries, "ix_deliveries_lane").with_for_update(of=deliveries)


_REOPEN = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("held"))
    .values(state="pending", reason=None, detail=None, settled_at=None, account=bindparam("of_account", type_=Text))
)


def assign_account(connection: Connection, store: str, account: str | None, most: int) -> int:
    """Enter the account of a store's waiting deliveries where it is another one; how many, at most so many at a time."""
    of_store = and_(_WAITING, deliveries.c.store == store, deliveries.c.priority.in_((LIVE, RETRY, BACKFILL)))
    orders_only = deliveries.c.due_at < NEVER  # requests about personal data are never due
    some = (
        using(select(deliveries.c.id), deliveries, _BY_WAITING)
        .where(of_store, orders_only, deliveries.c.account.is_distinct_from(account))
        .limit(most)
    )
    ids = connection.execute(some).scalars().all()
    if ids:
        connection.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(account=account))
    return len(ids)


def stores_that_wait(connection: Connection) -> Sequence[str]:
    """The stores that have deliveries waiting to be sent; a step into the index for each."""
    return connection.execute(_stores_that_wait()).scalars().all()


@cache
def _stores_that_wait() -> Select[str]:
    names = using(select(func.min(deliveries.c.store).label("store")), deliveries, _BY_WAITING).where(_WAITING).cte("names", recursive=True)
    following = using(select(func.min(deliveries.c.store)), deliveries, _BY_WAITING).where(_WAITING, deliveries.c.store > names.c.store)
    names = names.union_all(select(following.correlate(names).scalar_subquery()).where(names.c.store.is_not(None)))
    return select(names.c.store).where(names.c.store.is_not(None))
