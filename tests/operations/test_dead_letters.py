"""What is said about a dead delivery: who is at fault, what mends it, and whether a retry can help."""

import html
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from adapter.cli import main
from adapter.operations.masking import HIDDEN
from tests.support.adapter_under_test import ACCOUNT, SECRET, AdapterUnderTest, shopify_order
from tests.web.conftest import Visitor, with_dashboard

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
INVALID_EMAIL = {"errors": [{"code": "validation_error", "attribute": "email", "message": "is invalid"}]}
UNMAPPABLE: dict[str, Any] = {"line_items": [{"id": 1, "title": "Lamp", "price": "ten", "quantity": 1}]}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, database_url: str, sandbox_url: str) -> None:
    for name, value in {
        "DATABASE_URL": database_url, "DRIP_API_URL": sandbox_url, "DRIP_ACCOUNT_ID": ACCOUNT.id, "DRIP_API_KEY": ACCOUNT.token,
        "SHOPIFY_WEBHOOK_SECRET": SECRET,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


@pytest.fixture
def adapter(adapter: AdapterUnderTest) -> AdapterUnderTest:
    return AdapterUnderTest(adapter.engine, with_dashboard(adapter.settings), adapter.sandbox_url)


def refuse(adapter: AdapterUnderTest) -> None:
    adapter.tell_drip(status=422, body=INVALID_EMAIL)
    adapter.post(shopify_order(1001))
    adapter.settle()
    assert adapter.states() == ["dead"]


def run(*arguments: str) -> tuple[str, str]:
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    return " ".join(result.stdout.split()), " ".join(result.stderr.split())


def page(adapter: AdapterUnderTest, path: str) -> str:
    visitor = Visitor(adapter.web)
    if visitor.get("/").status_code != 200:
        visitor.log_in()
    return " ".join(visitor.get(path).text.split())


def test_a_refusal_by_drip_is_mended_in_the_store(adapter: AdapterUnderTest) -> None:
    refuse(adapter)
    shown = page(adapter, "/deliveries/1")
    assert f"Drip refused this order: email was &#34;{HIDDEN}&#34;." in shown
    assert "Correct the email address of the order in the store, which then sends the order again." in shown
    assert "<code>email</code> is invalid" in shown
    assert "<button>Retry</button>" not in shown
    assert "Retry all the same" in shown
    printed, _ = run("deliveries", "show", "1")
    assert "Correct the email address of the order in the store" in printed


def test_every_list_shows_why(adapter: AdapterUnderTest) -> None:
    refuse(adapter)
    adapter.post({**shopify_order(1002), **UNMAPPABLE})
    adapter.settle()
    listed = page(adapter, "/deliveries?state=dead")
    printed, _ = run("deliveries", "list", "--state", "dead")
    for text in (listed, printed):
        assert "Drip refused it: email: is invalid" in text
        assert "items.0.price: Not a valid number." in text


def test_the_verdict_tells_refusals_from_orders_that_the_adapter_can_not_send(adapter: AdapterUnderTest) -> None:
    refuse(adapter)
    adapter.post({**shopify_order(1002), **UNMAPPABLE})
    adapter.settle()
    adapter.drip_recovers()
    text = "could not be sent and won't be retried automatically: Drip refused 1, 1 could not be prepared for Drip."
    for printed in (run("status")[0], run("check")[0], html.unescape(page(adapter, "/"))):
        assert f"2 deliveries of store shopify {text}" in printed


def test_a_payload_that_can_not_be_mapped_is_no_fault_of_drip(adapter: AdapterUnderTest) -> None:
    adapter.post({**shopify_order(1001), **UNMAPPABLE})
    adapter.settle()
    shown = page(adapter, "/deliveries/1")
    assert "can&#39;t be mapped, and the current version can&#39;t map it either." in shown
    assert "Drip refused" not in shown
    assert "<button>Retry</button>" not in shown


def test_a_retry_that_ends_the_same_way_says_so(adapter: AdapterUnderTest) -> None:
    refuse(adapter)
    printed, noted = run("deliveries", "retry", "1")
    assert printed == "1 delivery will be sent again"
    assert "note: delivery 1 will end the same way. Drip refused this order" in noted
    adapter.clock.advance(minutes=1)
    adapter.settle()
    assert adapter.states() == ["dead"]
    assert "It was sent again, and Drip refused it for the same reason." in page(adapter, "/deliveries/1")


def test_a_payload_that_can_not_be_mapped_again_says_so_on_every_page(adapter: AdapterUnderTest) -> None:
    adapter.post({**shopify_order(1001), **UNMAPPABLE})
    adapter.settle()
    assert "tried again" not in page(adapter, "/deliveries/1")
    run("deliveries", "retry", "1")
    adapter.clock.advance(minutes=1)
    adapter.settle()
    assert adapter.states() == ["dead"]
    for shown in (page(adapter, "/deliveries/1"), page(adapter, "/orders/shopify/1001"), run("deliveries", "show", "1")[0]):
        assert "It was tried again, and ended the same way." in shown
        assert "Correct the order in the store" in shown


CAUSES = {
    "a field that can't be mapped": ({}, UNMAPPABLE, "Correct the order in the store, which then sends it again"),
    "a field that Drip refuses": ({"status": 422, "body": INVALID_EMAIL}, {}, "Correct the email address of the order in the store"),
    "a refusal without a field": ({"status": 422, "body": {"errors": []}}, {}, "Correct the order in the store"),
    "a payload too long to be mapped here": ({}, {**UNMAPPABLE, "note": "x" * 2_100_000}, "Retry it after an update."),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_page_of_an_order_gives_the_advice_of_its_delivery(adapter: AdapterUnderTest, cause: str) -> None:
    drip, order, words = CAUSES[cause]
    if drip:
        adapter.tell_drip(**drip)
    adapter.post({**shopify_order(1001), **order})
    adapter.settle()
    assert adapter.states() == ["dead"]
    assert words in page(adapter, "/orders/shopify/1001")
    assert words in page(adapter, "/deliveries/1")


def test_the_advice_for_a_store_that_was_removed_is_to_configure_it(adapter: AdapterUnderTest) -> None:
    adapter.post({**shopify_order(1001), **UNMAPPABLE})
    adapter.settle()
    without = replace(adapter.settings, stores={name: each for name, each in adapter.settings.stores.items() if name != "shopify"})
    shown = page(AdapterUnderTest(adapter.engine, without, adapter.sandbox_url), "/orders/shopify/1001")
    assert "Its store is not in the settings. Configure the store" in shown


def test_an_order_that_drip_could_not_be_reached_for_is_worth_a_retry(adapter: AdapterUnderTest) -> None:
    adapter.tell_drip(status=503)
    adapter.post(shopify_order(1001))
    for _ in range(15):
        adapter.settle()
        adapter.clock.advance(hours=30)
    assert adapter.states() == ["dead"]
    shown = page(adapter, "/deliveries/1")
    assert "Retry it now that Drip responds." in shown
    assert "<button>Retry</button>" in shown


def test_a_delivery_that_does_not_exist_is_named(adapter: AdapterUnderTest) -> None:
    assert run("deliveries", "retry", "77") == ("", "Error: there is no delivery 77; drip-adapter deliveries list shows those there are")


@pytest.mark.parametrize(
    "command", [["deliveries", "list"], ["deliveries", "retry", "--state", "dead"], ["orders", "list"], ["orders", "show", "1"]]
)
def test_an_unknown_store_is_named_with_those_that_exist(adapter: AdapterUnderTest, command: list[str]) -> None:
    assert run(*command, "--store", "nope") == ("", "Error: no store is named 'nope'; there is shopify")
