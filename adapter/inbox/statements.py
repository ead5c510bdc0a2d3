"""Every statement that matters, each with a name and a sentence. All take a connection inside a transaction of the caller's.

Rows come back as SQLAlchemy `Row`s of the tables in `tables.py`; times are aware and in UTC.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from adapter.inbox import counters
from adapter.inbox.erasure import email_digest
from adapter.inbox.tables import BACKFILL, LIVE, RETRY, Instant, attempts, deliveries, leases, orders, refusals, requests
from mappings import HOLDS, Identity, Key, Skip

LONGEST_REQUEST = timedelta(seconds=60)
"""A request of which no end is known, because its sender died, was counted by Drip within this time."""
PRIORITIES = (LIVE, RETRY, BACKFILL)
_IN_ONE_STATEMENT = 500
_LONGEST_NUMBER = 255
Value = TypeVar("Value")
_AN_HOUR, _MICROSECOND = timedelta(hours=1), timedelta(microseconds=1)
KEY_LIFETIME = timedelta(hours=48)
"""How long the hash of a body counts as an idempotency key: the same state of an order may come back later, and rightly."""


class Receipt(NamedTuple):
    """What became of a request: which delivery it is, and whether that is new or a dead one that its copy has re-opened."""

    delivery: int
    new: bool
    reopened: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """The deliveries of one order of one store."""

    store: str
    order_id: str


# --- receiving ---------------------------------------------------------------------------------------------------------------------


def keep(connection: Connection, *, store: str, key: Key, topic: str, headers: Mapping[str, str], payload: bytes, at: datetime) -> Receipt:
    """Keep a delivery. A copy changes nothing, but re-opens a dead one."""
    row = {
        "store": store,
        "key": key.value,
        "topic": topic,
        "headers": json.dumps(headers),
        "payload": payload,
        "received_at": at,
        "due_at": at,
    }
    new_id = _insert_delivery(connection, row)
    if new_id is not None:
        return Receipt(new_id, True)
    known = connection.execute(
        select(deliveries.c.id, deliveries.c.received_at, deliveries.c.state)
        .where(deliveries.c.store == store, deliveries.c.key == key.value)
        .with_for_update()
    ).one()
    if key.expires and known.received_at <= at - KEY_LIFETIME:
        connection.execute(update(deliveries).where(deliveries.c.id == known.id).values(key=f"{key.value}#{known.id}"))
        renewed = _insert_delivery(connection, row)
        if renewed is not None:
            return Receipt(renewed, True)
    counters.count(connection, "duplicates", store=store)
    reopened = known.state == "dead" and reopen(connection, deliveries.c.id == known.id, at=at, priority=None) != []
    return Receipt(known.id, False, reopened)


def count_refusal(connection: Connection, *, store: str, reason: str, at: datetime) -> None:
    """Remember that a request was not proved genuine, and nothing else of it."""
    row = upserting(connection, refusals).values(store=store, reason=reason, times=1, last_at=at)
    connection.execute(
        row.on_conflict_do_update(index_elements=["store", "reason"], set_={"times": refusals.c.times + 1, "last_at": row.excluded.last_at})
    )


# --- reading -----------------------------------------------------------------------------------------------------------------------


# Built once: an idle reader asks five times a second, and to build it costs more than to run it.
_UNREAD = (
    select(deliveries)
    .where(deliveries.c.state == "pending", deliveries.c.read_at.is_(None), deliveries.c.store.in_(bindparam("stores", expanding=True)))
    .order_by(deliveries.c.id)
    .limit(bindparam("most", type_=Integer))
)


def unread(connection: Connection, stores: Sequence[str], limit: int, but: Collection[int] = ()) -> Sequence[Row[Any]]:
    """The oldest deliveries of these stores that nobody has read, `but` these few."""
    statement = _UNREAD.where(deliveries.c.id.not_in(but)) if but else _UNREAD
    return connection.execute(statement, {"stores": list(stores), "most": limit}).all()


def begin(connection: Connection, ids: Iterable[int]) -> None:
    """Note that these are about to be read or mapped; one that is begun three times and never ended kills senders."""
    connection.execute(update(deliveries).where(deliveries.c.id.in_(list(ids))).values(begun=deliveries.c.begun + 1))


def forgive(connection: Connection, ids: Iterable[int]) -> None:
    """Take back a `begin` that ended for no fault of the delivery's."""
    begun = and_(deliveries.c.id.in_(list(ids)), deliveries.c.begun > 0)
    connection.execute(update(deliveries).where(begun).values(begun=deliveries.c.begun - 1))


