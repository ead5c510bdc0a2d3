"""The policy of docs/pacing.md: single decisions, and properties of the simulation, which runs the real pacing code."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.delivery.pacing import HOUR, Demand, Kind, Pacing, Plan, Wait, Window
from adapter.inbox.ledger import LONGEST_REQUEST
from tests.delivery.simulation import CEILING, LIMITS, START, at_once, run, steady

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
Burst = tuple[float, int, bool]
"""Minutes after the start, how many orders, and whether they are live."""


def pacing(single: int = LIMITS["single"], batch: int = LIMITS["batch"]) -> Pacing:
    return Pacing(single, batch)


def spent(pacing: Pacing, kind: Kind, count: int, *, at: datetime = START) -> None:
    for _ in range(count):
        pacing.windows[kind].spend(at, at)


class TestWindow:
    def test_a_request_counts_until_an_hour_after_its_end(self) -> None:
        window = Window(2)
        window.spend(START, START + 3 * SECOND)
        assert window.left(START + HOUR + 2 * SECOND) == 1
        assert window.left(START + HOUR + 3 * SECOND) == 2

    def test_the_latest_possible_end_is_corrected_by_the_real_one(self) -> None:
        window = Window(2)
        window.spend(START, START + LONGEST_REQUEST)
        window.spend(START + SECOND, START + SECOND + LONGEST_REQUEST)
        window.ended(START + LONGEST_REQUEST, START + SECOND)
        assert window.left(START + HOUR + SECOND) == 1
        assert window.left(START + HOUR + LONGEST_REQUEST) == 1
        assert window.left(START + HOUR + SECOND + LONGEST_REQUEST) == 2

    def test_correcting_what_is_no_longer_counted_takes_nothing_else_away(self) -> None:
        window = Window(2)
        window.spend(START + MINUTE, START + 2 * MINUTE)
        window.ended(START, START)
        assert window.left(START + HOUR + 90 * SECOND) == 1

    def test_a_ledger_taken_over_from_the_database_counts_like_ones_own(self) -> None:
        window = Window(3)
        window.load([(START + SECOND, START + 61 * SECOND), (START, START + SECOND)])
        assert window.last_start == START + SECOND
        assert [window.left(START + HOUR + delay * SECOND) for delay in (0, 1, 60, 61)] == [1, 2, 2, 3]

    def test_the_last_quarter_is_spread_over_the_time_until_room_comes_back(self) -> None:
        window = Window(100)
        for index in range(75):
            window.spend(START + index * SECOND, START + index * SECOND)
        now = START + 75 * SECOND
        gaps: list[timedelta] = []
        for _ in range(25):
            opens = window.opens(now, live=True)
            assert opens < START + HOUR + MINUTE, "a live order must never wait for the hour to be over"
            gaps.append(opens - now)
            now = max(now, opens)
            window.spend(now, now)
        assert max(gaps) < HOUR / 20
        assert now < START + HOUR + MINUTE

    def test_in_the_reserve_the_gap_is_what_all_that_comes_back_allows(self) -> None:
        window = Window(4)
        for _ in range(3):
            window.spend(START, START)
        assert window.opens(START, live=True) == START + HOUR / 2
        assert window.soon(START, HOUR.total_seconds(), live=True) == 2
        assert window.soon(START, HOUR.total_seconds(), live=False) == 0

    def test_others_wait_until_more_than_the_reserve_is_left(self) -> None:
        window = Window(4)
        for index in range(3):
            window.spend(START + index * MINUTE, START + index * MINUTE)
        assert window.opens(START + 5 * MINUTE, live=False) == START + HOUR

    def test_nothing_opens_before_the_end_that_drip_named(self) -> None:
        window = Window(100)
        window.closed_until = START + 10 * MINUTE
        assert window.opens(START, live=True) == START + 10 * MINUTE
        assert window.opens(START + 10 * MINUTE, live=True) == START + 10 * MINUTE


class TestDecisions:
    def test_a_quiet_shops_order_goes_at_once_and_singly(self) -> None:
        assert pacing().decide(START, Demand(1)) == Plan("single", 1, live_only=True)

    def test_nothing_is_due(self) -> None:
        assert pacing().decide(START, Demand(0)) is None

    def test_a_backlog_that_would_outlast_two_minutes_of_singles_goes_in_a_batch(self) -> None:
        assert pacing().decide(START, Demand(599)) == Plan("single", 1, live_only=True)
        assert pacing().decide(START, Demand(601)) == Plan("batch", 601, live_only=False)
        assert pacing().decide(START, Demand(5000)) == Plan("batch", 1000, live_only=False)

    def test_the_slower_drip_is_the_sooner_batches_are_used(self) -> None:
        slow = pacing()
        for _ in range(100):
            slow.measured(2.0)
        assert slow.decide(START, Demand(59)) == Plan("single", 1, live_only=True)
        assert slow.decide(START, Demand(70)) == Plan("batch", 70, live_only=False)

    def test_a_batch_that_is_not_full_waits_for_its_turn_while_singles_go_on(self) -> None:
        busy = pacing()
        spent(busy, "batch", 1)
        assert busy.decide(START + 71 * SECOND, Demand(999)) == Plan("single", 1, live_only=True)
        assert busy.decide(START + 72 * SECOND, Demand(999)) == Plan("batch", 999, live_only=False)
        assert busy.decide(START + SECOND, Demand(1000)) == Plan("batch", 1000, live_only=False)

    def test_what_has_been_due_for_long_goes_in_a_batch_sooner(self) -> None:
        """Two minutes count from when it fell due, so that an outage's backlog is not sent singly for two minutes more."""
        assert pacing().decide(START + MINUTE, Demand(299, since=START)) == Plan("single", 1, live_only=True)
        assert pacing().decide(START + MINUTE, Demand(301, since=START)) == Plan("batch", 301, live_only=False)
        assert pacing().decide(START + HOUR, Demand(99, since=START)) == Plan("single", 1, live_only=True)
        assert pacing().decide(START + HOUR, Demand(101, since=START)) == Plan("batch", 101, live_only=False)

    def test_the_rest_of_a_backlog_does_not_wait_for_the_next_batchs_turn(self) -> None:
        busy = pacing()
        spent(busy, "batch", 1, at=START + MINUTE)
        assert busy.decide(START + MINUTE + SECOND, Demand(999, since=START)) == Plan("batch", 999, live_only=False)
        assert busy.decide(START + MINUTE + SECOND, Demand(999, since=START + MINUTE)) == Plan("single", 1, live_only=True)

    def test_what_need_not_be_live_rides_along_only_while_the_reserve_is_untouched(self) -> None:
        busy = pacing(batch=8)
        demand = Demand(live=700, other=5000)
        assert busy.decide(START, demand) == Plan("batch", 1000, live_only=False)
        spent(busy, "batch", 6)
        plan = busy.decide(START + 30 * MINUTE, demand)
        assert plan == Plan("batch", 700, live_only=True)

    def test_after_a_429_on_singles_batches_go_on(self) -> None:
        told_off = pacing()
        told_off.windows["single"].closed_until = START + 10 * MINUTE
        assert told_off.decide(START, Demand(5)) == Plan("batch", 5, live_only=False)

    def test_after_a_429_on_batches_singles_go_on(self) -> None:
        told_off = pacing()
        told_off.windows["batch"].closed_until = START + 10 * MINUTE
        assert told_off.decide(START, Demand(5000)) == Plan("single", 1, live_only=True)

    def test_after_a_429_on_both_kinds_it_waits_for_the_first_to_open(self) -> None:
        told_off = pacing()
        told_off.windows["batch"].closed_until = START + 10 * MINUTE
        told_off.windows["single"].closed_until = START + 7 * MINUTE
        assert told_off.decide(START, Demand(5000)) == Wait(START + 7 * MINUTE)

    def test_an_account_without_batches_goes_on_singly(self) -> None:
        assert pacing(batch=0).decide(START, Demand(5000)) == Plan("single", 1, live_only=True)

    def test_a_limit_that_drip_lowers_is_obeyed_from_the_next_request_on(self) -> None:
        lowered = pacing(batch=0)
        spent(lowered, "single", 20)
        spent(lowered, "single", 20, at=START + 10 * MINUTE)
        lowered.windows["single"].limit = 20
        now, made = START + 11 * MINUTE, list[datetime]()
        while now < START + 3 * HOUR:
            plan = lowered.decide(now, Demand(1000))
            if isinstance(plan, Wait):
                assert plan.until > now
                now = plan.until
                continue
            assert plan == Plan("single", 1, live_only=True)
            lowered.windows["single"].spend(now, now)
            made.append(now)
        assert made[0] == START + 70 * MINUTE
        assert all(later - earlier >= HOUR for earlier, later in zip(made, made[20:], strict=False))
        assert len(made) > 20


