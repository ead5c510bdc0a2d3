"""Recent log-ins to the dashboard that did not succeed: the counts that throttle password guessing."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, case, delete, select, update

from adapter.inbox.sql import upserting
from adapter.inbox.tables import login_attempts

WINDOW = timedelta(minutes=15)
"""Attempts are counted together for this long."""
EVERYONE = "*"
"""The visitor under which the attempts of all visitors are counted."""


def recent(connection: Connection, visitor: str, at: datetime) -> int:
    """How many attempts of a visitor count now."""
    counted = select(login_attempts.c.times).where(login_attempts.c.visitor == visitor, login_attempts.c.since > at - WINDOW)
    return connection.execute(counted).scalar() or 0


def add(connection: Connection, visitor: str, at: datetime) -> int:
    """Count an attempt before its password is checked; how many count now, including this one."""
    connection.execute(delete(login_attempts).where(login_attempts.c.since <= at - WINDOW))
    row = upserting(connection, login_attempts).values(visitor=visitor, times=1, since=at)
    counted = row.on_conflict_do_update(index_elements=["visitor"], set_={"times": login_attempts.c.times + 1})
    times: int = connection.execute(counted.returning(login_attempts.c.times)).scalar_one()
    return times


def clear(connection: Connection, visitor: str) -> None:
    """Stop counting the attempts of a visitor who has logged in, also among everyone's."""
    own = select(login_attempts.c.times).where(login_attempts.c.visitor == visitor).scalar_subquery()
    left = case((login_attempts.c.times > own, login_attempts.c.times - own), else_=0)
    connection.execute(update(login_attempts).where(login_attempts.c.visitor == EVERYONE, own.is_not(None)).values(times=left))
    connection.execute(delete(login_attempts).where(login_attempts.c.visitor == visitor))