def set_read(
    connection: Connection, delivery_id: int, identity: Identity, *, snapshot_at: datetime | None, placed: bool, at: datetime
) -> None:
    """Write down the order and version that a delivery is of."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id)
        .values(
            read_at=at,
            # The web side's clock may be ahead of the database's, by which senders go.
            due_at=case((deliveries.c.due_at > at, literal(at, Instant)), else_=deliveries.c.due_at),
            begun=0,
            order_id=identity.order_id,
            snapshot_at=snapshot_at,
            progress=json.dumps([str(rank) for rank in identity.progress]),
            placed=placed,
            order_number=identity.order_number.removeprefix("#")[:_LONGEST_NUMBER] or None,
            # Erased while it was read: then nothing of the shopper comes back.
            email_digest=case((deliveries.c.payload.is_not(None), literal(email_digest(identity.email), Text)), else_=None),
        )
    )


def is_placed(connection: Connection, lane: Lane) -> bool:
    """Whether any snapshot of the order was placed, or any account has it."""
    in_inbox = exists().where(deliveries.c.store == lane.store, deliveries.c.order_id == lane.order_id, deliveries.c.placed == true())
    at_drip = exists().where(orders.c.store == lane.store, orders.c.order_id == lane.order_id)
    return bool(connection.execute(select(or_(in_inbox, at_drip))).scalar())


def weigh_again(connection: Connection, lane: Lane) -> Sequence[int]:
    """Put back what was held until the order is placed; which deliveries."""
    held = and_(
        deliveries.c.store == lane.store,
        deliveries.c.order_id == lane.order_id,
        deliveries.c.state == "skipped",
        deliveries.c.reason.in_([str(reason) for reason in HOLDS]),
        deliveries.c.payload.is_not(None),
    )
    values = {"state": "pending", "reason": None, "detail": None, "settled_at": None}
    return connection.execute(update(deliveries).where(held).values(values).returning(deliveries.c.id)).scalars().all()


def keep_part(connection: Connection, parent: Row[Any], index: int, payload: bytes) -> int | None:
    """Keep one order of a body that held several, as a delivery of its own; its id, or None where it is kept already."""
    row = {
        "store": parent.store,
        "key": f"{parent.id}/{index}",
        "topic": parent.topic,
        "headers": parent.headers,
        "payload": payload,
        "received_at": parent.received_at,
        "due_at": parent.due_at,
        "priority": parent.priority,
        "parent_id": parent.id,
    }
    return _insert_delivery(connection, row)


# --- settling ----------------------------------------------------------------------------------------------------------------------


def skip(connection: Connection, delivery_id: int, reason: Skip, at: datetime) -> None:
    """pending -> skipped."""
    for store in _settle(connection, delivery_id, at, state="skipped", reason=str(reason.reason), detail=reason.detail):
        counters.count(connection, "skipped", store=store, reason=str(reason.reason))


def kill(connection: Connection, delivery_id: int, problems: Mapping[str, Sequence[str]], at: datetime) -> None:
    """pending -> dead."""
    for store in _settle(connection, delivery_id, at, state="dead", problems=json.dumps(problems, ensure_ascii=False)):
        counters.count(connection, "dead", store=store)


def reopen(
    connection: Connection, which: ColumnElement[bool], *, at: datetime, priority: int | None = RETRY, forced: bool = False
) -> Sequence[int]:
    """Send kept deliveries again, from their payloads and with today's mapping; which. Erased ones stay as they are."""
    values: dict[str, Any] = {
        "state": "pending", "reason": None, "detail": None, "problems": None, "settled_at": None,
        "read_at": None, "begun": 0, "failed": 0, "most_together": None, "due_at": at, "forced": forced,
    }  # fmt: skip
    if priority is not None:
        values["priority"] = priority
    kept = update(deliveries).where(which, deliveries.c.payload.is_not(None))
    return connection.execute(kept.values(values).returning(deliveries.c.id)).scalars().all()


