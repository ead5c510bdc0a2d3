"""Shopify's own APIs: products, past orders, webhooks; against a stand-in over real HTTP."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapter.settings.values import ApiSettings
from adapter.stores.api import ProductSource, Webhook, Window
from adapter.stores.api import Shop as ApiShop
from adapter.stores.http import MOST_BYTES, Deadline, Http, StoreTrouble, host_of
from adapter.stores.registration import Work, address_of, carry_out, plan
from adapter.stores.shopify import client as clients
from adapter.stores.shopify import platform
from mappings import PROVIDERS, Context, Product, ProductKey, digest, render
from tests.stand_ins.server import Scripted
from tests.stand_ins.shopify import CLIENT_ID, CLIENT_SECRET, GONE, PRODUCTS, TOKEN, UNPUBLISHED, Shop, running_shopify
from tests.support.adapter_under_test import make_settings

ALL = Window()
PUBLISHED = PRODUCTS[0]
STATIC = {"access_token": TOKEN}
BOUGHT = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


@pytest.fixture
def shop() -> Iterator[Shop]:
    with running_shopify(orders=600) as shop:
        yield shop


def reached(shop: Shop, **api: Any) -> ApiShop:
    """The store, with these credentials for its API."""
    store = replace(make_settings("").stores["shopify"], api=ApiSettings(url=shop.url, **api))
    return ApiShop(store=store, http=Http({host_of(shop.url)}), address=shop.url)


def source(shop: Shop, name: str, **api: Any) -> ProductSource:
    return next(each for each in platform.sources(reached(shop, **(api or STATIC))) if each.name == name)


def keys(*numbers: int) -> list[ProductKey]:
    return [ProductKey(str(number)) if number < 1000 else ProductKey(str(number // 10), str(number)) for number in numbers]


def reply(document: Any, status: int = 200, **headers: str) -> Scripted:
    text = document if isinstance(document, (bytes, str)) else json.dumps(document)
    content = text if isinstance(text, bytes) else text.encode()
    return Scripted(content, status, {name.replace("_", "-"): value for name, value in headers.items()})


def _drip() -> Iterator[bytes]:
    for _ in range(20):
        time.sleep(0.1)
        yield b" "


class TestProducts:
    def test_the_storefront_returns_page_image_and_vendor(self, shop: Shop) -> None:
        found = source(shop, "storefront").look_up(keys(702, 7020, 7021), Deadline(5))
        page = f"{shop.url}/products/thing-702"
        assert found == [
            Product(key=ProductKey("702"), url=page, image_url="https://cdn.shop.example/702.jpg", brand="Maker", categories=("Things",)),
            Product(
                key=ProductKey("702", "7020"),
                url=f"{page}?variant=7020",
                image_url="https://cdn.shop.example/7020.jpg",
                brand="Maker",
                categories=("Things",),
            ),
            Product(key=ProductKey("702", "7021"), url=f"{page}?variant=7021", brand="Maker", categories=("Things",)),
        ]

    def test_it_never_sends_credentials(self, shop: Shop) -> None:
        source(shop, "storefront").look_up(keys(702), Deadline(5))
        [seen] = shop.seen
        assert seen.path == "/api/2026-10/graphql.json"
        assert {name.lower() for name in seen.headers}.isdisjoint({"authorization", "x-shopify-access-token", "cookie"})

    def test_the_admin_api_also_returns_tags_and_unpublished_products(self, shop: Shop) -> None:
        number = UNPUBLISHED[0]
        [product, variant] = source(shop, "admin").look_up(keys(number, number * 10), Deadline(5))
        assert (product.url, product.tags) == (f"{shop.url}/products/thing-{number}", ("new", "blue"))
        assert product.image_url == f"https://cdn.shop.example/{number}.jpg"
        assert variant.image_url == f"https://cdn.shop.example/{number * 10}.jpg"
        assert source(shop, "storefront").look_up(keys(number), Deadline(5)) == []

    def test_the_last_part_of_a_category_replaces_a_missing_type(self, shop: Shop) -> None:
        [product] = source(shop, "admin").look_up(keys(701), Deadline(5))
        assert product.categories == ("Odd Things",)

    def test_deleted_products_are_left_out(self, shop: Shop) -> None:
        found = source(shop, "admin").look_up(keys(GONE[0], PUBLISHED, GONE[1] * 10), Deadline(5))
        assert [product.key for product in found] == keys(PUBLISHED)

    def test_only_possible_shopify_ids_are_requested(self, shop: Shop) -> None:
        odd = [ProductKey("custom-lamp"), ProductKey("1) { id } }"), ProductKey("7", "x"), ProductKey("")]
        assert source(shop, "storefront").look_up(odd, Deadline(5)) == []
        assert shop.seen == []

    def test_each_key_is_echoed_with_its_view(self, shop: Shop) -> None:
        same = [ProductKey("702"), ProductKey("702", view="2")]
        assert [product.key for product in source(shop, "storefront").look_up(same, Deadline(5))] == same
        assert [len(seen.body["variables"]["ids"]) for seen in shop.seen] == [1]

    @pytest.mark.parametrize("name", ["storefront", "admin"])
    def test_a_full_request_stays_within_the_cost_limit(self, shop: Shop, name: str) -> None:
        way = source(shop, name)
        variants = [ProductKey("9", str(number)) for number in range(90_000, 91_000)]
        assert way.look_up([*variants[: way.at_once - 1], *keys(7020)], Deadline(5))
        with pytest.raises(StoreTrouble, match=r"exceeds the single query max cost limit|maximum allowed"):
            way.look_up(variants[: way.at_once * 4 // 3], Deadline(5))

    def test_the_second_of_two_expensive_queries_is_throttled(self, shop: Shop) -> None:
        admin = source(shop, "admin")
        variants = [ProductKey("9", str(number)) for number in range(90_000, 90_000 + admin.at_once)]
        assert admin.look_up(variants, Deadline(5)) == []
        with pytest.raises(StoreTrouble, match="THROTTLED") as trouble:
            admin.look_up(variants, Deadline(5))
        assert trouble.value.wait_s == pytest.approx((880 - 120) / 100, abs=1)

    @pytest.mark.parametrize("name", ["storefront", "admin"])
    @pytest.mark.parametrize(
        "answer",
        [
            reply("<html>Please wait"), reply({"errors": [{"message": "Internal"}]}), reply({"data": None}), reply([]), reply("null"),
            reply({"errors": {"query": "Required"}}), reply({"x": 1}, 500), reply({}, 404), reply({"errors": "no"}, 403),
            reply("", 301, Location="https://elsewhere.example/"), reply({"data": {}}), reply({"data": {"nodes": None}}),
            reply({"data": {"nodes": "x"}}), reply({"data": {"nodes": {}}}),
            reply({"data": {"nodes": []}}), reply({"data": {"nodes": [None] * 2}}),
        ],
    )  # fmt: skip
    def test_anything_else_is_an_error_of_the_store(self, shop: Shop, name: str, answer: Scripted) -> None:
        shop.scripted.append(answer)
        with pytest.raises(StoreTrouble):
            source(shop, name).look_up(keys(701), Deadline(5))

    @pytest.mark.parametrize(
        "nodes",
        [
            [None], ["x"], [{}], [{"id": 7}], [{"id": []}], [{"id": "gid://shopify/Product/999"}],
            [{"id": "gid://shopify/Product/701", "handle": 7, "featuredImage": [], "tags": {}, "category": "x", "onlineStoreUrl": "js:x"}],
        ],
    )  # fmt: skip
    def test_nodes_of_wrong_types_are_ignored(self, shop: Shop, nodes: Any) -> None:
        shop.scripted.append(reply({"data": {"nodes": nodes}}))
        assert all(not product.url for product in source(shop, "admin").look_up(keys(701), Deadline(5)))

    @pytest.mark.parametrize(
        ("cost", "wait_s"),
        [
            ({"requestedQueryCost": 502, "throttleStatus": {"maximumAvailable": 1000, "currentlyAvailable": 2, "restoreRate": 100}}, 5.0),
            ({"requestedQueryCost": 5, "throttleStatus": {"currentlyAvailable": 2, "restoreRate": 100}}, 1.0),
            ({"requestedQueryCost": 10**9, "throttleStatus": {"currentlyAvailable": 0, "restoreRate": 1}}, 60.0),
            ({"throttleStatus": {"restoreRate": 0}}, 1.0),
            (None, 1.0),
        ],
    )
    def test_throttling_includes_the_time_to_wait(self, shop: Shop, cost: Any, wait_s: float) -> None:
        errors = [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]
        shop.scripted.append(reply({"errors": errors, "extensions": {"cost": cost}}))
        with pytest.raises(StoreTrouble) as trouble:
            source(shop, "admin").look_up(keys(701), Deadline(5))
        assert trouble.value.wait_s == wait_s

    def test_the_bot_protection_includes_the_time_to_wait(self, shop: Shop) -> None:
        shop.scripted.append(reply("", 430, Retry_After="30"))
        with pytest.raises(StoreTrouble) as trouble:
            source(shop, "storefront").look_up(keys(701), Deadline(5))
        assert trouble.value.wait_s == 30

    @pytest.mark.parametrize("name", ["storefront", "admin"])
    def test_endless_and_slow_responses_take_no_longer_than_the_deadline(self, shop: Shop, name: str) -> None:
        way = source(shop, name)
        shop.scripted += [Scripted(b" " * 65_536 for _ in range(400)), Scripted(_drip())]
        with pytest.raises(StoreTrouble, match="longer than"):
            way.look_up(keys(701), Deadline(10))
        begun = time.monotonic()
        with pytest.raises(StoreTrouble, match="in time"):
            way.look_up(keys(701), Deadline(0.3))
        assert time.monotonic() - begun < 1.5

    def test_a_closed_storefront_is_not_blamed_on_a_token(self, shop: Shop) -> None:
        shop.scripted.append(reply({}, 403))
        with pytest.raises(StoreTrouble, match="returned 403") as trouble:
            source(shop, "storefront").look_up(keys(701), Deadline(5))
        assert "TOKEN" not in str(trouble.value)

    def test_a_stores_error_message_stays_on_one_line(self, shop: Shop) -> None:
        shop.scripted.append(reply({"errors": [{"message": "no\n2026-01-31 INFO all is well"}]}))
        with pytest.raises(StoreTrouble) as trouble:
            source(shop, "storefront").look_up(keys(701), Deadline(5))
        assert "\n" not in str(trouble.value)

    def test_without_the_permanent_domain_no_token_is_sent(self, shop: Shop) -> None:
        bare = replace(reached(shop), store=replace(reached(shop).store, api=ApiSettings(access_token=TOKEN)))
        [storefront, admin] = platform.sources(bare)
        history, registry = platform.history(bare), platform.registry(bare)
        assert history is not None
        assert registry is not None
        for ask in (lambda: admin.look_up(keys(701), Deadline(5)), lambda: history.count(ALL), registry.webhooks):
            with pytest.raises(StoreTrouble, match=r"SHOPIFY_API_URL \(api_url in STORES\)"):
                ask()
        assert shop.seen == []
        assert storefront.look_up(keys(702), Deadline(5))

    def test_without_credentials_there_is_the_storefront_only(self, shop: Shop) -> None:
        bare = replace(reached(shop), store=replace(reached(shop).store, api=ApiSettings()))
        assert [each.name for each in platform.sources(bare)] == ["storefront"]
        assert platform.history(bare) is None
        assert platform.registry(bare) is None


class TestTokens:
    def test_a_token_is_requested_once_and_kept(self, shop: Shop) -> None:
        admin = source(shop, "admin", **BOUGHT)
        for _ in range(3):
            assert admin.look_up(keys(701), Deadline(5))
        assert [seen.path for seen in shop.seen].count("/admin/oauth/access_token") == 1

    def test_it_is_renewed_before_it_expires(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        admin = source(shop, "admin", **BOUGHT)
        admin.look_up(keys(701), Deadline(5))
        later = time.monotonic() + shop.token_life_s - 300
        monkeypatch.setattr("adapter.stores.shopify.client.time.monotonic", lambda: later)
        admin.look_up(keys(701), Deadline(5))
        assert [seen.path for seen in shop.seen].count("/admin/oauth/access_token") == 2

    def test_a_revoked_token_is_requested_again_once(self, shop: Shop) -> None:
        admin = source(shop, "admin", **BOUGHT)
        admin.look_up(keys(701), Deadline(5))
        shop.tokens.clear()
        assert admin.look_up(keys(701), Deadline(5))

    def test_a_wrong_secret_names_the_settings(self, shop: Shop) -> None:
        admin = source(shop, "admin", client_id=CLIENT_ID, client_secret="wrong")
        with pytest.raises(StoreTrouble, match="SHOPIFY_CLIENT_SECRET"):
            admin.look_up(keys(701), Deadline(5))

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_a_shopify_that_is_down_blames_no_setting(self, shop: Shop, status: int) -> None:
        shop.scripted.append(Scripted(b"", status))
        with pytest.raises(StoreTrouble, match=f"returned {status} to the request for a token; try again later"):
            source(shop, "admin", **BOUGHT).look_up(keys(701), Deadline(5))

    def test_a_wrong_static_token_names_the_setting(self, shop: Shop) -> None:
        with pytest.raises(StoreTrouble, match="SHOPIFY_ACCESS_TOKEN"):
            source(shop, "admin", access_token="wrong").look_up(keys(701), Deadline(5))

    @pytest.mark.parametrize(
        "answer",
        [
            reply([]),
            reply({}),
            reply({"access_token": 7}),
            reply({"access_token": ""}),
            reply({"access_token": "a\nb"}),
            reply("x"),
        ],
    )
    def test_a_response_without_a_token_is_an_error(self, shop: Shop, answer: Scripted) -> None:
        shop.scripted.append(answer)
        with pytest.raises(StoreTrouble):
            source(shop, "admin", **BOUGHT).look_up(keys(701), Deadline(5))


class TestHistory:
    def read(self, shop: Shop, window: Window = ALL, cursor: str = "") -> list[dict[str, Any]]:
        history = platform.history(reached(shop, **STATIC))
        assert history is not None
        return [json.loads(order) for page in history.pages(window, cursor) for order in page.orders]

    def test_all_orders_are_read_once_oldest_first(self, shop: Shop) -> None:
        assert [order["id"] for order in self.read(shop)] == [shop.id_of(index) for index in range(600)]

    def test_orders_placed_meanwhile_are_read_too(self, shop: Shop) -> None:
        history = platform.history(reached(shop, **STATIC))
        assert history is not None
        ids = []
        for page in history.pages(ALL):
            ids += [json.loads(order)["id"] for order in page.orders]
            shop.orders = min(shop.orders + 3, 609)
        assert ids == [shop.id_of(index) for index in range(609)]

    def test_it_continues_from_a_cursor(self, shop: Shop) -> None:
        assert [order["id"] for order in self.read(shop, cursor=str(shop.id_of(299)))] == [shop.id_of(index) for index in range(300, 600)]

    def test_only_the_window_is_read(self, shop: Shop) -> None:
        window = Window(created_since=shop.first_at + 10 * shop.apart, created_until=shop.first_at + 30 * shop.apart)
        assert [order["id"] for order in self.read(shop, window)] == [shop.id_of(index) for index in range(10, 30)]
        history = platform.history(reached(shop, **STATIC))
        assert history is not None
        assert history.count(window) == 20

    def test_recently_changed_orders_are_found(self, shop: Shop) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        shop.changed = {shop.id_of(5): now}
        assert [order["id"] for order in self.read(shop, Window(changed_since=now - timedelta(days=1)))] == [shop.id_of(5)]

    def test_one_order_is_found_by_its_id(self, shop: Shop) -> None:
        history = platform.history(reached(shop, **STATIC))
        assert history is not None
        found = history.order(str(shop.id_of(7)), Deadline(5))
        assert found is not None
        assert json.loads(found) == shop.order(7)
        assert history.order("1", Deadline(5)) is None
        assert history.order("x' OR 1", Deadline(5)) is None

    def test_an_order_maps_like_its_webhook(self, shop: Shop) -> None:
        provider = PROVIDERS["shopify"]
        context = Context(received_at=datetime(2026, 10, 1, tzinfo=UTC), options=reached(shop).store.options)

        def body_of(payload: bytes) -> str:
            [reading] = provider.readings(payload, context)
            order = provider.map(reading, context)
            return digest(render(order, action="created", occurred_at=order.created_at, options=context.options))

        history = platform.history(reached(shop, **STATIC))
        assert history is not None
        [*page] = next(history.pages(ALL)).orders
        webhooks = [json.dumps(shop.order(index)).replace("/", "\\/").encode() for index in range(len(page))]
        assert [body_of(order) for order in page] == [body_of(order) for order in webhooks]

    def test_numbers_stay_exact(self, shop: Shop) -> None:
        shop.scripted.append(reply('{"orders": [{"id": 9007199254740993, "weight": 0.10, "sum": 123456789012345678.90}]}'))
        history = platform.history(reached(shop, **STATIC))
        assert history is not None
        [order] = next(history.pages(ALL)).orders
        assert order == b'{"id":9007199254740993,"weight":0.10,"sum":123456789012345678.90}'

    def test_it_waits_for_a_full_bucket(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        waited: list[float] = []
        monkeypatch.setattr("adapter.stores.shopify.client.time.sleep", waited.append)
        shop.scripted += [reply({"errors": "Exceeded 2 calls per second"}, 429, Retry_After="2.0")] * 2
        assert len(self.read(shop)) == 600
        assert waited == [2.0, 2.0]

    def test_a_temporary_failure_is_retried(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        waited: list[float] = []
        monkeypatch.setattr("adapter.stores.shopify.client.time.sleep", waited.append)
        shop.scripted += [reply("<html>", 502), reply("", 503)]
        assert len(self.read(shop)) == 600
        assert waited == [2.0, 2.0]

    def test_it_gives_up_if_the_bucket_stays_full(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("adapter.stores.shopify.client.time.sleep", lambda _: None)
        shop.scripted += [reply({}, 429)] * (clients._MOST_WAITS + 1)
        with pytest.raises(StoreTrouble, match="429"):
            self.read(shop)

    @pytest.mark.parametrize(("status", "retry_after"), [(430, "1"), (429, "nan"), (429, "-5"), (429, "soon"), (429, "0"), (429, "1e9")])
    def test_each_wait_is_reasonable(self, shop: Shop, monkeypatch: pytest.MonkeyPatch, status: int, retry_after: str) -> None:
        waited: list[float] = []
        monkeypatch.setattr("adapter.stores.shopify.client.time.sleep", waited.append)
        shop.scripted.append(reply({}, status, Retry_After=retry_after))
        assert len(self.read(shop)) == 600
        assert len(waited) == 1
        assert 1 <= waited[0] <= 60

    @pytest.mark.slow
    def test_thousands_of_orders_are_read_without_filling_the_bucket(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with running_shopify(orders=12_000) as shop:
            monkeypatch.setattr("adapter.stores.shopify.client.time.sleep", shop.calls.drain)
            history = platform.history(reached(shop, **STATIC))
            assert history is not None
            assert history.count(ALL) == 12_000
            assert sum(len(page.orders) for page in history.pages(ALL)) == 12_000
        # A throttled call would have been repeated.
        assert len(shop.seen) == 1 + 12_000 / 250 + 1

    def test_a_nearly_full_bucket_slows_it_down(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        waited: list[float] = []
        monkeypatch.setattr("adapter.stores.shopify.client.time.sleep", waited.append)
        shop.scripted.append(reply({"orders": []}, 200, X_Shopify_Shop_Api_Call_Limit="38/40"))
        assert self.read(shop) == []
        assert waited == [1.0]

    def test_a_missing_scope_is_named(self, shop: Shop) -> None:
        shop.scopes = frozenset({"read_products"})
        with pytest.raises(StoreTrouble, match="read_orders"):
            self.read(shop)

    def test_the_60_day_rule_is_explained_when_it_applies(self) -> None:
        begun = datetime.now(UTC) - timedelta(days=100)
        with running_shopify(orders=100, first_at=begun, apart=timedelta(days=1), scopes=frozenset({"read_orders"})) as shop:
            history = platform.history(reached(shop, **STATIC))
            assert history is not None
            window = Window(created_since=begun - timedelta(days=1))
            assert history.note(window) == ""
            count = sum(len(page.orders) for page in history.pages(window))
            assert 58 <= count <= 61
            assert "read_all_orders" in history.note(window)
            assert history.note(Window(created_since=datetime.now(UTC) - timedelta(days=30))) == ""

    def test_the_rule_is_explained_if_all_orders_are_older(self) -> None:
        begun = datetime.now(UTC) - timedelta(days=100)
        with running_shopify(orders=10, first_at=begun, scopes=frozenset({"read_orders"})) as shop:
            history = platform.history(reached(shop, **STATIC))
            assert history is not None
            window = Window(created_since=begun)
            assert history.note(window) == ""
            assert list(history.pages(window)) == []
            assert "read_all_orders" in history.note(window)
            assert history.note(Window(created_since=datetime.now(UTC) - timedelta(days=30))) == ""

    def test_an_app_with_access_to_all_orders_gets_no_explanation(self) -> None:
        with running_shopify(orders=0) as shop:
            history = platform.history(reached(shop, **BOUGHT))
            assert history is not None
            window = Window(created_since=datetime.now(UTC) - timedelta(days=300))
            assert list(history.pages(window)) == []
            assert history.note(window) == ""

    def test_with_the_scope_for_all_orders_there_is_nothing_to_explain(self, shop: Shop) -> None:
        history = platform.history(reached(shop, **STATIC))
        assert history is not None
        window = Window(created_since=shop.first_at)
        assert sum(len(page.orders) for page in history.pages(window)) == 600
        assert history.note(window) == ""

    @pytest.mark.parametrize("all_orders", [True, False])
    def test_a_resumed_run_explains_the_rule_only_if_it_applies(self, *, all_orders: bool) -> None:
        begun = datetime.now(UTC) - timedelta(days=100)
        scopes = frozenset({"read_orders", *(["read_all_orders"] if all_orders else [])})
        with running_shopify(orders=100, first_at=begun, apart=timedelta(days=1), scopes=scopes) as shop:
            history = platform.history(reached(shop, **STATIC))
            assert history is not None
            window = Window(created_since=begun)
            assert sum(len(page.orders) for page in history.pages(window, str(shop.id_of(89)))) == 10
            assert ("read_all_orders" in history.note(window)) is not all_orders

    def test_a_time_out_of_range_is_ignored(self, shop: Shop) -> None:
        shop.scripted.append(reply({"orders": [{"id": 1, "created_at": "0001-01-01T00:00:00+14:00"}, {"id": 2, "created_at": 7}]}))
        assert len(self.read(shop)) == 602

    @pytest.mark.parametrize(
        "answer",
        [
            reply("<html>"), reply([]), reply({}), reply({"orders": "x"}), reply({}, 401),
            reply({"orders": ["x"]}), reply({"orders": [{"id": 1}, {"id": "2"}]}), reply({"orders": [{"id": True}]}),
            reply({"orders": [{}]}),
        ],
    )  # fmt: skip
    def test_anything_else_is_an_error_of_the_store(self, shop: Shop, answer: Scripted) -> None:
        history = platform.history(reached(shop, **STATIC))
        assert history is not None
        shop.scripted += [answer, answer]
        with pytest.raises(StoreTrouble):
            next(history.pages(ALL))
        with pytest.raises(StoreTrouble):
            history.order("1", Deadline(5))

    def test_a_store_that_repeats_a_page_is_given_up(self, shop: Shop) -> None:
        shop.scripted += [reply({"orders": [{"id": 1}]})] * 2
        with pytest.raises(StoreTrouble, match="same orders again"):
            self.read(shop)

    def test_pages_that_are_too_long_are_split(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("adapter.stores.shopify.client.time.sleep", shop.calls.drain)
        shop.scripted += [reply(b" " * (MOST_BYTES + 1))] * 2
        assert [order["id"] for order in self.read(shop)] == [shop.id_of(index) for index in range(600)]
        limits = [seen.query["limit"] for seen in shop.seen]
        assert limits == ["250", "50", *["10"] * 61]

    def test_a_single_order_that_is_too_long_is_an_error(self, shop: Shop) -> None:
        shop.scripted += [reply(b" " * (MOST_BYTES + 1))] * 4
        with pytest.raises(StoreTrouble, match="is longer than"):
            self.read(shop)

    def test_a_different_order_than_requested_counts_as_none(self, shop: Shop) -> None:
        history = platform.history(reached(shop, **STATIC))
        assert history is not None
        shop.scripted.append(reply({"orders": [{"id": 6}]}))
        assert history.order("5", Deadline(5)) is None


class TestWebhooks:
    def work(self, shop: Shop) -> list[tuple[str, str]]:
        settings = replace(make_settings(""), public_url_is_set=True)
        api = reached(shop, **STATIC)
        registry = platform.registry(api)
        assert registry is not None
        steps = plan(api.store, registry, settings)
        for step in steps:
            carry_out(step, registry, address_of("shopify", settings))
        return [(step.work.value, step.topic) for step in steps]

    def test_registered_once_there_is_nothing_left_to_do(self, shop: Shop) -> None:
        topics = ["orders/create", "orders/updated", "products/update"]
        assert self.work(shop) == [("create", topic) for topic in topics]
        assert self.work(shop) == [("keep", topic) for topic in topics]
        assert sorted(hook["topic"] for hook in shop.webhooks.values()) == ["ORDERS_CREATE", "ORDERS_UPDATED", "PRODUCTS_UPDATE"]

    def test_a_wrong_address_is_corrected_and_a_duplicate_deleted(self, shop: Shop) -> None:
        self.work(shop)
        first = next(iter(shop.webhooks.values()))
        first["uri"] = "https://old.example/webhooks/shopify"
        shop.webhooks["gid://shopify/WebhookSubscription/9000"] = {**first, "id": "gid://shopify/WebhookSubscription/9000"}
        assert sorted(self.work(shop)) == sorted(
            [("delete", "orders/create"), ("repair", "orders/create"), ("keep", "orders/updated"), ("keep", "products/update")]
        )
        assert {work for work, _ in self.work(shop)} == {Work.KEEP.value}

    def test_one_that_exists_is_fine(self, shop: Shop) -> None:
        registry = platform.registry(reached(shop, **STATIC))
        assert registry is not None
        for _ in range(2):
            registry.create("orders/create", "https://adapter.example/webhooks/shopify")
        assert len(shop.webhooks) == 1

    def test_a_rejection_is_reported(self, shop: Shop) -> None:
        registry = platform.registry(reached(shop, **STATIC))
        assert registry is not None
        with pytest.raises(StoreTrouble, match="protocol http:// is not supported"):
            registry.create("orders/create", "http://adapter.example/webhooks/shopify")

    @pytest.mark.parametrize("errors", [None, ["x"], [{}], [{"message": "has already been taken"}, "x"], {}])
    def test_an_unconfirmed_change_is_an_error(self, shop: Shop, errors: Any) -> None:
        registry = platform.registry(reached(shop, **STATIC))
        assert registry is not None
        shop.scripted.append(reply({"data": {"webhookSubscriptionCreate": {"userErrors": errors}}}))
        with pytest.raises(StoreTrouble):
            registry.create("orders/create", "https://adapter.example/webhooks/shopify")

    def test_a_webhook_deleted_by_somebody_else_is_reported(self, shop: Shop) -> None:
        registry = platform.registry(reached(shop, **STATIC))
        assert registry is not None
        gone = Webhook(id="gid://shopify/WebhookSubscription/1", topic="orders/create", address="https://x.example/")
        with pytest.raises(StoreTrouble, match="does not exist"):
            registry.repair(gone, "https://adapter.example/")
        with pytest.raises(StoreTrouble, match="does not exist"):
            registry.delete(gone)

    @pytest.mark.parametrize("answer", [reply({"data": {}}), reply({"data": {"webhookSubscriptions": []}}), reply("x")])
    def test_anything_else_is_an_error_of_the_store(self, shop: Shop, answer: Scripted) -> None:
        shop.scripted.append(answer)
        registry = platform.registry(reached(shop, **STATIC))
        assert registry is not None
        with pytest.raises(StoreTrouble):
            registry.webhooks()

    def test_the_instructions_say_what_to_paste(self) -> None:
        text = "\n".join(platform.PLATFORM.by_hand("https://adapter.example/webhooks/shopify", "unused"))
        assert "https://adapter.example/webhooks/shopify" in text
        assert "SHOPIFY_WEBHOOK_SECRET" in text
        assert "unused" not in text
