"""Shopify's product webhooks fill the catalog."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings import PROVIDERS, Context, Options, Product, ProductKey
from tests.support.adapter_under_test import AdapterUnderTest, shopify_order

SHOPIFY = PROVIDERS["shopify"]
LAMP = {
    "id": 7,
    "title": "Lamp",
    "handle": "storm-lamp",
    "vendor": "Harbor &amp; Lamp",
    "product_type": "Lighting",
    "tags": "outdoor, brass,",
    "status": "active",
    "image": {"id": 70, "src": "https://cdn.shop.example/lamp.jpg"},
    "images": [{"id": 70, "src": "https://cdn.shop.example/lamp.jpg"}, {"id": 71, "src": "https://cdn.shop.example/red.jpg"}],
    "variants": [{"id": 8, "image_id": 71}, {"id": 9, "image_id": None}],
}


def context(**headers: str) -> Context:
    return Context(topic="products/update", headers=headers, received_at=datetime(2026, 10, 1, tzinfo=UTC))


def products(document: Any, **headers: str) -> list[Product]:
    return list(SHOPIFY.products(document, context(**{"x-shopify-shop-domain": "harbor-lamp.myshopify.com", **headers})))


def test_a_product_and_its_variants() -> None:
    page = "https://harbor-lamp.myshopify.com/products/storm-lamp"
    assert products(LAMP) == [
        Product(
            key=ProductKey("7"),
            url=page,
            image_url="https://cdn.shop.example/lamp.jpg",
            brand="Harbor & Lamp",
            categories=("Lighting",),
            tags=("outdoor", "brass"),
        ),
        Product(key=ProductKey("7", "8"), url=f"{page}?variant=8", image_url="https://cdn.shop.example/red.jpg"),
        Product(key=ProductKey("7", "9"), url=f"{page}?variant=9"),
    ]


def test_the_settings_address_wins() -> None:
    told = SHOPIFY.products(
        LAMP, Context(received_at=datetime(2026, 10, 1, tzinfo=UTC), options=Options(store_url="https://shop.example/"))
    )
    assert told[0].url == "https://shop.example/products/storm-lamp"


@pytest.mark.parametrize(
    "domain", ["evil.example", "x.myshopify.com.evil.example", "x.myshopify.com/@evil.example", "", "X Y.myshopify.com"]
)
def test_an_unsigned_header_cannot_add_another_host(domain: str) -> None:
    told = SHOPIFY.products(LAMP, context(**{"x-shopify-shop-domain": domain}))
    assert [product.url for product in told] == ["", "", ""]


@pytest.mark.parametrize(
    "without",
    [
        {"image": None, "images": None, "variants": None},
        {"image": None, "images": [], "variants": []},
        {"image": [], "images": {}, "variants": "x", "tags": None, "vendor": None, "product_type": None},
    ],
)
def test_null_fields_are_blank(without: dict[str, Any]) -> None:
    [lamp] = products({**LAMP, **without})
    assert (lamp.key, lamp.image_url) == (ProductKey("7"), "")


def test_newer_media_and_categories_are_read() -> None:
    document = {**LAMP, "image": None, "images": [], "product_type": "", "category": {"full_name": "Home > Lighting > Lamps"}}
    document["media"] = [{"preview_image": {"src": "https://cdn.shop.example/still.jpg"}}]
    lamp = products(document)[0]
    assert (lamp.image_url, lamp.categories) == ("https://cdn.shop.example/still.jpg", ("Lamps",))


def test_a_deleted_product_is_gone() -> None:
    assert products({"id": 7}) == [Product(key=ProductKey("7"), gone=True)]


@pytest.mark.parametrize("document", [None, [], "x", {}, {"id": None}, {"id": "../x"}, {"handle": "x"}])
def test_other_documents_contain_no_products(document: Any) -> None:
    assert products(document) == []


@pytest.mark.slow
@given(
    st.dictionaries(
        st.sampled_from(sorted(LAMP)), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers() | st.none())
    )
)
def test_any_content_loads(changed: dict[str, Any]) -> None:
    for product in products({**LAMP, **changed}):
        assert not product.url or product.url.startswith("https://")


def test_the_next_order_has_page_and_image(adapter: AdapterUnderTest) -> None:
    adapter.post(LAMP, topic="products/update", headers={"X-Shopify-Shop-Domain": "harbor-lamp.myshopify.com"})
    adapter.post(shopify_order())
    adapter.settle()
    assert adapter.states() == ["skipped:catalog", "delivered"]
    assert adapter.row(1).payload is None
    [order] = adapter.received()
    item = json.loads(json.dumps(order["items"][0]))
    assert item["image_url"] == "https://cdn.shop.example/red.jpg"
    assert item["product_url"] == "https://harbor-lamp.myshopify.com/products/storm-lamp?variant=8"
    assert (item["brand"], item["categories"], item["product_tag"]) == ("Harbor & Lamp", ["Lighting"], "outdoor")
