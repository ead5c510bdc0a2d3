"""The figures for monitoring and the overview. Each statement uses an index and stops counting at a bound.

All run in the caller's transaction. Everything is counted in the database, so every web process returns the same figures, whichever process
or machine did the work.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, func, literal_column, select

from adapter.inbox import sending
from adapter.inbox.sending import PRIORITIES
from adapter.inbox.tables import LIVE, deliveries, leases, refusals, requests
from adapter.settings import Settings

MOST = 10_000
"""Deliveries are counted only up to this number per store."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """A store's deliveries that wait to be sent."""

    due: int
    """Due now."""
    later: int
    """Waiting for the time of their next attempt."""
    due_since: datetime | None
    """When the oldest of those due now became due."""
    live_due_since: datetime | None
    """The same for live ones, which are neither retries nor past orders."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A store's deliveries that have not been read."""

    number: int
    since: datetime | None
    """When the oldest became due."""
    live_since: datetime | None
    """The same for live ones."""


NOTHING_UNREAD = Unread(0, None, None)


@dataclass(frozen=True, slots=True)
class Quota:
    """How many requests of one kind an account has left in this hour; none while a 429 from Drip is in force."""

    kind: str
    limit: int
    left: int


def backlog(connection: Connection, store: str, now: datetime) -> Backlog:
    """A store's deliveries that have been read and wait to be sent."""
    due, later = 0, 0
    since: dict[int, datetime] = {}
    for priority in PRIORITIES:
        waiting = and_(
            deliveries.c.state == "pending",
            deliveries.c.read_at.is_not(None),
            deliveries.c.store == store,
            deliveries.c.priority == priority,
        )
        due += _count(connection, select(_ONE).where(waiting, deliveries.c.due_at <= now).order_by(deliveries.c.due_at))
        # Excludes requests about personal data: they have no order and are never due.
        later += _count(connection, select(_ONE).where(waiting, deliveries.c.due_at > now, deliveries.c.order_id.is_not(None)))
        oldest = connection.execute(select(deliveries.c.due_at).where(waiting).order_by(deliveries.c.due_at).limit(1)).scalar()
        if oldest is not None and oldest <= now:
            since[priority] = oldest
    return Backlog(due, later, min(since.values(), default=None), since.get(LIVE))


def unread(connection: Connection) -> dict[str, Unread]:
    """Deliveries not read yet, by store."""
    some = _some(select(deliveries.c.store, deliveries.c.due_at, deliveries.c.priority).where(_UNREAD).order_by(deliveries.c.id))
    live = func.min(case((some.c.priority == LIVE, some.c.due_at)))
    rows = connection.execute(select(some.c.store, func.count(), func.min(some.c.due_at), live).group_by(some.c.store))
    return {store: Unread(number, since, live_since) for store, number, since, live_since in rows}


def dead(connection: Connection) -> dict[str, tuple[int, datetime]]:
    """Current dead letters, by store: how many, and when the last of them died."""
    some = _some(select(deliveries.c.store, deliveries.c.settled_at).where(deliveries.c.state == "dead").order_by(deliveries.c.id.desc()))
    rows = connection.execute(select(some.c.store, func.count(), func.max(some.c.settled_at)).group_by(some.c.store))
    return {store: (number, last) for store, number, last in rows}


def requests_spent(connection: Connection, account: str, kind: str, now: datetime) -> int:
    """How many requests of a kind Drip still counts: those in the last hour."""
    return len(sending.ledger(connection, account, kind, now - timedelta(hours=1)))


def quotas(connection: Connection, settings: Settings, account: str, lease: Row[Any] | None, now: datetime) -> list[Quota]:
    """How many requests of each kind an account has left; `lease` is the account's row in `leases`, if there is one."""
    found = []
    for kind, most in (("single", settings.single_requests_per_hour), ("batch", settings.batch_requests_per_hour)):
        reported = getattr(lease, f"{kind}_limit", None)
        limit = min(most, reported) if reported is not None else most
        closed = getattr(lease, f"{kind}_closed_until", None)
        left = 0 if closed and closed > now else max(0, limit - requests_spent(connection, account, kind, now))
        found.append(Quota(kind, limit, left))
    return found


def newest_request(connection: Connection, account: str, kind: str) -> Row[Any] | None:
    """An account's newest request of a kind."""
    mine = and_(requests.c.account == account, requests.c.kind == kind)
    return connection.execute(select(requests).where(mine).order_by(requests.c.begun_at.desc()).limit(1)).one_or_none()


def all_leases(connection: Connection) -> Sequence[Row[Any]]:
    """The leases of all accounts, and the reader's."""
    return connection.execute(select(leases).order_by(leases.c.account)).all()


_ONE: ColumnElement[int] = literal_column("1").label("one")
_UNREAD = and_(deliveries.c.state == "pending", deliveries.c.read_at.is_(None))


def _some(chosen: Select[Any]) -> Any:
    return chosen.limit(MOST).subquery()


def _count(connection: Connection, chosen: Select[Any]) -> int:
    number: int = connection.execute(select(func.count()).select_from(_some(chosen))).scalar_one()
    return number


def count_pending(connection: Connection, store: str) -> int:
    """How many deliveries of a store are pending."""
    of_store = and_(deliveries.c.store == store, deliveries.c.state == "pending")
    count: int = connection.execute(select(func.count()).select_from(deliveries).where(of_store)).scalar_one()
    return count


def all_refusals(connection: Connection) -> Sequence[Row[Any]]:
    """How many requests failed verification, by store and reason."""
    return connection.execute(select(refusals).order_by(refusals.c.store, refusals.c.reason)).all()
