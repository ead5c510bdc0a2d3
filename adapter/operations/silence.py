"""Whether a store that used to speak has gone quiet, by its own rhythm."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

HOURS = 14 * 24
"""A rhythm is told by the hours of so long a time: two weekends and all the nights between."""
_FEWEST = 5
_LONGER_THAN_EVER = 2
_A_WEEK = timedelta(days=7)
# A store that is known for less than a week has shown neither its nights nor its Sundays.
_SHORTEST_WHILE_NEW = timedelta(days=1)
_AN_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a store spoke last, and how long it may be silent before that is strange; None: too little is known of it."""

    last_at: datetime | None
    patience: timedelta | None

    def is_quiet(self, now: datetime) -> bool:
        """Whether it has been silent for longer than it ever was."""
        return self.last_at is not None and self.patience is not None and now - self.last_at > self.patience


def rhythm_of(last_at: datetime | None, spoke: Sequence[bool]) -> Rhythm:
    """The rhythm of a store that spoke last at `last_at`, and in these of the hours before that, the newest first."""
    hours = [number for number, any_ in enumerate(spoke) if any_]
    if last_at is None or len(hours) < _FEWEST:
        return Rhythm(last_at, None)
    longest = max(older - newer for newer, older in pairwise(hours))
    is_new = hours[-1] * _AN_HOUR < _A_WEEK and not any(spoke[-24:])
    shortest = _SHORTEST_WHILE_NEW if is_new else _AN_HOUR
    return Rhythm(last_at, max(longest * _LONGER_THAN_EVER * _AN_HOUR, shortest))
