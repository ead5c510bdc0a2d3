"""Who is logged in to the dashboard. The browser has a session's id, and the database its digest: neither is of use without the other."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, or_, select, update

from adapter.inbox.keys import key_of, keyed_digest, known_key
from adapter.inbox.tables import sessions

_KEY = "sessions"
_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session lasts without being used, and in all."""

    idle: timedelta
    total: timedelta


def begin_session(connection: Connection, session_id: str, password: str, at: datetime, limits: SessionLimits) -> None:
    """Begin a session, opened with the password of this digest, and delete those that are over."""
    over = or_(sessions.c.used_at <= at - limits.idle, sessions.c.begun_at <= at - limits.total, sessions.c.password != password)
    connection.execute(delete(sessions).where(over))
    digest = keyed_digest(key_of(connection, _KEY), session_id)
    connection.execute(insert(sessions).values(digest=digest, password=password, begun_at=at, used_at=at))


def is_open(connection: Connection, session_id: str, password: str, at: datetime, limits: SessionLimits) -> tuple[bool, bool]:
    """Whether a session goes on, and whether it is time to note that it is used."""
    key = known_key(connection, _KEY)
    if key is None:
        return False, False
    found = select(sessions).where(sessions.c.digest == keyed_digest(key, session_id), sessions.c.password == password)
    row = connection.execute(found).one_or_none()
    if row is None or row.used_at <= at - limits.idle or row.begun_at <= at - limits.total:
        return False, False
    return True, row.used_at <= at - _NOTED_EVERY


def note_use(connection: Connection, session_id: str, at: datetime) -> None:
    """Note that a session is used."""
    digest = keyed_digest(key_of(connection, _KEY), session_id)
    connection.execute(update(sessions).where(sessions.c.digest == digest).values(used_at=at))


def end_session(connection: Connection, session_id: str) -> None:
    """End a session, in every browser that has its cookie."""
    connection.execute(delete(sessions).where(sessions.c.digest == keyed_digest(key_of(connection, _KEY), session_id)))
