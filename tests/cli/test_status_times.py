"""Times that `status` and `check` print: in the machine's zone, or in UTC on request, and never as programs get them."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from adapter.cli import main
from adapter.inbox import accounts, receiving
from adapter.inbox.database import transaction
from tests.support.adapter_under_test import ACCOUNT, SECRET, AdapterUnderTest, make_settings, shopify_order

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
AT = datetime.now(UTC).replace(hour=20, minute=30, second=15, microsecond=123456) + timedelta(days=1)
"""After the webhook that was accepted, so that refused requests are findings."""
NEXT_DAY = AT + timedelta(days=1)
RAW = re.compile(r"\dT\d\d:|\.\d{6}")


@pytest.fixture(autouse=True)
def _tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(autouse=True)
def _paused_and_refused(engine: Engine, database_url: str, sandbox_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = AdapterUnderTest(engine, make_settings(sandbox_url), sandbox_url)
    adapter.post(shopify_order(1001))
    adapter.settle()
    adapter.post(shopify_order(1002))
    with transaction(engine) as connection:
        for reason in ("mismatch", "missing"):
            receiving.count_refusal(connection, store="shopify", reason=reason, at=AT)
        accounts.pause(connection, ACCOUNT.id, why="Drip returned 401", since=AT, probe_at=AT + timedelta(minutes=5))
    for name, value in {
        "DATABASE_URL": database_url, "SHOPIFY_WEBHOOK_SECRET": SECRET, "DRIP_ACCOUNT_ID": ACCOUNT.id, "DRIP_API_KEY": ACCOUNT.token,
        "DRIP_API_URL": sandbox_url,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


def shown(*arguments: str) -> str:
    text = CliRunner().invoke(main, arguments, catch_exceptions=False).stdout
    assert not RAW.search(text)
    return text


def test_status_prints_local_times() -> None:
    text = shown("status")
    assert f"since {NEXT_DAY:%Y-%m-%d} 05:30:15 JST, next try {NEXT_DAY:%Y-%m-%d} 05:35:15 JST" in text
    assert f"doesn't match, the last one at {NEXT_DAY:%Y-%m-%d} 05:30 JST, and none accepted" in text
    assert f"without a signature, the last one at {NEXT_DAY:%Y-%m-%d} 05:30:15 JST" in text
    assert re.search(r"the oldest since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d JST", text)
    assert " UTC" not in text


def test_status_prints_utc_on_request() -> None:
    text = shown("status", "--utc")
    assert f"since {AT:%Y-%m-%d} 20:30:15 UTC, next try {AT:%Y-%m-%d} 20:35:15 UTC" in text
    assert f"without a signature, the last one at {AT:%Y-%m-%d} 20:30:15 UTC" in text
    assert "JST" not in text


def test_check_prints_local_times_or_utc() -> None:
    assert f"doesn't match, the last one at {NEXT_DAY:%Y-%m-%d} 05:30 JST, and none accepted" in shown("check")
    assert f"doesn't match, the last one at {AT:%Y-%m-%d} 20:30 UTC, and none accepted" in shown("check", "--utc")
