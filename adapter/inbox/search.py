"""Deliveries by filter, and their attempts: what the commands list."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    func,
    select,
    true,
)

from adapter.inbox.tables import attempts, deliveries, requests


def filtered(
    *,
    state: str = "",
    store: str = "",
    order_id: str = "",
    number: str = "",
    reason: str = "",
    topic: str = "",
    email_digests: Collection[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> ColumnElement[bool]:
    """The condition for deliveries that match all of these; a blank value matches any, and so does None."""
    wanted = {
        "state": state,
        "store": store,
        "order_id": order_id,
        "reason": reason,
        "topic": topic,
        "order_number": number.removeprefix("#"),
    }
    which = [deliveries.c[name] == value for name, value in wanted.items() if value]
    if email_digests is not None:
        which.append(deliveries.c.email_digest.in_(email_digests))
    if since is not None:
        which.append(deliveries.c.received_at >= since)
    if until is not None:
        which.append(deliveries.c.received_at < until)
    return and_(true(), *which)


def listed(connection: Connection, which: ColumnElement[bool], limit: int) -> Sequence[Row[Any]]:
    """Deliveries, the newest first."""
    return connection.execute(select(deliveries).where(which).order_by(deliveries.c.id.desc()).limit(limit)).all()


def retriable(connection: Connection, which: ColumnElement[bool]) -> int:
    """How many of the deliveries that match still have their payload."""
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
