"""How long a store's API, or one of its orders, is left alone after a failed request: one bad order must not hold up the others."""

import threading
from collections import Counter
from datetime import datetime, timedelta

_OF_STORE = timedelta(minutes=1)
_LONGEST_ASKED_FOR = timedelta(hours=1)
# Longer than the store's, so that orders that have not failed are the next to be tried.
_OF_ORDER, _LONGEST_OF_ORDER = timedelta(minutes=2), timedelta(minutes=10)
# When so many different orders fail in a row it is the store that fails; before, it may be the orders.
_FAIL_IN_A_ROW = 3
_NONE = timedelta(0)


class StoreRests:
    """The rests of one store. Used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._store_until: datetime | None = None
        self._orders_until: dict[str, datetime] = {}
        self._failures: Counter[str] = Counter()
        """How often each order has failed since the store last answered."""

    def left(self, order_id: str, now: datetime) -> timedelta:
        """How long the order is left alone from now on; 0 if it may be asked for."""
        with self._lock:
            return max(max(self._store_until or now, self._orders_until.get(order_id, now)) - now, _NONE)

    def answered(self) -> None:
        """The store has answered: whatever failed before was an order's own trouble, or is over."""
        with self._lock:
            self._failures.clear()

    def failed(self, order_id: str, asked_s: float | None, now: datetime) -> timedelta:
        """A request failed, and the store asked for a rest of so many seconds, or for none. How long the order is left alone."""
        with self._lock:
            self._failures[order_id] += 1
            store_fails = len(self._failures) >= _FAIL_IN_A_ROW
            asked = min(timedelta(seconds=asked_s or 0.0), _LONGEST_ASKED_FOR)
            if store_fails or asked_s is not None:
                self._store_until = now + max(_OF_STORE, asked)
            doubled = _OF_ORDER * 2 ** min(self._failures[order_id] - 1, 10)
            rest = max(asked, _LONGEST_OF_ORDER if store_fails else min(doubled, _LONGEST_OF_ORDER))
            still = {order: until for order, until in self._orders_until.items() if until > now}
            self._orders_until = {**still, order_id: now + rest}
            return rest

    def given_up(self, order_id: str) -> None:
        """Nobody waits for the order any longer; when a person retries it, it is asked for at once."""
        with self._lock:
            self._orders_until.pop(order_id, None)
            self._failures.pop(order_id, None)
