"""Fetches the complete order from the store's API where a webhook carries too few fields, such as an Adobe I/O event with four."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from adapter.inbox.sources import Source
from adapter.settings import Settings
from adapter.stores.api import History
from adapter.stores.http import Deadline, StoreTrouble
from adapter.stores.platforms import history_of
from mappings import Reading, Reason

log = logging.getLogger(__name__)
TIMEOUT_S = 8.0
"""How long one request may take, and how long all requests of one step may take together: other stores' orders wait meanwhile, and the
reader's lease lasts 20 s.
"""
_REST = timedelta(minutes=1)
_LONGEST_REST = timedelta(hours=1)


class Completer:
    """Fetches complete orders from the stores' APIs. Used by one thread."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._histories: dict[str, History | None] = {}
        self._rests_until: dict[str, datetime] = {}

    def whole_order(self, source: Source, reading: Reading, turn: Deadline) -> bytes | None:
        """The complete order behind a payload that lacks required fields; None if it lacks nothing or the store has no API to ask.

        Raises `StoreTrouble`, with the time after which to ask again, while the store's API is unavailable or `turn` is used up.
        """
        if reading.identity is None or not _lacks(reading):
            return None
        return self.fetch(source, reading.identity.order_id, turn)

    def fetch(self, source: Source, order_id: str, turn: Deadline) -> bytes | None:
        """An order from the store's API; None if there is none, or no API to ask. Raises `StoreTrouble` as above."""
        store = source.store
        history = self._history(source)
        if history is None:
            return None
        now = self._clock()
        rest = self._rests_until.get(store.name, now) - now
        if rest > timedelta(0):
            raise StoreTrouble("the store's API failed a moment ago", wait_s=rest.total_seconds())
        if not turn.left:
            raise StoreTrouble("there was no time left to ask the store", wait_s=0.0)
        try:
            return history.order(order_id, Deadline(TIMEOUT_S))
        except StoreTrouble as trouble:
            rest = max(_REST, min(timedelta(seconds=trouble.wait_s or 0.0), _LONGEST_REST))
            self._rests_until[store.name] = self._clock() + rest
            about = {"action": "put_off", "store": store.name, "seconds": round(rest.total_seconds())}
            log.warning("the complete order could not be fetched: %s", trouble, extra=about)
            raise StoreTrouble(str(trouble), wait_s=rest.total_seconds()) from None

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
