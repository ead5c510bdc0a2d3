"""Statements on the table of alerts: current troubles, and which of them have been sent. All run in the caller's transaction."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, select, update

from adapter.inbox.sql import upserting
from adapter.inbox.tables import alerts

Name = tuple[str, str]
"""A trouble's kind, and the store or account that has it."""


def known(connection: Connection) -> Sequence[Row[Any]]:
    """All troubles that continue, or whose end has not been sent."""
    return connection.execute(select(alerts).order_by(alerts.c.kind, alerts.c.subject)).all()


def note(connection: Connection, name: Name, since: datetime, message: str) -> None:
    """Record a trouble, or that an ended one is back."""
    row = upserting(connection, alerts).values(kind=name[0], subject=name[1], since=since, message=message)
    back_again = {"message": row.excluded.message, "ended_at": None}
    connection.execute(row.on_conflict_do_update(index_elements=["kind", "subject"], set_=back_again))


def end(connection: Connection, name: Name, at: datetime) -> None:
    """Record the end of a trouble: drop it if it was never sent, else keep it until its end is sent."""
    connection.execute(delete(alerts).where(_is(name), alerts.c.sent_at.is_(None)))
    connection.execute(update(alerts).where(_is(name), alerts.c.ended_at.is_(None)).values(ended_at=at))


def set_sent(connection: Connection, names: Iterable[Name], at: datetime) -> None:
    """Record that these have been sent."""
    for name in names:
        connection.execute(update(alerts).where(_is(name)).values(sent_at=at))


def forget(connection: Connection, names: Iterable[Name]) -> None:
    """Drop troubles whose end has been sent."""
    for name in names:
        connection.execute(delete(alerts).where(_is(name), alerts.c.ended_at.is_not(None)))


def _is(name: Name) -> ColumnElement[bool]:
    return and_(alerts.c.kind == name[0], alerts.c.subject == name[1])
