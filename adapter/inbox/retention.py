"""The purge: payloads and bodies first, whole rows later. `orders`, and pending deliveries, are never touched.

Done in pieces, each in its own transaction: a statement has three seconds, and a sender must not wait for more than a moment.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, bindparam, delete, exists, func, or_, select

from adapter.inbox.audit import FAILED_LOG_IN
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.erasure import erase
from adapter.inbox.tables import attempts, audit, backfills, deliveries, products, requests
from adapter.settings import Settings

PRODUCTS_FOR = timedelta(days=90)
"""A product that was neither looked up nor updated for this long is deleted."""
PIECE = 300
_BEGINNING, _LAST = datetime(1970, 1, 1, tzinfo=UTC), 2**63 - 1
_SENT_OR_NOT = ("delivered", "skipped")
_DEAD = ("dead",)


@dataclass(slots=True)
class Purged:
    """How much was purged."""

    payloads: int = 0
    """Deliveries whose personal data was erased."""
    deliveries: int = 0
    requests: int = 0
    products: int = 0
    backfills: int = 0

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in asdict(self).items() if count)


@dataclass(frozen=True, slots=True)
class Limits:
    """Rows settled or last used before these times are purged."""

    payloads: datetime
    dead_payloads: datetime
    rows: datetime
    products: datetime

    @classmethod
    def at(cls, now: datetime, settings: Settings) -> "Limits":
        """The limits by the settings at a time."""
        return cls(
            payloads=now - timedelta(days=settings.payload_retention_days),
            dead_payloads=now - timedelta(days=settings.dead_retention_days),
            rows=now - timedelta(days=settings.row_retention_days),
            products=now - PRODUCTS_FOR,
        )


class Retention:
    """Purges. Remembers how far it has erased, so that rows already erased are not examined every hour."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._erased_until: dict[tuple[str, ...], tuple[datetime, int]] = {}

    def purge(self, now: datetime) -> Iterator[Purged]:
        """Purge piece by piece; yields the totals so far after each piece."""
        limits, purged = Limits.at(now, self._settings), Purged()
        for _ in self._delete_rows(limits.rows, purged):
            yield purged
        for states, until in ((_SENT_OR_NOT, limits.payloads), (_DEAD, limits.dead_payloads)):
            for _ in self._erase(states, until, purged):
                yield purged
        for _ in self._delete_requests(limits.rows, purged):
            yield purged
        for _ in self._delete_products(limits.products, purged):
            yield purged
        with transaction(self._engine) as connection:
            purged.backfills += connection.execute(delete(backfills).where(backfills.c.ended_at <= limits.rows)).rowcount
            connection.execute(delete(audit).where(audit.c.action == FAILED_LOG_IN, audit.c.at <= limits.rows))
        yield purged

    def _delete_rows(self, until: datetime, purged: Purged) -> Iterator[None]:
        while True:
            with transaction(self._engine) as connection:
                deleted = delete_settled(connection, until)
            purged.deliveries += deleted
            yield
            if deleted < PIECE:
                return

    def _erase(self, states: tuple[str, ...], until: datetime, purged: Purged) -> Iterator[None]:
        at, after = self._erased_until.get(states, (_BEGINNING, 0))
        while True:
            with snapshot(self._engine) as connection:
                rows = settled(connection, at, after, until)
                mine = [row for row in rows if row.state in states]
                bodies = with_bodies(connection, [row.id for row in mine])
            if due := [row.id for row in mine if row.personal or row.id in bodies]:
                with transaction(self._engine) as connection:
                    purged.payloads += erase_settled(connection, due, states, until)
            yield
            if len(rows) < PIECE:
                break
            at, after = rows[-1].settled_at, rows[-1].id
        self._erased_until[states] = (until, _LAST)

    def _delete_requests(self, until: datetime, purged: Purged) -> Iterator[None]:
        after = 0
        while True:
            with transaction(self._engine) as connection:
                ids = old_requests(connection, after, until)
                purged.requests += delete_unused(connection, ids)
            yield
            if len(ids) < PIECE:
                return
            after = ids[-1]

    def _delete_products(self, until: datetime, purged: Purged) -> Iterator[None]:
        while True:
            with transaction(self._engine) as connection:
                deleted = delete_products(connection, products.c.fetched_at <= until)
            purged.products += deleted
            yield
            if deleted < PIECE:
                return


