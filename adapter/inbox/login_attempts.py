"""Failed log-ins to the dashboard, counted by visitor, and how long each visitor must wait before the next attempt.

Nobody is locked out: the wait is never longer than half a minute, and failures elsewhere don't count. At that rate, a visitor can try 3,000
passwords a day.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select

from adapter.inbox.sql import upserting
from adapter.inbox.tables import login_attempts

FREE = 5
"""Failures that cost no wait; then it is a second, and twice as long after each."""
LONGEST = timedelta(seconds=30)
WINDOW = timedelta(minutes=15)
"""Failures are forgotten when there was none for this long."""


def wait_after(failures: int) -> timedelta:
    """How long a visitor waits after so many failures."""
    return min(timedelta(seconds=2 ** min(failures - FREE, 10)), LONGEST) if failures >= FREE else timedelta()


def wait_of(connection: Connection, visitor: str, at: datetime, *, lock: bool = False) -> timedelta:
    """How long a visitor must still wait; with `lock`, nobody else's attempt is counted meanwhile."""
    counted = select(login_attempts.c.times, login_attempts.c.since).where(login_attempts.c.visitor == visitor)
    row = connection.execute(counted.with_for_update() if lock else counted).one_or_none()
    if row is None or row.since <= at - WINDOW:
        return timedelta()
    until: datetime = row.since + wait_after(row.times)
    return max(until - at, timedelta())


def add(connection: Connection, visitor: str, at: datetime) -> None:
    """Count an attempt, before anyone else can make another."""
    connection.execute(delete(login_attempts).where(login_attempts.c.since <= at - WINDOW))
    row = upserting(connection, login_attempts).values(visitor=visitor, times=1, since=at)
    connection.execute(row.on_conflict_do_update(index_elements=["visitor"], set_={"times": login_attempts.c.times + 1, "since": at}))


def clear(connection: Connection, visitor: str) -> None:
    """Forget the failures of a visitor who has logged in."""
    connection.execute(delete(login_attempts).where(login_attempts.c.visitor == visitor))


def clear_all(connection: Connection) -> int:
    """Forget all failures; how many visitors had any."""
    return connection.execute(delete(login_attempts)).rowcount
