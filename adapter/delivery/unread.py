"""Which deliveries are read next: live ones first, and of every store as many as there is room for."""

from collections import defaultdict
from collections.abc import Collection, Container, Mapping, Sequence
from itertools import count
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Row

from adapter.inbox.reading import oldest_unread, stores_with_unread, with_payloads
from adapter.inbox.sending import PRIORITIES
from adapter.inbox.sql import parts

_AT_ONCE = 200
_STORES_AT_ONCE = 50
# So many payloads are loaded at once, and no more as soon as they are so large.
_LOADED_AT_ONCE, _MOST_BYTES = 20, 16_000_000
# So many deliveries of a store wait for its API at a time; the rest stays unread meanwhile.
_MOST_WAITING = 500


class Unread:
    """Takes the stores in turn, so that one with many unread deliveries does not keep the others waiting."""

    def __init__(self, stores: Container[str]) -> None:
        self._stores = stores
        self._last = dict.fromkeys(PRIORITIES, "")
        self._alone = False
        self._turns = count(1)
        self._last_turn: defaultdict[str, int] = defaultdict(int)

    def next(self, connection: Connection, waiting: Mapping[str, Collection[int]] = MappingProxyType({})) -> Sequence[Row[Any]]:
        """The next deliveries to read, except those that wait for their store's API, by store.

        Those of one store are in the order of arrival, and the stores in turn: the reader may stop anywhere, and the store that has waited
        longest comes first.
        """
        for priority in PRIORITIES:
            stores = [store for store in self._in_turn(connection, priority) if len(waiting.get(store, ())) < _MOST_WAITING]
            share = max(1, _AT_ONCE // max(1, len(stores)))
            rows = [row for store in stores for row in oldest_unread(connection, priority, store, share, waiting.get(store, ()))]
            if rows:
                return _loaded(connection, [row.id for row in self._by_turns(self._chosen(sorted(rows, key=lambda row: row.id)))])
        return ()

    def _chosen(self, rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
        """All rows on which no work was started before; every other time one of the rest, alone.

        A payload that crashes the process must take no other with it.
        """
        fresh, started = [row for row in rows if row.starts == 0], [row for row in rows if row.starts]
        self._alone = bool(started) and not (fresh and self._alone)
        return started[:1] if self._alone else fresh

    def had_turn(self, store: str) -> None:
        """Note that a delivery of a store was read."""
        self._last_turn[store] = next(self._turns)

    def _by_turns(self, rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
        places: defaultdict[str, int] = defaultdict(int)
        order = []
        for row in rows:
            order.append((places[row.store], self._last_turn[row.store], row.id, row))
            places[row.store] += 1
        return [row for *_, row in sorted(order, key=lambda each: each[:3])]

    def _in_turn(self, connection: Connection, priority: int) -> list[str]:
        """The next stores with unread deliveries. Stores that are not in the settings wait."""
        last = self._last[priority]
        turn = self._after(connection, priority, last)
        if last and len(turn) < _STORES_AT_ONCE:
            turn += [store for store in self._after(connection, priority, "") if store <= last]
        turn = turn[:_STORES_AT_ONCE]
        self._last[priority] = turn[-1] if len(turn) == _STORES_AT_ONCE else ""
        return turn

    def _after(self, connection: Connection, priority: int, last: str) -> list[str]:
        turn: list[str] = []
        while len(turn) < _STORES_AT_ONCE:
            names = stores_with_unread(connection, priority, last, _STORES_AT_ONCE)
            turn += [name for name in names if name in self._stores]
            if len(names) < _STORES_AT_ONCE:
                break
            last = names[-1]
        return turn


def _loaded(connection: Connection, ids: Sequence[int]) -> Sequence[Row[Any]]:
    """As many of these as memory has room for."""
    rows: list[Row[Any]] = []
    for some in parts(ids, _LOADED_AT_ONCE):
        rows += with_payloads(connection, some)
        if sum(len(row.payload or b"") for row in rows) > _MOST_BYTES:
            break
    return rows
