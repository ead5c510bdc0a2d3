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
from adapter.inbox import holdups, proofs, receiving
from adapter.inbox.database import transaction
from adapter.inbox.packing import LOCKED
from adapter.inbox.receiving import Arrival
from adapter.inbox.tables import deliveries, leases
from adapter.monitoring.alerts import Alerts
from adapter.monitoring.sums import SumsWatch
from adapter.operations.verdict import CODES
from adapter.settings import Settings
from mappings import Key
from tests.mappings.test_fees import MAGENTO
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


def killed_sender_elsewhere(adapter: AdapterUnderTest) -> None:
    """Nobody here can see whether the process still runs; its lease says so."""
    with transaction(adapter.engine) as connection:
        connection.execute(update(leases).values(host="elsewhere", pid=2**22 + 1, expires_at=datetime.now(UTC) - timedelta(seconds=6)))


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


def one_order_that_fails(adapter: AdapterUnderTest) -> None:
    """Too few for an outage, but it waits: for an hour after the sixth time."""
    adapter.tell_drip(status=503)
    adapter.post(shopify_order(1001))
    for _ in range(6):
        adapter.settle()
        adapter.clock.advance(hours=1)
    adapter.clock.advance(hours=-6)
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


def fees_that_nothing_names(adapter: AdapterUnderTest) -> None:
    adapter.post(MAGENTO, store="magento")
    adapter.settle()
    SumsWatch(adapter.engine, adapter.settings, adapter.clock).step()


def a_store_that_is_gone(adapter: AdapterUnderTest) -> None:
    with transaction(adapter.engine) as connection:
        key, at = Key(value="1", expires=False), datetime.now(UTC)
        receiving.keep(connection, Arrival(store="gone", key=key, topic="", headers={}, payload=b"{}", at=at))


def another_shops_webhooks(adapter: AdapterUnderTest) -> None:
    with transaction(adapter.engine) as connection:
        receiving.count_refusal(connection, store="shopify", reason="other_shop", at=datetime.now(UTC))


def one_of_two_secrets_wrong(adapter: AdapterUnderTest) -> None:
    """Two apps send to one store: the newest webhook is an accepted one."""
    for number in range(3):
        wrong_secret(adapter)
        adapter.post(shopify_order(1001 + number))
        adapter.settle()


def a_store_api_that_fails(adapter: AdapterUnderTest) -> None:
    now = datetime.now(UTC)
    with transaction(adapter.engine) as connection:
        until = now + timedelta(minutes=1)
        holdups.note(connection, "magento", holdups.STORE_API, "the store answered 503", at=now - timedelta(minutes=6), until=until)


def payloads_without_a_key(adapter: AdapterUnderTest) -> None:
    now = datetime.now(UTC)
    with transaction(adapter.engine) as connection:
        holdups.note(connection, "shopify", holdups.LOCKED, LOCKED, at=now, until=now + timedelta(minutes=5))


TROUBLES = [
    (one_of_two_secrets_wrong, "attention", "signature_mismatch"),
    (a_store_api_that_fails, "attention", "store_api"),
    (payloads_without_a_key, "stuck", "locked"),
    (fees_that_nothing_names, "attention", "sums_differ"),
    (a_store_that_is_gone, "stuck", "not_configured"),
    (another_shops_webhooks, "attention", "signature_other_shop"),
    (killed_sender_elsewhere, "stuck", "no_sender"),
    (not_asked, "attention", "unproven"),
    (not_accepted, "attention", "unproven"),
    (no_sender, "stuck", "no_sender"),
    (killed_sender, "stuck", "no_sender"),
    (wrong_key, "stuck", "paused"),
    (drip_down, "stuck", "outage"),
    (waiting_orders, "stuck", "waiting"),
    (errors_for_orders, "stuck", "store_error"),
    (throttled, "attention", "throttled"),
    (one_order_that_fails, "attention", "retrying"),
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
    # By the time that these are reported, their order has been waiting too long.
    assert len(lines) == (2 if code in ("throttled", "retrying") else 1)


@on_sqlite
def test_a_sender_on_another_host_is_one(outlets: Outlets) -> None:
    nothing(outlets.adapter)
    with transaction(outlets.adapter.engine) as connection:
        connection.execute(update(leases).values(host="elsewhere", pid=2**22 + 1))
    assert outlets.status() == (200, "ok", [])
    assert outlets.command()[0] == outlets.check()[0] == 0


@on_sqlite
def test_past_orders_that_are_being_sent_are_no_trouble(outlets: Outlets) -> None:
    nothing(outlets.adapter)
    for number in range(2, 5):
        outlets.adapter.post(shopify_order(1000 + number))
    outlets.adapter.read()
    with transaction(outlets.adapter.engine) as connection:
        waiting = update(deliveries).where(deliveries.c.state == "pending")
        connection.execute(waiting.values(priority=2, due_at=datetime.now(UTC) - timedelta(hours=3)))
    assert outlets.status() == (200, "ok", [])
    assert outlets.command() == (0, "Orders are reaching Drip.")
    assert outlets.check() == (0, [])
    assert outlets.metrics() == ("ok", set())
    assert outlets.page()[0] == ""
    Alerts(outlets.adapter.engine, outlets.adapter.settings, outlets.adapter.clock).step()
    assert outlets.chat.bodies == []


UNSET = [
    ((), "stuck", "no_account", "Orders are stuck."),
    (("stores",), "attention", "no_store", "Waiting for the first webhook, but something needs attention."),
]


@on_sqlite
@pytest.mark.parametrize(("also", "verdict", "code", "headline"), UNSET, ids=["no account", "nothing configured"])
def test_every_outlet_reports_what_is_not_configured(
    outlets: Outlets, monkeypatch: pytest.MonkeyPatch, also: tuple[str, ...], verdict: str, code: str, headline: str
) -> None:
    stores = {} if also else {name: replace(store, account=None) for name, store in outlets.adapter.settings.stores.items()}
    adapter = AdapterUnderTest(outlets.adapter.engine, replace(outlets.adapter.settings, stores=stores), outlets.adapter.sandbox_url)
    bare = Outlets(adapter, outlets.chat)
    secrets = [f"{store.upper()}_WEBHOOK_SECRET" for store in outlets.adapter.settings.stores] if also else []
    for name in ("DRIP_ACCOUNT_ID", "DRIP_API_KEY", *secrets):
        monkeypatch.delenv(name, raising=False)
    assert bare.status() == (503 if verdict == "stuck" else 200, verdict, [code])
    assert bare.command() == (1, headline)
    exit_code, problems = bare.check()
    assert (exit_code, [found for found, _ in problems if found]) == (1, [code])
    assert bare.metrics() == (verdict, {code})
    assert bare.page() == (f"{verdict.capitalize()}: ", headline)
    assert any("configured" in line for line in bare.alert())


def test_every_code_is_staged() -> None:
    assert {code for *_, code in TROUBLES} | {code for *_, code, _ in UNSET} | {"database"} == set(CODES)


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
