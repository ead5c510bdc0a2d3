"""The figures for monitoring and the overview. Each statement uses an index and stops counting at a bound.

All run in the caller's transaction. Everything is counted in the database, so every web process returns the same figures, whichever process
or machine did the work.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, case, func, literal_column, or_, select

from adapter.inbox.erasure import NEVER
from adapter.inbox.ledger import LONGEST_REQUEST
from adapter.inbox.settling import GIVEN_UP, REFUSED
from adapter.inbox.sql import as_lanes, first_since, lanes_of, using
from adapter.inbox.tables import LIVE, Instant, deliveries, refusals, requests
from adapter.inbox.tables import leases as leases_table
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
class Retrying:
    """A store's deliveries that failed more than once and wait for the time of their next attempt."""

    number: int
    since: datetime
    """When the oldest of them was received."""
    next_at: datetime


@dataclass(frozen=True, slots=True)
class Unread:
    """A store's deliveries that have not been read."""

    number: int
    since: datetime | None
    """When the oldest became due."""
    live_since: datetime | None
    """The same for live ones."""


NO_BACKLOG = Backlog(0, 0, None, None)
NOTHING_UNREAD = Unread(0, None, None)


@dataclass(frozen=True, slots=True)
class Quota:
    """How many requests of one kind an account has left in this hour; none while a 429 from Drip is in force."""

    kind: str
    limit: int
    left: int


def backlogs(connection: Connection, now: datetime) -> dict[str, Backlog]:
    """Of each store, the deliveries that have been read and wait to be sent. Reads one entry of an index for each of them."""
    found = {}
    for store, due, later, since, live_since in connection.execute(_BACKLOGS, {"now": now, "never": NEVER}):
        found[store] = Backlog(min(due, MOST), min(later, MOST), since, live_since)
    return found


_NOW, _NEVER = bindparam("now", type_=Instant), bindparam("never", type_=Instant)
_IS_DUE = deliveries.c.due_at <= _NOW
_BACKLOGS = using(
    select(
        deliveries.c.store,
        func.sum(case((_IS_DUE, 1), else_=0)),
        # Requests about personal data are never due.
        func.sum(case((and_(deliveries.c.due_at > _NOW, deliveries.c.due_at < _NEVER), 1), else_=0)),
        func.min(case((_IS_DUE, deliveries.c.due_at))),
        func.min(case((and_(_IS_DUE, deliveries.c.priority == LIVE), deliveries.c.due_at))),
    )
    .where(deliveries.c.state == literal_column("'pending'"), deliveries.c.read_at.is_not(None))
    .group_by(deliveries.c.store),
    deliveries,
    "ix_deliveries_waiting",
)


def retrying(connection: Connection, now: datetime) -> dict[str, Retrying]:
    """Of each store, the deliveries that failed more than once and are tried again later. Ask only where any wait for a later time."""
    return {store: Retrying(*values) for store, *values in connection.execute(_RETRYING, {"now": now, "never": NEVER})}


_LATER = (
    using(
        select(deliveries.c.store, deliveries.c.failed, deliveries.c.received_at, deliveries.c.due_at), deliveries, "ix_deliveries_waiting"
    )
    .where(
        deliveries.c.state == literal_column("'pending'"),
        deliveries.c.read_at.is_not(None),
        deliveries.c.due_at > _NOW,
        deliveries.c.due_at < _NEVER,
    )
    .limit(MOST)
    .subquery("later")
)
_RETRYING = (
    select(_LATER.c.store, func.count(), func.min(_LATER.c.received_at), func.min(_LATER.c.due_at))
    .where(_LATER.c.failed > 1)
    .group_by(_LATER.c.store)
)


def unread(connection: Connection) -> dict[str, Unread]:
    """Deliveries not read yet, by store."""
    found = using(select(deliveries.c.store, deliveries.c.due_at, deliveries.c.priority), deliveries, "ix_deliveries_unread")
    some = _some(found.where(_UNREAD).order_by(*_IN_ORDER))
    live = func.min(case((some.c.priority == LIVE, some.c.due_at)))
    rows = connection.execute(select(some.c.store, func.count(), func.min(some.c.due_at), live).group_by(some.c.store))
    return {store: Unread(number, since, live_since) for store, number, since, live_since in rows}


