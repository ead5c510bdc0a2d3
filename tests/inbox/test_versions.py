"""Which of two snapshots is the newer one, on both sides of each limit."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from adapter.inbox.versions import Version, trusted

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