def postpone(connection: Connection, ids: Iterable[int], until: datetime) -> None:
    """Let a lane wait."""
    connection.execute(update(deliveries).where(deliveries.c.id.in_(list(ids))).values(due_at=until))


def spend_attempt(connection: Connection, delivery_id: int) -> None:
    """Count a failed attempt against a delivery."""
    connection.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(failed=deliveries.c.failed + 1))


def take_back(connection: Connection, ids: Iterable[int]) -> Sequence[int]:
    """dead -> pending, where it has turned out that the orders were not at fault; which deliveries."""
    values = {"state": "pending", "problems": None, "settled_at": None}
    refused = and_(deliveries.c.id.in_(list(ids)), deliveries.c.state == "dead", deliveries.c.payload.is_not(None))
    return connection.execute(update(deliveries).where(refused).values(values).returning(deliveries.c.id)).scalars().all()


def erase_payload(connection: Connection, delivery_id: int) -> None:
    """Erase a payload that nobody will need again."""
    connection.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(payload=None))


# --- sending -----------------------------------------------------------------------------------------------------------------------


def any_due(connection: Connection, stores: Sequence[str], now: datetime) -> bool:
    """Whether anything of these stores is due: what an idle sender asks five times a second."""
    return bool(connection.execute(_any_due(tuple(stores)), {"now": now}).scalar())


@cache
def _any_due(stores: tuple[str, ...]) -> Select[tuple[bool]]:
    # Built once, since that costs more than to run it. By the order of its index: for a mere `exists` PostgreSQL reads the table, past
    # all that is finished, to where the waiting ones are.
    firsts = [
        select(deliveries.c.id)
        .where(_due(store, priority, bindparam("now", type_=Instant)))
        .order_by(deliveries.c.due_at)
        .limit(1)
        .scalar_subquery()
        for store in stores
        for priority in PRIORITIES
    ]
    return select(or_(*(first.is_not(None) for first in firsts)))


def due_lanes(connection: Connection, stores: Sequence[str], now: datetime, limit: int, *, live_only: bool = False) -> list[Lane]:
    """The lanes that are due, live ones first, the oldest first."""
    lanes: dict[Lane, None] = {}
    for priority in PRIORITIES[:1] if live_only else PRIORITIES:
        rows = [
            row
            for store in stores
            for row in connection.execute(
                select(deliveries.c.store, deliveries.c.order_id, deliveries.c.due_at, deliveries.c.id)
                .where(_due(store, priority, now))
                .order_by(deliveries.c.due_at, deliveries.c.id)
                .limit(limit)
            )
        ]
        rows.sort(key=lambda row: (row.due_at, row.id))
        lanes.update(dict.fromkeys(Lane(row.store, row.order_id) for row in rows))
        if len(lanes) >= limit:
            break
    return list(lanes)[:limit]


def count_due(connection: Connection, stores: Sequence[str], now: datetime, most: int) -> tuple[int, int]:
    """How many orders are due: live ones, and others. Counts no further than about `most` deliveries a store."""

    def count(priorities: Sequence[int]) -> int:
        total = 0
        for store in stores:
            for priority in priorities:
                some = select(deliveries.c.order_id).where(_due(store, priority, now)).order_by(deliveries.c.due_at).limit(most).subquery()
                total += connection.execute(select(func.count(some.c.order_id.distinct()))).scalar_one()
        return total

    return count(PRIORITIES[:1]), count(PRIORITIES[1:])


def waiting(connection: Connection, lanes: Sequence[Lane]) -> dict[Lane, list[Row[Any]]]:
    """All that is read and pending of these lanes, each lane's in the order of arrival."""
    found: dict[Lane, list[Row[Any]]] = {}
    for store, order_ids in _by_store(lanes):
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
    """The memory of these orders, for one account."""
    found: dict[Lane, Row[Any]] = {}
    for store, order_ids in _by_store(lanes):
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
    """Begin and end of each request of one kind that ended, or may have ended, after `since`."""
    recent = or_(requests.c.ended_at > since, and_(requests.c.ended_at.is_(None), requests.c.begun_at > since - LONGEST_REQUEST))
    rows = connection.execute(
        select(requests.c.begun_at, requests.c.ended_at)
        .where(requests.c.account == account, requests.c.kind == kind, requests.c.begun_at > since - LONGEST_REQUEST, recent)
        .order_by(requests.c.begun_at)
    )
    return [(row.begun_at, row.ended_at) for row in rows]


