"""Reads new deliveries, even while no Drip account is configured: finds each one's order and version, splits bodies that hold several
orders, and settles at once what is not an order.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row

from adapter.delivery.completing import Completer, Fetching
from adapter.delivery.forgotten import erase_on_arrival, identity_of, of_forgotten
from adapter.delivery.parts import keep_first_parts
from adapter.delivery.queues import LOCKED_FOR
from adapter.delivery.recording import ProductUpdate, Result, Split, Unmappable, Wait, WaitForFetch, record
from adapter.delivery.trials import Trials
from adapter.delivery.unread import Unread
from adapter.inbox import holdups, sources
from adapter.inbox.adoption import adopt_deliveries, has_orphans
from adapter.inbox.database import Clock, snapshot, transaction
from adapter.inbox.erasure import still_pending
from adapter.inbox.misread import reopen_misread
from adapter.inbox.packing import LOCKED, is_locked
from adapter.inbox.reading import assign_account, last_payload, set_in_hand, stores_that_wait, take_up_interrupted
from adapter.inbox.sending import Due, Lane
from adapter.inbox.sources import Source
from adapter.inbox.tables import LIVE
from adapter.inbox.write_turn import in_turns
from adapter.monitoring.error_reporting import report
from adapter.operations.wording import counted
from adapter.process.time_limit import NO_LIMIT, TimeLimit
from adapter.settings import Settings
from adapter.stores.http import StoreTrouble
from mappings import ONLY_ID, Reading, Reason, Rejected, Skip, parse

log = logging.getLogger(__name__)
_ASSIGNED_AT_ONCE = 500
_ORPHANS_EVERY = timedelta(minutes=1)
# How long incomplete payloads wait for their store's API to return the complete order.
_WAITS_FOR_STORE = timedelta(days=1)
# On SQLite, webhooks wait meanwhile.
_RECORDED_AT_ONCE = 50
# What one step may take of large payloads before the next stores have their turn.
_STEP_S = 0.25


class Reader:
    """Reads new deliveries. The caller holds the lease `READER`, so that there is one reader at a time."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        clock: Clock,
        on_read: Callable[[Iterable[Due]], None] = lambda due: None,
        on_fetched: Callable[[], None] = lambda: None,
        time_limit: TimeLimit = NO_LIMIT,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._on_read = on_read
        """Called after each step with the accounts that have new orders."""
        self._on_fetched = on_fetched
        """Called, in another thread, when a store's API has returned an order."""
        self._has_taken_over = False
        self._unread = Unread(settings.stores)
        self._renamed = [store for store in settings.stores.values() if store.aliases]
        self._looked_for_orphans: datetime | None = None
        self._completer = Completer(settings, clock)
        self._trials = Trials(settings)
        self._time_limit = time_limit
        self._in_hand: set[int] = set()
        self._waiting: dict[str, dict[int, Wait | WaitForFetch]] = {}
        """By store, the deliveries that wait for its API. Kept in memory only: another reader merely asks the store again."""

    @property
    def is_fetching(self) -> bool:
        """Whether a delivery waits for a response of its store's API."""
        return any(isinstance(wait, WaitForFetch) for waits in self._waiting.values() for wait in waits.values())

    def step(self) -> int:
        """Read the next few deliveries; how many there were."""
        self._adopt()
        self._take_over()
        with snapshot(self._engine) as connection:
            self._clock.sync(connection)
            self._end_waits()
            rows = self._unread.next(connection, self._waiting)
        if not rows:  # an idle reader takes no write lock
            return 0
        with transaction(self._engine, synced=False) as connection:
            set_in_hand(connection, [row.id for row in rows])
        self._in_hand = {row.id for row in rows}
        self._completer.arrived(max(self._in_hand))
        results = self._read_some(rows)
        self._in_hand = {row.id for row, _ in results}
        for some in in_turns(self._engine, results, _RECORDED_AT_ONCE):
            left = self._in_hand - {row.id for row, _ in some}
            with transaction(self._engine, synced=False) as connection:
                self._record(connection, some)
                set_in_hand(connection, sorted(left))
            self._in_hand = left
        for row, result in results:
            if isinstance(result, Wait | WaitForFetch):
                self._waiting.setdefault(row.store, {})[row.id] = result
        self._on_read(
            {Due(account, row.priority == LIVE, row.priority != LIVE) for row, _ in results if (account := self._account(row.store))}
        )
        return len(results)

    def _record(self, connection: Connection, results: Sequence[tuple[Row[Any], Result]]) -> None:
        at = self._clock()
        there = still_pending(connection, [row.id for row, _ in results])  # a shopper's data may have been erased in the meantime
        results = [(row, result) for row, result in results if row.id in there]
        gone = of_forgotten(connection, results, self._settings)
        for row, result in results:
            if row.id in gone:
                erase_on_arrival(connection, row, identity_of(result), at)
        self._end_holdups(connection, results)
        record(connection, [(row, result) for row, result in results if row.id not in gone], self._account, at)

    def _end_holdups(self, connection: Connection, results: Sequence[tuple[Row[Any], Result]]) -> None:
        """What a store waited for is there once a delivery that was put off has been read; its API works if it returned any order."""
        held = {row.store for row, result in results if isinstance(result, Wait | WaitForFetch)}
        went_on = {row.store for row, _ in results if row.due_at > row.received_at}
        if over := went_on - held:
            holdups.end(connection, over)
        if works := {row.store for row, result in results if isinstance(result, Split) and result.is_fetched}:
            holdups.end(connection, works, holdups.STORE_API)

    def _read_some(self, rows: Sequence[Row[Any]]) -> list[tuple[Row[Any], Result]]:
        """Read deliveries until the step has taken long enough; the rest stays unread."""
        ends = time.monotonic() + _STEP_S
        results: list[tuple[Row[Any], Result]] = []
        for row in rows:
            result = self._read(row)
            if isinstance(result, Split):
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
        """Another reader may have worked in the meantime, with other settings; or it crashed."""
        self._has_taken_over = False

    def _take_over(self) -> None:
        if self._has_taken_over:
            return
        with transaction(self._engine) as connection:
            take_up_interrupted(connection, self._in_hand)  # what a lost database interrupted here is not to blame
        if count := reopen_misread(self._engine, self._clock()):
            log.warning("an earlier version could not read these; they are read again", extra={"action": "reopened", "count": count})
        self._assign_accounts()
        self._has_taken_over = True

    def _account(self, store: str) -> str | None:
        known = self._settings.store(store)
        return known.account.id if known is not None and known.account is not None else None

    def _assign_accounts(self) -> None:
        """Enter the accounts of what waits by the settings of now: a store may have been given another account, or taken out."""
        with snapshot(self._engine) as connection:
            stores = stores_that_wait(connection)
        for store in stores:
            moved = _ASSIGNED_AT_ONCE
            while moved == _ASSIGNED_AT_ONCE:
                with transaction(self._engine) as connection:
                    moved = assign_account(connection, store, self._account(store), _ASSIGNED_AT_ONCE)

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
                self._has_taken_over = False
        self._looked_for_orphans = now

    def _read(self, row: Row[Any]) -> Result:
        if row.starts >= sources.MOST_STARTS:
            return Rejected(sources.too_often())
        try:
            return self._wait_for_key(row) if is_locked(row.payload) else self._interpret_in_time(row)
        except Fetching as fetching:
            fetching.fetch.add_done_callback(lambda _: self._on_fetched())
            return WaitForFetch(fetching.fetch)
        except StoreTrouble as trouble:
            return self._wait_for_store(row, trouble)
        except Rejected as rejected:
            return rejected
        except Exception as error:  # noqa: BLE001 - one payload that crashes the mapping must not stop the others
            report(error)
            return Rejected(sources.crash(error))

    def _wait_for_key(self, row: Row[Any]) -> Wait:
        log.error("the payload can't be read: %s", LOCKED, extra={"action": "locked", "delivery": row.id, "store": row.store})
        return Wait(self._clock() + LOCKED_FOR, holdups.LOCKED, LOCKED)

    def _wait_for_store(self, row: Row[Any], trouble: StoreTrouble) -> Result:
        now = self._clock()
        if now - row.received_at < _WAITS_FOR_STORE:
            return Wait(now + timedelta(seconds=trouble.wait_s or 0.0), holdups.STORE_API, str(trouble))
        source = sources.source_of(row, self._settings)
        problems = sources.not_fetched(str(trouble))
        reading = source.provider.read(parse(row.payload, source.context.options.limits.nesting), source.context)
        if reading.identity is not None:
            self._completer.given_up(row.store, reading.identity.order_id)
        return Unmappable(reading, problems)

    def _interpret_in_time(self, row: Row[Any]) -> Result:
        if row.starts:  # it may have ended a sender
            self._trials.await_one(row)
        with self._time_limit():
            return self._interpret(row)

    def _interpret(self, row: Row[Any]) -> Result:
        source = sources.source_of(row, self._settings)
        document = parse(row.payload, source.context.options.limits.nesting)
        if (asked := source.provider.compliance(document, source.context)) is not None:
            return asked
        if row.parent_id is None and (split := self._split(source, document, row)) is not None:
            return split
        reading = source.provider.read(document, source.context)
        if _is(reading, Reason.CATALOG):
            return ProductUpdate(source.provider.products(document, source.context))
        if row.parent_id is None and (completed := self._complete(source, reading, row)) is not None:
            return completed
        if reading.problems and reading.skip(placed=reading.placed) is None:
            return Unmappable(reading, reading.problems)
        return reading

    def _complete(self, source: Source, reading: Reading, row: Row[Any]) -> Split | Skip | None:
        """What a payload that lacks required fields stands for; None if it has to do as it is."""
        if (whole := self._completer.whole_order(source, reading, row.id)) is not None:
            detail = "lacked required fields; the complete order from the store's API is now a separate delivery"
            return Split([parse(whole)], detail, is_fetched=True)
        if reading.problems and source.provider.needs_api:
            if self._completer.can_ask(source):
                return Skip(Reason.NOT_AN_ORDER, "the store no longer has this order")
            if reading.identity is not None and reading.identity.email_withheld:
                return Skip(Reason.NO_EMAIL, ONLY_ID)
        return None

    def _split(self, source: Source, document: Any, row: Row[Any]) -> Split | None:
        """The orders of a page, or the one that is in the trash: its webhook contains no more than its id, and Drip is sent the rest."""
        provider, context = source.provider, source.context
        if (parts := provider.orders(document, context)) is not None:
            return Split(parts, f"held {counted(len(parts), 'order', 'orders')}, each now a separate delivery")
        order_id = provider.in_trash(document, context) if context.options.vocabulary == "lifecycle" else ""
        if not order_id:
            return None
        with snapshot(self._engine) as connection:
            last = last_payload(connection, Lane(source.store.name, order_id))
        order = last or self._completer.fetch(source, order_id, row.id)
        return Split([provider.trashed(parse(order))], "put in the trash; the order is now a separate delivery") if order else None


def _is(reading: Reading, reason: Reason) -> bool:
    return any(skip.reason is reason for skip in reading.skips)
