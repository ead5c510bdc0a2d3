"""Orders whose amounts don't add up: what `check`, a delivery's page and `deliveries show` report of them."""

import json
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from adapter.cli import main
from adapter.inbox.database import snapshot
from adapter.monitoring.sums import SumsWatch
from adapter.operations.health import read_health
from adapter.operations.sums import recent_differences
from tests.mappings.test_fees import MAGENTO, SHOPIFY, WOOCOMMERCE
from tests.support.adapter_under_test import SECRET, AdapterUnderTest
from tests.support.whole_app import create_app
from tests.web.conftest import Visitor, with_dashboard

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
LESS = "The order's own amounts add up to {} USD less than its total."
NAMED = "{} holds exactly this amount. If it is a fee, add its field to the store's fee_keys."
UNNAMED = "If an extension charges a fee, add the field that holds it to the store's fee_keys."


def reported(adapter: AdapterUnderTest, store: str) -> list[str]:
    with snapshot(adapter.engine) as connection:
        found = recent_differences(connection, adapter.settings.stores[store], adapter.settings)
    return [f"{delivery}: {difference} {difference.advice}" for delivery, difference in found]


def run(*arguments: str) -> str:
    return CliRunner().invoke(main, arguments, catch_exceptions=False).stdout


def documents(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(*arguments).splitlines()]


@pytest.mark.parametrize(
    ("store", "payload", "amount", "path"),
    [
        ("shopify", SHOPIFY, "5.00", "note_attributes.cod_fee"),
        ("woocommerce", WOOCOMMERCE, "5.00", "meta_data._cod_fee"),
        ("magento", MAGENTO, "5", "cod_fee"),
        ("magento", {**MAGENTO, "cod_fee": None, "extension_attributes": {"cod_fee": 5}}, "5", "extension_attributes.cod_fee"),
    ],
)
def test_every_platform_reports_what_is_missing_and_where_it_may_be(
    adapter: AdapterUnderTest, store: str, payload: dict[str, Any], amount: str, path: str
) -> None:
    adapter.post(payload, store=store, topic="order.updated" if store == "woocommerce" else "orders/updated")
    adapter.settle()
    assert reported(adapter, store) == [f"1: {LESS.format(amount)} {NAMED.format(path)}"]
    with snapshot(adapter.engine) as connection:
        told = replace(adapter.settings.stores[store], options=replace(adapter.settings.stores[store].options, fee_keys=(path,)))
        settings = replace(adapter.settings, stores={**adapter.settings.stores, store: told})
        assert recent_differences(connection, told, settings) == []


@on_sqlite
def test_a_fee_that_no_field_holds(adapter: AdapterUnderTest) -> None:
    adapter.post({**MAGENTO, "cod_fee": None, "base_cod_fee": 5, "total_due": 5}, store="magento")
    adapter.post({**MAGENTO, "entity_id": 10, "cod_fee": None, "grand_total": 95}, store="magento")
    adapter.post({**MAGENTO, "entity_id": 11, "grand_total": 100}, store="magento")
    adapter.settle()
    more = "The order's own amounts add up to 5 USD more than its total. Drip gets the total as the store sent it."
    assert reported(adapter, "magento") == [f"2: {more}", f"1: {LESS.format(5)} {UNNAMED}"]


@on_sqlite
def test_check_notes_it(adapter: AdapterUnderTest, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter.post(MAGENTO, store="magento")
    adapter.settle()
    store = f'[stores.magento]\nprovider = "magento"\nstore_url = "https://magento-shop.example"\nsecret = {json.dumps(SECRET)}'
    for name, value in {
        "DATABASE_URL": database_url,
        "DRIP_ACCOUNT_ID": "9999999",
        "DRIP_API_KEY": "key-of-drip",
        "DRIP_API_URL": adapter.sandbox_url,
        "PUBLIC_URL": "https://adapter.example",
        "STORES": store,
    }.items():
        monkeypatch.setenv(name, value)
    counted = "1 recent order has amounts that don't add up to the total, the newest in delivery 1."
    findings = documents("check", "--json")
    assert [finding["ok"] for finding in findings if finding["say"] == f"{counted} {LESS.format(5)} {NAMED.format('cod_fee')}"] == [None]
    monkeypatch.setenv("STORES", f"{store}\nfee_keys = ['cod_fee']")
    assert not [finding for finding in documents("check", "--json") if "add up" in finding["say"]]


@on_sqlite
def test_the_deliverys_page_and_the_command_show_it(adapter: AdapterUnderTest, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter.post(MAGENTO, store="magento")
    adapter.post({**MAGENTO, "entity_id": 10, "grand_total": 100}, store="magento")
    adapter.settle()
    page = Visitor(create_app(with_dashboard(adapter.settings), adapter.engine).test_client())
    page.log_in()
    words = f"{LESS.format(5)}</strong> {NAMED.format('cod_fee')}".replace("'", "&#39;")
    assert words in page.get("/deliveries/1").text
    assert "fee_keys" not in page.get("/deliveries/2").text
    for name, value in {"DATABASE_URL": database_url, "MAGENTO_WEBHOOK_SECRET": SECRET, "MAGENTO_STORE_URL": "https://m.example"}.items():
        monkeypatch.setenv(name, value)
    assert f"{LESS.format(5)} {NAMED.format('cod_fee')}" in " ".join(run("deliveries", "show", "1").split())
    [document] = documents("deliveries", "show", "1", "--json")
    assert document["today"]["sums_differ"] == f"{LESS.format(5)} {NAMED.format('cod_fee')}"


def watched(adapter: AdapterUnderTest, watch: SumsWatch) -> list[tuple[str, str, str]]:
    """Text, advice and page of the findings about sums."""
    watch.step()
    with snapshot(adapter.engine) as connection:
        found = read_health(connection, adapter.settings, adapter.clock()).findings
    return [(finding.text, finding.do, finding.page) for finding in found if finding.code == "sums_differ"]


def test_sums_that_differ_a_lot_are_a_finding_until_they_do_no_more(adapter: AdapterUnderTest) -> None:
    watch = SumsWatch(adapter.engine, adapter.settings, adapter.clock)
    adapter.post({**MAGENTO, "cod_fee": None, "grand_total": 100}, store="magento")
    adapter.settle()
    assert watched(adapter, watch) == []
    adapter.post({**MAGENTO, "entity_id": 10}, store="magento")
    adapter.settle()
    text = "1 of the 2 newest orders of store magento has amounts that don't add up to the total, the last one in delivery 2. "
    assert watched(adapter, watch) == [(text + LESS.format(5), NAMED.format("cod_fee"), "/deliveries/2")]
    for number in range(8):
        adapter.post({**MAGENTO, "entity_id": 11 + number, "cod_fee": None, "grand_total": 100}, store="magento")
    adapter.settle()
    assert watched(adapter, watch) == [], "one small fee in ten orders"
    magento = adapter.settings.stores["magento"]
    settings = replace(
        adapter.settings,
        stores={**adapter.settings.stores, "magento": replace(magento, options=replace(magento.options, fee_keys=("cod_fee",)))},
    )
    for number in range(3):
        adapter.post({**MAGENTO, "entity_id": 20 + number}, store="magento")
    adapter.settle()
    assert len(watched(adapter, watch)) == 1
    assert watched(adapter, SumsWatch(adapter.engine, settings, adapter.clock)) == [], "its field is in the settings now"
