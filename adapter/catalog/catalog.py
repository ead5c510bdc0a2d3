"""Completes orders with data about their products: from the cache, or from the store, in limited time and without ever failing an order."""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Engine

from adapter.inbox.counters import count
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.products import Known, fresh_keys, keep_misses, keep_products, known_products
from adapter.settings import Settings, Store
from adapter.stores.api import ProductSource
from adapter.stores.http import Deadline, StoreTrouble
from adapter.stores.platforms import sources_of
from mappings import Order, Product, ProductKey, complete, wanted

log = logging.getLogger(__name__)
ROUND_S = 3.0
"""The most time that a round of lookups may take per store."""
_ALL_STORES_S = 15.0
"""And for all stores together, however many are slow: a sender that shows no progress loses its lease."""
_FAILURES_BEFORE_REST = 2
_REST_S = 300.0
_LEAST_WAIT_S = 1.0
_MOST_SHOPS = 200


@dataclass(frozen=True, slots=True)
class Completed:
    """An order with its product data, and where that came from."""

    order: Order
    looked_up: Mapping[str, str]
    """Product ID, or `product/variant` -> the source's name; `not found`, or `not asked` if no source could be asked."""


@dataclass(slots=True)
class _Asked:
    """A source, with its recent failures."""

    source: ProductSource
    failures: int = 0
    rests_until: float = field(default=0.0)

    def failed(self, trouble: StoreTrouble) -> None:
        """Pause the source: for as long as it asks, which isn't a failure, or for a while once it failed twice in a row."""
        self.failures += trouble.wait_s is None
        rest = _REST_S if self.failures >= _FAILURES_BEFORE_REST else 0.0
        self.rests_until = time.monotonic() + (rest if trouble.wait_s is None else max(trouble.wait_s, _LEAST_WAIT_S))


class LookupTime:
    """The seconds that lookups may still take: those of each store, and of all stores together."""

    def __init__(self, each_s: float = ROUND_S) -> None:
        self._all = max(each_s, _ALL_STORES_S)
        self._each: defaultdict[str, float] = defaultdict(lambda: each_s)

    @contextmanager
    def spend(self, store: str) -> Iterator[Deadline]:
        """Until when the lookups of the block must end; what they take is spent."""
        begun = time.monotonic()
        yield Deadline(min(self._each[store], self._all))
        took = time.monotonic() - begun
        self._each[store] -= took
        self._all -= took


