"""Reads what is new, also while no Drip account is configured: finds each delivery's order and version, splits bodies that hold several
orders, and settles at once what needs no order.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row

from adapter.delivery.completing import PATIENCE_S, Completer
from adapter.inbox import receiving, settling, sources
from adapter.inbox.adoption import adopt_deliveries, has_orphans
from adapter.inbox.database import Clock, snapshot, transaction
from adapter.inbox.erasure import await_turn, still_pending
from adapter.inbox.products import WEBHOOK, keep_products
from adapter.inbox.reading import is_placed, mark_started, reopen_held, set_read, unmark_started, unread
from adapter.inbox.sending import Lane
from adapter.inbox.versions import trusted
from adapter.monitoring.error_reporting import report
from adapter.settings import Settings
from adapter.stores.http import Deadline, StoreTrouble
from mappings import HOLDS, Compliance, Product, Reading, Reason, Rejected, Skip, encode, parse

log = logging.getLogger(__name__)
_AT_ONCE = 50
_ORPHANS_EVERY = timedelta(minutes=1)
# For so long a payload that lacks fields waits for its store's API, which is to tell the whole order; and so many of them.
_WAITS_FOR_STORE = timedelta(days=1)
_MOST_PUT_OFF = 500


@dataclass(frozen=True, slots=True)
class _Split:
    parts: Sequence[Any]
    detail: str


@dataclass(frozen=True, slots=True)
class _Described:
    """A product webhook, and what it tells of products."""

    products: Sequence[Product]


@dataclass(frozen=True, slots=True)
class _PutOff:
    """Cannot be read before then: the store's API, which is to tell the whole order, is of no help just now."""

    until: datetime


_Result = Reading | _Split | _Described | Compliance | Rejected | _PutOff


