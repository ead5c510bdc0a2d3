"""Many accounts and many stores: one look finds what is due, a few threads serve it, and nothing grows with their number."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import requests
from sqlalchemy import Engine, event, update

from adapter.delivery import dispatcher, unread
from adapter.delivery.reader import Reader
from adapter.delivery.run import Senders
from adapter.delivery.turns import Turns
from adapter.inbox import reading
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.sending import Due, due_accounts
from adapter.inbox.tables import BACKFILL, deliveries
from adapter.settings import Account, Settings, Store
from tests.support.adapter_under_test import ACCOUNT, AdapterUnderTest, make_settings, shopify_order, signed
from tests.support.waiting import wait_until
from tests.support.whole_app import create_app


def with_stores(settings: Settings, count: int, accounts: int) -> Settings:
    """So many stores, spread evenly over so many accounts."""
    like = settings.stores["shopify"]
    owners = [Account(id=f"{number:05}", token="t") for number in range(accounts)]
    stores = {f"s{number:05}": replace(like, name=f"s{number:05}", account=owners[number % accounts]) for number in range(count)}
    return replace(settings, stores=stores)


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """What is sent to the database, commits as well."""
    heard: list[str] = []

    def hear(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        heard.append(statement)

    def commit(connection: Any) -> None:
        heard.append("COMMIT")

    event.listen(engine, "before_cursor_execute", hear)
    event.listen(engine, "commit", commit)
    try:
        yield heard
    finally:
        event.remove(engine, "before_cursor_execute", hear)
        event.remove(engine, "commit", commit)


def post(engine: Engine, settings: Settings, store: str, order_id: int, **more: Any) -> None:
    payload = json.dumps(shopify_order(order_id, **more)).encode()
    headers = {**signed(payload), "X-Shopify-Webhook-Id": f"{store}-{order_id}"}
    assert create_app(settings, engine).test_client().post(f"/webhooks/{store}", data=payload, headers=headers).status_code == 200


def delivered(engine: Engine) -> int:
    with snapshot(engine) as connection:
        return len(connection.execute(deliveries.select().where(deliveries.c.state == "delivered")).all())


@pytest.fixture
def settings(sandbox_url: str, database_url: str) -> Settings:
    return replace(make_settings(sandbox_url), database_url=database_url)


class TestStatements:
    def test_an_order_takes_three_commits_from_its_claim_until_it_is_settled(self, adapter: AdapterUnderTest) -> None:
        for order_id in (1, 2):
            adapter.post(shopify_order(order_id))
        adapter.read()
        sender = adapter.senders[ACCOUNT.id]
        sender.step()  # its products are known from now on
        with statements(adapter.engine) as heard:
            assert sender.step()
        assert adapter.states() == ["delivered", "delivered"]
        assert heard.count("COMMIT") == 3

    def test_of_an_orders_five_commits_only_the_two_around_the_request_wait_for_the_disk(
        self, adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The others are done again if they are lost: what is in hand, what was read, and the claim."""
        adapter.post(shopify_order(1))
        adapter.settle()
        adapter.post(shopify_order(2))
        sync = os.fdatasync
        with statements(adapter.engine) as heard, monkeypatch.context() as patched:

            def heard_sync(descriptor: int) -> None:
                heard.append("SYNC")
                sync(descriptor)

            patched.setattr("os.fdatasync", heard_sync)
            assert adapter.reader.step() == 1
            assert adapter.senders[ACCOUNT.id].step()
        assert heard.count("COMMIT") == 5
        if adapter.engine.dialect.name == "sqlite":  # each sync follows its commit
            assert [each for each in heard if each in ("COMMIT", "SYNC")] == ["COMMIT"] * 4 + ["SYNC", "COMMIT", "SYNC"]
            assert "PRAGMA synchronous = FULL" not in heard
        else:
            begun = [statement for statement in heard if statement.startswith("BEGIN; ")]
            assert ["synchronous_commit = off" in statement for statement in begun] == [True, True, True, False, False]

    @pytest.mark.parametrize("accounts", [1, 1200])
    def test_none_grows_with_the_number_of_stores(self, engine: Engine, settings: Settings, accounts: int) -> None:
        """SQLite refuses an expression deeper than 1,000, and a statement of many parameters costs more than it finds."""

        def longest(stores: int) -> tuple[int, int]:
            many = with_stores(settings, stores, min(accounts, stores))
            adapter = AdapterUnderTest(engine, replace(many, stores=many.stores), settings.drip_api_url)
            adapter.post(shopify_order(stores), store="s00000")
            with statements(engine) as heard:
                adapter.read()
                adapter.senders["00000"].step()
                adapter.senders["00000"].step()
                due_accounts_now(engine, adapter)
            return max(map(len, heard)), len(heard)

        few, many = longest(2), longest(1200)
        assert many[0] == few[0]
        assert many[1] <= few[1] + 20
        assert delivered(engine) == 2

    def test_one_look_finds_the_accounts_with_anything_due(self, engine: Engine, settings: Settings) -> None:
        many = with_stores(settings, 30, 10)
        adapter = AdapterUnderTest(engine, many, settings.drip_api_url)
        for store in ("s00003", "s00013", "s00007", "s00008"):
            adapter.post(shopify_order(int(store[1:]) + 1), store=store)
        adapter.read()
        with transaction(engine) as connection:
            connection.execute(update(deliveries).where(deliveries.c.store == "s00007").values(priority=BACKFILL))
            connection.execute(update(deliveries).where(deliveries.c.store == "s00008").values(due_at=adapter.clock.now.replace(year=2100)))
        with statements(engine) as heard:
            assert due_accounts_now(engine, adapter) == [Due("00003", True, False), Due("00007", False, True)]
        assert len([statement for statement in heard if statement.startswith(("SELECT", "WITH"))]) == 1


