"""A store that has gone quiet, by its own rhythm."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from adapter.inbox import arrivals
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.tables import BACKFILL, LIVE, RETRY, deliveries
from adapter.operations.health import overview
from adapter.operations.silence import HOURS, rhythm_of
from tests.support.adapter_under_test import AdapterUnderTest

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


def by_day(*hours: int, days: int = 14) -> list[bool]:
    """Hours of a store that speaks at these hours of each day, the newest first; the newest hour is the last of a day's."""
    return [any((hours[-1] - number) % 24 == hour for hour in hours) for number in range(24 * days)]


@pytest.mark.parametrize(
    ("spoke", "patience"),
    [
        pytest.param(by_day(*range(24)), timedelta(hours=2), id="speaks every hour"),
        pytest.param(by_day(*range(8, 20)), timedelta(hours=26), id="silent at night, from 19 to 8"),
        pytest.param(by_day(9), timedelta(hours=48), id="once a day"),
        pytest.param([True, False, False, True], None, id="hardly known"),
        pytest.param([True] * 8 + [False] * (HOURS - 8), timedelta(days=1), id="new today: its night is not known yet"),
        pytest.param([], None, id="never spoke"),
    ],
)
def test_its_patience_is_twice_the_longest_silence(spoke: list[bool], patience: timedelta | None) -> None:
    rhythm = rhythm_of(NOW, spoke)
    assert rhythm.patience == patience
    if patience is not None:
        assert not rhythm.is_quiet(NOW + patience)
        assert rhythm.is_quiet(NOW + patience + timedelta(seconds=1))


def test_a_weekend_is_no_silence() -> None:
    open_hours = [(NOW - timedelta(hours=number)) for number in range(HOURS)]
    spoke = [moment.weekday() < 5 and 8 <= moment.hour < 18 for moment in open_hours]
    rhythm = rhythm_of(NOW, spoke)
    assert rhythm.patience is not None
    assert not rhythm.is_quiet(NOW + timedelta(hours=63))  # Friday evening to Monday morning


def test_nothing_is_quiet_that_never_spoke() -> None:
    assert not rhythm_of(None, []).is_quiet(NOW)


def speak(adapter: AdapterUnderTest, moments: list[datetime], priority: int = LIVE) -> None:
    with transaction(adapter.engine) as connection:
        rows = [
            {
                "store": "shopify",
                "key": f"{priority}/{number}",
                "topic": "",
                "headers": "{}",
                "received_at": moment,
                "due_at": moment,
                "priority": priority,
            }
            for number, moment in enumerate(moments)
        ]
        connection.execute(insert(deliveries), rows)


def test_the_inbox_tells_the_rhythm(adapter: AdapterUnderTest) -> None:
    speak(adapter, [NOW - timedelta(hours=number * 2, minutes=5) for number in range(100)])
    speak(adapter, [NOW - timedelta(hours=2), NOW - timedelta(minutes=10)], RETRY)
    speak(adapter, [NOW - timedelta(minutes=1)], BACKFILL)  # we asked for these ourselves
    with snapshot(adapter.engine) as connection:
        last = arrivals.last_arrival(connection, "shopify")
        assert last == NOW - timedelta(minutes=5)
        hours = arrivals.hours_with_arrivals(connection, "shopify", last, 6)
    assert hours == [True, True, True, False, True, False]


@pytest.mark.parametrize(("hours", "quiet"), [(3, False), (5, True)])
def test_overview_flags_a_store_that_has_gone_quiet(adapter: AdapterUnderTest, hours: int, quiet: bool) -> None:
    speak(adapter, [NOW - timedelta(hours=2 * number) for number in range(160)])
    with snapshot(adapter.engine) as connection:
        report = overview(connection, adapter.settings, NOW + timedelta(hours=hours))
    store = report["stores"]["shopify"]
    assert (store["quiet"], store["patience_s"], store["last_at"]) == (quiet, 4 * 3600, "2026-11-24T12:30:00Z")
    assert report["stores"]["magento"]["quiet"] is False
