"""The overview's chart as shapes."""

from datetime import UTC, datetime

import pytest

from adapter.inbox.charts import SPANS
from adapter.web.dashboard.chart import CEILING, FLOOR, make_chart, round_up

SPAN = SPANS["day"]
STARTS = [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in range(24)]


@pytest.mark.parametrize(("number", "top"), [(0, 2), (1, 2), (2, 2), (3, 4), (7, 8), (9, 10), (12, 20), (45, 60), (100, 100), (101, 200)])
def test_the_upper_gridline_is_a_round_even_number(number: int, top: int) -> None:
    assert round_up(number) == top


def test_bars_stand_on_the_baseline_and_reach_the_gridline_of_their_number() -> None:
    counts = {"kept": [10, *[0] * 23], "delivered": [4, *[0] * 23], "skipped": [1, *[0] * 23], "dead": [0] * 24}
    chart = make_chart(counts, STARTS, SPAN)
    received, delivered, skipped = chart.columns[0].bars
    assert (received.y, received.y + received.height) == (CEILING, FLOOR)
    assert (delivered.y + delivered.height, skipped.y + skipped.height) == (FLOOR, delivered.y)
    assert delivered.height == 4 * skipped.height
    assert [column.label for column in chart.columns if column.label] == ["even", "odd"] * 3
    assert not chart.is_empty


def test_a_chart_of_nothing_is_empty() -> None:
    assert make_chart({kind: [0] * 24 for kind in ("kept", "delivered", "skipped", "dead")}, STARTS, SPAN).is_empty