def due_accounts_now(engine: Engine, adapter: AdapterUnderTest) -> list[Due]:
    with snapshot(engine) as connection:
        return list(due_accounts(connection, adapter.clock()))


class TestReading:
    def test_a_flooded_store_does_not_keep_the_others_waiting(self, engine: Engine, settings: Settings) -> None:
        adapter = AdapterUnderTest(engine, with_stores(settings, 4, 1), settings.drip_api_url)
        for order_id in range(1, 121):
            adapter.post(shopify_order(order_id), store="s00001")
        for store in ("s00000", "s00003"):
            adapter.post(shopify_order(500), store=store)
        adapter.reader.step()
        read = {row.store for row in adapter.rows() if row.read_at is not None}
        assert read == {"s00000", "s00001", "s00003"}

    def test_more_stores_than_are_read_at_once_take_turns(
        self, engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(unread, "_AT_ONCE", 3)
        monkeypatch.setattr(unread, "_STORES_AT_ONCE", 3)
        adapter = AdapterUnderTest(engine, with_stores(settings, 7, 1), settings.drip_api_url)
        for order_id in range(1, 6):
            for store in adapter.settings.stores:
                adapter.post(shopify_order(order_id), store=store)
        seen: list[str] = []
        for _ in range(7):
            before = {row.id for row in adapter.rows() if row.read_at is not None}
            adapter.reader.step()
            seen += [row.store for row in adapter.rows() if row.read_at is not None and row.id not in before]
        assert {store: seen.count(store) for store in adapter.settings.stores} == dict.fromkeys(adapter.settings.stores, 3)
        adapter.read()
        assert all(row.read_at is not None for row in adapter.rows())

    def test_live_orders_are_read_before_a_backfill(self, engine: Engine, settings: Settings) -> None:
        adapter = AdapterUnderTest(engine, with_stores(settings, 1, 1), settings.drip_api_url)
        for order_id in range(1, 100):
            adapter.post(shopify_order(order_id), store="s00000")
        with transaction(engine) as connection:
            connection.execute(update(deliveries).values(priority=BACKFILL))
        adapter.post(shopify_order(500), store="s00000")
        adapter.reader.step()
        assert [row.order_id for row in adapter.rows() if row.read_at is not None] == ["500"]

    def test_stores_that_are_not_in_the_settings_wait_and_keep_nobody_waiting(
        self, engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(unread, "_AT_ONCE", 2)
        many = AdapterUnderTest(engine, with_stores(settings, 6, 1), settings.drip_api_url)
        for store in many.settings.stores:
            many.post(shopify_order(1), store=store)
        one = AdapterUnderTest(engine, replace(many.settings, stores={"s00004": many.settings.stores["s00004"]}), settings.drip_api_url)
        one.read()
        assert [row.store for row in one.rows() if row.read_at is not None] == ["s00004"]


class TestAssigning:
    def test_what_waited_for_an_account_is_sent_once_there_is_one(self, engine: Engine, sandbox_url: str) -> None:
        without = AdapterUnderTest(engine, make_settings(sandbox_url, account=None), sandbox_url)
        without.post(shopify_order(1))
        without.read()
        adapter = AdapterUnderTest(engine, make_settings(sandbox_url), sandbox_url)
        adapter.settle()
        assert adapter.states() == ["delivered"]

    def test_a_store_that_was_given_another_account_is_sent_there(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=401, times=1)
        adapter.post(shopify_order(1))
        adapter.settle()
        other = Account(id="other", token="t")
        stores = {**adapter.settings.stores, "shopify": replace(adapter.settings.stores["shopify"], account=other)}
        later = AdapterUnderTest(adapter.engine, replace(adapter.settings, stores=stores), adapter.sandbox_url, adapter.clock)
        later.settle()
        assert later.states() == ["delivered"]
        assert [request["account"] for request in later.requests_made()] == [ACCOUNT.id, "other"]

    def test_until_it_is_assigned_anew_nobody_sends_it_with_the_wrong_credentials(self, adapter: AdapterUnderTest) -> None:
        """While an old process still reads: its assignment and the new settings differ."""
        adapter.post(shopify_order(1))
        adapter.read()
        other = Account(id="other", token="t")
        woocommerce = adapter.settings.stores["woocommerce"]
        stores = {"shopify": replace(adapter.settings.stores["shopify"], account=other), "woocommerce": woocommerce}
        later = AdapterUnderTest(adapter.engine, replace(adapter.settings, stores=stores), adapter.sandbox_url, adapter.clock)
        assert not later.senders[ACCOUNT.id].step()
        assert later.received() == []

    def test_a_store_that_was_taken_out_of_the_settings_is_not_sent(self, adapter: AdapterUnderTest) -> None:
        adapter.post(shopify_order(1))
        adapter.read()
        stores = {"magento": adapter.settings.stores["magento"]}
        later = AdapterUnderTest(adapter.engine, replace(adapter.settings, stores=stores), adapter.sandbox_url, adapter.clock)
        later.settle()
        assert later.received() == []
        assert later.rows()[0].account is None

    def test_in_pieces(self, adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        for order_id in range(1, 8):
            adapter.post(shopify_order(order_id))
        adapter.read()
        with transaction(adapter.engine) as connection:
            assert reading.assign_account(connection, "shopify", "other", 5) == 5
            assert reading.assign_account(connection, "shopify", "other", 5) == 2
            assert reading.assign_account(connection, "shopify", "other", 5) == 0
        monkeypatch.setattr("adapter.delivery.reader._ASSIGNED_AT_ONCE", 2)
        Reader(adapter.engine, adapter.settings, adapter.clock).step()
        assert {row.account for row in adapter.rows()} == {ACCOUNT.id}


class TestDispatching:
    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dispatcher, "WORKERS", 3)
        monkeypatch.setattr(dispatcher, "MOST_THREADS", 6)
        monkeypatch.setattr(dispatcher, "READY", 2)

    def test_all_accounts_are_served_by_a_few_threads(self, engine: Engine, settings: Settings) -> None:
        many = with_stores(settings, 8, 8)
        senders = Senders(engine, many)
        senders.start()
        for round_ in (1, 2):  # the second round meets accounts that were let go in the meantime
            for store in many.stores:
                post(engine, many, store, round_)
            wait_until(lambda number=round_: delivered(engine) == 8 * number, 20)  # type: ignore[misc]
            assert len([thread for thread in threading.enumerate() if thread.name.startswith("sender-")]) <= 6
        senders.stop()

    def test_more_accounts_that_hang_than_are_worked_on_do_not_slow_the_others(
        self, engine: Engine, settings: Settings, sandbox_url: str
    ) -> None:
        many = with_stores(settings, 9, 9)
        hanging = [f"s{number:05}" for number in range(dispatcher.WORKERS + 2)]
        for store in hanging:
            requests.put(f"{sandbox_url}/answers", json={"account": store[1:], "hang": 30}, timeout=5).raise_for_status()
        senders = Senders(engine, many)
        senders.start()
        for store in hanging:
            post(engine, many, store, 1)
        time.sleep(0.5)
        started = time.monotonic()
        for store in many.stores:
            if store not in hanging:
                post(engine, many, store, 1)
        wait_until(lambda: delivered(engine) == 4, 6)
        assert time.monotonic() - started < 3
        requests.delete(f"{sandbox_url}/answers", timeout=5)
        senders.stop()

    def test_after_a_burst_of_all_accounts_only_a_few_leases_are_kept(self, engine: Engine, settings: Settings) -> None:
        many = with_stores(settings, 6, 6)
        senders = Senders(engine, many)
        for store in many.stores:
            post(engine, many, store, 1)
        senders.start()
        wait_until(lambda: delivered(engine) == 6, 20)
        wait_until(lambda: len(senders._dispatcher.leases) == dispatcher.READY, 5)
        senders.stop()

    def test_an_account_that_has_to_wait_is_not_looked_at_again_and_again(
        self, engine: Engine, settings: Settings, sandbox_url: str
    ) -> None:
        requests.put(f"{sandbox_url}/answers", json={"status": 401}, timeout=5).raise_for_status()
        many = with_stores(settings, 1, 1)
        post(engine, many, "s00000", 1)
        senders = Senders(engine, many)
        senders.start()
        wait_until(lambda: paused(engine), 10)
        time.sleep(1.5)
        with statements(engine) as heard:
            time.sleep(2.5)
        assert [statement for statement in heard if "outage_since" in statement] == []
        requests.delete(f"{sandbox_url}/answers", timeout=5)
        senders.stop()

    def test_a_retry_that_falls_due_is_found(self, engine: Engine, settings: Settings, sandbox_url: str) -> None:
        many = with_stores(settings, 1, 1)
        post(engine, many, "s00000", 1)
        senders = Senders(engine, many)
        senders.start()
        wait_until(lambda: delivered(engine) == 1, 10)
        with transaction(engine) as connection:
            values = {"state": "pending", "settled_at": None, "forced": True}
            connection.execute(update(deliveries).values(values))
        wait_until(lambda: delivered(engine) == 1, 5)
        senders.stop()


class TestTurns:
    def test_accounts_that_drip_does_not_answer_never_have_more_than_a_few(self) -> None:
        turns = Turns(most_doubtful=2)
        for account in ("d1", "d2", "d3", "d4"):
            turns.add(account, is_doubtful=True)
        turns.add("s1", is_doubtful=False)
        assert turns.ready == 3
        assert [turns.take() for _ in range(turns.ready)] == ["d1", "d2", "s1"]
        assert turns.ready == 0
        turns.ended("s1")
        assert turns.ready == 0
        turns.ended("d2")
        assert [turns.take() for _ in range(turns.ready)] == ["d3"]


def paused(engine: Engine) -> bool:
    with snapshot(engine) as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM leases WHERE paused_since IS NOT NULL").scalar() == 1


def test_a_store_of_many_is_a_plain_store() -> None:
    """So that the helper above makes what settings make."""
    stores = with_stores(make_settings("http://127.0.0.1:9"), 3, 2).stores
    assert all(isinstance(store, Store) for store in stores.values())
    assert [store.account.id for store in stores.values() if store.account] == ["00000", "00001", "00000"]
