"""When a store has been silent unusually long."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from adapter.inbox import arrivals
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.tables import BACKFILL, LIVE, RETRY, deliveries
from adapter.operations.health import status_report
from adapter.operations.silence import HOURS, silence_of
from tests.support.adapter_under_test import AdapterUnderTest

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


def by_day(*hours: int, days: int = 14) -> list[int]:
    """How many hours ago a store with webhooks in these hours of each day had any; the newest hour is the day's last."""
    return [number for number in range(24 * days) if any((hours[-1] - number) % 24 == hour for hour in hours)]


@pytest.mark.parametrize(
    ("hours", "limit"),
    [
        pytest.param(by_day(*range(24)), timedelta(hours=2), id="webhooks every hour"),
        pytest.param(by_day(*range(8, 20)), timedelta(hours=26), id="silent at night, from 19 to 8"),
        pytest.param(by_day(9), timedelta(hours=48), id="once a day"),
        pytest.param([0, 3], None, id="too little known"),
        pytest.param(list(range(8)), timedelta(days=1), id="new today, nights not seen yet"),
        pytest.param([], None, id="no webhooks yet"),
    ],
)
def test_the_limit_is_twice_the_longest_silence(hours: list[int], limit: timedelta | None) -> None:
    silence = silence_of(NOW, hours)
    assert silence.limit == limit
    if limit is not None:
        assert not silence.is_unusual(NOW + limit)
        assert silence.is_unusual(NOW + limit + timedelta(seconds=1))


def test_a_weekend_is_not_unusual() -> None:
    moments = {number: NOW - timedelta(hours=number) for number in range(HOURS)}
    silence = silence_of(NOW, [number for number, moment in moments.items() if moment.weekday() < 5 and 8 <= moment.hour < 18])
    assert silence.limit is not None
    assert not silence.is_unusual(NOW + timedelta(hours=63))  # Friday evening to Monday morning


def test_a_store_without_webhooks_is_not_unusually_silent() -> None:
    assert not silence_of(None, []).is_unusual(NOW)


def receive(adapter: AdapterUnderTest, moments: list[datetime], priority: int = LIVE) -> None:
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


def test_the_inbox_returns_the_hours_with_webhooks(adapter: AdapterUnderTest) -> None:
    receive(adapter, [NOW - timedelta(hours=number * 2, minutes=5) for number in range(100)])
    receive(adapter, [NOW - timedelta(hours=2), NOW - timedelta(minutes=10)], RETRY)
    receive(adapter, [NOW - timedelta(minutes=1)], BACKFILL)  # these were requested by the adapter
    with snapshot(adapter.engine) as connection:
        last = arrivals.last_arrival(connection, "shopify")
        assert last == NOW - timedelta(minutes=5)
        hours = arrivals.hours_with_arrivals(connection, "shopify", last, 6)
    assert hours == [True, True, True, False, True, False]


@pytest.mark.parametrize(("hours", "quiet"), [(3, False), (5, True)])
def test_the_report_flags_a_store_that_is_silent_unusually_long(adapter: AdapterUnderTest, hours: int, quiet: bool) -> None:
    receive(adapter, [NOW - timedelta(hours=2 * number) for number in range(160)])
    with snapshot(adapter.engine) as connection:
        report = status_report(connection, adapter.settings, NOW + timedelta(hours=hours))
    store = report["stores"]["shopify"]
    assert (store["quiet"], store["patience_s"], store["last_at"]) == (quiet, 4 * 3600, "2026-11-24T12:30:00Z")
    assert report["stores"]["magento"]["quiet"] is False
