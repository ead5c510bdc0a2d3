"""How long a store's API, or one of its orders, is left alone after a failed request: one bad order must not hold up the others."""

import threading
from collections import Counter
from datetime import datetime, timedelta

from adapter.stores.http import StoreTrouble

_OF_STORE = timedelta(minutes=1)
_LONGEST_ASKED_FOR = timedelta(hours=1)
# Longer than the store's, so that orders that have not failed are the next to be tried.
_OF_ORDER, _LONGEST_OF_ORDER = timedelta(minutes=2), timedelta(minutes=10)
# When so many different orders fail in a row it is the store that fails; before, it may be the orders.
_FAIL_IN_A_ROW = 3


class StoreRests:
    """The rests of one store. Used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rests: dict[str, tuple[datetime, str]] = {}
        """Order -> until when it is left alone, and why; "" is the store itself."""
        self._failures: Counter[str] = Counter()
        """How often each order has failed since the store last answered."""

    def check(self, order_id: str, now: datetime) -> None:
        """Raise `StoreTrouble`, with the time left, while the order is left alone."""
        with self._lock:
            until, why = max(self._rests.get(key, (now, "")) for key in ("", order_id))
        if until > now:
            raise StoreTrouble(why, wait_s=(until - now).total_seconds())

    def answered(self) -> None:
        """The store has answered: whatever failed before was an order's own trouble, or is over."""
        with self._lock:
            self._failures.clear()

    def failed(self, order_id: str, trouble: StoreTrouble, now: datetime) -> timedelta:
        """A request failed. How long the order is left alone from now on, and with it the store if that fails or asked for it."""
        asked = min(timedelta(seconds=trouble.wait_s or 0.0), _LONGEST_ASKED_FOR)
        with self._lock:
            self._failures[order_id] += 1
            self._rests = {key: rest for key, rest in self._rests.items() if rest[0] > now}
            store_fails = len(self._failures) >= _FAIL_IN_A_ROW
            if store_fails or trouble.wait_s is not None:
                self._rests[""] = now + max(_OF_STORE, asked), str(trouble)
            doubled = _OF_ORDER * 2 ** min(self._failures[order_id] - 1, 10)
            rest = max(asked, _LONGEST_OF_ORDER if store_fails else min(doubled, _LONGEST_OF_ORDER))
            self._rests[order_id] = now + rest, str(trouble)
            return rest

    def given_up(self, order_id: str) -> None:
        """Nobody waits for the order any longer; when a person retries it, it is asked for at once."""
        with self._lock:
            self._rests.pop(order_id, None)
            self._failures.pop(order_id, None)
