"""1,000 stores, in as many Drip accounts or in one: no statement grows with them, and no list of statements either."""

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert

from adapter.inbox.charts import SPANS
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.tables import deliveries
from adapter.operations import registered
from adapter.operations.activity import read_activity
from adapter.operations.check import look
from adapter.operations.health import read_health
from adapter.sandbox import RunningSandbox, running_sandbox
from adapter.settings import Settings, read_settings
from tests.support.adapter_under_test import SECRET

MANY = 1000
MOST_STATEMENTS = 100
ASKED_AT_ONCE = 8
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

STORE_WITH_API = """
[stores.s{0}]
provider = "woocommerce"
secret = "{1}"
store_url = "http://127.0.0.1:{2}"
consumer_key = "ck_0123456789"
consumer_secret = "cs_0123456789"
"""


@pytest.fixture(scope="module")
def drip() -> Iterator[RunningSandbox]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture(params=[MANY, 1], ids=lambda accounts: f"{accounts}-accounts")
def settings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, drip: RunningSandbox) -> Settings:
    """1,000 stores in as many accounts, and in one."""
    accounts = request.param
    monkeypatch.setenv("STORES", "".join(STORE.format(number, SECRET, 1_000_000 + number % accounts) for number in range(MANY)))
    monkeypatch.setenv("DRIP_API_URL", drip.url)
    found = read_settings()
    assert (len(found.stores), len(found.accounts)) == (MANY, accounts)
    return found


@pytest.fixture
def statements(engine: Engine) -> list[str]:
    """The statements so far."""
    heard: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def hear(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        heard.append(statement)

    return heard


def with_orders(engine: Engine, settings: Settings) -> None:
    """Each store has orders of all states, from several hours."""
    now = datetime.now(UTC)
    rows = [
        {
            "store": store.name,
            "key": f"{hour}",
            "topic": "orders/create",
            "headers": "{}",
            "payload": b"{}",
            "received_at": now - timedelta(hours=hour),
            "due_at": now,
            "order_id": f"{hour}",
            "read_at": now,
            "account": store.account.id if store.account else None,
            "state": state,
            "settled_at": None if state == "pending" else now,
            "problems": "{}" if state == "dead" else None,
        }
        for store in settings.stores.values()
        for hour, state in enumerate(("delivered", "pending", "dead", "delivered", "delivered", "delivered"))
    ]
    with transaction(engine) as connection:
        connection.execute(insert(deliveries), rows)


def test_check_status_and_overview(engine: Engine, settings: Settings, statements: list[str]) -> None:
    with_orders(engine, settings)
    statements.clear()
    begun = time.process_time()
    findings = list(look(settings, engine))
    assert len([finding for finding in findings if finding.ok and finding.what.startswith("store s")]) == MANY
    if len(settings.accounts) == MANY:
        assert any(
            finding.say == "980 more accounts weren't asked about; Drip accepted the newest order of 0 of them" for finding in findings
        )
    with snapshot(engine) as connection:
        health = read_health(connection, settings, datetime.now(UTC))
        assert {store.silence.limit for store in health.facts.stores.values()} == {timedelta(days=1)}
        read_activity(connection, settings, health.facts, SPANS["day"])
    assert time.process_time() - begun < 3
    assert max(map(len, statements)) < LONGEST_STATEMENT
    assert len(statements) < MOST_STATEMENTS


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_apis_of_stores_are_asked_at_the_same_time(engine: Engine, drip: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(ASKED_AT_ONCE)

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer when all of the stores are being asked; if they never are, the barrier breaks and nothing is answered."""
            together.wait(5)
            self.send_error(401)

        def log_message(self, *arguments: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        stores = (STORE_WITH_API.format(number, SECRET, server.server_port) for number in range(ASKED_AT_ONCE))
        monkeypatch.setenv("STORES", "".join(stores))
        monkeypatch.setenv("DRIP_API_URL", drip.url)
        findings = [finding for finding in look(read_settings(), engine) if finding.what.startswith("webhooks of")]
        server.shutdown()
        thread.join()
    assert sorted(finding.what for finding in findings) == [f"webhooks of s{number}" for number in range(ASKED_AT_ONCE)]
    assert ["401" in finding.say for finding in findings] == [True] * ASKED_AT_ONCE
    assert not together.broken


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_stores_that_do_not_answer_are_named_when_the_time_is_over(
    engine: Engine, drip: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registered, "ASKING_S", 0.5)
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("STORES", "".join(STORE_WITH_API.format(number, SECRET, port) for number in range(12)))
        monkeypatch.setenv("DRIP_API_URL", drip.url)
        asked: list[tuple[int, int]] = []
        begun = time.monotonic()
        findings = list(look(read_settings(), engine, lambda done, of: asked.append((done, of))))
        assert time.monotonic() - begun < 3
    [found] = [finding for finding in findings if finding.what == "webhooks"]
    assert found.ok is None
    assert found.say == (
        "12 stores weren't asked, or didn't answer, within 0.5 s: s0, s1, s2, s3, s4, s5, s6, s7, s8, s9 and 2 more; "
        "drip-adapter connect STORE asks one of them"
    )
    assert asked == [(0, 12)]
