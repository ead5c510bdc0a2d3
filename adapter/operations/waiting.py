"""What is waiting in each store, counted once for whoever asks: status, the overview, metrics and alerts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from adapter.inbox import figures


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A store's deliveries that aren't settled yet; each number stops at `figures.MOST`."""

    unread: int
    unread_since: datetime | None
    due: int
    """Read, and could be sent now."""
    due_since: datetime | None
    later: int
    """Waiting for the time of their next attempt."""

    @property
    def now(self) -> int:
        """How many are waiting for the adapter rather than for a time."""
        return self.unread + self.due

    @property
    def since(self) -> datetime | None:
        """Since when the oldest of them has been waiting."""
        return oldest((self.unread_since, self.due_since))


def read_waiting(connection: Connection, stores: Iterable[str], now: datetime) -> dict[str, Waiting]:
    """Store -> what is waiting there."""
    unread = figures.unread(connection)
    found = {}
    for store in stores:
        number, since = unread.get(store, (0, None))
        backlog = figures.backlog(connection, store, now)
        found[store] = Waiting(unread=number, unread_since=since, due=backlog.due, due_since=backlog.due_since, later=backlog.later)
    return found


def oldest(moments: Iterable[datetime | None]) -> datetime | None:
    """The earliest of some times; None if there are none."""
    return min((moment for moment in moments if moment is not None), default=None)
