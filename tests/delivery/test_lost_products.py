"""Lines whose product was deleted from the shop keep the page and image that Drip was sent before."""

from typing import Any

import pytest
from sqlalchemy import Engine, update

from adapter.inbox.database import transaction
from adapter.inbox.tables import attempts
from adapter.sandbox import RunningSandbox
from tests.support.adapter_under_test import AdapterUnderTest, make_settings, restart

PRODUCT = {
    "id": 7, "type": "simple", "permalink": "https://tea.example/product/assam/", "images": [{"src": "https://tea.example/assam.jpg"}],
    "categories": [{"name": "Black", "slug": "black"}], "brands": [{"name": "Leaf"}], "catalog_visibility": "visible",
}  # fmt: skip
KEPT = ("https://tea.example/product/assam/", "https://tea.example/assam.jpg", "Leaf", ["Black"])


@pytest.fixture
def adapter(engine: Engine, sandbox: RunningSandbox) -> AdapterUnderTest:
    restart(sandbox)
    return AdapterUnderTest(engine, make_settings(sandbox.url), sandbox.url)


def order(minute: int, **line: Any) -> dict[str, Any]:
    return {
        "id": 41, "number": "41", "status": "processing", "currency": "EUR", "total": "10.00", "order_key": "wc_order_k41",
        "date_created_gmt": "2026-09-30T12:00:00", "date_modified_gmt": f"2026-09-30T12:{minute:02}:00", "customer_note": str(minute),
        "date_paid_gmt": "2026-09-30T12:00:00", "billing": {"email": "ada@example.com"},
        "payment_url": "https://tea.example/checkout/order-pay/41/?key=wc_order_k41",
        "line_items": [{"id": 1, "name": "Tea", "product_id": 7, "quantity": 1, "subtotal": "10.00", "total": "10.00", **line}],
    }  # fmt: skip


def post(adapter: AdapterUnderTest, document: Any, topic: str = "order.updated") -> None:
    adapter.post(document, store="woocommerce", topic=topic)
    adapter.settle()
    adapter.clock.advance(minutes=2)


def sent_item(adapter: AdapterUnderTest) -> tuple[str, str, str | None, list[str] | None]:
    item = adapter.received()[-1]["items"][0]
    return item["product_url"], item["image_url"], item.get("brand"), item.get("categories")


GONE = {"product_id": 0, "sku": None, "image": {"id": "", "src": ""}}


def test_they_are_kept_through_every_further_update(adapter: AdapterUnderTest) -> None:
    post(adapter, PRODUCT, "product.updated")
    post(adapter, order(1))
    assert sent_item(adapter) == KEPT
    for minute, name in ((2, "Tea, deleted"), (3, "Tea, long gone")):
        post(adapter, order(minute, **GONE, name=name))
        assert adapter.received()[-1]["items"][0]["name"] == name
        assert sent_item(adapter) == KEPT
    post(adapter, order(4, **GONE, name="Tea, long gone"))
    assert adapter.states()[-1] == "skipped:unchanged"


@pytest.mark.parametrize("more", [{"id": 2}, {"id": None}])
def test_another_line_gets_nothing_of_it(adapter: AdapterUnderTest, more: dict[str, Any]) -> None:
    post(adapter, PRODUCT, "product.updated")
    post(adapter, order(1))
    post(adapter, order(2, **GONE, **more))
    assert sent_item(adapter)[0] == "https://tea.example/"


def test_a_line_that_never_had_a_product_follows_the_settings(adapter: AdapterUnderTest) -> None:
    post(adapter, order(1, **GONE))
    post(adapter, order(2, **GONE, name="Tea!"))
    assert sent_item(adapter) == ("https://tea.example/", "https://adapter.example/static/placeholder.png", None, None)


def test_without_the_last_body_it_is_sent_as_it_is(adapter: AdapterUnderTest) -> None:
    post(adapter, PRODUCT, "product.updated")
    post(adapter, order(1))
    with transaction(adapter.engine) as connection:
        connection.execute(update(attempts).values(body=None))
    post(adapter, order(2, **GONE))
    assert sent_item(adapter)[0] == "https://tea.example/"
