"""Reads new deliveries, even while no Drip account is configured: finds each one's order and version, splits bodies that hold several
orders, and settles at once what is not an order.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row

from adapter.delivery.completing import Completer, Fetching
from adapter.delivery.forgotten import erase_on_arrival, identity_of, of_forgotten
from adapter.delivery.parts import keep_first_parts, keep_last_parts
from adapter.delivery.queues import LOCKED_FOR
from adapter.delivery.unread import Unread
from adapter.inbox import settling, sources
from adapter.inbox.adoption import adopt_deliveries, has_orphans
from adapter.inbox.copies import keep_returned
from adapter.inbox.database import Clock, snapshot, transaction
from adapter.inbox.erasure import await_turn, still_pending
from adapter.inbox.packing import LOCKED, is_locked
from adapter.inbox.products import WEBHOOK, keep_products
from adapter.inbox.reading import (
    assign_account,
    is_placed,
    last_payload,
    mark_started,
    reopen_held,
    set_read,
    stores_that_wait,
    unmark_started,
)
from adapter.inbox.sending import Due, Lane
from adapter.inbox.sources import Source
from adapter.inbox.tables import LIVE
from adapter.inbox.versions import trusted
from adapter.monitoring.error_reporting import report
from adapter.operations.wording import counted
from adapter.settings import Settings
from adapter.stores.http import StoreTrouble
from mappings import HOLDS, Compliance, Product, Reading, Reason, Rejected, Skip, parse

log = logging.getLogger(__name__)
_ASSIGNED_AT_ONCE = 500
_ORPHANS_EVERY = timedelta(minutes=1)
# How long incomplete payloads wait for their store's API to return the complete order.
_WAITS_FOR_STORE = timedelta(days=1)
# What one step may take of large payloads before the next stores have their turn.
_STEP_S = 0.5


@dataclass(frozen=True, slots=True)
class _Split:
    parts: Sequence[Any]
    detail: str
    stored: int = 0
    """How many of the parts are stored already."""


@dataclass(frozen=True, slots=True)
class _ProductUpdate:
    """A product webhook, and the products in it."""

    products: Sequence[Product]


@dataclass(frozen=True, slots=True)
class _Wait:
    """Cannot be read before then: the store's API, which has the complete order, is unavailable, or no key opens the payload."""

    until: datetime

    def is_over(self, now: datetime) -> bool:
        return self.until <= now


@dataclass(frozen=True, slots=True)
class _WaitForFetch:
    """Cannot be read before the complete order has been fetched from the store's API."""

    fetch: "Future[bytes | None]"

    def is_over(self, now: datetime) -> bool:
        return self.fetch.done()


_Result = Reading | _Split | _ProductUpdate | Compliance | Rejected | Skip | _Wait | _WaitForFetch


