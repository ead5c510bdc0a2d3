"""The catalog: product data is looked up, cached and added to orders; whatever a store's API does, no order is lost or delayed."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from adapter.catalog import catalog as catalogs
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.products import keep_products, known_products
from adapter.stores.api import Platform, Shop
from adapter.stores.http import Deadline, StoreTrouble
from mappings import Product, ProductKey
from tests.support.adapter_under_test import AdapterUnderTest, shopify_order

LAMP, SHADE = ProductKey("7"), ProductKey("7", "8")
LAMP_IS = Product(
    key=LAMP, url="https://shop.example/products/lamp", image_url="https://cdn.example/lamp.jpg", brand="Lux", tags=("new", "oak")
)
SHADE_IS = Product(key=SHADE, url="https://shop.example/products/lamp?variant=8", image_url="https://cdn.example/shade.jpg")


@dataclass
class Shelf:
    """A source with these products; `fails` makes it fail, `takes_s` makes it slow."""

    name: str
    products: Sequence[Product] = ()
    fails: StoreTrouble | Exception | None = None
    takes_s: float = 0.0
    throttles_s: float = 0.0
    """Every other request is throttled for this long."""
    at_once: int = 250
    asked: list[list[ProductKey]] = field(default_factory=list)

    def look_up(self, keys: Sequence[ProductKey], deadline: Deadline) -> Sequence[Product]:
        self.asked.append(list(keys))
        if self.takes_s:
            time.sleep(min(self.takes_s, deadline.left))
            if self.takes_s > deadline.left:
                raise StoreTrouble("didn't respond in time")
        if self.throttles_s and len(self.asked) % 2:
            raise StoreTrouble("throttled", wait_s=self.throttles_s)
        if self.fails:
            raise self.fails
        return [product for product in self.products if product.key in keys]


Stock = Callable[..., list[Shelf]]


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch) -> Stock:
    """Makes these shelves the sources of the Shopify store, the preferred first."""

    def fill(*shelves: Shelf) -> list[Shelf]:
        def sources(shop: Shop) -> Sequence[Shelf]:
            return shelves

        platform = Platform(name="shopify", sources=sources, history=lambda _: None, registry=lambda _: None, by_hand=lambda *_: [])
        monkeypatch.setattr("adapter.stores.platforms.platforms", lambda: {"shopify": platform})
        return list(shelves)

    return fill


def sent_item(adapter: AdapterUnderTest) -> dict[str, Any]:
    """The first item of the last order that Drip received."""
    item: dict[str, Any] = adapter.received()[-1]["items"][0]
    return item


def test_looked_up_data_reaches_drip_and_is_shown(adapter: AdapterUnderTest, stock: Stock) -> None:
    stock(Shelf("storefront", [LAMP_IS, SHADE_IS]))
    adapter.post(shopify_order())
    adapter.settle()
    item = sent_item(adapter)
    assert item["product_url"] == "https://shop.example/products/lamp?variant=8"
    assert item["image_url"] == "https://cdn.example/shade.jpg"
    assert (item["brand"], item["tags"], item["product_tag"]) == ("Lux", ["new", "oak"], "new")
    [attempt] = adapter.attempts(adapter.rows()[0].id)
    assert json.loads(attempt.looked_up) == {"7": "storefront", "7/8": "storefront"}


def test_a_page_and_an_image_on_the_shops_own_network_are_not_sent(adapter: AdapterUnderTest, stock: Stock) -> None:
    stores = {
        name: replace(store, options=replace(store.options, local_addresses_allowed=False))
        for name, store in adapter.settings.stores.items()
    }
    adapter = AdapterUnderTest(adapter.engine, replace(adapter.settings, stores=stores), adapter.sandbox_url)
    stock(Shelf("storefront", [replace(LAMP_IS, url="http://shop.local/lamp", image_url="http://10.0.0.5/lamp.jpg")]))
    adapter.post(shopify_order())
    adapter.settle()
    item = sent_item(adapter)
    assert (item["product_url"], item["image_url"]) == ("https://shop.example/", "https://adapter.example/static/placeholder.png")


def test_a_variant_without_an_image_gets_the_products(adapter: AdapterUnderTest, stock: Stock) -> None:
    stock(Shelf("storefront", [LAMP_IS, replace(SHADE_IS, image_url="")]))
    adapter.post(shopify_order())
    adapter.settle()
    assert sent_item(adapter)["image_url"] == "https://cdn.example/lamp.jpg"


def test_sources_are_asked_until_one_has_the_product(adapter: AdapterUnderTest, stock: Stock) -> None:
    first, second, third = stock(Shelf("storefront", [LAMP_IS]), Shelf("admin", [SHADE_IS]), Shelf("never"))
    adapter.post(shopify_order())
    adapter.settle()
    assert (first.asked, second.asked, third.asked) == ([[LAMP, SHADE]], [[SHADE]], [])


def test_data_is_cached_for_a_day_and_a_miss_for_an_hour(adapter: AdapterUnderTest, stock: Stock) -> None:
    [shelf] = stock(Shelf("storefront", [LAMP_IS]))
    for number, hours in enumerate((0, 0.9, 0.2, 22, 2)):
        adapter.clock.advance(hours=hours)
        adapter.post(shopify_order(2000 + number))
        adapter.settle()
    # The variant is a miss: asked again after 1.1 and 23.1 h. The product is found: asked again after 25.1 h.
    assert shelf.asked == [[LAMP, SHADE], [SHADE], [SHADE], [LAMP, SHADE]]


def test_old_data_is_used_if_the_store_fails(adapter: AdapterUnderTest, stock: Stock) -> None:
    [shelf] = stock(Shelf("storefront", [LAMP_IS, SHADE_IS]))
    adapter.post(shopify_order(1))
    adapter.settle()
    shelf.fails = StoreTrouble("away")
    adapter.clock.advance(days=3)
    adapter.post(shopify_order(2))
    adapter.settle()
    assert sent_item(adapter)["image_url"] == "https://cdn.example/shade.jpg"
    [attempt] = adapter.attempts(adapter.rows()[1].id)
    assert json.loads(attempt.looked_up) == {"7": "storefront", "7/8": "storefront"}


@pytest.mark.parametrize("fault", [StoreTrouble("away"), KeyError("hostile"), RecursionError()])
def test_a_failing_store_fails_no_order(adapter: AdapterUnderTest, stock: Stock, fault: Exception) -> None:
    [shelf] = stock(Shelf("storefront", fails=fault))
    for number in range(5):
        adapter.post(shopify_order(3000 + number))
        adapter.settle()
    assert adapter.states() == ["delivered"] * 5
    assert sent_item(adapter)["image_url"] == "https://adapter.example/static/placeholder.png"
    assert sent_item(adapter)["product_url"] == "https://shop.example/"
    assert len(shelf.asked) == 2  # two failed rounds pause it for five minutes
    [attempt] = adapter.attempts(adapter.rows()[0].id)
    assert json.loads(attempt.looked_up) == {"7": "not asked", "7/8": "not asked"}


def test_a_paused_source_is_asked_again_later(adapter: AdapterUnderTest, stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    [shelf] = stock(Shelf("storefront", fails=StoreTrouble("throttled", wait_s=30)))
    now = time.monotonic()
    monkeypatch.setattr("adapter.catalog.catalog.time.monotonic", lambda: now)
    for number, seconds in enumerate((0, 29, 2)):
        now += seconds
        adapter.post(shopify_order(4000 + number))
        adapter.settle()
    assert len(shelf.asked) == 2


def test_it_waits_if_there_is_time(adapter: AdapterUnderTest, stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogs, "_LEAST_WAIT_S", 0.05)
    [shelf] = stock(Shelf("admin", [LAMP_IS, SHADE_IS], at_once=1, throttles_s=0.2))
    catalog = catalogs.Catalog(adapter.engine, adapter.settings, adapter.clock)
    store, order = adapter.settings.stores["shopify"], mapped(adapter, shopify_order())
    [completed] = catalog.complete([(store, order)], 5.0)
    assert set(completed.looked_up.values()) == {"admin"}
    assert shelf.asked == [[LAMP], [LAMP], [SHADE], [SHADE]]


def test_throttling_is_not_a_failure(adapter: AdapterUnderTest, stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    [shelf] = stock(Shelf("admin", [LAMP_IS], fails=StoreTrouble("throttled", wait_s=8)))
    now = time.monotonic()
    monkeypatch.setattr("adapter.catalog.catalog.time.monotonic", lambda: now)
    for number in range(4):
        adapter.post(shopify_order(4100 + number))
        adapter.settle()
        now += 9
    assert len(shelf.asked) == 4


def test_a_slow_store_takes_no_longer_than_the_limit(adapter: AdapterUnderTest, stock: Stock) -> None:
    stock(Shelf("storefront", takes_s=60), Shelf("admin", takes_s=60))
    adapter.post(shopify_order())
    begun = time.monotonic()
    adapter.settle()
    assert time.monotonic() - begun < catalogs.ROUND_S + 2
    assert adapter.states() == ["delivered"]


def test_all_addresses_of_a_slow_store_share_the_limit(adapter: AdapterUnderTest, stock: Stock) -> None:
    [shelf] = stock(Shelf("storefront", takes_s=60))
    store, order = adapter.settings.stores["shopify"], mapped(adapter, shopify_order())
    orders = [(store, structs.replace(order, store_url=f"https://shop-{number}.example")) for number in range(6)]
    begun = time.monotonic()
    catalogs.Catalog(adapter.engine, adapter.settings, adapter.clock).complete(orders, 0.3)
    assert time.monotonic() - begun < 1.2
    assert len(shelf.asked) == 1


def test_all_stores_share_a_limit(adapter: AdapterUnderTest, stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogs, "_ALL_STORES_S", 0.7)
    [shelf] = stock(Shelf("storefront", takes_s=60))
    store, order = adapter.settings.stores["shopify"], mapped(adapter, shopify_order())
    stores = [replace(store, name=f"shop-{number}") for number in range(12)]
    catalog = catalogs.Catalog(adapter.engine, adapter.settings, adapter.clock)
    begun = time.monotonic()
    catalog.complete([(each, order) for each in stores], 0.3)
    assert time.monotonic() - begun < 1.6
    assert 2 <= len(shelf.asked) <= 3
    # Sources that got no time are asked in the next round.
    shelf.takes_s, shelf.products = 0, [LAMP_IS, SHADE_IS]
    assert {said for completed in catalog.complete([(stores[-1], order)]) for said in completed.looked_up.values()} == {"storefront"}


def test_a_failed_source_caches_no_miss(adapter: AdapterUnderTest, stock: Stock) -> None:
    stock(Shelf("storefront"), Shelf("admin", fails=StoreTrouble("away")))
    adapter.post(shopify_order())
    adapter.settle()
    with snapshot(adapter.engine) as connection:
        assert known_products(connection, "shopify", [LAMP, SHADE]) == {}


def test_all_orders_of_a_request_are_looked_up_in_batches(adapter: AdapterUnderTest, stock: Stock) -> None:
    [shelf] = stock(Shelf("storefront", [LAMP_IS], at_once=3))
    orders = []
    for number in range(5):
        order = shopify_order(5000 + number)
        order["line_items"][0] |= {"product_id": 100 + number, "variant_id": None}
        orders.append(order)
    catalog = catalogs.Catalog(adapter.engine, adapter.settings, adapter.clock)
    store = adapter.settings.stores["shopify"]
    catalog.complete([(store, mapped(adapter, order)) for order in orders])
    assert [len(keys) for keys in shelf.asked] == [3, 2]


def mapped(adapter: AdapterUnderTest, document: dict[str, Any]) -> Any:
    from mappings import Context

    store = adapter.settings.stores["shopify"]
    context = Context(received_at=adapter.clock(), options=store.options)
    [reading] = store.provider.readings(json.dumps(document).encode(), context)
    return store.provider.map(reading, context)


def test_lookups_can_be_turned_off(adapter: AdapterUnderTest, stock: Stock) -> None:
    [shelf] = stock(Shelf("storefront", [LAMP_IS]))
    store = adapter.settings.stores["shopify"]
    object.__setattr__(store, "api", replace(store.api, look_up_products=False))
    adapter.post(shopify_order())
    adapter.settle()
    assert shelf.asked == []
    assert adapter.states() == ["delivered"]


def test_data_from_a_webhook_is_used_first(adapter: AdapterUnderTest, stock: Stock) -> None:
    [shelf] = stock(Shelf("storefront", [LAMP_IS, SHADE_IS]))
    with transaction(adapter.engine) as connection:
        told = [replace(LAMP_IS, brand="Told"), replace(SHADE_IS, image_url="https://cdn.example/told.jpg")]
        keep_products(connection, "shopify", told, "webhook", adapter.clock() - timedelta(minutes=5))
    adapter.post(shopify_order())
    adapter.settle()
    assert shelf.asked == []
    assert (sent_item(adapter)["brand"], sent_item(adapter)["image_url"]) == ("Told", "https://cdn.example/told.jpg")


def test_data_from_a_webhook_outlives_an_empty_lookup(adapter: AdapterUnderTest, stock: Stock) -> None:
    [shelf] = stock(Shelf("storefront"))  # has no unpublished products
    with transaction(adapter.engine) as connection:
        keep_products(connection, "shopify", [LAMP_IS, SHADE_IS], "webhook", adapter.clock() - timedelta(days=2))
    for number in range(2):
        adapter.post(shopify_order(number + 1))
        adapter.settle()
        assert sent_item(adapter)["image_url"] == "https://cdn.example/shade.jpg"
    assert shelf.asked == [[LAMP, SHADE]]


def test_a_deleted_product_keeps_the_page_and_image_known_before(adapter: AdapterUnderTest, stock: Stock) -> None:
    """Whether the store reports the deletion or just has the product no more."""
    [shelf] = stock(Shelf("storefront", [LAMP_IS, SHADE_IS]))
    adapter.post(shopify_order())
    adapter.settle()
    shelf.products = []
    for number, days in enumerate((2, 4), 2):
        adapter.clock.advance(days=days)
        with transaction(adapter.engine) as connection:
            keep_products(connection, "shopify", [Product(key=LAMP, gone=True)], "webhook", adapter.clock())
        adapter.post(shopify_order(number))
        adapter.settle()
        assert (sent_item(adapter)["product_url"], sent_item(adapter)["image_url"]) == (SHADE_IS.url, SHADE_IS.image_url)
        assert sent_item(adapter)["brand"] == LAMP_IS.brand
    assert len(shelf.asked) == 3, "once a day at most"


def test_a_restored_product_is_described_anew(adapter: AdapterUnderTest, stock: Stock) -> None:
    stock(Shelf("storefront"))
    with transaction(adapter.engine) as connection:
        for product in (Product(key=LAMP, gone=True), LAMP_IS, Product(key=LAMP, gone=True), replace(LAMP_IS, brand="New")):
            keep_products(connection, "shopify", [product], "webhook", adapter.clock())
    adapter.post(shopify_order())
    adapter.settle()
    assert sent_item(adapter)["brand"] == "New"


def test_an_image_found_later_causes_an_update(adapter: AdapterUnderTest, stock: Stock) -> None:
    [shelf] = stock(Shelf("storefront", fails=StoreTrouble("away")))
    adapter.post(shopify_order())
    adapter.settle()
    shelf.fails, shelf.products = None, [LAMP_IS, SHADE_IS]
    adapter.post(shopify_order(minutes=1))
    adapter.settle()
    assert [order["action"] for order in adapter.received()] == ["created", "updated"]
    assert sent_item(adapter)["image_url"] == "https://cdn.example/shade.jpg"
