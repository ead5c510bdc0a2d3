"""The adapter's own address, learned from the webhooks of its stores where no setting gives it."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from adapter.inbox.database import snapshot
from adapter.inbox.public_address import learned
from adapter.operations.check import look
from adapter.settings import Settings
from adapter.settings.addresses import Networks
from tests.support.adapter_under_test import AdapterUnderTest, make_settings, shopify_order
from tests.support.waiting import wait_until

HERE = "http://0.0.0.0:8000"
HEROKU = {"Host": "shop-orders-1234.herokuapp.com", "X-Forwarded-Proto": "https"}
ADDRESS = "https://shop-orders-1234.herokuapp.com"


def unaware(drip_url: str, public_url: str = HERE) -> Settings:
    """Settings as `serve` starts its parts with, where PUBLIC_URL is not set."""
    settings = make_settings(drip_url)
    stores = {
        name: replace(store, options=replace(store.options, public_url=public_url, local_addresses_allowed=False))
        for name, store in settings.stores.items()
    }
    return replace(settings, stores=stores, public_url=public_url, trusted_proxies=Networks(private=True))


@pytest.fixture
def adapter(engine: Engine, sandbox_url: str) -> AdapterUnderTest:
    return AdapterUnderTest(engine, unaware(sandbox_url), sandbox_url)


def known(adapter: AdapterUnderTest) -> str:
    with snapshot(adapter.engine) as connection:
        return learned(connection)


def images(adapter: AdapterUnderTest) -> list[str]:
    return [order["items"][0]["image_url"] for order in adapter.received()]


def test_three_webhooks_in_a_row_that_agree_are_enough(adapter: AdapterUnderTest) -> None:
    for number in (1, 2):
        adapter.post(shopify_order(number), headers=HEROKU)
    adapter.settle()
    assert images(adapter) == ["https://shop.example/favicon.ico"] * 2
    assert known(adapter) == ""
    adapter.post(shopify_order(3), headers=HEROKU)
    wait_until(lambda: known(adapter) == ADDRESS)
    restarted = AdapterUnderTest(adapter.engine, adapter.settings, adapter.sandbox_url)
    restarted.settle()
    assert images(adapter)[2:] == [f"{ADDRESS}/static/placeholder.png"]


def test_check_says_what_was_learned(adapter: AdapterUnderTest) -> None:
    for number in (1, 2, 3):
        adapter.post(shopify_order(number), headers=HEROKU)
    wait_until(lambda: known(adapter) == ADDRESS)
    says = {finding.what: finding.say for finding in look(replace(adapter.settings, drip_api_url="http://127.0.0.1:9"), adapter.engine)}
    assert says["address"].startswith(f"{ADDRESS}: PUBLIC_URL is not set")
    assert f"{ADDRESS}/webhooks/shopify" in says["store shopify"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:8000"},
        {"Host": "10.0.0.7"},
        {"Host": "adapter"},
        {"Host": "a b.example"},
        {"Host": "shop-orders.local", "X-Forwarded-Proto": "https"},
    ],
)
def test_an_address_that_shoppers_cannot_reach_is_never_learned(adapter: AdapterUnderTest, headers: dict[str, str]) -> None:
    for number in range(5):
        adapter.post(shopify_order(number + 1), headers=headers)
    adapter.settle()
    assert known(adapter) == ""


def test_copies_and_refused_requests_teach_nothing(adapter: AdapterUnderTest) -> None:
    for _ in range(5):
        adapter.post(shopify_order(1), webhook_id="same", headers=HEROKU)
        adapter.web.post("/webhooks/shopify", data=b"{}", headers=HEROKU)
    adapter.settle()
    assert known(adapter) == ""


def test_those_that_disagree_teach_nothing_until_three_in_a_row_agree(adapter: AdapterUnderTest) -> None:
    for number in range(6):
        adapter.post(shopify_order(number + 1), headers={**HEROKU, "Host": f"{'ab'[number % 2]}.example.com"})
    assert known(adapter) == ""
    for number in range(3):
        adapter.post(shopify_order(number + 10), headers={**HEROKU, "Host": "c.example.com"})
    wait_until(lambda: known(adapter) == "https://c.example.com")


def test_a_setting_wins(engine: Engine, sandbox_url: str) -> None:
    adapter = AdapterUnderTest(engine, unaware(sandbox_url, "https://orders.example.com"), sandbox_url)
    for number in (1, 2, 3, 4):
        adapter.post(shopify_order(number), headers=HEROKU)
    adapter.settle()
    assert known(adapter) == ""
    assert images(adapter)[-1] == "https://orders.example.com/static/placeholder.png"
