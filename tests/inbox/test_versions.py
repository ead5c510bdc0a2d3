"""Which of two snapshots is the newer one, on both sides of each limit."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.inbox.versions import TOGETHER, Version, newest_of, trusted

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def version(progress: int, *, after: timedelta = timedelta(0), snapshot_at: datetime = NOON) -> Version:
    return Version(snapshot_at=snapshot_at, progress=(Decimal(progress),), received_at=NOON + after, delivery_id=1)


@pytest.mark.parametrize(("after", "overtakes"), [(timedelta(minutes=1), False), (timedelta(minutes=1) + MICROSECOND, True)])
def test_less_progress_overtakes_only_more_than_a_minute_later(after: timedelta, overtakes: bool) -> None:
    assert version(1, after=after).overtakes(version(2)) is overtakes


def test_the_stores_own_time_decides_before_anything_else() -> None:
    assert version(1, snapshot_at=NOON + MICROSECOND).overtakes(version(2))
    assert not version(2, after=timedelta(hours=1), snapshot_at=NOON - MICROSECOND).overtakes(version(1))
    assert version(1).overtakes(version(1))


def test_a_time_up_to_ten_minutes_ahead_is_trusted() -> None:
    limit = NOON + timedelta(minutes=10)
    assert (trusted(limit, NOON), trusted(limit + MICROSECOND, NOON), trusted(None, NOON)) == (limit, None, None)


# What the store sent, as (its own second, progress): no two alike, so that each state is the later one of any two.
states = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=6, unique=True)


@given(states=states, data=st.data())
def test_whatever_order_an_orders_states_arrive_in_the_last_one_wins(states: list[tuple[int, int]], data: st.DataObject) -> None:
    arrived = data.draw(st.permutations(states))
    apart = TOGETHER / len(states)
    versions = [
        version(progress, after=number * apart, snapshot_at=NOON + timedelta(seconds=second))
        for number, (second, progress) in enumerate(arrived)
    ]
    winner = newest_of(data.draw(st.permutations(versions)))
    assert arrived[versions.index(winner)] == max(states)


@given(states=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 100)), min_size=1, max_size=8))
def test_the_winner_never_goes_back_in_the_stores_own_time(states: list[tuple[int, int, int]]) -> None:
    versions, arrived_at = [], 0
    for number, (second, progress, pause) in enumerate(states, 1):
        arrived_at += pause
        arrived = NOON + timedelta(seconds=arrived_at)
        snapshot_at = NOON + timedelta(seconds=second)
        versions.append(Version(snapshot_at=snapshot_at, progress=(Decimal(progress),), received_at=arrived, delivery_id=number))
    winners = [newest_of(versions[:count]) for count in range(1, len(versions) + 1)]
    assert all(earlier.snapshot_at <= later.snapshot_at for earlier, later in itertools.pairwise(winners))
    assert all(later in (earlier, arrival) for earlier, later, arrival in zip(winners, winners[1:], versions[1:], strict=False))
    assert winners[-1].snapshot_at == max(each.snapshot_at for each in versions)
