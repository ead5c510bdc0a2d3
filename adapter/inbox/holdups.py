"""Statements on what keeps a store's orders from being read, apart from Drip. All run in the caller's transaction."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, case, delete, select

from adapter.inbox.sql import upserting
from adapter.inbox.tables import holdups

STORE_API, LOCKED = "store_api", "locked"
_GRACE = timedelta(minutes=2)
"""How long after the time of the next try a holdup is over if that didn't note it again."""


def note(connection: Connection, store: str, reason: str, why: str, *, at: datetime, until: datetime) -> None:
    """Record that orders of a store can't be read now, and when that is tried again. A holdup that continues keeps its beginning."""
    row = upserting(connection, holdups).values(store=store, reason=reason, why=why, since=at, until=until)
    since = case((holdups.c.until > at - _GRACE, holdups.c.since), else_=row.excluded.since)
    again = {"why": row.excluded.why, "until": row.excluded.until, "since": since}
    connection.execute(row.on_conflict_do_update(index_elements=["store", "reason"], set_=again))


def end(connection: Connection, stores: Collection[str], reason: str = "") -> None:
    """Record that what was held up in these stores, for this reason or for any, can be read."""
    ended = delete(holdups).where(holdups.c.store.in_(stores))
    connection.execute(ended.where(holdups.c.reason == reason) if reason else ended)


def current(connection: Connection, now: datetime) -> dict[str, list[Row[Any]]]:
    """Store -> what holds up its orders now."""
    found: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(select(holdups).where(holdups.c.until > now - _GRACE).order_by(holdups.c.reason)):
        found.setdefault(row.store, []).append(row)
    return found
