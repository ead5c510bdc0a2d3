"""Follows deliveries: those that are new, and those whose state has changed since the last look."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, or_, select

from adapter.inbox.counters import newest_id
from adapter.inbox.tables import deliveries

_MOST_WATCHED = 1000


class Follower:
    """Remembers which deliveries it has returned and which of them may still change."""

    def __init__(self) -> None:
        self._after: int | None = None
        self._pending: list[int] = []

    def changed(self, connection: Connection, which: ColumnElement[bool], most: int) -> Sequence[Row[Any]]:
        """Of those that `which` chooses, what is new or has been settled since the last call; at first, the newest `most`.

        The oldest comes first.
        """
        newest = newest_id(connection)
        rows = self._newest(connection, which, most) if self._after is None else self._since(connection, which, self._after, newest)
        self._after = newest
        self._pending = [*self._pending, *(row.id for row in rows if row.state == "pending")][-_MOST_WATCHED:]
        return rows

    def _newest(self, connection: Connection, which: ColumnElement[bool], most: int) -> Sequence[Row[Any]]:
        found = connection.execute(select(deliveries).where(which).order_by(deliveries.c.id.desc()).limit(most)).all()
        return list(reversed(found))

    def _since(self, connection: Connection, which: ColumnElement[bool], after: int, newest: int) -> Sequence[Row[Any]]:
        arrived = (deliveries.c.id > after) & (deliveries.c.id <= newest) & which
        settled = deliveries.c.id.in_(self._pending) & (deliveries.c.state != "pending")
        rows = connection.execute(select(deliveries).where(or_(arrived, settled)).order_by(deliveries.c.id)).all()
        done = {row.id for row in rows if row.state != "pending"}
        self._pending = [each for each in self._pending if each not in done]
        return rows
