"""Alerts to ALERT_URL: one when a problem starts and one when it is resolved, across restarts, and never delaying an order."""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import Engine, update

from adapter.cli.startup import settings_for
from adapter.delivery import run
from adapter.delivery.run import Senders
from adapter.errors import SettingsError, WorkFailed
from adapter.inbox import accounts, proofs, receiving, settling, troubles
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.receiving import Arrival
from adapter.inbox.tables import deliveries
from adapter.monitoring import alert_channels
from adapter.monitoring.alert_channels import why_no_address
from adapter.monitoring.alerts import Alerts
from adapter.settings import Settings
from mappings import Key
from tests.support.adapter_under_test import ACCOUNT, AdapterUnderTest, Clock, make_settings, shopify_order
from tests.support.listener import Listener, listening
from tests.support.waiting import wait_until


@pytest.fixture
def chat() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture
def settings(chat: Listener) -> Settings:
    return replace(make_settings("http://127.0.0.1:1"), alert_url=f"http://{chat.address}/hook/hush-hook")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def alerts(engine: Engine, settings: Settings, clock: Clock) -> Alerts:
    with transaction(engine) as connection:
        now = clock()
        proofs.set_proved(connection, ACCOUNT.id, "")
        accounts.take_lease(connection, ACCOUNT.id, holder="h", host="h", pid=1, now=now, until=now + timedelta(days=99), free=False)
    return Alerts(engine, settings, clock)


def paused(engine: Engine, since: datetime | None) -> None:
    with transaction(engine) as connection:
        accounts.set_trouble(connection, ACCOUNT.id, paused_since=since, pause_reason="401: check DRIP_API_KEY" if since else None)


def outage(engine: Engine, since: datetime | None) -> None:
    with transaction(engine) as connection:
        accounts.set_trouble(connection, ACCOUNT.id, outage_since=since)


def keep(engine: Engine, number: int, at: datetime) -> int:
    with transaction(engine) as connection:
        key = Key(value=str(number), expires=False)
        return receiving.keep(connection, Arrival(store="shopify", key=key, topic="", headers={}, payload=b"{}", at=at)).delivery


def kill(engine: Engine, number: int, at: datetime) -> None:
    delivery = keep(engine, number, at)
    with transaction(engine) as connection:
        settling.kill(connection, delivery, {"": ["ada.shopper@example.com is no address"]}, at)


