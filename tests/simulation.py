"""Runs the real pacing code on a frozen clock, against a Drip that counts as Drip does, and prints what comes of it.

python -m tests.simulation            the table of docs/pacing.md
python -m tests.simulation --curve    waiting time against backlog
"""

import heapq
import random
import statistics
import sys
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from adapter.delivery.pacing import HOUR, Demand, Kind, Pacing, Plan

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

    def takes(self, kind: Kind, begun: datetime, ended: datetime) -> bool:
        """Whether it takes a request; False is a 429."""
        arrived = begun + (ended - begun) * self.chance.random()
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
        """Orders sent in the first hours."""
        return sum(moment <= self.begun + hours * HOUR for moment in self.sent_at)


def run(
    name: str,
    live: Iterable[datetime],
    *,
    other: Iterable[datetime] = (),
    hours: float = 24,
    throttle_at: datetime | None = None,
    seed: int = 1,
    single_s: float = _SINGLE_S,
    batch_s: float = _BATCH_S,
) -> Result:
    """Send what arrives, until nothing is left or the hours are over."""
    chance = random.Random(seed)
    drip = Drip(chance, throttle_at=throttle_at)
    pacing = Pacing(LIMITS["single"], LIMITS["batch"])
    arrivals = [(at, True) for at in live] + [(at, False) for at in other]
    heapq.heapify(arrivals)
    queues: dict[bool, deque[datetime]] = {True: deque(), False: deque()}
    result = Result(name, 0, [], None, drip.worst, START, 0, [])
    now, end = START, START + hours * HOUR
    while now < end:
        while arrivals and arrivals[0][0] <= now:
            at, is_live = heapq.heappop(arrivals)
            queues[is_live].append(at)
        plan = pacing.decide(now, _demand(queues))
        if plan is None:
            if not arrivals:
                result.drained_at = now
                break
            now = arrivals[0][0]
        elif isinstance(plan, Plan):
            now = _send(plan, now, queues, pacing, drip, result, single_s if plan.kind == "single" else batch_s, chance)
        else:
            now = max(now, min([plan.until, *(at for at, _ in arrivals[:1])]))
    return result


def _demand(queues: dict[bool, deque[datetime]]) -> Demand:
    return Demand(len(queues[True]), len(queues[False]))


def _send(
    plan: Plan,
    now: datetime,
    queues: dict[bool, deque[datetime]],
    pacing: Pacing,
    drip: Drip,
    result: Result,
    takes_s: float,
    chance: random.Random,
) -> datetime:
    ended = now + timedelta(seconds=takes_s * chance.uniform(0.5, 1.5))
    taken = drip.takes(plan.kind, now, ended)
    pacing.windows[plan.kind].spend(now, ended)
    if plan.kind == "single":
        pacing.measured((ended - now).total_seconds())
    if not taken:
        result.throttled += 1
        pacing.windows[plan.kind].closed_until = ended + timedelta(minutes=1)
        return ended
    for _ in range(plan.orders):
        if queues[True]:
            result.waits.append((ended - queues[True].popleft()).total_seconds())
        elif queues[False] and not plan.live_only:
            queues[False].popleft()
        else:
            break
        result.sent += 1
        result.sent_at.append(ended)
    return ended


def steady(per_hour: int, hours: float) -> list[datetime]:
    """Evenly spread arrivals."""
    return [START + HOUR * (index / per_hour) for index in range(int(per_hour * hours))]


def at_once(count: int, when: datetime = START) -> list[datetime]:
    """A backlog."""
    return [when] * count


def scenarios() -> list[Result]:
    """All that docs/pacing.md shows."""
    flash = [START + HOUR + timedelta(minutes=10) * (index / 30_000) for index in range(30_000)]
    return [
        run("backlog of 60,000", at_once(60_000)),
        run("backlog of 300,000", at_once(300_000)),
        run("steady 10 an hour", steady(10, 12), hours=12),
        run("steady 1,000 an hour", steady(1000, 6), hours=6),
        run("steady 20,000 an hour", steady(20_000, 6), hours=6),
        run("steady 50,000 an hour", steady(50_000, 6), hours=6),
        run("flash sale: 30,000 in ten minutes over 60 an hour", flash + steady(60, 4), hours=6),
        run("a 429 out of the blue at 1,000 an hour", steady(1000, 3), hours=3, throttle_at=START + HOUR),
        run("backfill of 100,000 under 60 live an hour", steady(60, 4), other=at_once(100_000), hours=4),
    ]


def _print(results: Iterable[Result]) -> None:
    print(
        f"{'scenario':52} {'sent':>8} {'drained':>9} {'of ceiling':>10} {'median':>9} {'longest':>9} {'singles':>8} {'batches':>8} {'429':>4}"
    )
    for result in results:
        drain = f"{result.drain_s / 60:.1f} min" if result.drain_s is not None else "-"
        span = (result.drained_at or max(result.sent_at)) - result.begun
        share = result.sent_within(1) / CEILING if span > HOUR else result.sent / (CEILING * max(span / HOUR, 1e-9))
        median = statistics.median(result.waits) if result.waits else 0.0
        longest = max(result.waits, default=0.0)
        print(
            f"{result.name:52} {result.sent:>8} {drain:>9} {min(share, 1):>10.1%} {median:>8.1f}s {longest:>8.1f}s "
            f"{result.worst['single']:>8} {result.worst['batch']:>8} {result.throttled:>4}"
        )


def _curve() -> None:
    print(f"{'backlog':>9} {'drained':>12} {'median wait':>12} {'longest wait':>13}")
    for backlog in (1, 10, 100, 500, 1000, 5000, 10_000, 30_000, 50_000, 60_000, 100_000, 200_000):
        result = run(str(backlog), at_once(backlog))
        print(f"{backlog:>9} {result.drain_s or 0:>11.1f}s {statistics.median(result.waits):>11.1f}s {max(result.waits):>12.1f}s")


if __name__ == "__main__":
    if "--curve" in sys.argv:
        _curve()
    else:
        _print(scenarios())
