"""Past orders, read from a store's API over real HTTP into the inbox, and on to Drip."""

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.progress import Progress as Bars
from sqlalchemy import Connection, Engine, func, select

from adapter.cli import main
from adapter.errors import DatabaseAway, WorkFailed
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.erasure import FORGOTTEN
from adapter.inbox.tables import BACKFILL, backfills, deliveries
from adapter.operations import backfill
from adapter.operations.backfill import Backfill, Progress
from adapter.operations.forget import erase_found
from adapter.settings import Settings, read_settings
from adapter.settings.values import ApiSettings
from adapter.stores.api import Window
from mappings import Context, Order, Provider, Reading
from tests.stand_ins import shopify as shopify_stand_in
from tests.stand_ins.server import Scripted
from tests.stand_ins.woocommerce import running_woocommerce
from tests.stand_ins.woocommerce_shop import GONE, KEY, SECRET, Shop
from tests.support.adapter_under_test import AdapterUnderTest
from tests.support.certificate import self_signed
from tests.support.live_adapter import live_adapter

ALL = Window(created_since=datetime(2000, 1, 1, tzinfo=UTC))


@pytest.fixture
def shop() -> Iterator[Shop]:
    with running_woocommerce(orders=75) as shop:
        yield shop


def opened(settings: Settings, shop: Shop, **api: Any) -> Settings:
    """The settings with the WooCommerce store's API at the stand-in."""
    store = settings.stores["woocommerce"]
    credentials = {"consumer_key": KEY, "consumer_secret": SECRET} | api
    here = replace(store, api=ApiSettings(**credentials), options=replace(store.options, store_url=shop.url))
    return replace(settings, stores={**settings.stores, "woocommerce": here})


@pytest.fixture
def open_adapter(adapter: AdapterUnderTest, shop: Shop) -> AdapterUnderTest:
    """The adapter with a WooCommerce store whose API it may ask."""
    return AdapterUnderTest(adapter.engine, opened(adapter.settings, shop), adapter.sandbox_url)


def read(adapter: AdapterUnderTest, window: Window = ALL, **options: Any) -> Progress:
    """Read past orders to their end; how far that came."""
    store = adapter.settings.stores["woocommerce"]
    *_, last = Backfill(adapter.engine, adapter.settings, store, window, **options).run()
    return last


def sellable(shop: Shop) -> set[str]:
    """The ids of the orders that Drip is to have: those of a status that counts, by the stand-in's own cycle of statuses."""
    unsold = {"pending", "failed", "cancelled", "checkout-draft", "trash", "draft", "auto-draft"}
    return {str(sale.id) for sale in shop.listed() if sale.status not in unsold}


def with_local_pages(settings: Settings) -> Settings:
    """The settings for shops on this machine, whose pages would otherwise never be sent."""
    stores = {name: replace(store, options=replace(store.options, local_addresses_allowed=True)) for name, store in settings.stores.items()}
    return replace(settings, stores=stores)


def without_page_or_picture(adapter: AdapterUnderTest) -> list[dict[str, Any]]:
    """The items that Drip got with an address that was only built, or with the placeholder; those that the shop deleted do not count."""
    gone = [str(product) for product in GONE]
    items = [item for order in adapter.received() for item in order["items"] if item["product_id"].isdecimal()]
    items = [item for item in items if item["product_id"] not in gone]
    return [item for item in items if "?post_type=" in item["product_url"] or "placeholder" in item["image_url"]]


@pytest.mark.slow
def test_all_past_orders_reach_drip_once_the_oldest_first(open_adapter: AdapterUnderTest, shop: Shop) -> None:
    last = read(open_adapter)
    assert (last.found, last.total) == (len(shop.listed()), len(shop.listed()))
    open_adapter.settle()
    received = open_adapter.received()
    assert {order["order_id"] for order in received} == sellable(shop)
    assert {order["action"] for order in received} == {"created"}
    dated = [order["occurred_at"] for order in received]
    assert dated == sorted(dated)
    assert len(set(dated)) == len(dated)
    assert {row.priority for row in open_adapter.rows()} == {BACKFILL}