class TestOnce:
    def test_a_paused_account_and_its_end(self, engine: Engine, alerts: Alerts, chat: Listener, clock: Clock) -> None:
        alerts.step()
        assert chat.bodies == []
        paused(engine, clock())
        for _ in range(3):
            alerts.step()
            clock.advance(minutes=2)
        assert [text.split(" Fix the cause")[0] for text in chat.texts()] == [
            f"Drip order adapter: Drip account {ACCOUNT.id} is paused: 401: check DRIP_API_KEY."
        ]
        paused(engine, None)
        for _ in range(3):
            alerts.step()
            clock.advance(minutes=2)
        assert len(chat.bodies) == 2
        assert chat.texts()[1].startswith("Drip order adapter: Resolved after 6 min: Drip account")
        paused(engine, clock())
        alerts.step()
        assert len(chat.bodies) == 3

    def test_a_restart_repeats_nothing(self, engine: Engine, settings: Settings, alerts: Alerts, chat: Listener, clock: Clock) -> None:
        paused(engine, clock())
        alerts.step()
        for _ in range(3):
            clock.advance(minutes=5)
            Alerts(engine, settings, clock).step()
        assert len(chat.bodies) == 1

    def test_a_short_outage_is_not_reported(self, engine: Engine, alerts: Alerts, chat: Listener, clock: Clock) -> None:
        outage(engine, clock())
        alerts.step()
        clock.advance(minutes=4)
        alerts.step()
        outage(engine, None)
        alerts.step()
        assert chat.bodies == []
        outage(engine, clock())
        alerts.step()
        clock.advance(minutes=5)
        alerts.step()
        assert [ACCOUNT.id in text for text in chat.texts()] == [True]

    def test_dead_letters_and_more_of_them_an_hour_later(self, engine: Engine, alerts: Alerts, chat: Listener, clock: Clock) -> None:
        kill(engine, 1, clock())
        alerts.step()
        clock.advance(minutes=10)
        kill(engine, 2, clock())
        alerts.step()
        assert [" 1 delivery of store shopify could not be sent" in text for text in chat.texts()] == [True]
        clock.advance(minutes=51)
        alerts.step()
        clock.advance(hours=5)
        alerts.step()
        assert ["2 deliveries of store shopify could not be sent" in text for text in chat.texts()] == [False, True]
        with transaction(engine) as connection:
            settling.reopen(connection, deliveries.c.state == "dead", at=clock())
        clock.advance(seconds=1)
        alerts.step()
        assert "Resolved after " in chat.texts()[-1]

    def test_a_store_that_sends_errors_for_orders(self, engine: Engine, alerts: Alerts, chat: Listener, clock: Clock) -> None:
        adapter = AdapterUnderTest(engine, make_settings("http://127.0.0.1:9"), "http://127.0.0.1:9", clock)
        error = {"code": "woocommerce_rest_cannot_view", "message": "Sorry", "data": {"status": 403}}
        for _ in range(2):
            adapter.post(error, store="woocommerce", topic="order.created")
        adapter.read()
        alerts.step()
        assert ["Store woocommerce is losing orders: 2 webhooks" in text for text in chat.texts()] == [True]
        adapter.post({"id": 4, "status": "pending", "total": "1"}, store="woocommerce", topic="order.created")
        adapter.read()
        clock.advance(minutes=2)
        alerts.step()
        assert "Resolved after " in chat.texts()[1]

    def test_a_store_that_is_silent_unusually_long(self, engine: Engine, alerts: Alerts, chat: Listener, clock: Clock) -> None:
        for hour in range(24 * 9):
            keep(engine, hour, clock() - timedelta(hours=30 + hour))
        with transaction(engine) as connection:
            connection.execute(update(deliveries).values(state="delivered", settled_at=clock()))
        alerts.step()
        assert ["Store shopify has sent no webhook since" in text for text in chat.texts()] == [True]
        keep(engine, 1000, clock())
        clock.advance(minutes=2)
        alerts.step()
        assert "Resolved after " in chat.texts()[1]

    def test_stuck_orders_unless_the_reason_is_known(self, engine: Engine, alerts: Alerts, chat: Listener, clock: Clock) -> None:
        keep(engine, 1, clock())
        with transaction(engine) as connection:
            connection.execute(update(deliveries).values(read_at=clock(), order_id="1"))
        clock.advance(minutes=9)
        alerts.step()
        assert chat.bodies == []
        paused(engine, clock())
        clock.advance(minutes=2)
        alerts.step()
        assert ["have been waiting" in text for text in chat.texts()] == [False]
        paused(engine, None)
        clock.advance(minutes=2)
        alerts.step()
        assert "Orders of store shopify have been waiting since" in chat.texts()[1]


