"""Staged troubles, and what every outlet says of them: /status, `status`, `check`, /metrics, the dashboard's overview and ALERT_URL."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, update

from adapter.cli import main
from adapter.inbox import proofs, receiving
from adapter.inbox.database import transaction
from adapter.inbox.receiving import Arrival
from adapter.inbox.tables import deliveries, leases
from adapter.monitoring.alerts import Alerts
from adapter.settings import Settings
from mappings import Key
from tests.support.adapter_under_test import ACCOUNT, SECRET, AdapterUnderTest, make_settings, shopify_order
from tests.support.listener import Listener, listening
from tests.web.conftest import Visitor, with_dashboard

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@dataclass
class Outlets:
    """Everything that reports the verdict."""

    adapter: AdapterUnderTest
    chat: Listener

    def status(self) -> tuple[int, str, list[str]]:
        answer = self.adapter.web.get("/status")
        report = answer.get_json()
        return answer.status_code, report["verdict"], [finding["code"] for finding in report["findings"]]

    def command(self) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["status"], catch_exceptions=False)
        return result.exit_code, result.stdout.splitlines()[0]

    def check(self) -> tuple[int, list[tuple[str, str]]]:
        """The exit status; code and text of each problem."""
        result = CliRunner().invoke(main, ["check", "--json"], catch_exceptions=False)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        return result.exit_code, [(line["code"], line["say"]) for line in lines if line["ok"] is False]

    def metrics(self) -> tuple[str, set[str]]:
        text = self.adapter.web.get("/metrics").text
        [verdict] = re.findall(r'drip_adapter_verdict\{verdict="(\w+)"\} 1\.0', text)
        return verdict, set(re.findall(r'drip_adapter_findings\{code="(\w+)"\} [1-9]', text))

    def page(self) -> tuple[str, str]:
        visitor = Visitor(self.adapter.web)
        visitor.log_in()
        text = visitor.get("/").text
        return re.findall(r"<title>(.*?)Overview", text)[0], re.findall(r'<p class="headline">(.*?)</p>', text)[0]

    def alert(self) -> list[str]:
        """The lines of an alert, long enough after the trouble began."""
        clock = self.adapter.clock
        alerts = Alerts(self.adapter.engine, self.adapter.settings, clock)
        before = len(self.chat.bodies)
        alerts.step()
        if len(self.chat.bodies) == before:
            clock.advance(minutes=16)
            alerts.step()
        return [line for text in self.chat.texts()[before:] for line in text.splitlines()]


@pytest.fixture
def chat() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


def configured(sandbox_url: str, chat: Listener) -> Settings:
    return replace(with_dashboard(make_settings(sandbox_url)), alert_url=f"http://{chat.address}/")


@pytest.fixture
def outlets(engine: Engine, sandbox_url: str, chat: Listener, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outlets]:
    adapter = AdapterUnderTest(engine, configured(sandbox_url, chat), sandbox_url)
    adapter.drip_forgets()
    for name, value in {
        "DATABASE_URL": database_url, "DRIP_API_URL": sandbox_url, "DRIP_ACCOUNT_ID": ACCOUNT.id, "DRIP_API_KEY": ACCOUNT.token,
        "PUBLIC_URL": "https://adapter.example", "MAGENTO_STORE_URL": "https://magento-shop.example",
        **{f"{store.upper()}_WEBHOOK_SECRET": SECRET for store in ("magento", "shopify", "woocommerce")},
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with transaction(engine) as connection:  # however long a test takes
        connection.execute(update(leases).values(expires_at=datetime.now(UTC) + timedelta(days=999)))
    yield Outlets(adapter, chat)
    adapter.drip_forgets()


def nothing(adapter: AdapterUnderTest) -> None:
    adapter.post(shopify_order(1001))
    adapter.settle()


def no_sender(adapter: AdapterUnderTest) -> None:
    with transaction(adapter.engine) as connection:
        connection.execute(update(leases).values(holder=None, expires_at=None))


def killed_sender(adapter: AdapterUnderTest) -> None:
    """Its lease ran out six seconds ago; it lasts 20, so the crash was at most 26 seconds ago."""
    with transaction(adapter.engine) as connection:
        connection.execute(update(leases).values(expires_at=datetime.now(UTC) - timedelta(seconds=6)))


def wrong_key(adapter: AdapterUnderTest) -> None:
    adapter.tell_drip(status=401)
    adapter.post(shopify_order(1001))
    adapter.settle()
    adapter.drip_recovers()


def drip_down(adapter: AdapterUnderTest) -> None:
    adapter.tell_drip(status=503)
    for number in range(3):
        adapter.post(shopify_order(1001 + number))
    adapter.settle()
    adapter.drip_recovers()


def throttled(adapter: AdapterUnderTest) -> None:
    adapter.tell_drip(status=429, headers={"Retry-After": "3000"})
    adapter.post(shopify_order(1001))
    adapter.settle()
    adapter.drip_recovers()


def refused_order(adapter: AdapterUnderTest) -> None:
    adapter.tell_drip(status=422, body={"errors": [{"attribute": "email", "message": "is invalid"}]})
    adapter.post(shopify_order(1001))
    adapter.settle()
    adapter.drip_recovers()


def unmappable_order(adapter: AdapterUnderTest) -> None:
    adapter.post({**shopify_order(1001), "line_items": [{"id": 1, "title": "Lamp", "price": "ten", "quantity": 1}]})
    adapter.settle()


def wrong_secret(adapter: AdapterUnderTest) -> None:
    answer = adapter.web.post("/webhooks/shopify", data=b"{}", headers={"X-Shopify-Hmac-Sha256": "d3Jvbmc="})
    assert answer.status_code == 401


def wrong_secret_after_a_rotation(adapter: AdapterUnderTest) -> None:
    nothing(adapter)
    wrong_secret(adapter)


def no_signature(adapter: AdapterUnderTest) -> None:
    assert adapter.web.post("/webhooks/shopify", data=b"{}").status_code == 401


def silent_store(adapter: AdapterUnderTest) -> None:
    now = datetime.now(UTC)
    with transaction(adapter.engine) as connection:
        for hour in range(24 * 9):
            key, at = Key(value=str(hour), expires=False), now - timedelta(hours=30 + hour, minutes=1)
            receiving.keep(connection, Arrival(store="shopify", key=key, topic="", headers={}, payload=b"{}", at=at))
        connection.execute(update(deliveries).values(state="delivered", settled_at=now))


def waiting_orders(adapter: AdapterUnderTest) -> None:
    adapter.post(shopify_order(1001))
    adapter.read()
    with transaction(adapter.engine) as connection:
        connection.execute(update(deliveries).values(due_at=datetime.now(UTC) - timedelta(minutes=11)))


def errors_for_orders(adapter: AdapterUnderTest) -> None:
    error = {"code": "woocommerce_rest_cannot_view", "message": "Sorry", "data": {"status": 403}}
    adapter.post(error, store="woocommerce", topic="order.created")
    adapter.read()


def not_asked(adapter: AdapterUnderTest) -> None:
    with transaction(adapter.engine) as connection:
        connection.execute(update(leases).values(proved_with=None))


def not_accepted(adapter: AdapterUnderTest) -> None:
    with transaction(adapter.engine) as connection:
        now = datetime.now(UTC)
        proofs.set_unproven(connection, ACCOUNT.id, "no response", at=now, again_at=now + timedelta(minutes=1))


TROUBLES = [
    (not_asked, "attention", "unproven"),
    (not_accepted, "attention", "unproven"),
    (no_sender, "stuck", "no_sender"),
    (killed_sender, "stuck", "no_sender"),
    (wrong_key, "stuck", "paused"),
    (drip_down, "stuck", "outage"),
    (waiting_orders, "stuck", "waiting"),
    (errors_for_orders, "stuck", "store_error"),
    (throttled, "attention", "throttled"),
    (refused_order, "attention", "dead"),
    (unmappable_order, "attention", "dead"),
    (wrong_secret, "attention", "signature_mismatch"),
    (wrong_secret_after_a_rotation, "attention", "signature_mismatch"),
    (no_signature, "attention", "signature_missing"),
    (silent_store, "attention", "silent"),
]


@on_sqlite
@pytest.mark.parametrize(("stage", "verdict", "code"), TROUBLES, ids=[stage.__name__ for stage, *_ in TROUBLES])
def test_every_outlet_reports_it(outlets: Outlets, stage: Callable[[AdapterUnderTest], None], verdict: str, code: str) -> None:
    stage(outlets.adapter)
    assert outlets.status() == (503 if verdict == "stuck" else 200, verdict, [code])
    exit_code, headline = outlets.command()
    assert exit_code == 1
    if code == "unproven":
        assert headline == "Drip has not accepted the account yet."
    else:
        assert headline == "Orders are stuck." if verdict == "stuck" else "but something needs attention." in headline
    exit_code, problems = outlets.check()
    assert (exit_code, [found for found, _ in problems]) == (1, [code])
    assert outlets.metrics() == (verdict, {code})
    title, shown = outlets.page()
    assert (title, shown) == (f"{verdict.capitalize()}: ", headline)
    lines = [line.removeprefix("Drip order adapter: ") for line in outlets.alert()]
    assert problems[0][1] in lines
    assert len(lines) == (2 if code == "throttled" else 1)  # by the time that it is reported, its order has been waiting too long


@on_sqlite
def test_every_outlet_reports_that_nothing_is_wrong(outlets: Outlets) -> None:
    nothing(outlets.adapter)
    assert outlets.status() == (200, "ok", [])
    assert outlets.command() == (0, "Orders are reaching Drip.")
    assert outlets.check() == (0, [])
    assert outlets.metrics() == ("ok", set())
    assert outlets.page() == ("", "Orders are reaching Drip.")
    assert outlets.alert() == []


@on_sqlite
def test_a_fixed_secret_and_a_fixed_key_are_over_at_once(outlets: Outlets) -> None:
    wrong_secret(outlets.adapter)
    with transaction(outlets.adapter.engine) as connection:
        connection.execute(update(leases).values(paused_since=datetime.now(UTC), pause_reason="401", probe_at=None))
    assert outlets.status()[1:] == ("stuck", ["paused", "signature_mismatch"])
    nothing(outlets.adapter)
    assert outlets.status() == (200, "ok", [])
    assert outlets.command()[0] == 0


def test_a_database_that_is_away_is_a_finding(engine: Engine) -> None:
    adapter = AdapterUnderTest(engine, make_settings("http://127.0.0.1:1"), "http://127.0.0.1:1")
    with transaction(engine) as connection:
        connection.exec_driver_sql("ALTER TABLE leases RENAME TO gone")
    answer = adapter.web.get("/status")
    report = answer.get_json()
    assert (answer.status_code, report["verdict"], [finding["code"] for finding in report["findings"]]) == (503, "stuck", ["database"])
    with transaction(engine) as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO leases")