def begin_request(connection: Connection, account: str, kind: str, at: datetime) -> int:
    """Enter a request in the ledger, before it is made."""
    created = connection.execute(insert(requests).values(account=account, kind=kind, begun_at=at).returning(requests.c.id))
    request_id: int = created.scalar_one()
    return request_id


def begin_attempts(connection: Connection, request_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store the bodies that deliveries are about to be posted with: each row has the columns of `attempts` but those of its end."""
    connection.execute(insert(attempts), [{**row, "request_id": request_id} for row in rows])
    for part in parts([row["delivery_id"] for row in rows]):
        connection.execute(update(deliveries).where(deliveries.c.id.in_(part)).values(begun=0, attempts=deliveries.c.attempts + 1))


def end_request(connection: Connection, request_id: int, status: int | None, at: datetime) -> None:
    """Write Drip's status into the ledger."""
    connection.execute(update(requests).where(requests.c.id == request_id).values(ended_at=at, status=status))


def is_under_way(connection: Connection, request_id: int) -> bool:
    """Whether nothing has been written yet of how a request ended."""
    return connection.execute(select(requests.c.ended_at).where(requests.c.id == request_id)).scalar_one_or_none() is None


def end_attempts(connection: Connection, request_id: int, outcome: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write down what became of a request's attempts: each row `of` (the delivery), `drip_request_id`, `answer`."""
    ended = update(attempts).where(attempts.c.request_id == request_id, attempts.c.delivery_id == bindparam("of"))
    values = {"outcome": outcome, "drip_request_id": bindparam("drip_request_id"), "answer": bindparam("answer")}
    connection.execute(ended.values(values), list(rows))


def deliver(connection: Connection, ids: Sequence[int], at: datetime) -> None:
    """pending -> delivered."""
    for part in parts(ids):
        rows = connection.execute(
            update(deliveries)
            .where(deliveries.c.id.in_(part))
            .values(state="delivered", settled_at=at, forced=False, begun=0, reason=None, detail=None, problems=None)
            .returning(deliveries.c.store, deliveries.c.priority, deliveries.c.received_at)
        )
        for row in rows:
            counters.count(connection, "delivered", store=row.store)
            counters.count_time(connection, row.store, row.priority, at - row.received_at)


def remember(connection: Connection, rows: Sequence[Mapping[str, Any]], at: datetime) -> None:
    """Move forward what is known of what Drip has: each row has the columns of `orders` but its times."""
    row = upserting(connection, orders)
    moved = {name: row.excluded[name] for name in ("snapshot_at", "progress", "delivery_id", "digest", "told", "updated_at")}
    upsert = row.on_conflict_do_update(index_elements=["account", "store", "order_id"], set_=moved)
    connection.execute(upsert, [{**values, "created_at": at, "updated_at": at} for values in rows])


def limit_batches(connection: Connection, ids: Sequence[int], most: int) -> None:
    """Let these go in smaller batches only, after one failed."""
    for part in parts(ids):
        connection.execute(update(deliveries).where(deliveries.c.id.in_(part)).values(most_together=most))


def free_batches(connection: Connection, stores: Sequence[str]) -> None:
    """Forget which batches failed: it was Drip's outage and not their orders."""
    waiting = and_(deliveries.c.state == "pending", deliveries.c.read_at.is_not(None), deliveries.c.store.in_(stores))
    connection.execute(update(deliveries).where(waiting, deliveries.c.most_together.is_not(None)).values(most_together=None))


def took_others_since(connection: Connection, account: str, request_id: int) -> bool:
    """Whether Drip took any order of the account after a request."""
    later = exists().where(requests.c.account == account, requests.c.id > request_id, requests.c.status.between(200, 299))
    return bool(connection.execute(select(later)).scalar())


# --- leases ------------------------------------------------------------------------------------------------------------------------


def take_lease(
    connection: Connection, account: str, *, holder: str, host: str, pid: int, now: datetime, until: datetime, free: bool
) -> bool:
    """Take or renew the right to send for an account; whether it is ours. `free` takes it from a holder known to be dead."""
    connection.execute(upserting(connection, leases).values(account=account).on_conflict_do_nothing())
    ours = or_(
        leases.c.holder.is_(None), leases.c.holder == holder, leases.c.expires_at < now, true() if free else leases.c.account.is_(None)
    )
    taken = connection.execute(
        update(leases).where(leases.c.account == account, ours).values(holder=holder, host=host, pid=pid, expires_at=until)
    )
    return taken.rowcount == 1


def lease(connection: Connection, account: str) -> Row[Any] | None:
    """Who may send for an account, and what troubles it."""
    return connection.execute(select(leases).where(leases.c.account == account)).one_or_none()


def holds_lease(connection: Connection, account: str, holder: str) -> bool:
    """Whether the right to send for an account is this holder's; nobody else gets it before the transaction ends."""
    mine = select(leases.c.account).where(leases.c.account == account, leases.c.holder == holder).with_for_update()
    return connection.execute(mine).one_or_none() is not None


def release_lease(connection: Connection, account: str, holder: str) -> None:
    """Give the right to send back."""
    mine = and_(leases.c.account == account, leases.c.holder == holder)
    connection.execute(update(leases).where(mine).values(holder=None, host=None, pid=None, expires_at=None))


def pause(connection: Connection, account: str, *, why: str, since: datetime, probe_at: datetime) -> None:
    """Send nothing for an account but a probe now and then; `since` counts from the first of several reasons."""
    values = {"paused_since": func.coalesce(leases.c.paused_since, literal(since, Instant)), "pause_reason": why, "probe_at": probe_at}
    connection.execute(update(leases).where(leases.c.account == account).values(values))


def set_trouble(connection: Connection, account: str, **values: Any) -> None:
    """Write down, or clear, what keeps an account from taking orders."""
    connection.execute(update(leases).where(leases.c.account == account).values(**values))


# --- looking -----------------------------------------------------------------------------------------------------------------------


def filtered(
    *,
    state: str = "",
    store: str = "",
    order_id: str = "",
    number: str = "",
    reason: str = "",
    topic: str = "",
    email_digest: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> ColumnElement[bool]:
    """The condition for a choice of deliveries, by what they are and by when they were received; blank means any."""
    wanted = {
        "state": state,
        "store": store,
        "order_id": order_id,
        "reason": reason,
        "topic": topic,
        "email_digest": email_digest,
        "order_number": number.removeprefix("#"),
    }
    which = [deliveries.c[name] == value for name, value in wanted.items() if value]
    if since is not None:
        which.append(deliveries.c.received_at >= since)
    if until is not None:
        which.append(deliveries.c.received_at < until)
    return and_(true(), *which)


def listed(connection: Connection, which: ColumnElement[bool], limit: int) -> Sequence[Row[Any]]:
    """Deliveries, the newest first."""
    return connection.execute(select(deliveries).where(which).order_by(deliveries.c.id.desc()).limit(limit)).all()


def retriable(connection: Connection, which: ColumnElement[bool]) -> int:
    """How many of a choice of deliveries still have their payload."""
    count: int = connection.execute(
        select(func.count()).select_from(deliveries).where(which, deliveries.c.payload.is_not(None))
    ).scalar_one()
    return count


def attempts_of(connection: Connection, delivery_id: int) -> Sequence[Row[Any]]:
    """A delivery's attempts with their requests, the oldest first."""
    return connection.execute(
        select(attempts, requests.c.account, requests.c.kind, requests.c.begun_at, requests.c.ended_at, requests.c.status)
        .join(requests, requests.c.id == attempts.c.request_id)
        .where(attempts.c.delivery_id == delivery_id)
        .order_by(attempts.c.id)
    ).all()


def last_arrival(connection: Connection, store: str) -> datetime | None:
    """When a store's newest webhook arrived; past orders that we asked for ourselves do not count."""
    newest = [
        connection.execute(
            select(func.max(deliveries.c.received_at)).where(deliveries.c.store == store, deliveries.c.priority == priority)
        ).scalar()
        for priority in (LIVE, RETRY)
    ]
    return max((moment for moment in newest if moment is not None), default=None)


def hours_with_arrivals(connection: Connection, store: str, before: datetime, hours: int) -> list[bool]:
    """Whether any webhook of a store arrived in each of the hours up to `before`, the newest first: one look into the index for each."""
    end = cast(literal(before, Instant), BigInteger)
    step = _AN_HOUR // _MICROSECOND
    hour = select((end - step).label("begin")).cte("hour", recursive=True)
    hour = hour.union_all(select(hour.c.begin - step).where(hour.c.begin > end - step * hours))
    any_arrival = or_(
        *(
            exists().where(
                deliveries.c.store == store,
                deliveries.c.priority == priority,
                deliveries.c.received_at > hour.c.begin,
                deliveries.c.received_at <= hour.c.begin + step,
            )
            for priority in (LIVE, RETRY)
        )
    )
    return [bool(row[1]) for row in connection.execute(select(hour.c.begin, any_arrival).order_by(hour.c.begin.desc()))]


def count_pending(connection: Connection, store: str) -> int:
    """How many deliveries of a store are not settled yet."""
    of_store = and_(deliveries.c.store == store, deliveries.c.state == "pending")
    count: int = connection.execute(select(func.count()).select_from(deliveries).where(of_store)).scalar_one()
    return count


def all_refusals(connection: Connection) -> Sequence[Row[Any]]:
    """Per store and reason, how many requests were not proved genuine."""
    return connection.execute(select(refusals).order_by(refusals.c.store, refusals.c.reason)).all()


def oldest_due(connection: Connection, now: datetime) -> datetime | None:
    """Since when the oldest due delivery has been due."""
    due: datetime | None = connection.execute(
        select(func.min(deliveries.c.due_at)).where(deliveries.c.state == "pending", deliveries.c.due_at <= now)
    ).scalar()
    return due


def drip_refused(connection: Connection, account: str, limit: int) -> list[int]:
    """The deliveries of an account's newest run of refused requests, back to the last one that was not; the newest first."""
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


def _due(store: str, priority: int, now: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
    """What of a store is due: exactly the columns of the index `ix_deliveries_due`."""
    return and_(
        deliveries.c.state == "pending",
        deliveries.c.read_at.is_not(None),
        deliveries.c.store == store,
        deliveries.c.priority == priority,
        deliveries.c.due_at <= now,
    )


def parts(values: Sequence[Value], size: int = _IN_ONE_STATEMENT) -> Iterator[Sequence[Value]]:
    """In parts that fit into one statement's parameters."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _by_store(lanes: Iterable[Lane]) -> Iterator[tuple[str, Sequence[str]]]:
    """Each store's orders, in parts: SQLite would read the whole table for pairs of store and order."""
    grouped: dict[str, list[str]] = {}
    for lane in lanes:
        grouped.setdefault(lane.store, []).append(lane.order_id)
    for store, order_ids in grouped.items():
        for part in parts(order_ids):
            yield store, part


def _insert_delivery(connection: Connection, row: Mapping[str, Any]) -> int | None:
    statement = upserting(connection, deliveries).values(**row).on_conflict_do_nothing(index_elements=["store", "key"])
    new_id: int | None = connection.execute(statement.returning(deliveries.c.id)).scalar()
    return new_id


def _settle(connection: Connection, delivery_id: int, at: datetime, **values: Any) -> Sequence[str]:
    """Settle a delivery; the name of its store, or nothing where it is gone."""
    values = {"reason": None, "detail": None, "problems": None, "begun": 0} | values
    settled = update(deliveries).where(deliveries.c.id == delivery_id).values(settled_at=at, **values)
    return connection.execute(settled.returning(deliveries.c.store)).scalars().all()


def upserting(connection: Connection, table: Any) -> Any:
    """An insert into a table that may say what to do with a row that is there already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def progress_of(row: Row[Any]) -> tuple[Decimal, ...]:
    """The rank of progress that was read of a delivery."""
    ranks: Sequence[str] = json.loads(row.progress or "[]")
    return tuple(Decimal(rank) for rank in ranks)
