"""A sender's process as a whole: its threads, its leases, and how it ends."""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import Engine

from adapter.delivery.lease import Lease
from adapter.delivery.run import Senders
from adapter.inbox import search
from adapter.inbox.accounts import READER
from adapter.inbox.database import connect, snapshot
from adapter.inbox.migration import migrate
from adapter.sandbox import running_sandbox
from adapter.settings import Account, Settings
from tests.support.adapter_under_test import ACCOUNT, make_settings, shopify_order, signed
from tests.support.waiting import wait_until
from tests.support.whole_app import create_app


@pytest.fixture
def sandbox_url() -> Iterator[str]:
    with running_sandbox() as sandbox:
        yield sandbox.url


@pytest.fixture
def settings(sandbox_url: str, database_url: str) -> Settings:
    return replace(make_settings(sandbox_url), database_url=database_url)


def states(engine: Engine) -> list[str]:
    with snapshot(engine) as connection:
        return [row.state for row in search.listed(connection, search.filtered(), 100)]


def test_a_webhook_is_at_drip_in_a_moment_and_stopping_gives_the_leases_back(engine: Engine, settings: Settings) -> None:
    senders = Senders(engine, settings)
    senders.start()
    wait_until(lambda: all(lease.held for lease in senders._leases))
    payload = json.dumps(shopify_order()).encode()
    create_app(settings, engine).test_client().post("/webhooks/shopify", data=payload, headers=signed(payload))
    wait_until(lambda: states(engine) == ["delivered"])
    senders.stop()
    for account in (READER, ACCOUNT.id):
        assert Lease(engine, account).acquire()


def test_a_second_process_waits_and_takes_over_when_the_first_stops(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("run", "dispatcher"):
        monkeypatch.setattr(f"adapter.delivery.{module}.WITHOUT_LEASE_S", 0.05)
    first, second = Senders(engine, settings), Senders(engine, settings)
    first.start()
    wait_until(lambda: all(lease.held for lease in first._leases))
    second.start()
    time.sleep(0.3)
    assert not any(lease.held for lease in second._leases)
    first.stop()
    wait_until(lambda: all(lease.held for lease in second._leases))
    second.stop()


def test_all_leases_of_a_process_at_work_are_kept(engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.delivery.lease.LIFETIME", timedelta(seconds=2))
    monkeypatch.setattr("adapter.delivery.run.RENEWAL_S", 0.3)
    first, second = Senders(engine, settings), Senders(engine, settings)
    first.start()
    wait_until(lambda: all(lease.held for lease in first._leases))
    second.start()
    until = time.monotonic() + 2.5  # beyond the lifetime
    while time.monotonic() < until:
        time.sleep(0.05)
        assert not second._reading.held
    assert first._reading.held
    first.stop()
    second.stop()


def test_an_account_whose_requests_hang_costs_another_nothing(engine: Engine, settings: Settings, sandbox_url: str) -> None:
    other = Account(id="other", token="t")
    stores = dict(settings.stores) | {"second": replace(settings.stores["shopify"], name="second", account=other)}
    settings = replace(settings, stores=stores)
    requests.put(f"{sandbox_url}/answers", json={"account": ACCOUNT.id, "hang": 30}, timeout=5).raise_for_status()
    senders = Senders(engine, settings)
    senders.start()
    client = create_app(settings, engine).test_client()
    for order_id, store in enumerate(("shopify", "second", "second", "second"), start=1):
        payload = json.dumps(shopify_order(order_id)).encode()
        client.post(f"/webhooks/{store}", data=payload, headers=signed(payload))
    wait_until(lambda: states(engine).count("delivered") == 3, timeout_s=6)
    assert states(engine).count("pending") == 1
    requests.delete(f"{sandbox_url}/answers", timeout=5)
    senders.stop()


def test_without_an_account_it_says_what_to_set(engine: Engine, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    stores = {name: replace(store, account=None) for name, store in settings.stores.items()}
    senders = Senders(engine, replace(settings, stores=stores))
    with caplog.at_level(logging.WARNING):
        senders.start()
        senders.stop()
    assert "DRIP_ACCOUNT_ID" in caplog.text


def test_a_database_that_is_away_for_a_while_costs_time_only(tmp_path: Path, sandbox_url: str) -> None:
    url = f"sqlite:///{tmp_path / 'late.db'}"
    engine = connect(url)
    senders = Senders(engine, replace(make_settings(sandbox_url), database_url=url))
    senders.start()  # its tables are not there yet
    time.sleep(0.5)
    migrate(engine)
    client = create_app(replace(make_settings(sandbox_url), database_url=url), engine).test_client()
    payload = json.dumps(shopify_order()).encode()
    assert client.post("/webhooks/shopify", data=payload, headers=signed(payload)).status_code == 200
    wait_until(lambda: states(engine) == ["delivered"])
    senders.stop()
    engine.dispose()