class TestScenarios:
    @pytest.mark.slow
    @pytest.mark.no_cover
    def test_a_backlog_of_60000_uses_99_percent_of_the_ceiling_and_not_one_request_more(self) -> None:
        result = run("60,000", at_once(60_000))
        assert result.worst["batch"] == LIMITS["batch"]
        assert 0.99 * LIMITS["single"] <= result.worst["single"] <= LIMITS["single"]  # the very last orders go in a batch
        assert result.sent_within(1) >= 0.99 * CEILING
        assert result.sent == 60_000
        assert result.throttled == 0
        assert result.drain_s is not None
        assert result.drain_s < 65 * 60

    @pytest.mark.slow
    @pytest.mark.no_cover
    def test_it_keeps_99_percent_of_the_ceiling_hour_after_hour(self) -> None:
        limits: dict[Kind, int] = {"single": 360, "batch": 5}
        result = run("long", at_once(60_000), limits=limits)
        assert result.worst == limits
        assert result.sent_within(8) >= 0.99 * 8 * 5360

    @pytest.mark.parametrize("single_s", [0.05, 0.15, 0.5, 1.0])
    def test_a_burst_of_100_goes_singly_within_two_minutes(self, single_s: float) -> None:
        result = run("burst", at_once(100), single_s=single_s)
        assert result.worst["batch"] == 0
        assert max(result.waits) < 120

    def test_a_quiet_shops_orders_wait_for_nothing_but_drip(self) -> None:
        result = run("quiet", steady(10, 12), hours=13)
        assert max(result.waits) < 0.15 * 1.5 + 0.001
        assert result.worst["batch"] == 0

    def test_live_orders_under_a_backfill_wait_for_no_more_than_the_batch_in_hand(self) -> None:
        result = run("backfill", steady(60, 2), other=at_once(100_000), hours=2)
        assert len(result.waits) >= 119
        assert max(result.waits) < 3.0 * 1.5 + 0.15 * 1.5 + 0.001

    def test_backfill_alone_leaves_a_quarter_of_each_kind(self) -> None:
        result = run("backfill", [], other=at_once(100_000), hours=2)
        assert result.worst == {"single": 2700, "batch": 38}

    @pytest.mark.slow
    @pytest.mark.no_cover
    def test_live_orders_go_on_when_drip_says_429_to_a_backlog(self) -> None:
        result = run("429", at_once(60_000), throttle_at=START + MINUTE)
        assert result.throttled == 1
        assert result.worst["single"] <= LIMITS["single"]
        assert result.worst["batch"] <= LIMITS["batch"]
        assert result.sent_within(1) >= 0.97 * CEILING


