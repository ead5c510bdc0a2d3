"""What people did by the dashboard or a command, and who knocked at it in vain."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, case, delete, insert, select

from adapter.inbox.sql import upserting
from adapter.inbox.tables import audit, knocks

ADMINISTRATOR = "administrator"
COMMAND = "command line"
KNOCKS_FOR = timedelta(minutes=15)
"""For how long failed log-ins are counted together."""
ALL = "*"
"""The visitor that stands for all together."""


def note(connection: Connection, action: str, subject: str, detail: str, at: datetime, actor: str = ADMINISTRATOR) -> None:
    """Write down what a person did, in the transaction that does it. Nothing in it may be personal."""
    connection.execute(insert(audit).values(at=at, actor=actor, action=action, subject=subject, detail=detail))


def noted(connection: Connection, limit: int, before: int | None = None) -> Sequence[Row[Any]]:
    """What people did, the newest first; `before` is the id to go on from."""
    rows = select(audit).order_by(audit.c.id.desc()).limit(limit)
    return connection.execute(rows if before is None else rows.where(audit.c.id < before)).all()


def knocked(connection: Connection, visitor: str, at: datetime) -> int:
    """How many log-ins of a visitor were counted in the last minutes."""
    recent = select(knocks.c.times).where(knocks.c.visitor == visitor, knocks.c.since > at - KNOCKS_FOR)
    return connection.execute(recent).scalar() or 0


def knock(connection: Connection, visitor: str, at: datetime) -> int:
    """Count a log-in that is about to be tried; how many there were in the last minutes, with this one."""
    connection.execute(delete(knocks).where(knocks.c.since <= at - KNOCKS_FOR))
    row = upserting(connection, knocks).values(visitor=visitor, times=1, since=at)
    counted = row.on_conflict_do_update(index_elements=["visitor"], set_={"times": knocks.c.times + 1}).returning(knocks.c.times)
    times: int = connection.execute(counted).scalar_one()
    return times


def forgive(connection: Connection, visitor: str) -> None:
    """Take the log-ins of a visitor back who knew the password after all."""
    own = select(knocks.c.times).where(knocks.c.visitor == visitor).scalar_subquery()
    left = case((knocks.c.times > own, knocks.c.times - own), else_=0)
    connection.execute(knocks.update().where(knocks.c.visitor == ALL, own.is_not(None)).values(times=left))
    connection.execute(delete(knocks).where(knocks.c.visitor == visitor))
