"""The chart's numbers: the same from hours that are counted already as from the deliveries themselves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, delete, func, insert, select, update

from adapter.inbox.charts import SPANS, over_time
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.hours import count_hour, counted_until
from adapter.inbox.tables import BACKFILL, LIVE, deliveries, hours

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
STORES = ["shopify", "renamed-since"]


def fill(engine: Engine) -> None:
    """Two deliveries an hour for three days: each is settled an hour later, the newest not yet."""
    rows: list[dict[str, Any]] = []
    for number in range(2 * 24 * 3):
        received = NOW - timedelta(minutes=30 * number)
        settled = received + timedelta(hours=1)
        state = "pending" if settled > NOW else ("delivered", "skipped", "dead", "delivered")[number % 4]
        rows.append(
            {
                "store": STORES[number % 2],
                "priority": BACKFILL if number % 3 else LIVE,
                "key": str(number),
                "topic": "",
                "headers": "{}",
                "received_at": received,
                "due_at": received,
                "state": state,
                "settled_at": None if state == "pending" else settled,
                "reason": "unpaid" if state == "skipped" else None,
                "problems": "{}" if state == "dead" else None,
            }
        )
    rows.sort(key=lambda row: row["received_at"])  # ids are given in the order of arrival
    with transaction(engine) as connection:
        connection.execute(insert(deliveries), rows)


def charts(engine: Engine, now: datetime = NOW) -> dict[str, dict[str, list[int]]]:
    with snapshot(engine) as connection:
        return {name: over_time(connection, span, now) for name, span in SPANS.items()}


def count_all(engine: Engine, now: datetime = NOW) -> int:
    return next(number for number in range(1000) if not count_hour(engine, now))


def test_it_says_what_happened(engine: Engine) -> None:
    fill(engine)
    found = charts(engine)
    assert found["hour"]["kept"][-1] == 1
    assert sum(found["hour"]["kept"]) == 2
    assert found["day"]["kept"] == [2] * 23 + [2]
    assert [sum(found["day"][kind]) for kind in ("delivered", "skipped", "dead")] == [24, 12, 12]
    assert found["month"]["kept"] == [0] * 26 + [22, 48, 48, 26]


@pytest.mark.slow
def test_counted_hours_say_the_same(engine: Engine) -> None:
    fill(engine)
    before = charts(engine)
    assert count_all(engine) == 71
    with snapshot(engine) as connection:
        assert counted_until(connection) == NOW.replace(minute=0)
    assert charts(engine) == before
    # Some hours later, with the newest not counted yet.
    later = NOW + timedelta(hours=5)
    assert charts(engine, later)["month"]["kept"] == before["month"]["kept"]


@pytest.mark.slow
def test_what_is_purged_stays_in_the_chart(engine: Engine) -> None:
    fill(engine)
    before = charts(engine)
    count_all(engine)
    with transaction(engine) as connection:
        connection.execute(delete(deliveries).where(deliveries.c.received_at < NOW - timedelta(hours=3)))
    found = charts(engine)
    assert (found["day"], found["month"]) == (before["day"], before["month"])


@pytest.mark.slow
def test_an_hour_is_counted_once_it_is_over(engine: Engine) -> None:
    assert not count_hour(engine, NOW)  # nothing was ever kept
    fill(engine)
    count_all(engine)
    over = NOW.replace(hour=13, minute=0)
    assert not count_hour(engine, over + timedelta(minutes=1))  # something may still be on its way
    assert count_hour(engine, over + timedelta(minutes=2))
    assert not count_hour(engine, over + timedelta(minutes=3))


@pytest.mark.slow
def test_a_retry_does_not_change_what_happened(engine: Engine) -> None:
    fill(engine)
    count_all(engine)
    before = charts(engine)
    reopened = update(deliveries).where(deliveries.c.settled_at < NOW - timedelta(hours=2))
    with transaction(engine) as connection:
        connection.execute(reopened.values(state="pending", settled_at=None, reason=None, problems=None))
    found = charts(engine)
    assert (found["day"], found["month"]) == (before["day"], before["month"])


def test_hours_older_than_any_chart_go(engine: Engine) -> None:
    fill(engine)
    old = [{"begun_at": NOW.replace(minute=0) - timedelta(days=days), "kind": "kept", "number": 1} for days in (31, 33)]
    with transaction(engine) as connection:
        connection.execute(insert(hours), old)
    assert count_hour(engine, NOW)
    with snapshot(engine) as connection:
        assert connection.execute(select(func.min(hours.c.begun_at))).scalar() == old[0]["begun_at"]
