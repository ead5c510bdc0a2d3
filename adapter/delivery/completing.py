"""Completes a payload whose sender chose too few fields, such as an Adobe I/O event with four, from the store's own API."""

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
PATIENCE_S = 8.0
"""How long one request may take, and after how long in all nobody is asked any more before the next step: other stores' orders wait
meanwhile, and the reader's lease lasts 20 s.
"""
_REST = timedelta(minutes=1)
_LONGEST_REST = timedelta(hours=1)


class Completer:
    """Asks the stores' APIs for whole orders. Used by one thread."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._histories: dict[str, History | None] = {}
        self._rests_until: dict[str, datetime] = {}

    def whole_order(self, source: Source, reading: Reading, turn: Deadline) -> bytes | None:
        """The whole order of a payload that lacks what an order needs; None where it lacks nothing, or nobody can be asked.

        Raises `StoreTrouble` if the store's API is of no help just now, with the time after which to ask again. When `turn` is over nobody
        is asked any more.
        """
        if reading.identity is None or not _lacks(reading):
            return None
        store = source.store
        history = self._history(source)
        if history is None:
            return None
        now = self._clock()
        rest = self._rests_until.get(store.name, now) - now
        if rest > timedelta(0):
            raise StoreTrouble("the store's API has just failed", wait_s=rest.total_seconds())
        if not turn.left:
            raise StoreTrouble("there was no time to ask the store", wait_s=0.0)
        try:
            return history.order(reading.identity.order_id, Deadline(PATIENCE_S))
        except StoreTrouble as trouble:
            rest = max(_REST, min(timedelta(seconds=trouble.wait_s or 0.0), _LONGEST_REST))
            self._rests_until[store.name] = self._clock() + rest
            about = {"action": "put_off", "store": store.name, "seconds": round(rest.total_seconds())}
            log.warning("a payload lacks fields, and the store could not be asked for the whole order: %s", trouble, extra=about)
            raise StoreTrouble(str(trouble), wait_s=rest.total_seconds()) from None

    def _history(self, source: Source) -> History | None:
        store = source.store
        if store.name not in self._histories:
            self._histories[store.name] = history_of(store, self._settings)
        return self._histories[store.name]


def _lacks(reading: Reading) -> bool:
    """Whether only fields are missing: the payload is of an order, and nothing else speaks against sending it."""
    skip = reading.skip(placed=True)
    withheld = reading.identity is not None and reading.identity.email_withheld
    if skip is not None:
        return skip.reason is Reason.NO_EMAIL and withheld
    return bool(reading.problems)
