"""What lists show where there is little room, and how times look to programs."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from adapter.cli import main, output, times
from adapter.cli.commands import audit, orders
from adapter.cli.delivery_output import _INBOX
from adapter.cli.output import Column
from tests.support.adapter_under_test import ACCOUNT, SECRET, AdapterUnderTest, shopify_order

ORDER = ("order", "total")


@pytest.mark.parametrize(
    ("columns", "narrow", "wide"),
    [
        (_INBOX, (*ORDER, "id", "state"), (*ORDER, "id", "received", "store", "topic", "attempts", "state", "why")),
        (orders._LIST, (*ORDER, "state"), (*ORDER, "items", "shopper", "last sent to Drip", "store", "state")),
        (orders._COLUMNS, ("id", "state", "what happened"), ("id", "received", "topic", "state", "what happened")),
        (audit._COLUMNS, ("id", "did", "what"), ("id", "when", "who", "did", "what")),
    ],
    ids=["deliveries", "orders", "history", "audit"],
)
def test_a_narrow_terminal_shows_what_matters_most(columns: tuple[Column, ...], narrow: tuple[str, ...], wide: tuple[str, ...]) -> None:
    for width, shown in ((40, narrow), (160, wide)):
        assert tuple(column.header for column in output.table(columns, [], width).columns) == shown


def test_a_long_text_is_cut_on_a_terminal_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert output.shortened("a long text", 7) == "a long text"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert (output.shortened("a long text", 7), output.shortened("a text", 7)) == ("a long…", "a text")


def test_todays_times_need_no_date() -> None:
    now = datetime.now(UTC)
    assert times.in_short(now, in_utc=True) == f"{now:%H:%M:%S} UTC"
    assert times.in_short(now - timedelta(days=2), in_utc=True) == f"{now - timedelta(days=2):%Y-%m-%d}"


def moments(value: Any) -> list[str]:
    """Every time in a JSON document."""
    if isinstance(value, dict):
        return [found for each in value.values() for found in moments(each)]
    if isinstance(value, list):
        return [found for each in value for found in moments(each)]
    return [value] if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[T ]", value) else []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_programs_get_every_time_in_one_form(adapter: AdapterUnderTest, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SHOPIFY_WEBHOOK_SECRET": SECRET,
        "DRIP_ACCOUNT_ID": ACCOUNT.id,
        "DRIP_API_KEY": "key-of-drip",
        "TZ": "Asia/Tokyo",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", database_url)
    adapter.post(shopify_order(1001))
    adapter.settle()
    adapter.post(shopify_order(1002, total="free"))
    adapter.settle()
    adapter.post(shopify_order(1003))
    for command in ("deliveries list", "deliveries show 1", "deliveries show 2", "orders list", "orders show 1001", "audit", "status"):
        printed = CliRunner().invoke(main, [*command.split(), "--json"]).stdout
        found = [
            moment for line in printed.splitlines() for moment in moments({**json.loads(line), "body": None, "tries": None, "today": None})
        ]
        assert found, command
        assert [moment for moment in found if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", moment)] == [], command
