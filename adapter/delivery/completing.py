"""Fetches the complete order from the store's API where a webhook contains too little: four fields of an Adobe I/O event, or only an ID."""

import logging
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from adapter.delivery.store_requests import StoreRequests
from adapter.delivery.store_rests import StoreRests
from adapter.inbox.sources import Source
from adapter.settings import Settings
from adapter.stores.api import History
from adapter.stores.http import Deadline, StoreTrouble
from adapter.stores.platforms import history_of
from mappings import Reading, Reason

log = logging.getLogger(__name__)
_TIMEOUT_S = 20.0
"""How long all requests for one order may take together."""
# Several webhooks of one change arrive together, and one response serves them all.
_KEPT = timedelta(minutes=1)
_MOST_KEPT = 200


class Fetching(Exception):  # noqa: N818 - not an error
    """What is needed is under way; `fetch` is done when it is worth asking again."""

    def __init__(self, fetch: "Future[Any]") -> None:
        super().__init__()
        self.fetch = fetch


@dataclass(frozen=True, slots=True)
class _Fetch:
    begun_at: datetime
    newest: int
    """The newest delivery that had arrived by then: the order is at least as new as it and all before."""
    future: "Future[bytes | None]"


class Completer:
    """Fetches complete orders from the stores' APIs, in threads of its own. Used by one thread."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._requests = StoreRequests()
        self._histories: dict[str, History | None] = {}
        self._fetches: dict[tuple[str, str], _Fetch] = {}
        self._rests: defaultdict[str, StoreRests] = defaultdict(StoreRests)
        self._newest = 0

    def arrived(self, newest: int) -> None:
        """The newest delivery that is about to be read."""
        self._newest = max(self._newest, newest)

    def can_ask(self, source: Source) -> bool:
        """Whether the store has an API to ask."""
        return self._history(source) is not None

    def whole_order(self, source: Source, reading: Reading, delivery: int) -> bytes | None:
        """The complete order behind a payload that lacks required fields; None if it lacks none, or the store has no such order or no API.

        It is at least as new as the delivery. Raises `Fetching` until the order is there, and `StoreTrouble`, with the time after which to
        ask again, while the store's API is unavailable.
        """
        if reading.identity is None or not _lacks(reading):
            return None
        return self.fetch(source, reading.identity.order_id, delivery)

    def fetch(self, source: Source, order_id: str, delivery: int) -> bytes | None:
        """An order from the store's API; None if there is none, or no API to ask. Raises as above."""
        history = self._history(source)
        if history is None:
            return None
        key = source.store.name, order_id
        fetch = self._fetches.get(key)
        if fetch is not None and not fetch.future.done():
            raise Fetching(fetch.future)
        if fetch is None or fetch.newest < delivery:
            self._rests[source.store.name].check(order_id, self._clock())
            future = self._requests.submit(source.store.name, lambda: self._ask(history, *key))
            self._forget_old()
            self._fetches[key] = _Fetch(self._clock(), self._newest, future)
            raise Fetching(future)
        if fetch.future.exception() is not None:
            del self._fetches[key]
        return fetch.future.result()

    def _ask(self, history: History, store: str, order_id: str) -> bytes | None:
        """Ask a store, in a thread; an order that failed is left alone for a while, and so is a store that fails."""
        rests = self._rests[store]
        rests.check(order_id, self._clock())
        try:
            order = history.order(order_id, Deadline(_TIMEOUT_S))
        except StoreTrouble as trouble:
            rest = rests.failed(order_id, trouble, self._clock())
            about = {"action": "put_off", "store": store, "seconds": round(rest.total_seconds())}
            log.warning("the complete order could not be fetched: %s", trouble, extra=about)
            raise StoreTrouble(str(trouble), wait_s=rest.total_seconds()) from None
        rests.answered()
        return order

    def given_up(self, store: str, order_id: str) -> None:
        """Nobody waits for an order any longer."""
        self._rests[store].given_up(order_id)

    def _forget_old(self) -> None:
        now = self._clock()
        done = [key for key, fetch in self._fetches.items() if fetch.future.done()]
        too_many = set(done[: max(0, len(done) - _MOST_KEPT)])
        for key in done:
            if key in too_many or now - self._fetches[key].begun_at > _KEPT:
                del self._fetches[key]

    def _history(self, source: Source) -> History | None:
        store = source.store
        if store.name not in self._histories:
            self._histories[store.name] = history_of(store, self._settings)
        return self._histories[store.name]


def _lacks(reading: Reading) -> bool:
    """Whether missing fields are the only obstacle: the payload is an order that would otherwise be sent."""
    skip = reading.skip(placed=True)
    withheld = reading.identity is not None and reading.identity.email_withheld
    if skip is not None:
        return skip.reason is Reason.NO_EMAIL and withheld
    return bool(reading.problems)
