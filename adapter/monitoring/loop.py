"""Monitoring done by one sender process beside sending: it updates the counters, compares sums and sends alerts."""

import time

from sqlalchemy import Engine

from adapter.inbox import counters
from adapter.inbox.database import Clock, snapshot, transaction
from adapter.inbox.hours import count_hour
from adapter.monitoring.alerts import Alerts
from adapter.monitoring.sums import SumsWatch
from adapter.settings import Settings

SETTLED_AFTER_S = 60.0
"""Any insert has been committed or rolled back by then: a statement takes 3 s at most."""
_STORES_AT_ONCE = 20
_HOURS_A_STEP = 24
"""After a time without a sender there may be many hours to count; alerts don't wait for more than these."""


class MonitoringLoop:
    """Used by one thread of the process that holds the reader's lease."""

    def __init__(self, engine: Engine, settings: Settings, clock: Clock) -> None:
        self._engine = engine
        self._stores = settings.stores
        self._clock = clock
        self._sums = SumsWatch(engine, settings, clock)
        self._alerts = Alerts(engine, settings, clock)
        self._seen: tuple[float, int] | None = None
        self._rolled_up = 0

    def step(self) -> None:
        """Do everything once."""
        self._roll_up()
        for _ in range(_HOURS_A_STEP):
            if not count_hour(self._engine, self._clock()):
                break
        self._sums.step()
        self._alerts.step()

    def _roll_up(self) -> None:
        now = time.monotonic()
        if self._seen is not None:
            seen_at, newest = self._seen
            if now - seen_at < SETTLED_AFTER_S:
                return
            if newest > self._rolled_up:
                self._roll_up_to(newest)
                self._rolled_up = newest
        with snapshot(self._engine) as connection:
            self._seen = now, counters.newest_id(connection)

    def _roll_up_to(self, newest: int) -> None:
        """Roll up the stores that have new deliveries, a few in each transaction: a sender must not wait for more than a moment."""
        with snapshot(self._engine) as connection:
            stores = [store for store in counters.stores_between(connection, self._rolled_up, newest) if store in self._stores]
        for start in range(0, len(stores), _STORES_AT_ONCE):
            with transaction(self._engine) as connection:
                for store in stores[start : start + _STORES_AT_ONCE]:
                    counters.roll_up(connection, store, newest)
