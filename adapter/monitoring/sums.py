"""Compares the amounts of stores' newest orders with their totals, where an order has differed, and remembers what it found."""

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, Row

from adapter.inbox import comparisons, counters
from adapter.inbox.database import Clock, snapshot, transaction
from adapter.operations.sums import Comparison, compare
from adapter.settings import Settings

_A_STEP_S = 0.2


class SumsWatch:
    """Used by one thread of the process that holds the reader's lease."""

    def __init__(self, engine: Engine, settings: Settings, clock: Clock) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._seen: dict[str, tuple[int, int]] = {}
        """Store -> what was counted when it was last compared. Begins empty: settings may have changed."""
        self._turns: dict[str, float] = {}

    def step(self) -> None:
        """Compare the stores that have sent orders since the last time, for a moment; the others follow in the next steps."""
        found: dict[str, Comparison] = {}
        with snapshot(self._engine) as connection:
            known = comparisons.known(connection)
            until = time.monotonic() + _A_STEP_S
            for store, counted in self._outdated(connection, known):
                found[store] = compare(connection, self._settings.stores[store], self._settings)
                self._seen[store], self._turns[store] = counted, time.monotonic()
                if time.monotonic() > until:
                    break
        if found:
            with transaction(self._engine) as connection:
                for store, comparison in found.items():
                    self._note(connection, store, comparison, known.get(store))

    def _outdated(self, connection: Connection, known: Mapping[str, Row[Any]]) -> list[tuple[str, tuple[int, int]]]:
        """The stores to compare, and what is counted of each; the one that has waited longest first."""
        counted: dict[str, dict[str, int]] = {store: {} for store in self._settings.stores}
        for name, labels, number in counters.totals(connection):
            if name in ("sums_differ", "delivered") and labels["store"] in counted:
                counted[labels["store"]][name] = number
        outdated = []
        for store, numbers in counted.items():
            now = numbers.get("sums_differ", 0), numbers.get("delivered", 0)
            if now != self._seen.get(store) and (now[0] or store in known):
                outdated.append((store, now))
        return sorted(outdated, key=lambda each: self._turns.get(each[0], 0.0))

    def _note(self, connection: Connection, store: str, found: Comparison, before: Row[Any] | None) -> None:
        now = self._clock()
        newest, difference = found.differences[0] if found.differences else (None, None)
        comparisons.note(
            connection,
            store,
            at=now,
            differs_since=(before.since if before is not None and before.since else now) if found.differs_a_lot else None,
            orders=found.orders,
            differing=len(found.differences),
            delivery_id=newest,
            difference=str(difference) if difference else None,
            advice=difference.advice if difference else None,
        )
