"""Drip is asked about each account before an order is; a mended key resumes at once, and so does an account that a person wants tried."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, Row

from adapter.cli import main
from adapter.delivery.proving import Prover
from adapter.delivery.run import Senders
from adapter.inbox import accounts
from adapter.inbox.database import snapshot, transaction
from adapter.settings import Account, Settings
from tests.support.adapter_under_test import ACCOUNT, SECRET, AdapterUnderTest, make_settings, shopify_order
from tests.support.waiting import wait_until

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
pytestmark = on_sqlite


@pytest.fixture
def adapter(engine: Engine, sandbox_url: str) -> Iterator[AdapterUnderTest]:
    adapter = AdapterUnderTest(engine, make_settings(sandbox_url), sandbox_url)
    with transaction(engine) as connection:
        accounts.set_trouble(connection, ACCOUNT.id, proved_with=None)
    adapter.drip_forgets()
    yield adapter
    adapter.drip_forgets()


def prover(adapter: AdapterUnderTest, settings: Settings | None = None) -> Prover:
    """That of a process that has just started."""
    return Prover(adapter.engine, settings or adapter.settings, lambda: datetime.now(UTC))


def with_key(settings: Settings, token: str) -> Settings:
    account = replace(ACCOUNT, token=token)
    return replace(settings, stores={name: replace(store, account=account) for name, store in settings.stores.items()})


def asked(adapter: AdapterUnderTest) -> list[str]:
    return [request["account"] for request in adapter.requests_made() if request["kind"] is None]


def lease(adapter: AdapterUnderTest, account: str = ACCOUNT.id) -> Row[Any]:
    with snapshot(adapter.engine) as connection:
        found = accounts.lease(connection, account)
    assert found is not None
    return found


def configure(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DRIP_ACCOUNT_ID": ACCOUNT.id, "DRIP_API_KEY": ACCOUNT.token, "SHOPIFY_WEBHOOK_SECRET": SECRET}.items():
        monkeypatch.setenv(name, value)


def test_an_account_is_asked_once_at_the_start(adapter: AdapterUnderTest) -> None:
    started = prover(adapter)
    for _ in range(3):
        started.step()
    assert asked(adapter) == [ACCOUNT.id]
    assert lease(adapter).proved_with == ACCOUNT.fingerprint(adapter.settings.drip_api_url)


def test_a_rejected_key_pauses_the_account_before_its_first_order_and_a_new_key_resumes_it(adapter: AdapterUnderTest) -> None:
    adapter.tell_drip(status=401)
    prover(adapter).step()
    paused = lease(adapter)
    assert paused.paused_since is not None
    assert "returned 401" in paused.pause_reason
    adapter.drip_recovers()
    prover(adapter, with_key(adapter.settings, "another-key-9")).step()
    resumed = lease(adapter)
    assert (resumed.paused_since, resumed.pause_reason, resumed.proof_failed) == (None, None, None)


def test_a_key_that_an_order_was_refused_with_is_resumed_by_a_new_one(adapter: AdapterUnderTest) -> None:
    prover(adapter).step()
    adapter.tell_drip(status=401)
    adapter.post(shopify_order())
    adapter.settle()
    assert lease(adapter).paused_since is not None
    adapter.drip_recovers()
    prover(adapter, with_key(adapter.settings, "another-key-9")).step()
    assert lease(adapter).paused_since is None


@pytest.mark.parametrize("status", [404, 429, 503])
def test_any_other_answer_leaves_it_unproven_and_orders_are_sent_all_the_same(adapter: AdapterUnderTest, status: int) -> None:
    adapter.tell_drip(status=status, times=1)
    prover(adapter).step()
    unproven = lease(adapter)
    assert (unproven.proved_with, unproven.paused_since) == (None, None)
    assert f"returned {status}" in unproven.proof_failed
    adapter.post(shopify_order())
    adapter.settle()
    assert adapter.states() == ["delivered"]
    assert lease(adapter).proved_with is not None


def test_an_account_that_takes_orders_is_not_doubted_because_it_may_not_be_read(adapter: AdapterUnderTest) -> None:
    adapter.post(shopify_order())
    adapter.settle()
    adapter.tell_drip(status=403)
    prover(adapter).step()
    assert (lease(adapter).paused_since, lease(adapter).proof_failed) == (None, None)


def test_an_account_with_an_order_comes_first_and_the_others_follow_one_by_one(adapter: AdapterUnderTest) -> None:
    settings = replace(
        adapter.settings,
        stores={
            name: replace(store, account=Account(id=f"account-{name}", token="token-1234"))
            for name, store in adapter.settings.stores.items()
        },
    )
    several = AdapterUnderTest(adapter.engine, settings, adapter.sandbox_url)
    several.post(shopify_order())
    several.read()
    started = Prover(adapter.engine, settings, several.clock)
    waits = [started.step() for _ in range(len(settings.accounts) + 1)]
    assert asked(adapter)[0] == "account-shopify"
    assert sorted(asked(adapter)) == sorted(settings.accounts)
    assert all(wait > 0 for wait in waits)


def test_without_answers_it_rests(adapter: AdapterUnderTest) -> None:
    settings = replace(adapter.settings, drip_api_url="http://127.0.0.1:1")
    stores = {name: replace(store, account=Account(id=name, token="token-1234")) for name, store in settings.stores.items()}
    started = prover(adapter, replace(settings, stores=stores))
    assert [started.step() < 1, started.step() < 1, started.step() >= 30] == [True] * 3


def test_resume_tries_a_throttled_account_at_once(adapter: AdapterUnderTest, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter.tell_drip(status=429, headers={"Retry-After": "3000"})
    with transaction(adapter.engine) as connection:
        accounts.set_trouble(connection, ACCOUNT.id, holder=None)
    senders = Senders(adapter.engine, replace(adapter.settings, database_url=database_url))
    senders.start()
    try:
        adapter.post(shopify_order())
        wait_until(lambda: lease(adapter).single_closed_until is not None)
        adapter.drip_recovers()
        configure(monkeypatch)
        monkeypatch.setenv("DATABASE_URL", database_url)
        assert adapter.states() == ["pending"]
        started = time.monotonic()
        result = CliRunner().invoke(main, ["resume", ACCOUNT.id], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        wait_until(lambda: adapter.states() == ["delivered"], timeout_s=10)
        assert time.monotonic() - started < 5
    finally:
        senders.stop()


def test_an_unknown_account_is_named_with_those_that_exist(adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch)
    result = CliRunner().invoke(main, ["resume", "12"], catch_exceptions=False)
    assert (result.exit_code, result.stderr) == (1, f"Error: no Drip account '12' in the settings; there is {ACCOUNT.id}\n")
