"""Whether a store has been silent unusually long, judged by its own webhooks of the last two weeks."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import Connection

from adapter.inbox import arrivals

HOURS = 14 * 24
"""How far back a store's webhooks are considered: two weekends and all the nights between."""
_MIN_HOURS = 5
"""A store with webhooks in fewer hours than this isn't judged."""
_FACTOR = 2
"""A silence is unusual once it exceeds this many times the longest one before."""
_REMEMBERED_S = 60.0
_FEW = 50
_WEEK = timedelta(days=7)
_HOUR = timedelta(hours=1)
_MIN_LIMIT_OF_NEW_STORE = timedelta(days=1)
"""For a store known for less than a week: its nights and Sundays haven't been seen yet."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A store's last webhook, and how long a silence is normal for it. `limit` is None while too little is known."""

    last_at: datetime | None
    limit: timedelta | None

    def is_unusual(self, now: datetime) -> bool:
        """Whether the store has been silent for longer than the limit."""
        return self.last_at is not None and self.limit is not None and now - self.last_at > self.limit


class Silences:
    """Reads the silences of stores again and again. A limit takes hundreds of index look-ups, so it is remembered for a minute."""

    def __init__(self) -> None:
        self._limits: dict[str, tuple[float, timedelta | None]] = {}

    def read(self, connection: Connection, stores: Collection[str]) -> dict[str, Silence]:
        """Store -> its silence."""
        lasts = arrivals.last_arrivals(connection)
        outdated = [store for store in stores if store in lasts and self._is_outdated(store)]
        for store, silence in _silences(connection, outdated, lasts).items():
            self._limits[store] = (time.monotonic(), silence.limit)
        return {store: Silence(lasts[store], self._limits[store][1]) if store in lasts else Silence(None, None) for store in stores}

    def _is_outdated(self, store: str) -> bool:
        read_at, _ = self._limits.get(store, (float("-inf"), None))
        return time.monotonic() - read_at > _REMEMBERED_S


def read_silences(connection: Connection, stores: Collection[str]) -> dict[str, Silence]:
    """Store -> its silence, for callers that ask once."""
    lasts = arrivals.last_arrivals(connection)
    found = _silences(connection, [store for store in stores if store in lasts], lasts)
    return {store: found.get(store, Silence(None, None)) for store in stores}


def _silences(connection: Connection, stores: Collection[str], lasts: Mapping[str, datetime]) -> dict[str, Silence]:
    """Of many stores at once, by reading the times of all their webhooks; of a few, by looking at each hour."""
    if len(stores) <= _FEW:
        return {store: store_silence(connection, store) for store in stores}
    active = arrivals.active_hours(connection, {store: lasts[store] for store in stores}, HOURS)
    return {store: silence_of(lasts[store], sorted(active.get(store, ()))) for store in stores}


def store_silence(connection: Connection, store: str) -> Silence:
    """A store's silence, from its webhooks in the inbox."""
    last_at = arrivals.last_arrival(connection, store)
    active = arrivals.hours_with_arrivals(connection, store, last_at, HOURS) if last_at else ()
    return silence_of(last_at, [number for number, any_ in enumerate(active) if any_])


def silence_of(last_at: datetime | None, hours: Sequence[int]) -> Silence:
    """The silence of a store whose last webhook came at `last_at`; `hours` before that in which any came, in ascending order."""
    if last_at is None or len(hours) < _MIN_HOURS:
        return Silence(last_at, None)
    longest = max(older - newer for newer, older in pairwise(hours))
    is_new = hours[-1] * _HOUR < _WEEK
    shortest = _MIN_LIMIT_OF_NEW_STORE if is_new else _HOUR
    return Silence(last_at, max(longest * _FACTOR * _HOUR, shortest))