def purgeable(connection: Connection, settings: Settings, now: datetime) -> Purged:
    """What a purge would remove now."""
    limits = Limits.at(now, settings)
    stays = or_(deliveries.c.settled_at.is_(None), deliveries.c.settled_at > limits.rows)
    due = or_(
        and_(deliveries.c.state.in_(_SENT_OR_NOT), deliveries.c.settled_at <= limits.payloads),
        and_(deliveries.c.state.in_(_DEAD), deliveries.c.settled_at <= limits.dead_payloads),
    )
    bodies = exists().where(attempts.c.delivery_id == deliveries.c.id, attempts.c.body.is_not(None))
    kept = exists().where(attempts.c.request_id == requests.c.id, attempts.c.delivery_id == deliveries.c.id, stays)

    def count(table: Any, *which: ColumnElement[bool]) -> int:
        number: int = connection.execute(select(func.count()).select_from(table).where(*which)).scalar_one()
        return number

    return Purged(
        payloads=count(deliveries, due, stays, or_(_PERSONAL, bodies)),
        deliveries=count(deliveries, ~stays),
        requests=count(requests, requests.c.begun_at <= limits.rows, ~kept),
        products=count(products, products.c.fetched_at <= limits.products),
        backfills=count(backfills, backfills.c.ended_at <= limits.rows),
    )


# --- statements, each for one piece ------------------------------------------------------------------------------------------------

_PERSONAL = or_(deliveries.c.payload.is_not(None), deliveries.c.email_digest.is_not(None))


def settled(connection: Connection, since: datetime, after: int, until: datetime) -> Sequence[Row[Any]]:
    """Deliveries in the order in which they were settled, from a position on: `id`, `settled_at`, `state`, and `personal`: whether they
    still have a payload or a digest.
    """
    further = and_(deliveries.c.settled_at >= since, or_(deliveries.c.settled_at > since, deliveries.c.id > after))
    return connection.execute(
        select(deliveries.c.id, deliveries.c.settled_at, deliveries.c.state, _PERSONAL.label("personal"))
        .where(deliveries.c.settled_at <= until, further)
        .order_by(deliveries.c.settled_at, deliveries.c.id)
        .limit(PIECE)
    ).all()


def with_bodies(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Those with a posted body that is still kept."""
    bodies = select(attempts.c.delivery_id).where(attempts.c.delivery_id.in_(ids), attempts.c.body.is_not(None))
    return set(connection.execute(bodies).scalars())


def erase_settled(connection: Connection, ids: Sequence[int], states: Sequence[str], until: datetime) -> int:
    """Erase the personal data of these, unless they have been reopened since; how many."""
    due = and_(deliveries.c.id.in_(ids), deliveries.c.state.in_(states), deliveries.c.settled_at <= until)
    chosen = connection.execute(select(deliveries.c.id).where(due).order_by(deliveries.c.id).with_for_update()).scalars().all()
    erase(connection, chosen)
    return len(chosen)


def delete_settled(connection: Connection, until: datetime) -> int:
    """Delete the deliveries settled longest ago, with their attempts; how many."""
    due = and_(deliveries.c.settled_at <= until, deliveries.c.state != "pending")
    oldest = select(deliveries.c.id).where(due).order_by(deliveries.c.settled_at).limit(PIECE).with_for_update()
    ids = connection.execute(oldest).scalars().all()
    connection.execute(delete(deliveries).where(deliveries.c.id.in_(ids)))
    return len(ids)


def old_requests(connection: Connection, after: int, until: datetime) -> Sequence[int]:
    """The oldest entries of the ledger after an id; ids rise with time."""
    some = select(requests.c.id, requests.c.begun_at).where(requests.c.id > after).order_by(requests.c.id).limit(PIECE)
    return [row.id for row in connection.execute(some) if row.begun_at <= until]


def delete_unused(connection: Connection, ids: Sequence[int]) -> int:
    """Delete those entries of the ledger that have no attempts any more; how many."""
    used = exists().where(attempts.c.request_id == requests.c.id)
    return connection.execute(delete(requests).where(requests.c.id.in_(ids), ~used)).rowcount


def delete_products(connection: Connection, which: ColumnElement[bool]) -> int:
    """Delete some of the products that match; how many."""
    key = [products.c.store, products.c.view, products.c.product_id, products.c.variant_id]
    rows = sorted(tuple(row) for row in connection.execute(select(*key).where(which).limit(PIECE)))
    if rows:
        # One by one, in the order in which other transactions write them, so that none of them deadlock.
        same = and_(which, *(column == bindparam(f"the_{column.name}") for column in key))
        names = [f"the_{column.name}" for column in key]
        connection.execute(delete(products).where(same), [dict(zip(names, row, strict=True)) for row in rows])
    return len(rows)