@pytest.mark.slow
@pytest.mark.no_cover
def test_every_item_has_its_page_and_picture(open_adapter: AdapterUnderTest, shop: Shop) -> None:
    read(open_adapter)
    asked = len(shop.seen)
    open_adapter.settle()
    assert len(open_adapter.received()) > 50
    assert without_page_or_picture(open_adapter) == []
    assert len(shop.seen) == asked  # the sender found all in the cache


@pytest.mark.slow
@pytest.mark.no_cover
def test_run_twice_it_sends_nothing_twice(open_adapter: AdapterUnderTest, shop: Shop) -> None:
    read(open_adapter)
    open_adapter.settle()
    rows, received = len(open_adapter.rows()), len(open_adapter.received())
    last = read(open_adapter)
    open_adapter.settle()
    assert last.found == len(shop.listed())
    assert len(open_adapter.received()) == received
    assert len(open_adapter.rows()) == rows


@pytest.mark.slow
@pytest.mark.no_cover
def test_what_a_webhook_brought_is_not_sent_again(open_adapter: AdapterUnderTest, shop: Shop) -> None:
    paid = next(sale for sale in shop.listed() if sale.status == "processing")
    open_adapter.post(shop.order(paid), store="woocommerce", topic="order.created")
    open_adapter.settle()
    last = read(open_adapter)
    assert last.kept == last.found - 1
    assert last.never_heard_of == len(sellable(shop)) - 1
    open_adapter.settle()
    sent = Counter(order["order_id"] for order in open_adapter.received())
    assert sent.keys() == sellable(shop)
    assert set(sent.values()) == {1}


@pytest.mark.slow
@pytest.mark.no_cover
def test_an_order_that_changed_while_its_webhook_was_lost_is_updated(open_adapter: AdapterUnderTest, shop: Shop) -> None:
    sale = next(sale for sale in shop.listed() if sale.status == "processing")
    open_adapter.post(shop.order(sale), store="woocommerce", topic="order.created")
    open_adapter.settle()
    shop.change(sale.id, status="completed", at=sale.modified + 3600)
    read(open_adapter)
    open_adapter.settle()
    assert [order["action"] for order in open_adapter.received() if order["order_id"] == str(sale.id)] == ["created", "updated"]


def test_a_webhook_goes_before_what_is_past(open_adapter: AdapterUnderTest, shop: Shop) -> None:
    read(open_adapter)
    new = shop.add(status="processing")
    open_adapter.post(shop.order(shop.orders[new]), store="woocommerce", topic="order.created")
    open_adapter.read()
    [sender] = open_adapter.senders.values()
    assert sender.step()
    assert open_adapter.received()[0]["order_id"] == str(new)


@pytest.mark.slow
def test_it_goes_on_where_it_broke_off(open_adapter: AdapterUnderTest, shop: Shop) -> None:
    store = open_adapter.settings.stores["woocommerce"]
    running = Backfill(open_adapter.engine, open_adapter.settings, store, ALL).run()
    for _ in range(2):
        half = next(running)
    assert 0 < half.found < len(shop.listed())
    shop.seen.clear()
    again = Backfill(open_adapter.engine, open_adapter.settings, store, ALL)
    assert again.resumed
    *_, last = again.run()
    assert last.found == len(shop.listed())
    open_adapter.settle()
    assert {order["order_id"] for order in open_adapter.received()} == sellable(shop)
    with snapshot(open_adapter.engine) as connection:
        [row] = connection.execute(select(backfills)).all()
    assert (row.found, row.kept, row.ended_at is not None) == (len(shop.listed()), len(shop.listed()), True)


def test_asked_to_it_begins_anew(open_adapter: AdapterUnderTest) -> None:
    store = open_adapter.settings.stores["woocommerce"]
    running = Backfill(open_adapter.engine, open_adapter.settings, store, ALL).run()
    next(running), next(running)
    assert not Backfill(open_adapter.engine, open_adapter.settings, store, ALL, again=True).resumed


def test_only_the_window_is_read(open_adapter: AdapterUnderTest, shop: Shop) -> None:
    moments = sorted(sale.created for sale in shop.listed())
    since, until = (datetime.fromtimestamp(moments[at], UTC) for at in (10, 30))
    assert read(open_adapter, Window(created_since=since, created_until=until)).found == 20


