"""Orders that can't be mapped: people still find them by what they know of them."""

import json
from typing import Any

import pytest

from adapter.inbox.database import snapshot, transaction
from adapter.inbox.tables import deliveries
from adapter.operations.order_list import document, list_orders
from tests.support.adapter_under_test import AdapterUnderTest, shopify_order
from tests.support.fixture_cases import FIXTURES
from tests.web.conftest import Visitor

MADE_UNREADABLE = {
    "shopify": ("paid", {"current_total_price": "ten", "total_price": "ten"}),
    "woocommerce": ("paid-order", {"total": "ten"}),
    "magento": ("guest-checkout", {"grand_total": "ten"}),
    "bigcommerce": ("paid-order", {"total_inc_tax": "ten"}),
}


def broken(provider: str) -> tuple[dict[str, Any], str, str]:
    """An order of which an amount can't be read, with its id and number."""
    case, change = MADE_UNREADABLE[provider]
    folder = FIXTURES / provider / case
    order = json.loads((folder / "payload.json").read_bytes()) if folder.exists() else shopify_order(5001)
    order_id = str(order.get("entity_id") or order["id"])
    number = str(order.get("increment_id") or order.get("number") or order.get("name") or order_id).removeprefix("#")
    return {**order, **change}, order_id, number


@pytest.mark.parametrize("provider", sorted(MADE_UNREADABLE))
def test_it_is_listed_and_found_by_its_number_with_the_reason(adapter: AdapterUnderTest, page: Visitor, provider: str) -> None:
    order, order_id, number = broken(provider)
    adapter.post(order, store=provider, topic="order.updated" if provider == "woocommerce" else "orders/updated")
    adapter.settle()
    assert adapter.states() == ["dead"]
    [row] = adapter.rows()
    assert (row.order_id, row.order_number, row.placed) == (order_id, number, False)
    listed = page.get("/orders").text
    assert f'href="/orders/{provider}/{order_id}"' in listed
    assert "Not a valid number." in listed
    assert page.post("/search", {"q": f"#{number}"}, at="/").location == f"/orders/{provider}/{order_id}"
    shown = page.get(f"/orders/{provider}/{order_id}").text
    assert f"Order #{number}" in shown
    assert "Not a valid number." in shown
    assert "could not be read" in shown


def test_retry_is_prominent_only_where_it_can_help(adapter: AdapterUnderTest, page: Visitor) -> None:
    order, order_id, _ = broken("shopify")
    adapter.post(order)
    adapter.post({**shopify_order(5010), "test": True})
    adapter.post(shopify_order(5011))
    adapter.settle()
    dead, skipped, delivered = adapter.rows()
    for row, why in ((dead, "end the same way"), (skipped, "skipped again"), (delivered, "Drip has accepted it")):
        shown = page.get(f"/deliveries/{row.id}").text
        assert "<button>Retry</button>" not in shown
        assert why in shown
    assert "<button>Retry</button>" not in page.get(f"/orders/shopify/{order_id}").text
    with transaction(adapter.engine) as connection:  # as if an earlier version could not map it
        payload = json.dumps({**order, **shopify_order(int(order_id)), "id": int(order_id)}).encode()
        connection.execute(deliveries.update().where(deliveries.c.id == dead.id).values(payload=payload))
    assert "<button>Retry</button>" in page.get(f"/deliveries/{dead.id}").text
    assert "<button>Retry</button>" in page.get(f"/orders/shopify/{order_id}").text


def test_an_order_of_which_only_the_number_can_be_read_is_listed_too(adapter: AdapterUnderTest, page: Visitor) -> None:
    adapter.post({**shopify_order(5001), "id": 1.5})
    adapter.post({**shopify_order(5002), "id": None})
    adapter.settle()
    assert adapter.states() == ["dead", "dead"]
    first, second = adapter.rows()
    assert page.get("/orders").text.count('class="order"') == 2
    assert page.post("/search", {"q": "#5001"}, at="/").location == f"/deliveries/{first.id}"
    assert page.post("/search", {"q": "5002"}, at="/").location == f"/deliveries/{second.id}"
    with snapshot(adapter.engine) as connection:
        found, _ = list_orders(connection, adapter.settings, 10)
    assert [(document(each)["order_id"], document(each)["order_number"]) for each in found] == [(None, "5002"), (None, "5001")]


def test_an_order_with_too_many_lines_is_found_by_its_number(adapter: AdapterUnderTest, page: Visitor) -> None:
    order = shopify_order(5003)
    order["line_items"] = order["line_items"] * 5_001
    adapter.post(order)
    adapter.settle()
    assert adapter.states() == ["dead"]
    assert page.post("/search", {"q": "#5003"}, at="/").location == "/orders/shopify/5003"
    assert "MAX_LINES_PER_ORDER" in page.get("/orders").text


def test_a_later_readable_state_is_sent_and_leads(adapter: AdapterUnderTest, page: Visitor) -> None:
    adapter.post({**shopify_order(5004), "total_price": "ten", "current_total_price": "ten"})
    adapter.settle()
    adapter.post(shopify_order(5004, minutes=1))
    adapter.settle()
    assert adapter.states() == ["dead", "delivered"]
    assert '<span class="state delivered">' in page.get("/orders").text
    assert [order["action"] for order in adapter.received()] == ["created"]


def test_an_order_whose_deliveries_are_deleted_is_found_by_its_id(adapter: AdapterUnderTest, page: Visitor) -> None:
    adapter.post(shopify_order(5005))
    adapter.settle()
    with transaction(adapter.engine) as connection:
        connection.execute(deliveries.delete())
    assert page.post("/search", {"q": "5005"}, at="/").location == "/orders/shopify/5005"
    assert "have been deleted" in page.get("/orders/shopify/5005").text