@dataclass(frozen=True, slots=True)
class Dead:
    """A store's dead letters."""

    number: int
    last_at: datetime
    """When the last of them died."""
    refused: int
    """By Drip."""
    given_up: int
    """After the last attempt."""


def dead(connection: Connection) -> dict[str, Dead]:
    """Current dead letters, by store."""
    columns = (deliveries.c.store, deliveries.c.settled_at, deliveries.c.detail)
    some = _some(select(*columns).where(deliveries.c.state == "dead").order_by(deliveries.c.id.desc()))
    refused, given_up = (func.sum(case((some.c.detail == detail, 1), else_=0)) for detail in (REFUSED, GIVEN_UP))
    rows = connection.execute(select(some.c.store, func.count(), func.max(some.c.settled_at), refused, given_up).group_by(some.c.store))
    return {store: Dead(*values) for store, *values in rows}


def quotas(connection: Connection, settings: Settings, leases: Mapping[str, Row[Any]], now: datetime) -> dict[str, list[Quota]]:
    """How many requests of each kind every account has left; `leases` are the accounts' rows in `leases`."""
    spent = _requests_spent(connection, now - timedelta(hours=1))
    limits = (("single", settings.single_requests_per_hour), ("batch", settings.batch_requests_per_hour))
    found: dict[str, list[Quota]] = {}
    for account in settings.accounts:
        lease = leases.get(account)
        for kind, most in limits:
            reported = getattr(lease, f"{kind}_limit", None)
            limit = min(most, reported) if reported is not None else most
            closed = getattr(lease, f"{kind}_closed_until", None)
            left = 0 if closed and closed > now else max(0, limit - spent.get((account, kind), 0))
            found.setdefault(account, []).append(Quota(kind, limit, left))
    return found


def _requests_spent(connection: Connection, since: datetime) -> dict[tuple[str, str], int]:
    """How many requests Drip still counts, by account and kind: those that ended, or may have ended, after `since`."""
    first = first_since(connection, requests.c.id, requests.c.begun_at, since - 2 * LONGEST_REQUEST)
    counts = or_(requests.c.ended_at > since, and_(requests.c.ended_at.is_(None), requests.c.begun_at > since - LONGEST_REQUEST))
    spent = select(requests.c.account, requests.c.kind, func.count()).where(requests.c.id >= first, counts)
    return {(account, kind): number for account, kind, number in connection.execute(spent.group_by(requests.c.account, requests.c.kind))}


def newest_requests(connection: Connection, accounts: Iterable[str], kinds: Sequence[str]) -> dict[tuple[str, str], Row[Any]]:
    """The newest request of each kind of each account; a step into the index for each."""
    wanted = lanes_of(connection.dialect.name)
    account, kind = wanted.c.store, wanted.c.order_id
    of_both = and_(requests.c.account == account, requests.c.kind == kind)
    newest = select(requests.c.id).where(of_both).order_by(requests.c.begun_at.desc()).limit(1).correlate(wanted).scalar_subquery()
    chosen = select(account.label("account"), kind.label("kind"), newest.label("id")).subquery("chosen")
    pairs = as_lanes((account, kind) for account in accounts for kind in kinds)
    rows = connection.execute(select(requests).join_from(chosen, requests, requests.c.id == chosen.c.id), {"lanes": pairs})
    return {(row.account, row.kind): row for row in rows}


def all_leases(connection: Connection) -> Sequence[Row[Any]]:
    """The leases of all accounts, and the reader's."""
    return connection.execute(select(leases_table).order_by(leases_table.c.account)).all()


_UNREAD = and_(deliveries.c.state == literal_column("'pending'"), deliveries.c.read_at.is_(None))
_IN_ORDER = (deliveries.c.priority, deliveries.c.store, deliveries.c.id)  # of the index of the unread


def _some(chosen: Select[Any]) -> Any:
    return chosen.limit(MOST).subquery()


def count_pending(connection: Connection, store: str) -> int:
    """How many deliveries of a store are pending."""
    of_store = and_(deliveries.c.store == store, deliveries.c.state == "pending")
    count: int = connection.execute(select(func.count()).select_from(deliveries).where(of_store)).scalar_one()
    return count


def all_refusals(connection: Connection) -> Sequence[Row[Any]]:
    """How many requests failed verification, by store and reason."""
    return connection.execute(select(refusals).order_by(refusals.c.store, refusals.c.reason)).all()