def test_a_store_that_fails_leaves_what_was_read(open_adapter: AdapterUnderTest, shop: Shop) -> None:
    store = open_adapter.settings.stores["woocommerce"]
    running = Backfill(open_adapter.engine, open_adapter.settings, store, ALL).run()
    for _ in range(2):
        half = next(running)
    shop.scripted += [Scripted(status=401)] * 20
    with pytest.raises(WorkFailed, match="run the same command again to resume"):
        list(running)
    assert len(open_adapter.rows()) == half.kept > 0


@pytest.mark.slow
def test_an_order_that_breaks_the_mapping_keeps_no_other_from_being_read(
    open_adapter: AdapterUnderTest, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = next(sale for sale in shop.listed() if sale.status == "processing")
    as_it_was = Provider.map

    def map_(provider: Provider, reading: Reading, context: Context) -> Order:
        order = as_it_was(provider, reading, context)
        if order.order_id == str(broken.id):
            raise ZeroDivisionError
        return order

    monkeypatch.setattr(Provider, "map", map_)
    assert read(open_adapter).found == len(shop.listed())
    open_adapter.settle()
    assert {order["order_id"] for order in open_adapter.received()} == sellable(shop) - {str(broken.id)}
    [dead] = [row for row in open_adapter.rows() if row.state == "dead"]
    assert "an internal error of the adapter" in dead.problems


@pytest.mark.slow
def test_a_store_just_renamed_knows_what_it_sent_before(open_adapter: AdapterUnderTest, shop: Shop) -> None:
    read(open_adapter)
    open_adapter.settle()
    renamed = replace(open_adapter.settings.stores["woocommerce"], name="tea-shop", aliases=("woocommerce",))
    # No sender has run since, which would have taken over what is kept under the old name.
    *_, last = Backfill(open_adapter.engine, open_adapter.settings, renamed, ALL).run()
    assert (last.kept, last.never_heard_of) == (last.found - len(sellable(shop)), 0)


def test_it_waits_for_a_database_that_is_busy(open_adapter: AdapterUnderTest, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "_BETWEEN_TRIES_S", 0.0)
    locked = [1, 1]

    @contextmanager
    def busy(engine: Engine) -> Iterator[Connection]:
        if locked and locked.pop():
            raise DatabaseAway("the database of DATABASE_URL cannot be used: database is locked")
        with transaction(engine) as connection:
            yield connection

    store = open_adapter.settings.stores["woocommerce"]
    reading = Backfill(open_adapter.engine, open_adapter.settings, store, ALL)
    monkeypatch.setattr(backfill, "transaction", busy)
    *_, last = reading.run()
    assert not locked
    assert last.kept == last.found == len(shop.listed())

    again = Backfill(open_adapter.engine, open_adapter.settings, store, ALL, again=True)
    monkeypatch.setattr(backfill, "_DATABASE_TIMEOUT_S", 0.0)
    locked[:] = [1]
    with pytest.raises(WorkFailed, match="database is locked; everything read so far is stored"):
        list(again.run())


@pytest.mark.slow
def test_what_was_forgotten_while_it_waited_is_not_read_again(open_adapter: AdapterUnderTest, shop: Shop) -> None:
    sale = next(sale for sale in shop.listed() if sale.status == "processing")
    open_adapter.post(shop.order(sale), store="woocommerce", topic="order.created")
    open_adapter.read()
    [row] = open_adapter.rows()
    list(erase_found(open_adapter.engine, {row.id}, FORGOTTEN, open_adapter.clock()))
    read(open_adapter)
    open_adapter.settle()
    assert {order["order_id"] for order in open_adapter.received()} == sellable(shop) - {str(sale.id)}


@pytest.mark.slow
@pytest.mark.no_cover
def test_another_account_gets_them_too(open_adapter: AdapterUnderTest, shop: Shop) -> None:
    read(open_adapter)
    open_adapter.settle()
    store = open_adapter.settings.stores["woocommerce"]
    assert store.account is not None
    moved = replace(store, account=replace(store.account, id="1111111"))
    settings = replace(open_adapter.settings, stores={"woocommerce": moved})
    second = AdapterUnderTest(open_adapter.engine, settings, open_adapter.sandbox_url)
    second.drip_forgets()
    read(second)
    second.settle()
    assert {order["order_id"] for order in second.received()} == sellable(shop)


# --- the commands ------------------------------------------------------------------------------------------------------------------


def credentials_of(shop: Shop, database_url: str) -> dict[str, str]:
    """What opens the shop, the database and Drip."""
    return {
        "WOOCOMMERCE_WEBHOOK_SECRET": "the-secret",
        "WOOCOMMERCE_STORE_URL": shop.url,
        "WOOCOMMERCE_CONSUMER_KEY": KEY,
        "WOOCOMMERCE_CONSUMER_SECRET": SECRET,
        "DATABASE_URL": database_url,
        "DRIP_ACCOUNT_ID": "9999999",
        "DRIP_API_KEY": "drip-token-1234",
    }


@pytest.fixture
def environment(shop: Shop, database_url: str, engine: Engine, sandbox_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a person would have set."""
    variables = {**credentials_of(shop, database_url), "DRIP_API_URL": sandbox_url, "PUBLIC_URL": "https://adapter.example"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, arguments)


def test_backfill_says_what_it_did(environment: dict[str, str], shop: Shop) -> None:
    done = run("backfill", "woocommerce", "--since", "2000-01-01")
    assert done.exit_code == 0, done.output
    assert f"{len(shop.listed())} orders found" in done.output
    assert "are waiting; with a sender running, Drip's quota lets them through in about 1 min" in done.output


def test_its_bars_tell_rate_and_time_left(environment: dict[str, str], shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    class Bar(Bars):
        def update(self, task_id: Any, **fields: Any) -> None:
            told.extend(str(fields[name]) for name in ("rate", "left") if fields.get(name))
            super().update(task_id, **fields)

    counts = iter([96, 96, 96, 48, 0])
    monkeypatch.setattr("adapter.cli.past_orders.Progress", Bar)
    monkeypatch.setattr("adapter.cli.past_orders._waiting", lambda store, engine: next(counts))
    monkeypatch.setattr("adapter.cli.past_orders.time.sleep", lambda seconds: None)
    assert run("backfill", "woocommerce", "--since", "2000-01-01", "--wait").exit_code == 0
    assert any(re.fullmatch(r"\d+ per second, then about 1 min at Drip", text) for text in told)
    assert any(re.fullmatch(r"\d+ per second, about 1 min left", text) for text in told)


def test_backfill_without_a_drip_account_names_the_settings(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRIP_ACCOUNT_ID")
    monkeypatch.delenv("DRIP_API_KEY")
    done = run("backfill", "woocommerce", "--since", "2000-01-01")
    assert done.exit_code == 0
    assert "are waiting for a Drip account: set DRIP_ACCOUNT_ID and DRIP_API_KEY" in done.output


def test_backfill_in_json(environment: dict[str, str], shop: Shop) -> None:
    report = json.loads(run("backfill", "woocommerce", "--since", "2000-01-01", "--json").stdout)
    count = len(shop.listed())
    assert (report["found"], report["kept"], report["waiting"], report["seconds_at_drip"]) == (count, count, count, 60)


@pytest.mark.parametrize(
    ("variables", "arguments", "says"),
    [
        ({}, ("no-such-store", "--since", "2026-01-01"), "no store is named 'no-such-store'; there is woocommerce"),
        (
            {"WOOCOMMERCE_CONSUMER_KEY": "", "WOOCOMMERCE_CONSUMER_SECRET": ""},
            ("woocommerce", "--since", "2026-01-01"),
            "WOOCOMMERCE_CONSUMER_KEY",
        ),
        ({"WOOCOMMERCE_CONSUMER_SECRET": "wrong-one"}, ("woocommerce", "--since", "2026-01-01"), "WOOCOMMERCE_CONSUMER_KEY"),
    ],
)
def test_what_is_missing_is_named(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], arguments: tuple[str, ...], says: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = run("backfill", *arguments)
    assert done.exit_code == 1
    assert says in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--since", "2999-01-01"), "--since: 2999-01-01T00:00 is in the future"),
        (("--since", "2026-01-31", "--until", "2026-01-01"), "--until: isn't later than --since"),
        (("--since", "2026-01-31", "--until", "2026-01-31"), "--until: isn't later than --since"),
    ],
)
def test_a_window_that_can_hold_no_order_is_refused(environment: dict[str, str], arguments: tuple[str, ...], says: str) -> None:
    done = run("backfill", "woocommerce", *arguments)
    assert done.exit_code == 2
    assert says in done.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_word(environment: dict[str, str], shop: Shop, number: signal.Signals) -> None:
    stops = iter([False, False, True])
    shop.after_page = lambda: os.kill(os.getpid(), number) if next(stops, False) else None
    done = run("backfill", "woocommerce", "--since", "2000-01-01")
    assert done.exit_code == 130
    assert "interrupted; everything read so far is stored; run the same command again to resume" in done.output
    assert "resuming where" in run("backfill", "woocommerce", "--since", "2000-01-01").output


def test_ctrl_c_ends_reconcile_for_all_stores(environment: dict[str, str], shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.add(int(time.time()) - 3600, status="processing")
    second = f'[stores.outlet]\nprovider = "woocommerce"\nsecret = "another-secret"\nstore_url = "{shop.url}"\ndrip_provider = "outlet"\n'
    monkeypatch.setenv("STORES", f'{second}consumer_key = "{KEY}"\nconsumer_secret = "{SECRET}"\n')
    stops = iter([True])
    shop.after_page = lambda: os.kill(os.getpid(), signal.SIGINT) if next(stops, False) else None
    done = run("reconcile")
    assert done.exit_code == 130
    assert "interrupted" in done.output
    assert "orders found" not in done.output


def test_waiting_says_when_nothing_moves(environment: dict[str, str], shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    looks = iter(range(4))

    def stop_at_last(seconds: float) -> None:
        if next(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("adapter.cli.past_orders._STUCK_S", -1.0)
    monkeypatch.setattr("adapter.cli.past_orders.time.sleep", stop_at_last)
    monkeypatch.setattr("adapter.cli.past_orders.Progress.update", lambda self, task, **fields: shown.append(fields.get("left", "")))
    done = run("backfill", "woocommerce", "--since", "2000-01-01", "--wait")
    assert "is a sender running?" in shown[-1]
    assert done.exit_code == 130
    assert "interrupted; the orders are stored, and a sender sends them" in done.output


@pytest.mark.slow
def test_reconcile_finds_what_no_webhook_brought(environment: dict[str, str], shop: Shop) -> None:
    now = int(time.time())
    lost = shop.add(now - 3600, status="processing")
    assert "1 order found, 1 new to Drip, 1 never received by webhook" in run("reconcile").output
    assert "1 order found, 0 new to Drip, 0 never received by webhook" in run("reconcile", "woocommerce").output
    shop.change(lost, status="completed", at=now - 60)
    assert "1 order found, 1 new to Drip, 0 never received by webhook" in run("reconcile").output


def test_what_will_not_be_sent_is_not_new_to_drip(environment: dict[str, str], shop: Shop) -> None:
    """An order at the payment page, one that was cancelled there, and a draft."""
    now = int(time.time())
    for status in ("pending", "cancelled", "draft", "processing"):
        shop.add(now - 3600, status=status)
    assert "4 orders found, 1 new to Drip, 1 never received by webhook" in run("reconcile").output
    assert "4 orders found, 0 new to Drip, 0 never received by webhook" in run("reconcile").output


def test_connect_explains_consent_where_orders_do_not_contain_it(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Consent: " in run("connect", "magento").output
    assert "Consent: " not in run("connect", "shopify").output
    answered = '[stores.tea]\nprovider = "magento"\nsecret = "the-secret"\nstore_url = "https://tea.example"\nconsent = "ignore"\n'
    monkeypatch.setenv("STORES", answered)
    assert "Consent: " not in run("connect", "tea").output


# --- as a new user would -----------------------------------------------------------------------------------------------------------


def kept(engine: Engine) -> int:
    with snapshot(engine) as connection:
        count: int = connection.execute(select(func.count()).select_from(deliveries)).scalar_one()
    return count


@pytest.mark.slow
def test_from_a_settings_file_with_two_stores_to_whole_orders(
    engine: Engine, database_url: str, sandbox_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_woocommerce(orders=60) as tea, shopify_stand_in.running_shopify(orders=40) as lamps:
        file = tmp_path / "stores.toml"
        file.write_text(
            f"""
            [stores.tea]
            provider = "woocommerce"
            secret = "the-secret"
            store_url = "{tea.url}"
            consumer_key = "{KEY}"
            consumer_secret = "{SECRET}"

            [stores.lamps]
            provider = "shopify"
            secret = "{shopify_stand_in.CLIENT_SECRET}"
            store_url = "{lamps.url}"
            api_url = "{lamps.url}"
            client_id = "{shopify_stand_in.CLIENT_ID}"
            client_secret = "{shopify_stand_in.CLIENT_SECRET}"
            """
        )
        variables = {"STORES": str(file), "DATABASE_URL": database_url, "DRIP_ACCOUNT_ID": "9999999", "DRIP_API_KEY": "drip-token-1234",
                     "DRIP_API_URL": sandbox_url, "PUBLIC_URL": "https://adapter.example"}  # fmt: skip
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with live_adapter(engine, monkeypatch, tls=self_signed(tmp_path)) as url:
            looked = run("check")
            assert looked.exit_code == 1
            for store in ("tea", "lamps"):
                assert f"webhook address {url}/webhooks/{store}" in looked.output
                assert f"is missing; run drip-adapter connect {store}" in looked.output
                assert "Nothing was changed." in run("connect", store, "--dry-run").output
            assert not tea.webhooks
            assert not lamps.webhooks
            for store in ("tea", "lamps"):
                assert "Every topic has one active webhook to this adapter" in run("connect", store, "--yes").output
            errors = [line for line in run("check").output.splitlines() if line.startswith("ERROR")]
            assert [line for line in errors if "No sender is running" not in line] == []
        for store in ("tea", "lamps"):
            assert run("backfill", store, "--since", "2000-01-01").exit_code == 0
        adapter = AdapterUnderTest(engine, with_local_pages(read_settings()), sandbox_url)
        adapter.drip_forgets()
        adapter.settle()
        received = adapter.received()
        assert {order["order_id"] for order in received if order["provider"] == "woocommerce"} == sellable(tea)
        assert len([order for order in received if order["provider"] == "shopify"]) == 40
        assert [item for item in without_page_or_picture(adapter) if int(item["product_id"]) not in shopify_stand_in.GONE] == []
        bought = [item for order in received if order["provider"] == "shopify" for item in order["items"]]
        bought = [item for item in bought if int(item["product_id"]) not in shopify_stand_in.GONE]
        assert all("/products/" in item["product_url"] for item in bought)


@pytest.mark.slow
def test_shopifys_past_orders_come_with_page_and_picture(adapter: AdapterUnderTest) -> None:
    with shopify_stand_in.running_shopify(orders=60) as shop:
        store = adapter.settings.stores["shopify"]
        api = ApiSettings(url=shop.url, access_token=shopify_stand_in.TOKEN)
        here = replace(store, api=api, options=replace(store.options, store_url=shop.url))
        settings = replace(adapter.settings, stores={"shopify": here})
        adapter = AdapterUnderTest(adapter.engine, settings, adapter.sandbox_url)
        *_, last = Backfill(adapter.engine, settings, here, ALL).run()
        adapter.settle()
    assert (last.found, last.total) == (60, 60)
    received = adapter.received()
    assert [order["order_id"] for order in received] == [str(shop.id_of(index)) for index in range(60)]
    gone = [str(number) for number in shopify_stand_in.GONE]
    items = [item for order in received for item in order["items"] if item["product_id"] not in gone]
    assert all("/products/thing-" in item["product_url"] for item in items)
    assert all(item["image_url"].startswith("https://cdn.shop.example/") for item in items)