class Catalog:
    """The product data of all stores. Used by one thread."""

    def __init__(self, engine: Engine, settings: Settings, clock: Callable[[], datetime], *, writes_itself: bool = True) -> None:
        """With `writes_itself` false, the caller writes what was found with `write`, in a transaction that it needs anyway."""
        self._engine = engine
        self._writes_itself = writes_itself
        self._unwritten: list[Callable[[Connection], None]] = []
        self._settings = settings
        self._clock = clock
        self._sources: dict[tuple[str, str], list[_Asked]] = {}
        self._outcomes: Counter[tuple[str, str]] = Counter()

    def complete(self, orders: Sequence[tuple[Store, Order]], timeout_s: float = ROUND_S) -> list[Completed]:
        """Each order completed, with all lookups of a store within `timeout_s`; what isn't found in that time stays blank."""
        return self.complete_some(orders, LookupTime(timeout_s))

    def complete_some(self, orders: Sequence[tuple[Store, Order]], time_left: LookupTime) -> list[Completed]:
        """The same for some of the orders that have this time together."""
        shops: dict[tuple[str, str], tuple[Store, set[ProductKey]]] = {}
        for store, order in orders:
            shops.setdefault((store.name, order.store_url), (store, set()))[1].update(wanted(order))
        # A store can have several addresses; an order contains the one where it was placed.
        known: dict[tuple[str, str], dict[ProductKey, Known]] = {}
        for (name, address), (store, keys) in shops.items():
            with time_left.spend(name) as deadline:
                known[name, address] = self._know(store, address, keys, deadline) if keys else {}
        if self._writes_itself and self._unwritten:
            with transaction(self._engine) as connection:
                self.write(connection)
        return [_completed(order, known[store.name, order.store_url]) for store, order in orders]

    def write(self, connection: Connection) -> None:
        """Cache what has been found since the last time, in the caller's transaction."""
        unwritten, self._unwritten = self._unwritten, []
        for write in unwritten:
            write(connection)

    def _know(self, store: Store, address: str, keys: set[ProductKey], deadline: Deadline) -> dict[ProductKey, Known]:
        now = self._clock()
        with snapshot(self._engine) as connection:
            known = known_products(connection, store.name, keys)
        missing = keys - set(fresh_keys(known, now))
        if missing:
            before = {key: entry for key, entry in known.items() if entry.product is not None}
            known |= self._ask(store, address, missing, before, deadline)
        return known

    def _ask(
        self, store: Store, address: str, missing: set[ProductKey], before: Mapping[ProductKey, Known], deadline: Deadline
    ) -> dict[ProductKey, Known]:
        """Ask the store's sources for what is still missing, the preferred source first. A product that none of them has is a miss.

        What was known before is kept instead of a miss: products are unpublished and deleted, but not the orders that contain them.
        """
        now, found, asked_all = self._clock(), dict[ProductKey, Known](), True
        sources = self._sources_of(store, address)
        for asked in sources:
            left = missing - set(found)
            if not left:
                break
            if asked.rests_until > time.monotonic() or not deadline.left:  # a source without any time left hasn't failed
                asked_all = False
                continue
            answered, whole = self._look_up(store, asked, left, deadline)
            self._tally(asked, left, answered, whole=whole)
            asked_all = asked_all and whole
            found |= {product.key: Known(product, asked.source.name, now) for product in answered if product.key in left}
        misses = missing - set(found) if asked_all and sources else set[ProductKey]()
        found |= {key: Known(before[key].product, before[key].source, now) for key in misses & set(before)}
        misses -= set(found)
        self._keep(store, found, misses, now)
        return found | {key: Known(None, "", now) for key in misses}

    def _look_up(self, store: Store, asked: _Asked, keys: Iterable[ProductKey], deadline: Deadline) -> tuple[list[Product], bool]:
        """What one source returns, and whether it was asked for every key."""
        products: list[Product] = []
        ordered, most = sorted(keys), asked.source.at_once
        try:
            for start in range(0, len(ordered), most):
                products += _look_up_in_time(asked.source, ordered[start : start + most], deadline)
        except StoreTrouble as trouble:
            self._note(store, asked, trouble)
            return products, False
        except Exception as error:  # noqa: BLE001 - nothing in a store's response may fail an order
            self._note(store, asked, StoreTrouble(f"its response could not be read ({type(error).__name__})"))
            return products, False
        asked.failures = 0
        return products, True

    def _tally(self, asked: _Asked, wanted_of: Set[ProductKey], products: Sequence[Product], *, whole: bool) -> None:
        """Count the products that a source was asked for, by outcome."""
        found = len(wanted_of & {product.key for product in products})
        self._outcomes[asked.source.name, "found"] += found
        self._outcomes[asked.source.name, "missing" if whole else "failed"] += len(wanted_of) - found
        self._outcomes = +self._outcomes  # drops the zeros

    def _note(self, store: Store, asked: _Asked, trouble: StoreTrouble) -> None:
        asked.failed(trouble)
        rests = max(0, round(asked.rests_until - time.monotonic()))
        about = {"action": "look_up_failed", "store": store.name, "source": asked.source.name, "seconds": rests}
        log.warning("product lookup failed: %s", trouble, extra=about)

    def _keep(self, store: Store, found: Mapping[ProductKey, Known], misses: Iterable[ProductKey], now: datetime) -> None:
        by_source: dict[str, list[Product]] = {}
        for entry in found.values():
            if entry.product is not None:
                by_source.setdefault(entry.source, []).append(entry.product)
        outcomes, self._outcomes = self._outcomes, Counter()
        if not by_source and not misses and not outcomes:
            return

        def write(connection: Connection) -> None:
            for (source, outcome), number in outcomes.items():
                count(connection, "look_ups", number, store=store.name, source=source, outcome=outcome)
            for source, products in by_source.items():
                keep_products(connection, store.name, products, source, now)
            keep_misses(connection, store.name, misses, "", now)

        self._unwritten.append(write)

    def _sources_of(self, store: Store, address: str) -> list[_Asked]:
        if not store.api.look_up_products:
            return []
        if (store.name, address) not in self._sources:
            if len(self._sources) >= _MOST_SHOPS:  # an address can come from a payload: limit their number
                self._sources.clear()
            self._sources[store.name, address] = [_Asked(source) for source in sources_of(store, self._settings, address)]
        return self._sources[store.name, address]


def _look_up_in_time(source: ProductSource, keys: Sequence[ProductKey], deadline: Deadline) -> Sequence[Product]:
    """What a source returns, after the pauses that it asks for as long as there is time."""
    while True:
        try:
            return source.look_up(keys, deadline)
        except StoreTrouble as trouble:
            wait_s = None if trouble.wait_s is None else max(trouble.wait_s, _LEAST_WAIT_S)
            if wait_s is None or wait_s >= deadline.left:
                raise
            time.sleep(wait_s)


def _completed(order: Order, known: Mapping[ProductKey, Known]) -> Completed:
    products = {key: entry.product for key, entry in known.items() if entry.product is not None}
    sources = {
        "/".join(part for part in (key.product_id, key.variant_id) if part): _origin_of(known.get(key)) for key in sorted(wanted(order))
    }
    return Completed(complete(order, products), sources)


def _origin_of(entry: Known | None) -> str:
    if entry is None:
        return "not asked"
    return entry.source if entry.product is not None else "not found"