LIMIT_PAIRS = st.fixed_dictionaries({"single": st.integers(1, 120), "batch": st.integers(0, 6)})
BURSTS = st.lists(
    st.tuples(st.floats(0, 240), st.one_of(st.integers(1, 30), st.integers(31, 3000)), st.booleans()),
    min_size=1,
    max_size=12,
)
SPEEDS = st.tuples(st.floats(0.02, 3.0), st.floats(0.1, 30.0))


def arrivals(bursts: Sequence[Burst], *, live: bool) -> list[datetime]:
    return [START + minutes * MINUTE for minutes, count, is_live in bursts if is_live is live for _ in range(count)]


class TestProperties:
    @pytest.mark.slow
    @pytest.mark.no_cover
    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(limits=LIMIT_PAIRS, bursts=BURSTS, speeds=SPEEDS, seed=st.integers(0, 1000))
    def test_no_arrivals_ever_lead_to_one_request_over_the_limit(
        self, limits: dict[Kind, int], bursts: list[Burst], speeds: tuple[float, float], seed: int
    ) -> None:
        result = run(
            "any", arrivals(bursts, live=True), other=arrivals(bursts, live=False),
            hours=8, limits=limits, seed=seed, single_s=speeds[0], batch_s=speeds[1],
        )  # fmt: skip
        assert result.worst["single"] <= limits["single"]
        assert result.worst["batch"] <= limits["batch"]

    @pytest.mark.slow
    @pytest.mark.no_cover
    @settings(max_examples=80, deadline=None, derandomize=True)
    @given(limits=LIMIT_PAIRS, bursts=BURSTS, back_at=st.floats(0, 240), seconds=st.floats(0.001, 3600), seed=st.integers(0, 1000))
    def test_a_clock_set_back_by_up_to_an_hour_never_leads_over_the_limit(
        self, limits: dict[Kind, int], bursts: list[Burst], back_at: float, seconds: float, seed: int
    ) -> None:
        clock_back = (START + back_at * MINUTE, timedelta(seconds=seconds))
        live, other = arrivals(bursts, live=True), arrivals(bursts, live=False)
        result = run("clock", live, other=other, hours=8, limits=limits, clock_back=clock_back, seed=seed)
        assert result.worst["single"] <= limits["single"]
        assert result.worst["batch"] <= limits["batch"]

    @pytest.mark.slow
    @pytest.mark.no_cover
    @settings(max_examples=80, deadline=None, derandomize=True)
    @given(limits=LIMIT_PAIRS, bursts=BURSTS, seed=st.integers(0, 1000))
    def test_what_is_not_live_never_takes_the_last_quarter(self, limits: dict[Kind, int], bursts: list[Burst], seed: int) -> None:
        other = arrivals([(minutes, count, False) for minutes, count, _ in bursts], live=False)
        result = run("other", [], other=other, hours=8, limits=limits, seed=seed)
        assert result.worst["single"] <= limits["single"] - limits["single"] // 4
        assert result.worst["batch"] <= limits["batch"] - limits["batch"] // 4

    @pytest.mark.slow
    @pytest.mark.no_cover
    @settings(max_examples=80, deadline=None, derandomize=True)
    @given(bursts=BURSTS, seed=st.integers(0, 1000))
    def test_whatever_arrived_is_sent_in_the_end(self, bursts: list[Burst], seed: int) -> None:
        result = run("any", arrivals(bursts, live=True), other=arrivals(bursts, live=False), hours=48, seed=seed)
        assert result.drain_s is not None
        assert result.sent == sum(count for _, count, _ in bursts)
