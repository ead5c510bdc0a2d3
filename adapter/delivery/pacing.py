"""Which request to send next, and when. docs/pacing.md explains the policy and its arithmetic.

Drip limits single and batch requests in any sliding hour. A request is counted until an hour after it ended: Drip counted it at some moment
between its start and its end, so only then is it certain to have left Drip's window.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

Kind = Literal["single", "batch"]
HOUR = timedelta(hours=1)
MOST_ORDERS = 1000
"""The most orders in a batch, by Drip's page "Batch API"."""
_RESERVE = 4
"""One request in four is reserved for live orders."""
_SOON_S = 120.0
"""A backlog that single requests clear within this time of falling due is not batched."""
_LEAST_SOON_S = 20.0
"""Nor one that they clear within this time from now, however long it has been due."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Orders that are due now: live ones, and others that can wait (requested retries, backfill)."""

    live: int
    other: int = 0
    since: datetime | None = None
    """When the first of them fell due."""

    @property
    def orders(self) -> int:
        """The sum of both."""
        return self.live + self.other


@dataclass(frozen=True, slots=True)
class Plan:
    """Send a request now, with at most this many orders."""

    kind: Kind
    orders: int
    live_only: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing may be sent before this time."""

    until: datetime


class Window:
    """The requests of one kind in the last hour, and how many are allowed. Times are floats, seconds since 1970: there can be thousands."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.last_start: datetime | None = None
        self.closed_until: datetime | None = None
        self._expiries: list[float] = []
        self._known_gap: float | None = None

    def load(self, requests: Iterable[tuple[datetime, datetime]]) -> None:
        """Load the ledger from the database: for each request its start, and its end or the latest possible end."""
        entries = sorted(requests)
        self._expiries = sorted((ended + HOUR).timestamp() for _, ended in entries)
        self.last_start = entries[-1][0] if entries else None
        self._known_gap = None

    def spend(self, started: datetime, ended: datetime) -> None:
        """Count a request."""
        insort(self._expiries, (ended + HOUR).timestamp())
        self.last_start = started
        self._known_gap = None

    def ended(self, assumed: datetime, ended: datetime) -> None:
        """Replace a request's assumed end by its real one."""
        expiry = (assumed + HOUR).timestamp()
        index = bisect_left(self._expiries, expiry)
        if self._expiries[index : index + 1] == [expiry]:
            del self._expiries[index]
            insort(self._expiries, (ended + HOUR).timestamp())
            self._known_gap = None

    def left(self, now: datetime) -> int:
        """How many requests are still allowed now."""
        if expired := bisect_right(self._expiries, now.timestamp()):
            del self._expiries[:expired]
            self._known_gap = None
        return max(0, self.limit - len(self._expiries))

    @property
    def reserve(self) -> int:
        """How many requests are reserved for live orders."""
        return self.limit // _RESERVE

    def opens(self, now: datetime, *, live: bool) -> datetime:
        """The time of the next permitted request: now or later."""
        if self.is_closed(now):
            return self.closed_until or now
        left = self.left(now)
        if left > self.reserve:
            return now
        if not live:
            return self._expiry(self.reserve - left)  # by then more than the reserve is free
        if left == 0:
            return self._expiry(0)
        return max(now, (self.last_start or now) + timedelta(seconds=self._gap(now, left)))

    def is_closed(self, now: datetime) -> bool:
        """Whether a 429 from Drip is still in force."""
        return self.closed_until is not None and self.closed_until > now

    def even_gap(self) -> timedelta:
        """The gap that spreads an hour's requests evenly."""
        return HOUR / self.limit

    def soon(self, now: datetime, within_s: float, *, live: bool) -> float:
        """How many requests the pacing permits within this time."""
        left = 0 if self.is_closed(now) else self.left(now)
        if left > self.reserve:
            return float(left - self.reserve)
        return within_s / max(self._gap(now, left), 0.001) if left and live else 0.0

    def _gap(self, now: datetime, left: int) -> float:
        """The shortest gap in seconds that never runs out: at each coming expiry, no more has been spent than was free by then."""
        if self._known_gap is None:
            second = now.timestamp()
            steps = ((expiry - second) / (left + index + 1) for index, expiry in enumerate(self._expiries))
            self._known_gap = max(steps, default=0.0)
        return self._known_gap

    def _expiry(self, index: int) -> datetime:
        return datetime.fromtimestamp(self._expiries[index], UTC)


class Pacing:
    """Decides the next request of one account, from its two windows and what is due."""

    def __init__(self, single_limit: int, batch_limit: int) -> None:
        self.windows: dict[Kind, Window] = {"single": Window(single_limit), "batch": Window(batch_limit)}
        self.single_takes_s = 0.2
        """How long a single order takes from its claim until it is settled, as measured lately."""

    def measured(self, seconds: float) -> None:
        """Learn how long a single order took."""
        self.single_takes_s += (seconds - self.single_takes_s) / 8

    def decide(self, now: datetime, demand: Demand) -> Plan | Wait | None:
        """What to send now, or how long to wait; None when nothing is due."""
        if not demand.orders:
            return None
        # Live orders first. What need not be live rides along in a batch of theirs only while the reserve is untouched.
        live = demand.live > 0
        mine = demand.live if live else demand.other
        batch = self.windows["batch"]
        alone = live and batch.left(now) <= batch.reserve
        single_opens = self.windows["single"].opens(now, live=live)
        if mine <= self._singly(now, demand.since, live=live) or batch.limit == 0:
            return Plan("single", 1, live_only=live) if single_opens <= now else Wait(single_opens)
        together = min(mine if alone else demand.orders, MOST_ORDERS)
        batch_opens = self._batch_opens(now, together, demand.since, live=live)
        if batch_opens <= now:
            return Plan("batch", together, live_only=alone)
        return Plan("single", 1, live_only=live) if single_opens <= now else Wait(min(single_opens, batch_opens))

    def _singly(self, now: datetime, since: datetime | None, *, live: bool) -> float:
        """How many orders can be sent singly soon, by the time that each takes and by the quota."""
        waited_s = (now - since).total_seconds() if since is not None else 0.0
        within_s = max(_SOON_S - waited_s, _LEAST_SOON_S)
        return min(within_s / max(self.single_takes_s, 0.001), self.windows["single"].soon(now, within_s, live=live))

    def _batch_opens(self, now: datetime, together: int, since: datetime | None, *, live: bool) -> datetime:
        window = self.windows["batch"]
        opening = window.opens(now, live=live)
        # A partial batch uses as much quota as a full one, so it waits for its turn in an evenly spread hour. Orders that were due when the
        # batch before was sent are the rest of a backlog, of which there is only one.
        if together < MOST_ORDERS and window.last_start is not None and not (since is not None and since < window.last_start):
            opening = max(opening, window.last_start + window.even_gap())
        return opening