class Reader:
    """Reads new deliveries. The caller holds the lease `READER`, so that there is one reader at a time."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        clock: Clock,
        on_read: Callable[[Iterable[Due]], None] = lambda due: None,
        on_fetched: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._on_read = on_read
        """Called after each step with the accounts that have new orders."""
        self._on_fetched = on_fetched
        """Called, in another thread, when a store's API has returned an order."""
        self._has_assigned = False
        self._unread = Unread(settings.stores)
        self._renamed = [store for store in settings.stores.values() if store.aliases]
        self._looked_for_orphans: datetime | None = None
        self._completer = Completer(settings, clock)
        self._started: list[int] = []
        self._waiting: dict[str, dict[int, _Wait | _WaitForFetch]] = {}
        """By store, the deliveries that wait for its API. Kept in memory only: another reader merely asks the store again."""

    @property
    def is_fetching(self) -> bool:
        """Whether a delivery waits for a response of its store's API."""
        return any(isinstance(wait, _WaitForFetch) for waits in self._waiting.values() for wait in waits.values())

    def step(self) -> int:
        """Read the next few deliveries; how many there were."""
        self._adopt()
        self._assign_accounts()
        with snapshot(self._engine) as connection:
            self._clock.sync(connection)
            self._end_waits()
            rows = self._unread.next(connection, self._waiting)
        if not rows:  # an idle reader takes no write lock
            return 0
        with transaction(self._engine) as connection:
            if self._started:  # a lost database interrupted these: their payloads are not to blame
                unmark_started(connection, self._started)
            mark_started(connection, [row.id for row in rows])
        self._started = [row.id for row in rows]
        self._completer.arrived(max(self._started))
        results = self._read_some(rows)
        if results:
            with transaction(self._engine) as connection:
                unmark_started(connection, [row.id for row in rows[len(results) :]])
                there = still_pending(connection, self._started)  # a shopper's data may have been erased in the meantime
                gone = of_forgotten(connection, [(row, result) for row, result in results if row.id in there], self._settings)
                for row, result in results:
                    if row.id in gone:
                        erase_on_arrival(connection, row, identity_of(result), self._clock())
                lanes = [self._write(connection, row, result) for row, result in results if row.id in there - gone]
                for kept in keep_returned(connection, [lane for lane in lanes if lane is not None]):
                    log.info("an earlier state of the order came back", extra={"action": "kept", "delivery": kept})
            self._on_read(
                {Due(account, row.priority == LIVE, row.priority != LIVE) for row, _ in results if (account := self._account(row.store))}
            )
        self._started = []
        return len(results)

    def _read_some(self, rows: Sequence[Row[Any]]) -> list[tuple[Row[Any], _Result]]:
        """Read deliveries until the step has taken long enough; the rest stays unread."""
        ends = time.monotonic() + _STEP_S
        results: list[tuple[Row[Any], _Result]] = []
        for row in rows:
            result = self._read(row)
            if isinstance(result, _Split):
                result = replace(result, stored=keep_first_parts(self._engine, row, result.parts))
            results.append((row, result))
            self._unread.had_turn(row.store)
            if time.monotonic() > ends:
                break
        return results

    def _end_waits(self) -> None:
        now = self._clock()
        still = ((store, {row: wait for row, wait in waits.items() if not wait.is_over(now)}) for store, waits in self._waiting.items())
        self._waiting = {store: waits for store, waits in still if waits}

    def lost_sight(self) -> None:
        """Another reader may have worked in the meantime, with other settings."""
        self._has_assigned = False

    def _account(self, store: str) -> str | None:
        known = self._settings.store(store)
        return known.account.id if known is not None and known.account is not None else None

    def _assign_accounts(self) -> None:
        """Enter the accounts of what waits by the settings of now: a store may have been given another account, or taken out."""
        if self._has_assigned:
            return
        with snapshot(self._engine) as connection:
            stores = stores_that_wait(connection)
        for store in stores:
            moved = _ASSIGNED_AT_ONCE
            while moved == _ASSIGNED_AT_ONCE:
                with transaction(self._engine) as connection:
                    moved = assign_account(connection, store, self._account(store), _ASSIGNED_AT_ONCE)
        self._has_assigned = True

    def _adopt(self) -> None:
        """Now and then, take over deliveries kept under a store's old name: a web process started before the renaming may add more."""
        now = self._clock()
        if not self._renamed or (self._looked_for_orphans is not None and now - self._looked_for_orphans < _ORPHANS_EVERY):
            return
        for store in self._renamed:
            if has_orphans(self._engine, store.aliases):
                count = adopt_deliveries(self._engine, store.name, store.aliases)
                about = {"action": "adopted", "store": store.name, "count": count}
                log.info("took over deliveries kept under the store's old names", extra=about)
                self._has_assigned = False
        self._looked_for_orphans = now

    def _read(self, row: Row[Any]) -> _Result:
        if row.starts >= sources.MOST_STARTS:
            return Rejected(sources.too_often())
        try:
            return self._wait_for_key(row) if is_locked(row.payload) else self._interpret(row)
        except Fetching as fetching:
            fetching.fetch.add_done_callback(lambda _: self._on_fetched())
            return _WaitForFetch(fetching.fetch)
        except StoreTrouble as trouble:
            return self._wait_for_store(row, trouble)
        except Rejected as rejected:
            return rejected
        except Exception as error:  # noqa: BLE001 - one payload that crashes the mapping must not stop the others
            report(error)
            return Rejected(sources.crash(error))

    def _wait_for_key(self, row: Row[Any]) -> _Wait:
        log.error("the payload can't be read: %s", LOCKED, extra={"action": "locked", "delivery": row.id, "store": row.store})
        return _Wait(self._clock() + LOCKED_FOR)

    def _wait_for_store(self, row: Row[Any], trouble: StoreTrouble) -> _Result:
        now = self._clock()
        if now - row.received_at < _WAITS_FOR_STORE:
            return _Wait(now + timedelta(seconds=trouble.wait_s or 0.0))
        return Rejected({"": [f"the payload lacks required fields, and the complete order could not be fetched from the store: {trouble}"]})

    def _interpret(self, row: Row[Any]) -> _Result:
        source = sources.source_of(row, self._settings)
        document = parse(row.payload, source.context.options.limits.nesting)
        if (asked := source.provider.compliance(document, source.context)) is not None:
            return asked
        if row.parent_id is None and (split := self._split(source, document, row)) is not None:
            return split
        reading = source.provider.read(document, source.context)
        if _is(reading, Reason.CATALOG):
            return _ProductUpdate(source.provider.products(document, source.context))
        if row.parent_id is None and (completed := self._complete(source, reading, row)) is not None:
            return completed
        if reading.problems and reading.skip(placed=reading.placed) is None:
            return Rejected(reading.problems)
        return reading

    def _complete(self, source: Source, reading: Reading, row: Row[Any]) -> _Split | Skip | None:
        """What a payload that lacks required fields stands for; None if it has to do as it is."""
        if (whole := self._completer.whole_order(source, reading, row.id)) is not None:
            return _Split([parse(whole)], "lacked required fields; the complete order from the store's API is now a separate delivery")
        if reading.problems and source.provider.needs_api and self._completer.can_ask(source):
            return Skip(Reason.NOT_AN_ORDER, "the store no longer has this order")
        return None

    def _split(self, source: Source, document: Any, row: Row[Any]) -> _Split | None:
        """The orders of a page, or the one that is in the trash: its webhook contains no more than its id, and Drip is sent the rest."""
        provider, context = source.provider, source.context
        if (parts := provider.orders(document, context)) is not None:
            return _Split(parts, f"held {counted(len(parts), 'order', 'orders')}, each now a separate delivery")
        order_id = provider.in_trash(document, context) if context.options.vocabulary == "lifecycle" else ""
        if not order_id:
            return None
        with snapshot(self._engine) as connection:
            last = last_payload(connection, Lane(source.store.name, order_id))
        order = last or self._completer.fetch(source, order_id, row.id)
        return _Split([provider.trashed(parse(order))], "put in the trash; the order is now a separate delivery") if order else None

    def _write(self, connection: Connection, row: Row[Any], result: _Result) -> Lane | None:
        """Record what was read; the order that it is of, if it is of one."""
        at = self._clock()
        if isinstance(result, Rejected):
            settling.kill(connection, row.id, result.problems, at)
            log.warning("cannot be mapped", extra={"action": "dead", "delivery": row.id, "store": row.store})
        elif isinstance(result, _Wait):
            unmark_started(connection, [row.id])
            settling.postpone(connection, [row.id], result.until)  # so that it does not count as stuck
            self._waiting.setdefault(row.store, {})[row.id] = result
        elif isinstance(result, _WaitForFetch):
            unmark_started(connection, [row.id])
            self._waiting.setdefault(row.store, {})[row.id] = result
        elif isinstance(result, Skip):
            _skip(connection, row, result, at)
        elif isinstance(result, Compliance):
            await_turn(connection, row.id, at)
        elif isinstance(result, _Split):
            keep_last_parts(connection, row, result.parts, result.stored)
            _skip(connection, row, Skip(Reason.SPLIT, result.detail), at)
        elif isinstance(result, _ProductUpdate):
            keep_products(connection, row.store, result.products, WEBHOOK, at)
            _skip(connection, row, Skip(Reason.CATALOG, "a product; its page and image address are kept for orders to come"), at)
            settling.erase_payload(connection, row.id)
        else:
            return self._write_reading(connection, row, result, at)
        return None

    def _write_reading(self, connection: Connection, row: Row[Any], reading: Reading, at: datetime) -> Lane | None:
        lane, skip = None, reading.skip(placed=reading.placed)
        if reading.identity is not None:
            lane = Lane(row.store, reading.identity.order_id)
            snapshot_at = trusted(reading.identity.updated_at, row.received_at)
            account = self._account(row.store)
            set_read(connection, row.id, reading.identity, account=account, snapshot_at=snapshot_at, placed=reading.placed, at=at)
            if reading.placed:
                for held in reopen_held(connection, lane, account):
                    about = {"action": "reopened", "delivery": held, "store": lane.store, "order": lane.order_id}
                    log.info("the order has been placed", extra=about)
            elif skip is not None and skip.reason in HOLDS and is_placed(connection, lane):
                skip = reading.skip(placed=True)
        if skip is not None:
            _skip(connection, row, skip, at)
        return lane


def _skip(connection: Connection, row: Row[Any], skip: Skip, at: datetime) -> None:
    settling.skip(connection, row.id, skip, at)
    level = logging.WARNING if skip.reason == Reason.STORE_ERROR else logging.INFO
    log.log(level, skip.detail, extra={"action": "skipped", "delivery": row.id, "store": row.store, "reason": str(skip.reason)})


def _is(reading: Reading, reason: Reason) -> bool:
    return any(skip.reason is reason for skip in reading.skips)
