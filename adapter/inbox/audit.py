"""The audit log: what people did from the dashboard or the command line."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from adapter.inbox.tables import audit

ADMINISTRATOR = "administrator"
COMMAND = "command line"
SOMEBODY = "somebody"
VIEWED = "viewed personal data"
FAILED_LOG_IN = "wrong password"
"""The action of anyone who can open the login page: unlike the others it is purged, with the rows of deliveries."""


def note(connection: Connection, action: str, subject: str, detail: str, at: datetime, actor: str = ADMINISTRATOR) -> None:
    """Record what a person did, in the transaction that does it. No argument may hold personal data."""
    connection.execute(insert(audit).values(at=at, actor=actor, action=action, subject=subject, detail=detail))


def noted(connection: Connection, limit: int, before: int | None = None) -> Sequence[Row[Any]]:
    """The newest entries first; `before` is the id to continue from."""
    rows = select(audit).order_by(audit.c.id.desc()).limit(limit)
    return connection.execute(rows if before is None else rows.where(audit.c.id < before)).all()
