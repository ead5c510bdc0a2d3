"""What is waiting in each store, counted once for whoever asks: the verdict, the overview, metrics and alerts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from adapter.inbox import figures


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A store's deliveries that aren't settled yet; each number stops at `figures.MOST`. Live ones are neither retries nor past orders."""

    unread: int = 0
    unread_since: datetime | None = None
    live_unread_since: datetime | None = None
    due: int = 0
    """Read, and could be sent now."""
    due_since: datetime | None = None
    live_due_since: datetime | None = None
    later: int = 0
    """Waiting for the time of their next attempt."""
    retrying: figures.Retrying | None = None
    """Those of them that failed more than once."""

    @property
    def now(self) -> int:
        """How many are waiting for the adapter rather than for a time."""
        return self.unread + self.due

    @property
    def total(self) -> int:
        """How many are waiting for anything."""
        return self.now + self.later

    @property
    def since(self) -> datetime | None:
        """Since when the oldest of those waiting for the adapter has been waiting."""
        return oldest((self.unread_since, self.due_since))


def read_waiting(connection: Connection, stores: Iterable[str], now: datetime) -> dict[str, Waiting]:
    """Store -> what is waiting there."""
    unread, backlogs = figures.unread(connection), figures.backlogs(connection, now)
    retrying = figures.retrying(connection, now) if any(backlog.later for backlog in backlogs.values()) else {}
    found = {}
    for store in stores:
        new, backlog = unread.get(store, figures.NOTHING_UNREAD), backlogs.get(store, figures.NO_BACKLOG)
        found[store] = Waiting(
            unread=new.number, unread_since=new.since, live_unread_since=new.live_since,
            due=backlog.due, due_since=backlog.due_since, live_due_since=backlog.live_due_since, later=backlog.later,
            retrying=retrying.get(store),
        )  # fmt: skip
    return found


def oldest(moments: Iterable[datetime | None]) -> datetime | None:
    """The earliest of some times; None if there are none."""
    return min((moment for moment in moments if moment is not None), default=None)
