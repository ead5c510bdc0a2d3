"""Runs the real pacing code on a frozen clock, against a Drip that counts as Drip does, and prints what comes of it.

python -m tests.delivery.simulation            the table of docs/pacing.md
python -m tests.delivery.simulation --curve    waiting time against backlog
"""

import heapq
import random
import statistics
import sys
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from adapter.delivery.pacing import HOUR, Demand, Kind, Pacing, Plan
from adapter.inbox.ledger import LONGEST_REQUEST

START = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS: dict[Kind, int] = {"single": 3600, "batch": 50}
CEILING = LIMITS["single"] + LIMITS["batch"] * 1000
"""Orders an hour that Drip takes from one account."""
_SINGLE_S, _BATCH_S = 0.15, 3.0


@dataclass
class Drip:
    """Counts requests as they reach it, somewhere between their begin and their end, in a sliding hour."""

    chance: random.Random
    arrivals: dict[Kind, deque[datetime]] = field(default_factory=lambda: {"single": deque(), "batch": deque()})
    worst: dict[Kind, int] = field(default_factory=lambda: {"single": 0, "batch": 0})
    throttle_at: datetime | None = None

    def takes(self, kind: Kind, arrived: datetime) -> bool:
        """Whether it takes a request; False is a 429."""
        if self.throttle_at is not None and arrived >= self.throttle_at:
            self.throttle_at = None
            return False
        seen = self.arrivals[kind]
        while seen and seen[0] <= arrived - HOUR:
            seen.popleft()
        seen.append(arrived)
        self.worst[kind] = max(self.worst[kind], len(seen))
        return True


@dataclass
class Result:
    """What a scenario came to."""

    name: str
    sent: int
    waits: list[float]
    """Of live orders, in seconds."""
    drained_at: datetime | None
    worst: dict[Kind, int]
    begun: datetime
    throttled: int
    sent_at: list[datetime]

    @property
    def drain_s(self) -> float | None:
        """Seconds until nothing was left; None if something always was."""
        return (self.drained_at - self.begun).total_seconds() if self.drained_at else None

    def sent_within(self, hours: float) -> int:
        """Orders that reached Drip in the first hours."""
        return sum(moment < self.begun + hours * HOUR for moment in self.sent_at)

    def busiest_hour(self) -> int:
        """The most orders that reached Drip in any one hour."""
        most, first = 0, 0
        for last, moment in enumerate(self.sent_at):
            while self.sent_at[first] <= moment - HOUR:
                first += 1
            most = max(most, last - first + 1)
        return most


def run(
    name: str,
    live: Iterable[datetime],
    *,
    other: Iterable[datetime] = (),
    hours: float = 24,
    throttle_at: datetime | None = None,
    clock_back: tuple[datetime, timedelta] | None = None,
    limits: dict[Kind, int] = LIMITS,
    seed: int = 1,
    single_s: float = _SINGLE_S,
    batch_s: float = _BATCH_S,
) -> Result:
    """Send what arrives, until nothing is left or the hours are over. The sender's clock may be set back once, by so much at a moment."""
    return _Simulation(name, live, other, hours, throttle_at, clock_back, limits, seed, {"single": single_s, "batch": batch_s}).run()


class _Simulation:
    def __init__(
        self,
        name: str,
        live: Iterable[datetime],
        other: Iterable[datetime],
        hours: float,
        throttle_at: datetime | None,
        clock_back: tuple[datetime, timedelta] | None,
        limits: dict[Kind, int],
        seed: int,
        takes_s: dict[Kind, float],
    ) -> None:
        self.chance = random.Random(seed)
        self.drip = Drip(self.chance, throttle_at=throttle_at)
        self.pacing = Pacing(limits["single"], limits["batch"])
        self.takes_s = takes_s
        self.arrivals = [(at, True) for at in live] + [(at, False) for at in other]
        heapq.heapify(self.arrivals)
        self.queues: dict[bool, deque[datetime]] = {True: deque(), False: deque()}
        self.result = Result(name, 0, [], None, self.drip.worst, START, 0, [])
        self.end = START + hours * HOUR
        self.back_at, self.back_by = clock_back or (self.end, timedelta(0))

    def run(self) -> Result:
        now = START
        while now < self.end:
            while self.arrivals and self.arrivals[0][0] <= now:
                at, is_live = heapq.heappop(self.arrivals)
                self.queues[is_live].append(at)
            slow_by = self._slow_by(now)
            plan = self.pacing.decide(now - slow_by, self._demand(slow_by))
            if plan is None:
                if not self.arrivals:
                    self.result.drained_at = now
                    break
                now = self.arrivals[0][0]
            elif isinstance(plan, Plan):
                now = self._send(plan, now)
            else:
                steps = [at for at in (self.back_at, self.arrivals[0][0] if self.arrivals else self.end) if at > now]
                now = min([plan.until + slow_by, *steps])
        return self.result

    def _demand(self, slow_by: timedelta) -> Demand:
        live, other = self.queues[True], self.queues[False]
        first = min((queue[0] for queue in (live, other) if queue), default=None)
        return Demand(len(live), len(other), first - slow_by if first else None)

    def _slow_by(self, now: datetime) -> timedelta:
        return self.back_by if now >= self.back_at else timedelta(0)

    def _send(self, plan: Plan, now: datetime) -> datetime:
        """As the sender does it: the request counts for as long as it may take, and less once it has ended."""
        ended = now + timedelta(seconds=self.takes_s[plan.kind] * self.chance.uniform(0.5, 1.5))
        arrived = now + (ended - now) * self.chance.random()
        window, begun = self.pacing.windows[plan.kind], now - self._slow_by(now)
        window.spend(begun, begun + LONGEST_REQUEST)
        taken = self.drip.takes(plan.kind, arrived)
        window.ended(begun + LONGEST_REQUEST, ended - self._slow_by(ended))
        if plan.kind == "single":
            self.pacing.measured((ended - now).total_seconds())
        if not taken:
            self.result.throttled += 1
            window.closed_until = ended - self._slow_by(ended) + timedelta(minutes=1)
            return ended
        for _ in range(plan.orders):
            if self.queues[True]:
                self.result.waits.append((ended - self.queues[True].popleft()).total_seconds())
            elif self.queues[False] and not plan.live_only:
                self.queues[False].popleft()
            else:
                break
            self.result.sent += 1
            self.result.sent_at.append(arrived)
        return ended


