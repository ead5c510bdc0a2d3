"""The personal data in the inbox, and how it is erased. The statements run in the caller's transaction.

Personal data is a delivery's payload, the digest of its e-mail address, the bodies posted to Drip, and Drip's messages about fields. What
remains of a delivery shows that it existed and how it ended; the table `orders` holds no personal data and is never touched.
"""

import json
import time
from collections.abc import Container, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, bindparam, literal_column, select, update

from adapter.inbox.counters import count
from adapter.inbox.sql import using
from adapter.inbox.tables import BACKFILL, LIVE, RETRY, Instant, attempts, deliveries

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""The due time of a request about personal data: it is never sent to Drip."""
FORGOTTEN = "the shopper was forgotten before this was sent"
REDACTED = "the store asked to erase it before it was sent"
_ERASED = json.dumps({"": ["Drip's answer was erased because it may quote the order"]})
_TRIES = 5
_MOST_REQUESTS = 100
_BETWEEN_TRIES_S = 0.2


def erase(connection: Connection, ids: Sequence[int]) -> None:
    """Erase the personal data of settled deliveries. Pending ones are left alone: without it they could not be sent."""
    settled = and_(deliveries.c.id.in_(ids), deliveries.c.state != "pending")
    chosen = connection.execute(select(deliveries.c.id).where(settled).order_by(deliveries.c.id).with_for_update()).scalars().all()
    mine = deliveries.c.id.in_(chosen)
    drip_said = and_(deliveries.c.attempts > 0, deliveries.c.payload.is_not(None))
    connection.execute(update(deliveries).where(mine, deliveries.c.state == "dead", drip_said).values(problems=_ERASED))
    connection.execute(update(deliveries).where(mine).values(payload=None, email_digest=None, problems_before=None))
    connection.execute(update(attempts).where(attempts.c.delivery_id.in_(chosen), attempts.c.body.is_not(None)).values(body=None))
    _erase_answers(connection, chosen)


def _erase_answers(connection: Connection, ids: Sequence[int]) -> None:
    """Reduce Drip's answers to their summary: its message about a field may quote the field."""
    quoting = and_(attempts.c.delivery_id.in_(ids), attempts.c.answer.contains('"errors"', autoescape=True))
    rows = connection.execute(select(attempts.c.id, attempts.c.answer).where(quoting)).all()
    if rows:
        shortened = [{"of": row.id, "short": json.dumps({"what": json.loads(row.answer).get("what")})} for row in rows]
        connection.execute(update(attempts).where(attempts.c.id == bindparam("of")).values(answer=bindparam("short")), shortened)


def give_up(connection: Connection, delivery_id: int, why: str, at: datetime) -> bool:
    """pending -> dead, with the payload erased; whether it was pending."""
    values = {"state": "dead", "problems": json.dumps({"": [why]}), "settled_at": at, "starts": 0, "payload": None, "problems_before": None}
    pending = and_(deliveries.c.id == delivery_id, deliveries.c.state == "pending")
    stores = connection.execute(update(deliveries).where(pending).values(values).returning(deliveries.c.store)).scalars().all()
    for store in stores:
        count(connection, "dead", store=store)
    return len(stores) == 1


def was_given_up(row: Row[Any]) -> bool:
    """Whether a delivery was dropped while it waited because its shopper's data had to be erased."""
    return row.state == "dead" and row.problems in (json.dumps({"": [why]}) for why in (FORGOTTEN, REDACTED))


def still_pending(connection: Connection, ids: Iterable[int]) -> set[int]:
    """Those still pending, locked so that nobody settles or erases them before the transaction ends."""
    return set(connection.execute(_STILL_PENDING, {"ids": list(ids)}).scalars())


_STILL_PENDING = (
    select(deliveries.c.id)
    .where(deliveries.c.id.in_(bindparam("ids", expanding=True)), deliveries.c.state == "pending")
    .order_by(deliveries.c.id)
    .with_for_update()
)


def await_turn(connection: Connection, delivery_id: int, at: datetime) -> None:
    """Set aside a request about personal data: read, without an order, and never due for sending."""
    values = {"read_at": at, "due_at": NEVER, "starts": 0}
    connection.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(values))


def next_request(connection: Connection, stores: Container[str]) -> Row[Any] | None:
    """The oldest request about personal data to one of these stores that has not been handled."""
    rows = connection.execute(_REQUESTS, {"never": NEVER})
    return next((row for row in rows if row.store in stores and row.order_id is None), None)


# By the index of what is due: its account is null, and its time never comes.
_REQUESTS = (
    using(select(deliveries), deliveries, "ix_deliveries_due")
    .where(
        deliveries.c.state == literal_column("'pending'"),
        deliveries.c.read_at.is_not(None),
        deliveries.c.account.is_(None),
        deliveries.c.priority.in_((LIVE, RETRY, BACKFILL)),
        deliveries.c.due_at == bindparam("never", type_=Instant),
    )
    .order_by(deliveries.c.id)
    .limit(_MOST_REQUESTS)
)


def is_request(row: Row[Any]) -> bool:
    """Whether a delivery is a request about personal data that has not been handled."""
    return row.state == "pending" and row.read_at is not None and row.order_id is None


def flush(engine: Engine) -> bool:
    """Remove erased bytes from SQLite's write-ahead log too; False while others keep it in use."""
    if engine.dialect.name != "sqlite":
        return True
    for _ in range(_TRIES):
        connection = engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            row = cursor.fetchone()
        finally:
            connection.close()
        if row is not None and not row[0]:
            return True
        time.sleep(_BETWEEN_TRIES_S)
    return False