class TestCalm:
    def test_several_problems_are_one_message_with_at_most_one_a_minute(
        self, engine: Engine, alerts: Alerts, chat: Listener, clock: Clock
    ) -> None:
        paused(engine, clock())
        kill(engine, 1, clock())
        alerts.step()
        assert [len(text.splitlines()) for text in chat.texts()] == [2]
        clock.advance(seconds=20)
        paused(engine, None)
        alerts.step()
        outage(engine, clock() - timedelta(minutes=9))
        clock.advance(seconds=20)
        alerts.step()
        assert len(chat.bodies) == 1
        clock.advance(seconds=21)
        alerts.step()
        assert [len(text.splitlines()) for text in chat.texts()] == [2, 2]

    @pytest.mark.slow
    def test_a_failing_address_is_retried_at_growing_intervals(
        self, engine: Engine, alerts: Alerts, chat: Listener, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        chat.status = 500
        paused(engine, clock())
        tried = []
        for _ in range(60):
            before = len(chat.headers)
            alerts.step()
            tried += [clock()] if len(chat.headers) > before else []
            clock.advance(minutes=1)
        assert [round((later - sooner).total_seconds() / 60) for sooner, later in pairwise(tried)] == [
            1,
            2,
            4,
            8,
            15,
            15,
        ]
        assert "hush-hook" not in caplog.text
        chat.status = 200
        clock.advance(minutes=15)
        alerts.step()
        assert len(chat.bodies) == 1

    def test_a_problem_that_began_and_ended_while_the_address_failed_is_not_reported(
        self, engine: Engine, alerts: Alerts, chat: Listener, clock: Clock
    ) -> None:
        chat.status = 503
        paused(engine, clock())
        alerts.step()
        paused(engine, None)
        alerts.step()
        chat.status = 200
        clock.advance(hours=1)
        alerts.step()
        assert chat.bodies == []

    def test_no_personal_data_is_sent(self, engine: Engine, alerts: Alerts, chat: Listener, clock: Clock) -> None:
        kill(engine, 1, clock())
        alerts.step()
        assert "@" not in chat.texts()[0]

    def test_without_an_address_nothing_is_recorded(self, engine: Engine, settings: Settings, clock: Clock) -> None:
        kill(engine, 1, clock())
        Alerts(engine, replace(settings, alert_url=""), clock).step()
        with snapshot(engine) as connection:
            assert troubles.known(connection) == []


def test_an_address_that_never_responds_delays_no_order(
    adapter: AdapterUnderTest, chat: Listener, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_BETWEEN_LOOKS_S", 0.05)
    chat.silent.set()
    kill(adapter.engine, 1, datetime.now(UTC))
    settings = replace(adapter.settings, alert_url=f"http://{chat.address}/", database_url=database_url)
    for sender in adapter.senders.values():
        sender._lease.release()
    senders = Senders(adapter.engine, settings)
    senders.start()
    wait_until(lambda: chat.headers)
    adapter.post(shopify_order(1001))
    wait_until(adapter.received, 5)
    started = time.monotonic()
    senders.stop()
    assert time.monotonic() - started < 5
    chat.silent.clear()
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "instruments"])


class TestAddresses:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "url", ["https://hooks.example/T0/B0/x", "http://127.0.0.1:9/x", "json://127.0.0.1/x", "mailto://u:p@mail.example"]
    )
    def test_are_accepted(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ALERT_URL", url)
        settings = settings_for()
        assert settings.alert_url == url
        assert url not in repr(settings)

    @pytest.mark.parametrize("url", ["nonsense-hush", "foo://hush", "https://", "https://[hush", "slack://"])
    def test_or_rejected_without_quoting_them(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ALERT_URL", url)
        with pytest.raises(SettingsError, match=r"^ALERT_URL: ") as caught:
            settings_for()
        assert "hush" not in str(caught.value)
        assert why_no_address(url)

    def test_apprise_services_get_the_text(self, chat: Listener) -> None:
        alert_channels.send(f"json://{chat.address}/", "account 1 is paused")
        assert b"account 1 is paused" in chat.bodies[0]

    def test_a_slow_one_times_out(self, chat: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(alert_channels, "TIMEOUT_S", 0.2)
        chat.silent.set()
        with pytest.raises(WorkFailed, match="no response within"):
            alert_channels.send(f"http://{chat.address}/hush", "x")
        chat.silent.clear()


@pytest.fixture(autouse=True)
def quiet_library() -> Iterator[None]:
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("apprise").setLevel(logging.NOTSET)