class Reader:
    """Reads new deliveries; one reader at a time, which the caller sees to by the lease `READER`."""

    def __init__(self, engine: Engine, settings: Settings, clock: Clock) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._stores = list(settings.stores)
        self._renamed = [store for store in settings.stores.values() if store.aliases]
        self._looked_for_orphans: datetime | None = None
        self._completer = Completer(settings, clock)
        self._begun: list[int] = []
        self._put_off: dict[int, datetime] = {}
        """What waits for a store's API, and until when. Not written down: another reader asks once more, and no harm is done."""

    def step(self) -> int:
        """Read the next few; how many there were."""
        self._adopt()
        with snapshot(self._engine) as connection:
            self._clock.sync(connection)
            self._put_off = {waits: until for waits, until in self._put_off.items() if until > self._clock()}
            if not unread(connection, self._stores, 1, self._put_off):  # an idle reader takes no write lock
                return 0
        with transaction(self._engine) as connection:
            if self._begun:  # the database broke these off, and not their payloads: they were not begun in vain
                unmark_started(connection, self._begun)
            rows = _chosen(unread(connection, self._stores, _AT_ONCE, self._put_off))
            mark_started(connection, [row.id for row in rows])
        self._begun = [row.id for row in rows]
        turn = Deadline(PATIENCE_S)
        results = [(row, self._read(row, turn)) for row in rows]
        if results:
            with transaction(self._engine) as connection:
                there = still_pending(connection, self._begun)  # a shopper may have been forgotten in the meantime
                for row, result in ((row, result) for row, result in results if row.id in there):
                    self._write(connection, row, result)
        self._begun = []
        return len(rows)

    def _adopt(self) -> None:
        """Now and then, take over what is kept under stores' old names; a web process of before the renaming may still add to it."""
        now = self._clock()
        if not self._renamed or (self._looked_for_orphans is not None and now - self._looked_for_orphans < _ORPHANS_EVERY):
            return
        for store in self._renamed:
            if has_orphans(self._engine, store.aliases):
                count = adopt_deliveries(self._engine, store.name, store.aliases)
                about = {"action": "adopted", "store": store.name, "count": count}
                log.info("deliveries of the store's old names are now its own", extra=about)
        self._looked_for_orphans = now

    def _read(self, row: Row[Any], turn: Deadline) -> _Result:
        if row.starts >= sources.MOST_STARTS:
            return Rejected(sources.too_often())
        try:
            return self._interpret(row, turn)
        except StoreTrouble as trouble:
            return self._wait_for_store(row, trouble)
        except Rejected as rejected:
            return rejected
        except Exception as error:  # noqa: BLE001 - whatever a payload sets off in the mapping must not stop the others
            report(error)
            return Rejected(sources.crash(error))

    def _wait_for_store(self, row: Row[Any], trouble: StoreTrouble) -> _Result:
        now = self._clock()
        if now - row.received_at < _WAITS_FOR_STORE and len(self._put_off) < _MOST_PUT_OFF:
            return _PutOff(now + timedelta(seconds=trouble.wait_s or 0.0))
        return Rejected({"": [f"the payload lacks fields, and the store could not be asked for the whole order: {trouble}"]})

    def _interpret(self, row: Row[Any], turn: Deadline) -> _Result:
        source = sources.source_of(row, self._settings)
        document = parse(row.payload)
        if (asked := source.provider.compliance(document, source.context)) is not None:
            return asked
        parts = source.provider.split(document) if row.parent_id is None else None
        if parts is not None:
            return _Split(parts, f"held {len(parts)} orders, now deliveries of their own")
        reading = source.provider.read(document, source.context)
        if _is(reading, Reason.CATALOG):
            return _Described(source.provider.products(document, source.context))
        if row.parent_id is None and (whole := self._completer.whole_order(source, reading, turn)) is not None:
            return _Split([parse(whole)], "lacked fields; the whole order, from the store's API, is a delivery of its own")
        if reading.problems and reading.skip(placed=reading.placed) is None:
            return Rejected(reading.problems)
        return reading

    def _write(self, connection: Connection, row: Row[Any], result: _Result) -> None:
        at = self._clock()
        if isinstance(result, Rejected):
            settling.kill(connection, row.id, result.problems, at)
            log.warning("cannot be mapped", extra={"action": "dead", "delivery": row.id, "store": row.store})
        elif isinstance(result, _PutOff):
            unmark_started(connection, [row.id])
            settling.postpone(connection, [row.id], result.until)  # nobody is to blame a sender for it meanwhile
            self._put_off[row.id] = result.until
        elif isinstance(result, Compliance):
            await_turn(connection, row.id, at)
        elif isinstance(result, _Split):
            for index, part in enumerate(result.parts):
                kept = receiving.keep_part(connection, row, index, encode(part))
                if kept is not None:
                    log.info(f"a part of delivery {row.id}", extra={"action": "kept", "delivery": kept, "store": row.store})
            _skip(connection, row, Skip(Reason.SPLIT, result.detail), at)
        elif isinstance(result, _Described):
            keep_products(connection, row.store, result.products, WEBHOOK, at)
            _skip(connection, row, Skip(Reason.CATALOG, "a product, kept for its page and picture"), at)
            settling.erase_payload(connection, row.id)
        else:
            self._write_reading(connection, row, result, at)

    def _write_reading(self, connection: Connection, row: Row[Any], reading: Reading, at: datetime) -> None:
        skip = reading.skip(placed=reading.placed)
        if reading.identity is not None:
            lane = Lane(row.store, reading.identity.order_id)
            snapshot_at = trusted(reading.identity.updated_at, row.received_at)
            set_read(connection, row.id, reading.identity, snapshot_at=snapshot_at, placed=reading.placed, at=at)
            if reading.placed:
                for held in reopen_held(connection, lane):
                    about = {"action": "reopened", "delivery": held, "store": lane.store, "order": lane.order_id}
                    log.info("the order is placed now", extra=about)
            elif skip is not None and skip.reason in HOLDS and is_placed(connection, lane):
                skip = reading.skip(placed=True)
        if skip is not None:
            _skip(connection, row, skip, at)


def _skip(connection: Connection, row: Row[Any], skip: Skip, at: datetime) -> None:
    settling.skip(connection, row.id, skip, at)
    level = logging.WARNING if skip.reason == Reason.STORE_ERROR else logging.INFO
    log.log(level, skip.detail, extra={"action": "skipped", "delivery": row.id, "store": row.store, "reason": str(skip.reason)})


def _is(reading: Reading, reason: Reason) -> bool:
    return any(skip.reason is reason for skip in reading.skips)


def _chosen(rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """Rows never begun together; one that was begun before by itself, so that it takes no other down with it."""
    fresh = [row for row in rows if row.starts == 0]
    return fresh or rows[:1]
