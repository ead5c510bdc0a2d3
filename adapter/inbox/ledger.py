"""Statements on the ledger: every request to Drip, committed before it is made, and the attempts in it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Integer, Text, and_, bindparam, exists, insert, literal_column, or_, select, update

from adapter.inbox.sql import parts
from adapter.inbox.tables import Instant, attempts, deliveries, requests

LONGEST_REQUEST = timedelta(seconds=60)
"""A request whose end is unknown, because its sender died, was counted by Drip within this time."""


def entries(connection: Connection, account: str, kind: str, since: datetime) -> list[tuple[datetime, datetime | None]]:
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
    request_id: int = connection.execute(_BEGIN_REQUEST, {"account": account, "kind": kind, "begun_at": at}).scalar_one()
    return request_id


_BEGIN_REQUEST = insert(requests).returning(requests.c.id)


def begin_attempts(connection: Connection, request_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store the bodies that are about to be posted. Each row has the columns of `attempts` except those of its end."""
    connection.execute(_BEGIN_ATTEMPTS, [{**row, "request_id": request_id} for row in rows])


_BEGIN_ATTEMPTS = insert(attempts)


def take_up(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Those of these deliveries that are still pending and read. Nobody settles or erases them before the commit.

    A database server that failed may have undone that they were read. Writes only suspects, which have been mapped now: PostgreSQL would
    copy the others with their payloads.
    """
    taken: set[int] = set()
    for part in parts(sorted(ids)):
        rows = connection.execute(_TAKE_UP, {"ids": list(part)}).all()
        taken |= {row.id for row in rows}
        if suspects := [row.id for row in rows if row.starts]:
            connection.execute(update(deliveries).where(deliveries.c.id.in_(suspects)).values(starts=0))
    return taken


_TAKE_UP = (
    select(deliveries.c.id, deliveries.c.starts)
    .where(
        deliveries.c.id.in_(bindparam("ids", expanding=True)),
        deliveries.c.state == literal_column("'pending'"),
        deliveries.c.read_at.is_not(None),
    )
    .order_by(deliveries.c.id)
    .with_for_update()
)


def count_attempts(connection: Connection, ids: Sequence[int]) -> None:
    """Count a request for each of these deliveries; `settling.deliver` counts it itself."""
    for part in parts(sorted(ids)):
        connection.execute(_COUNT_ATTEMPTS, {"ids": list(part)})


_COUNT_ATTEMPTS = update(deliveries).where(deliveries.c.id.in_(bindparam("ids", expanding=True))).values(attempts=deliveries.c.attempts + 1)


def end_request(connection: Connection, request_id: int, status: int | None, at: datetime) -> bool:
    """Record Drip's status in the ledger; False if the end of the request was recorded before."""
    return connection.execute(_END_REQUEST, {"request": request_id, "ended": at, "drip_status": status}).rowcount == 1


_END_REQUEST = (
    update(requests)
    .where(requests.c.id == bindparam("request"), requests.c.ended_at.is_(None))
    .values(ended_at=bindparam("ended", type_=Instant), status=bindparam("drip_status", type_=Integer))
)


def end_attempts(connection: Connection, request_id: int, outcome: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Record how a request's attempts ended. Each row has `of` (the delivery), `drip_request_id` and `answer`."""
    connection.execute(_END_ATTEMPTS, [{**row, "request": request_id, "ended_as": outcome} for row in rows])


_END_ATTEMPTS = (
    update(attempts)
    # Found by its delivery: by its request, a batch of a thousand would be searched a thousand times.
    .where(attempts.c.request_id + 0 == bindparam("request"), attempts.c.delivery_id == bindparam("of"))
    .values(
        outcome=bindparam("ended_as", type_=Text),
        drip_request_id=bindparam("drip_request_id", type_=Text),
        answer=bindparam("answer", type_=Text),
    )
)


def is_open(connection: Connection, request_id: int, delivery_id: int) -> bool:
    """Whether the outcome of a delivery's part in a request is still to be recorded."""
    return connection.execute(_OPEN, {"request": request_id, "of": delivery_id}).first() is not None


_OPEN = select(attempts.c.id).where(
    attempts.c.request_id + 0 == bindparam("request"), attempts.c.delivery_id == bindparam("of"), attempts.c.outcome.is_(None)
)


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
