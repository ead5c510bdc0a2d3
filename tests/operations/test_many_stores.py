"""A configuration of 1,000 stores in 1,000 Drip accounts: what looks at all of them takes no longer for it, and no statement grows."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event

from adapter.inbox.charts import SPANS
from adapter.inbox.database import snapshot
from adapter.operations.activity import read_activity
from adapter.operations.check import look
from adapter.operations.health import read_health
from adapter.sandbox import RunningSandbox, running_sandbox
from adapter.settings import Settings, read_settings
from tests.support.adapter_under_test import SECRET

MANY = 1000
# SQLite refuses an expression deeper than this; and text beyond it would mean that a statement lists stores.
LONGEST_STATEMENT = 8000
STORE = """
[stores.s{0:04}]
provider = "shopify"
secret = "{1}"
drip_account_id = "{2}"
drip_api_key = "token-{2}"
drip_provider = "p{0:04}"
"""


@pytest.fixture(scope="module")
def drip() -> Iterator[RunningSandbox]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, drip: RunningSandbox) -> Settings:
    monkeypatch.setenv("STORES", "".join(STORE.format(number, SECRET, 1_000_000 + number) for number in range(MANY)))
    monkeypatch.setenv("DRIP_API_URL", drip.url)
    return read_settings()


@pytest.fixture
def longest(engine: Engine) -> Callable[[], int]:
    """The length of the longest statement so far."""
    heard: list[int] = []

    @event.listens_for(engine, "before_cursor_execute")
    def hear(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        heard.append(len(statement))

    return lambda: max(heard)


def test_check_status_and_overview(engine: Engine, settings: Settings, drip: RunningSandbox, longest: Callable[[], int]) -> None:
    assert (len(settings.stores), len(settings.accounts)) == (MANY, MANY)
    begun = time.process_time()
    findings = list(look(settings, engine))
    assert len([finding for finding in findings if finding.what.startswith("store s")]) == MANY
    assert any(finding.say == "980 more accounts weren't asked about; Drip accepted the newest order of 0 of them" for finding in findings)
    with snapshot(engine) as connection:
        health = read_health(connection, settings, datetime.now(UTC))
        read_activity(connection, settings, health.facts, SPANS["day"])
    assert time.process_time() - begun < 3
    assert longest() < LONGEST_STATEMENT
