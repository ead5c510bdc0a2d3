"""Follows deliveries: those that are new, and those whose state has changed since the last look."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, or_, select

from adapter.inbox.counters import newest_id
from adapter.inbox.tables import deliveries

_MOST_WATCHED = 1000


class Follower:
    """Remembers which deliveries it has returned and which of them may still change. `which` chooses deliveries."""

    def __init__(self, which: ColumnElement[bool]) -> None:
        self._which = which
        self._after: int | None = None
        self._pending: list[int] = []

    def changed(self, connection: Connection, most: int) -> Sequence[Row[Any]]:
        """What is new or has been settled since the last call, the oldest first; at first, the newest `most`."""
        newest = newest_id(connection)
        rows = self._newest(connection, most) if self._after is None else self._since(connection, self._after, newest)
        self._after = newest
        self._pending = [*self._pending, *(row.id for row in rows if row.state == "pending")][-_MOST_WATCHED:]
        return rows

    def _newest(self, connection: Connection, most: int) -> Sequence[Row[Any]]:
        found = connection.execute(select(deliveries).where(self._which).order_by(deliveries.c.id.desc()).limit(most)).all()
        return list(reversed(found))

    def _since(self, connection: Connection, after: int, newest: int) -> Sequence[Row[Any]]:
        arrived = (deliveries.c.id > after) & (deliveries.c.id <= newest) & self._which
        settled = deliveries.c.id.in_(self._pending) & (deliveries.c.state != "pending")
        rows = connection.execute(select(deliveries).where(or_(arrived, settled)).order_by(deliveries.c.id)).all()
        done = {row.id for row in rows if row.state != "pending"}
        self._pending = [each for each in self._pending if each not in done]
        return rows
