"""Completes a payload whose sender chose too few fields, such as an Adobe I/O event with four, from the store's own API."""

import time

from adapter.delivery.contexts import Source
from adapter.settings import Settings
from adapter.stores.api import History, StoreTrouble
from adapter.stores.platforms import history_of
from mappings import Reading, Reason, Rejected

_REST_S = 60.0


class Completer:
    """Asks the stores' APIs for whole orders. Used by one thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._histories: dict[str, History | None] = {}
        self._rests_until: dict[str, float] = {}

    def whole_order(self, source: Source, reading: Reading) -> bytes | None:
        """The whole order of a payload that lacks what an order needs; None where it lacks nothing, or nobody can be asked.

        Raises `Rejected` if the store's API is of no help just now: the delivery is then to be sent again.
        """
        if reading.identity is None or not _lacks(reading):
            return None
        store = source.store
        history = self._history(source)
        if history is None:
            return None
        try:
            if self._rests_until.get(store.name, 0.0) > time.monotonic():
                raise StoreTrouble("the store's API has just failed")
            return history.order(reading.identity.order_id)
        except StoreTrouble as trouble:
            self._rests_until[store.name] = time.monotonic() + _REST_S
            raise Rejected({**reading.problems, "": [f"the payload lacks fields, and the store could not be asked: {trouble}"]}) from None

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