def steady(per_hour: int, hours: float) -> list[datetime]:
    """Evenly spread arrivals."""
    return [START + HOUR * (index / per_hour) for index in range(int(per_hour * hours))]


def at_once(count: int, when: datetime = START) -> list[datetime]:
    """A backlog."""
    return [when] * count


def _flash() -> list[datetime]:
    return [START + HOUR + timedelta(minutes=10) * (index / 30_000) for index in range(30_000)]


SCENARIOS: dict[str, Callable[[str], Result]] = {
    "backlog of 60,000": lambda name: run(name, at_once(60_000)),
    "backlog of 300,000": lambda name: run(name, at_once(300_000)),
    "steady 10 an hour": lambda name: run(name, steady(10, 12), hours=12),
    "steady 1,000 an hour": lambda name: run(name, steady(1000, 6), hours=6),
    "steady 20,000 an hour": lambda name: run(name, steady(20_000, 4), hours=5),
    "steady 50,000 an hour": lambda name: run(name, steady(50_000, 4), hours=5),
    "flash sale: 30,000 in 10 min over 60 an hour": lambda name: run(name, _flash() + steady(60, 4), hours=6),
    "a 429 out of the blue at 1,000 an hour": lambda name: run(name, steady(1000, 3), hours=4, throttle_at=START + HOUR),
    "a 429 out of the blue in a backlog of 60,000": lambda name: run(name, at_once(60_000), throttle_at=START + timedelta(minutes=1)),
    "backfill of 100,000 under 60 live an hour": lambda name: run(name, steady(60, 4), other=at_once(100_000), hours=6),
}
"""All that docs/pacing.md shows."""


def scenario(name: str) -> Result:
    """Run one of them."""
    return SCENARIOS[name](name)


def _in_parallel(work: Callable[[str], Result], names: Iterable[str]) -> Iterable[Result]:
    with ProcessPoolExecutor() as pool:
        yield from pool.map(work, names)


def _table() -> None:
    print(
        f"{'scenario':45} {'orders':>7} {'drained in':>11} {'busiest hour':>12} {'median':>9} {'longest':>9} {'singles':>8} {'batches':>8}"
        f" {'429':>4}"
    )
    for result in _in_parallel(scenario, SCENARIOS):
        drain = f"{result.drain_s / 60:.1f} min" if result.drain_s is not None else "-"
        print(
            f"{result.name:45} {result.sent:>7} {drain:>11} {result.busiest_hour() / CEILING:>12.1%} "
            f"{statistics.median(result.waits):>8.1f}s {max(result.waits):>8.1f}s "
            f"{result.worst['single']:>8} {result.worst['batch']:>8} {result.throttled:>4}"
        )


_BACKLOGS = (1, 10, 100, 500, 1000, 5000, 10_000, 30_000, 50_000, 60_000, 100_000, 200_000)


def _backlog(size: str) -> Result:
    return run(size, at_once(int(size)))


def _curve() -> None:
    print(f"{'backlog':>9} {'drained in':>12} {'median wait':>12} {'longest wait':>13}")
    for result in _in_parallel(_backlog, map(str, _BACKLOGS)):
        waits = result.waits
        print(f"{result.name:>9} {result.drain_s or 0:>11.1f}s {statistics.median(waits):>11.1f}s {max(waits):>12.1f}s")


if __name__ == "__main__":
    if "--curve" in sys.argv:
        _curve()
    else:
        _table()
