"""Requests to Magento's API, against a simulated store over real HTTP."""

import itertools
import json
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from adapter.settings import Settings, Store
from adapter.settings.values import ApiSettings
from adapter.stores.api import History, Page, ProductSource, Registry, Shop, Window
from adapter.stores.http import Deadline, Http, StoreTrouble, host_of
from adapter.stores.magento import history as history_module
from adapter.stores.platforms import platforms
from adapter.stores.registration import Work, carry_out, plan
from mappings import PROVIDERS, Context, Credentials, Options, Product, ProductKey, outcomes
from tests.stand_ins.magento import running_magento
from tests.stand_ins.magento_shop import (
    BETWEEN_ORDERS_S,
    CONFIGURABLE,
    CONSUMER_KEY,
    CONSUMER_SECRET,
    DISABLED,
    FIRST_CREATED,
    FIRST_ORDER_ID,
    GONE,
    HIDDEN,
    PICTURELESS,
    TOKEN,
    TOKEN_SECRET,
    as_bytes,
    children,
    number,
)
from tests.stand_ins.magento_shop import Shop as StandIn
from tests.stand_ins.server import Scripted

MAGENTO = platforms()["magento"]
SECRET = "current-secret"
PUBLIC_URL = "https://adapter.example"
ADDRESS = f"{PUBLIC_URL}/webhooks/tea"
ALL = Window()
FOUR: dict[str, Any] = {
    "access_token": TOKEN,
    "access_token_secret": TOKEN_SECRET,
    "consumer_key": CONSUMER_KEY,
    "consumer_secret": CONSUMER_SECRET,
}
PARENT, CHILD = CONFIGURABLE[0], children(CONFIGURABLE[0])[0]


def shop_at(
    stand_in: StandIn, *, named: bool = True, options: dict[str, Any] | None = None, auth: str = "", secret: str = SECRET, **api: Any
) -> Shop:
    """The simulated store as configured in the settings; `named` if they contain its address."""
    store = Store(
        name="tea",
        provider=PROVIDERS["magento"],
        auth=auth,
        credentials=Credentials(secrets=(secret, "retired-secret") if secret else ()),
        options=Options(store_url=stand_in.url if named else "", **(options or {})),
        api=ApiSettings(**{"access_token": TOKEN, **api}),
    )
    return Shop(store=store, http=Http({host_of(stand_in.url)}), address=stand_in.url)


def history_of(stand_in: StandIn, **settings: Any) -> History:
    history = MAGENTO.history(shop_at(stand_in, **settings))
    assert history is not None
    return history


def registry_of(stand_in: StandIn, **settings: Any) -> Registry:
    registry = MAGENTO.registry(shop_at(stand_in, **settings))
    assert registry is not None
    return registry


def source(stand_in: StandIn, name: str, **settings: Any) -> ProductSource:
    [found] = [each for each in MAGENTO.sources(shop_at(stand_in, **settings)) if each.name == name]
    return found


def look_up(stand_in: StandIn, name: str, keys: Iterable[ProductKey], **settings: Any) -> dict[ProductKey, Product]:
    return {product.key: product for product in source(stand_in, name, **settings).look_up(list(keys), Deadline(5))}


def ids(pages: Iterable[Page]) -> list[int]:
    return [json.loads(order)["entity_id"] for page in pages for order in page.orders]


def moment(unix: int) -> datetime:
    return datetime.fromtimestamp(unix, UTC)


def rows(*items: Any) -> bytes:
    return as_bytes({"items": list(items), "search_criteria": {}, "total_count": len(items)})


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with running_magento() as stand_in:
        yield stand_in


class TestGraphQl:
    KEYS = (
        ProductKey("1", sku="TEA-1"),
        ProductKey(str(PARENT), sku=f"TEA-{CHILD}"),
        ProductKey(str(PARENT), str(CHILD), sku=f"TEA-{CHILD}"),
        ProductKey(str(HIDDEN[0]), sku=f"TEA-{HIDDEN[0]}"),
        ProductKey(str(GONE[0]), sku=f"TEA-{GONE[0]}"),
    )

    def test_one_anonymous_request_returns_pages_images_brands_and_categories(self, stand_in: StandIn) -> None:
        found = look_up(stand_in, "graphql", self.KEYS)
        assert found[ProductKey("1")] == Product(
            key=ProductKey("1"),
            url=f"{stand_in.url}/tea-1.html",
            image_url=f"{stand_in.url}/media/catalog/product/cache/0f/t/e/1-main.jpg",
            brand="O'Leaf & Sons",
            categories=("Shelf 101", "Loose Leaf", "Tea & Herbs"),
        )
        assert set(found) == set(self.KEYS[:3])
        [seen] = stand_in.seen
        assert (seen.method, seen.path, seen.credentials) == ("POST", "/graphql", "")

    def test_a_childs_sku_finds_its_parents_page_and_its_own_image(self, stand_in: StandIn) -> None:
        found = look_up(stand_in, "graphql", self.KEYS)
        assert found[self.KEYS[1]].url == f"{stand_in.url}/tea-{PARENT}.html"
        assert found[self.KEYS[1]].brand == "O'Leaf & Sons"
        picture = f"{stand_in.url}/media/catalog/product/cache/0f/t/e/{CHILD}-main.jpg"
        assert found[self.KEYS[2]] == Product(key=self.KEYS[2], image_url=picture)

    def test_without_a_sku_nothing_is_requested(self, stand_in: StandIn) -> None:
        assert look_up(stand_in, "graphql", [ProductKey("1"), ProductKey("2", sku="x" * 65)]) == {}
        assert stand_in.seen == []

    def test_another_product_with_the_same_sku_is_not_used(self, stand_in: StandIn) -> None:
        assert look_up(stand_in, "graphql", [ProductKey("2", sku="TEA-1")]) == {}

    def test_for_stores_before_2_4_7_attributes_are_requested_only_once(self) -> None:
        with running_magento(has_attributes_in_graphql=False) as stand_in:
            asked = source(stand_in, "graphql")
            for _ in range(2):
                [product] = asked.look_up(self.KEYS[:1], Deadline(5))
                assert product.url
                assert product.categories
                assert product.brand == ""
            assert len(stand_in.seen) == 3

    def test_a_failing_attribute_loses_the_brand_of_this_request_only(self, stand_in: StandIn) -> None:
        asked = source(stand_in, "graphql")
        stand_in.scripted = [Scripted(body=as_bytes({"errors": [{"message": "Internal server error"}], "data": {"products": None}}))]
        assert [product.brand == "" for product in asked.look_up(self.KEYS[:1], Deadline(5))] == [True]
        assert [product.brand for product in asked.look_up(self.KEYS[:1], Deadline(5))] == ["O'Leaf & Sons"]

    def test_a_brand_attribute_without_options_contains_the_brand(self) -> None:
        with running_magento(has_brand_options=False) as stand_in:
            assert look_up(stand_in, "graphql", self.KEYS)[ProductKey("1")].brand == "Grandmother's"

    def test_a_store_view_is_requested_by_its_code_from_the_settings(self, stand_in: StandIn) -> None:
        key = ProductKey("1", view="2", sku="TEA-1")
        assert look_up(stand_in, "graphql", [key], store_codes={"2": "german"})
        with pytest.raises(StoreTrouble, match="Requested store is not found"):
            look_up(stand_in, "graphql", [key], store_codes={"2": "klingon"})

    def test_the_themes_placeholder_is_not_used_as_an_image(self, stand_in: StandIn) -> None:
        [product] = look_up(stand_in, "graphql", [ProductKey(str(PICTURELESS), sku=f"TEA-{PICTURELESS}")]).values()
        assert product.url
        assert product.image_url == ""

    @pytest.mark.parametrize(
        "body",
        [
            b"{}", b"[]", b"null", b"<html>", b'{"data":null}', b'{"data":{"products":7}}', b'{"data":{"products":{"items":{}}}}',
            b'{"errors":"x"}', b'{"errors":[7]}', b'{"errors":[{"message":["x"]}]}',
        ],
    )  # fmt: skip
    def test_an_answer_without_products_is_an_error(self, stand_in: StandIn, body: bytes) -> None:
        stand_in.scripted = [Scripted(body=body)] * 2
        with pytest.raises(StoreTrouble):
            look_up(stand_in, "graphql", self.KEYS)

    def test_values_of_wrong_types_are_ignored(self, stand_in: StandIn) -> None:
        row = stand_in.in_graphql(PARENT, attributes=True)
        assert row is not None
        odd: tuple[Any, ...] = (
            None,
            7,
            True,
            "x",
            "\u0661",
            [7],
            [{}],
            [[1]],
            {"url": 7},
            {"items": 7},
            {"items": [{"code": "manufacturer", "value": 7}]},
        )
        for name in row:
            for value in odd:
                stand_in.scripted = [Scripted(body=as_bytes({"data": {"products": {"items": [{**row, name: value}, 7]}}}))]
                for product in look_up(stand_in, "graphql", self.KEYS).values():
                    assert all(isinstance(text, str) for text in (product.url, product.image_url, product.brand, *product.categories))

    @pytest.mark.parametrize("status", [401, 403, 404, 302])
    def test_a_store_without_public_graphql_is_reported(self, stand_in: StandIn, status: int) -> None:
        stand_in.scripted = [Scripted(status=status, headers={"Location": "https://elsewhere.example/x?y"})]
        with pytest.raises(StoreTrouble, match=r"doesn't allow public GraphQL requests|redirects to https://elsewhere\.example: set"):
            look_up(stand_in, "graphql", self.KEYS)

    def test_without_a_token_graphql_adds_brand_and_categories_to_the_render_info(self, stand_in: StandIn) -> None:
        found = look_up(stand_in, "render_info", self.KEYS, access_token="")
        assert found[ProductKey("1")].url.endswith("/default-tea-1.html")
        assert (found[ProductKey("1")].brand, found[ProductKey("1")].categories[0]) == ("O'Leaf & Sons", "Shelf 101")

    def test_without_graphql_the_render_info_has_neither_brand_nor_categories(self) -> None:
        with running_magento(has_graphql=False) as stand_in:
            found = look_up(stand_in, "render_info", self.KEYS, access_token="")
            assert found[ProductKey("1")].url
            assert found[ProductKey("1")].brand == ""

    def test_graphql_is_used_after_the_render_info_and_before_the_rest_api(self, stand_in: StandIn) -> None:
        assert [each.name for each in MAGENTO.sources(shop_at(stand_in))] == ["render_info", "graphql", "rest"]


class TestRenderInfo:
    KEYS = (
        ProductKey("1"),
        ProductKey(str(PARENT)),
        ProductKey(str(PARENT), str(CHILD)),
        ProductKey(str(HIDDEN[0])),
        ProductKey(str(GONE[0])),
    )

    def test_one_anonymous_request_returns_pages_and_images_by_id(self, stand_in: StandIn) -> None:
        found = look_up(stand_in, "render_info", self.KEYS, access_token="")
        assert found[ProductKey("1")] == Product(
            key=ProductKey("1"),
            url=f"{stand_in.url}/default-tea-1.html",
            image_url=f"{stand_in.url}/media/catalog/product/cache/0f/t/e/1-270.jpg",  # the wider of two
        )
        assert set(found) == set(self.KEYS[:3])
        [seen] = stand_in.seen
        assert seen.credentials == ""
        assert seen.path == "/rest/default/V1/products-render-info"
        assert (seen.query["storeId"], seen.query["currencyCode"]) == ("1", "USD")

    def test_a_child_has_its_own_image_but_no_page(self, stand_in: StandIn) -> None:
        child = ProductKey(str(PARENT), str(CHILD))
        for name in ("render_info", "rest"):
            [product] = look_up(stand_in, name, [child]).values()
            assert product.url == ""
            assert f"/{CHILD}-" in product.image_url

    def test_the_themes_placeholder_is_not_used_as_an_image(self, stand_in: StandIn) -> None:
        [product] = look_up(stand_in, "render_info", [ProductKey(str(PICTURELESS))], access_token="").values()
        assert product.url
        assert product.image_url == ""

    def test_each_store_view_is_requested_with_its_own_code(self, stand_in: StandIn) -> None:
        keys = [ProductKey("1", view="2"), ProductKey("1", view="1"), ProductKey("2", view="2")]
        options = {"store_urls": {"2": "https://de.example"}}
        found = look_up(stand_in, "render_info", keys, access_token="", options=options, store_codes={"2": "german"})
        assert list(found) == [keys[0], keys[2], keys[1]]
        assert found[keys[0]].url.endswith("/german-tea-1.html")
        assert [(seen.path.split("/")[2], seen.query["storeId"]) for seen in stand_in.seen] == [("german", "2"), ("default", "1")]

    def test_a_store_without_a_view_called_default_is_then_requested_without_one(self) -> None:
        with running_magento(views={1: "english"}) as stand_in:
            asked = source(stand_in, "render_info", access_token="")
            for _ in range(2):
                assert asked.look_up([ProductKey("1")], Deadline(5))
            assert [seen.path.removesuffix("/products-render-info") for seen in stand_in.seen] == [
                "/rest/default/V1",
                "/rest/V1",
                "/rest/V1",
            ]

    def test_a_wrong_store_code_in_the_settings_is_an_error(self, stand_in: StandIn) -> None:
        with pytest.raises(StoreTrouble, match="does not match any route"):
            look_up(stand_in, "render_info", [ProductKey("1")], store_codes={"1": "klingon"})

    def test_with_a_token_the_rest_api_adds_brand_and_categories(self, stand_in: StandIn) -> None:
        found = look_up(stand_in, "render_info", self.KEYS)
        assert found[ProductKey("1")].url == f"{stand_in.url}/default-tea-1.html"
        assert found[ProductKey("1")].brand == "O'Leaf & Sons"
        assert found[ProductKey("1")].categories == ("Shelf 101", "Loose Leaf", "Tea & Herbs")
        public = [seen.credentials for seen in stand_in.seen if seen.path.endswith("render-info")]
        assert public == [""]

    def test_images_that_are_not_public_come_from_the_rest_api(self, stand_in: StandIn) -> None:
        stand_in.scripted = [Scripted(body=rows({"id": 1, "url": None, "images": []}))]
        [product] = look_up(stand_in, "render_info", [ProductKey("1")]).values()
        assert product.url == f"{stand_in.url}/tea-1.html"
        assert product.image_url.endswith("/1-side.jpg")

    def test_a_failing_token_loses_neither_page_nor_image_and_is_not_used_for_a_while(
        self, stand_in: StandIn, caplog: pytest.LogCaptureFixture
    ) -> None:
        asked = source(stand_in, "render_info", access_token="wrong")
        for _ in range(2):
            [product] = asked.look_up([ProductKey("1")], Deadline(5))
            assert product.url
            assert product.image_url
        assert [seen.credentials for seen in stand_in.seen] == ["", "bearer", ""]
        assert "MAGENTO_ACCESS_TOKEN" in caplog.text

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_blocked_public_endpoint_is_reported_without_mentioning_a_token(self, stand_in: StandIn, status: int) -> None:
        stand_in.scripted = [Scripted(status=status, body=b'{"message":"No."}')]
        with pytest.raises(StoreTrouble, match="security extension") as caught:
            look_up(stand_in, "render_info", [ProductKey("1")])
        assert "TOKEN" not in str(caught.value)


class TestRest:
    KEYS = (
        ProductKey("1"),
        ProductKey(str(PARENT)),
        ProductKey(str(PARENT), str(CHILD)),
        ProductKey(str(HIDDEN[0])),
        ProductKey(str(DISABLED[0])),
        ProductKey(str(GONE[0])),
    )

    def test_all_products_are_complete(self, stand_in: StandIn) -> None:
        found = look_up(stand_in, "rest", self.KEYS)
        assert found[ProductKey("1")] == Product(
            key=ProductKey("1"),
            url=f"{stand_in.url}/tea-1.html",
            image_url=f"{stand_in.url}/media/catalog/product/t/e/1-side.jpg",  # the main one is a WebP, which email clients don't display
            brand="O'Leaf & Sons",
            categories=("Shelf 101", "Loose Leaf", "Tea & Herbs"),
        )
        assert set(found) == set(self.KEYS[:5])
        assert found[self.KEYS[2]].categories == ()
        assert [found[key].url for key in self.KEYS[2:5]] == ["", "", ""]  # not visible individually, or disabled
        assert len(stand_in.seen) == 3
        assert "fields" in stand_in.seen[0].query

    def test_names_of_brands_and_categories_are_requested_once(self, stand_in: StandIn) -> None:
        asked = source(stand_in, "rest")
        for key in ("1", "1", "31"):
            assert asked.look_up([ProductKey(key)], Deadline(5))[0].brand
        assert [seen.path.rpartition("/V1/")[2] for seen in stand_in.seen] == [
            "products", "products/attributes/manufacturer/options", "categories/list", "products", "products"
        ]  # fmt: skip

    def test_labels_are_those_of_the_store_view(self, stand_in: StandIn) -> None:
        keys = [ProductKey("1", view="1"), ProductKey("1", view="2")]
        found = look_up(stand_in, "rest", keys, store_codes={"1": "default", "2": "german"})
        assert [found[key].brand for key in keys] == ["O'Leaf & Sons", "O'Leaf & Sons DE"]

    def test_a_brand_attribute_without_options_contains_the_brand(self) -> None:
        with running_magento(has_brand_options=False) as stand_in:
            assert look_up(stand_in, "rest", [ProductKey("1")])[ProductKey("1")].brand == "Grandmother's"

    @pytest.mark.parametrize("attribute", ["maker", "no/such thing"])
    def test_a_missing_brand_attribute_loses_nothing_else(self, stand_in: StandIn, attribute: str) -> None:
        [product] = look_up(stand_in, "rest", [ProductKey("1")], brand_attribute=attribute).values()
        assert (product.brand, bool(product.url), bool(product.categories)) == ("", True, True)

    @pytest.mark.parametrize("where", ["/options", "/categories/list"])
    def test_failing_names_lose_neither_page_nor_image(self, stand_in: StandIn, where: str) -> None:
        stand_in.denied = where
        [product] = look_up(stand_in, "rest", [ProductKey("1")]).values()
        assert product.url
        assert product.image_url
        assert (bool(product.brand), bool(product.categories)) == (where != "/options", where == "/options")

    def test_addresses_use_the_settings(self, stand_in: StandIn) -> None:
        key = ProductKey("1", view="2")
        options = {"store_urls": {"2": "https://shop.example/de/"}}
        found = look_up(stand_in, "rest", [key], options=options, url_suffix="", media_url="https://cdn.example/m/")
        assert found[key].url == "https://shop.example/de/tea-1"
        assert found[key].image_url == "https://cdn.example/m/catalog/product/t/e/1-side.jpg"

    @pytest.mark.parametrize("file", ["no_selection", "", "/", None, 7])
    def test_no_selection_is_not_used_as_an_image(self, stand_in: StandIn, file: Any) -> None:
        row = {"id": 1, "visibility": 4, "custom_attributes": [{"attribute_code": "image", "value": file}]}
        stand_in.scripted = [Scripted(body=rows(row))]
        assert look_up(stand_in, "rest", [ProductKey("1")]) == {ProductKey("1"): Product(key=ProductKey("1"))}

    def test_the_token_is_sent_only_to_hosts_in_the_settings(self, stand_in: StandIn) -> None:
        for settings in ({"access_token": ""}, {"named": False}):
            shop = shop_at(stand_in, **settings)
            assert [each.name for each in MAGENTO.sources(shop)] == ["render_info", "graphql"]
            assert MAGENTO.history(shop) is None
            assert MAGENTO.registry(shop) is None

    def test_keys_are_returned_as_given_and_only_ids_are_requested(self, stand_in: StandIn) -> None:
        odd = [ProductKey("abc"), ProductKey("1,2&x=1"), ProductKey("3", "x"), ProductKey("\u0663"), ProductKey("0"), ProductKey("-1")]
        for name in ("render_info", "rest"):
            stand_in.seen.clear()
            assert list(look_up(stand_in, name, [ProductKey("2", view="7x"), *odd])) == [ProductKey("2", view="7x")]
            assert stand_in.seen[0].query["searchCriteria[filter_groups][0][filters][0][value]"] == "2"
            stand_in.seen.clear()
            assert look_up(stand_in, name, odd) == {}
            assert stand_in.seen == []

    def test_a_merchants_page_limit_is_respected(self) -> None:
        with running_magento(most_per_page=20) as stand_in:
            keys = [ProductKey(str(product_id)) for product_id in range(1, 31)]
            for name in ("render_info", "rest"):
                assert set(look_up(stand_in, name, keys)) == set(keys)
            sizes = [seen.query["searchCriteria[pageSize]"] for seen in stand_in.seen if seen.path.endswith("render-info")]
            assert sizes == ["30", "20", "10", "30", "20", "10"][: len(sizes)]


class TestHostileAnswers:
    @pytest.mark.parametrize(
        "body",
        [
            b"<!DOCTYPE html><p>Checking your browser", b"", b"null", b"7", b'"text"', b"{}", b"[", b"\xff\xfe", b"[" * 100_000,
            b'{"message":"No %1","parameters":["x"]}', b'{"message":{"a":1},"parameters":7}', b'{"items":7}', b'{"items":{"1":{}}}',
        ],
        ids=range(13),
    )  # fmt: skip
    def test_an_answer_that_is_not_a_search_result_is_an_error(self, stand_in: StandIn, body: bytes) -> None:
        for name, status in itertools.product(("render_info", "rest"), (200, 400, 404, 500)):
            stand_in.scripted = [Scripted(status=status, body=body)]
            with pytest.raises(StoreTrouble):
                look_up(stand_in, name, [ProductKey("1")])

    @pytest.mark.parametrize("name", ["render_info", "rest"])
    @pytest.mark.parametrize(
        "row",
        [None, 7, "x", [], {}, {"id": "x"}, {"id": True}, {"id": {"a": 1}}, {"id": [1]}, {"id": 1.5}, {"id": -1}, {"id": 10**30}],
        ids=range(12),
    )
    def test_rows_that_are_not_products_are_ignored(self, stand_in: StandIn, name: str, row: Any) -> None:
        stand_in.scripted = [Scripted(body=rows(row, {"id": 2}))]
        assert list(look_up(stand_in, name, [ProductKey("2"), ProductKey("1")])) == [ProductKey("2")]

    def test_fields_of_wrong_types_are_ignored(self, stand_in: StandIn) -> None:
        odd: dict[str, Any] = {"id": 1, "url": 7, "images": [None, {"url": 7}, {"width": "x"}], "custom_attributes": {"a": 1}}
        odd |= {"media_gallery_entries": [7, {"file": None}, {"file": []}], "extension_attributes": [], "visibility": []}
        links = {"category_links": [7, {"category_id": []}, {"category_id": "x"}]}
        mixed = {**odd, "extension_attributes": links, "custom_attributes": [7, {}, {"attribute_code": []}]}
        mixed["custom_attributes"] += [{"attribute_code": "url_key", "value": []}, {"attribute_code": "manufacturer", "value": {}}]
        for name, row in itertools.product(("render_info", "rest"), (odd, mixed)):
            stand_in.scripted = [Scripted(body=rows(row))]
            [product] = source(stand_in, name).look_up([ProductKey("1")], Deadline(5))
            assert product.key == ProductKey("1")
            assert (name == "render_info") == bool(product.url)  # what the real REST API adds

    @pytest.mark.parametrize("where", ["/options", "/categories/list"])
    @pytest.mark.parametrize(
        "body",
        [
            b"<html>",
            b"7",
            b'{"items":[7,{},{"id":16,"name":[],"level":"x"},{"id":15,"name":"x","level":"2"}]}',
            b'[7,{},{"label":7,"value":[]},{"label":7,"value":"11"}]',
        ],
    )
    def test_names_of_wrong_types_are_ignored(self, stand_in: StandIn, where: str, body: bytes) -> None:
        asked = source(stand_in, "rest")
        [real] = asked.look_up([ProductKey("1")], Deadline(5))
        stand_in.scripted = [Scripted(body=body, where=where)]
        [odd] = source(stand_in, "rest").look_up([ProductKey("1")], Deadline(5))
        assert stand_in.scripted == []
        assert (odd.url, odd.image_url) == (real.url, real.image_url)
        assert set(odd.categories) <= set(real.categories)

    @pytest.mark.parametrize("link", ["javascript:alert(1)", "//[", "ftp://x/", "https://x.example/" + "a" * 3000])
    def test_addresses_are_web_addresses_of_limited_length(self, stand_in: StandIn, link: str) -> None:
        stand_in.scripted = [Scripted(body=rows({"id": 1, "url": link, "images": [{"url": link, "width": 9}, {"url": "/a b.png"}]}))]
        [product] = look_up(stand_in, "render_info", [ProductKey("1")], access_token="").values()
        assert (product.url, product.image_url) == ("", f"{stand_in.url}/a%20b.png")

    def test_messages_have_their_placeholders_filled_in_and_are_shortened(self, stand_in: StandIn) -> None:
        body = as_bytes({"message": "No %fieldName, no %1\n" + "x" * 5000, "parameters": {"fieldName": "tea", "1": [1]}})
        stand_in.scripted = [Scripted(status=400, body=body)]
        with pytest.raises(StoreTrouble, match="No tea, no %1x") as caught:
            look_up(stand_in, "rest", [ProductKey("1")])
        assert len(str(caught.value)) < 400

    @pytest.mark.parametrize("status", [429, 503])
    def test_a_store_can_ask_for_a_pause(self, stand_in: StandIn, status: int) -> None:
        stand_in.scripted = [Scripted(status=status, body=b"<html>later", headers={"Retry-After": "17"})]
        with pytest.raises(StoreTrouble) as caught:
            look_up(stand_in, "render_info", [ProductKey("1")])
        assert caught.value.wait_s == 17


class TestCredentials:
    def test_a_token_alone_is_sent_as_bearer_and_all_four_values_sign(self) -> None:
        with running_magento(3) as stand_in:
            assert history_of(stand_in).count(ALL) == 3
        with running_magento(3, bearer_allowed=False) as signing:
            history = history_of(signing, **FOUR)
            assert history.count(ALL) == 3
            assert len(ids(history.pages(ALL))) == 3
            assert look_up(signing, "rest", [ProductKey("1"), ProductKey("2")], **FOUR)
        assert {seen.credentials for seen in stand_in.seen} == {"bearer"}
        assert {seen.credentials for seen in signing.seen} == {"oauth"}

    @pytest.mark.parametrize("wrong", FOUR)
    def test_each_of_the_four_values_must_be_right(self, stand_in: StandIn, wrong: str) -> None:
        with pytest.raises(StoreTrouble, match="MAGENTO_CONSUMER_SECRET") as caught:
            history_of(stand_in, **FOUR | {wrong: "not-this-one"}).count(ALL)
        assert "not-this-one" not in str(caught.value)

    def test_a_rejected_bearer_token_is_reported_with_both_solutions(self) -> None:
        with running_magento(3, bearer_allowed=False) as stand_in:
            with pytest.raises(StoreTrouble, match=r"2\.4\.4.*OAuth > Consumer Settings.*MAGENTO_ACCESS_TOKEN_SECRET") as caught:
                history_of(stand_in).count(ALL)
            assert "consumer_key" in str(caught.value)
            assert "Sales > Operations > Orders" in str(caught.value)
            assert TOKEN not in str(caught.value)

    def test_missing_access_is_named(self) -> None:
        with running_magento(3, denied="/products") as stand_in, pytest.raises(StoreTrouble, match="Catalog > Inventory > Products"):
            look_up(stand_in, "rest", [ProductKey("1")], **FOUR)

    def test_a_redirect_gets_no_token_and_names_the_setting(self, stand_in: StandIn) -> None:
        with running_magento() as elsewhere:
            stand_in.scripted = [Scripted(status=301, headers={"Location": f"{elsewhere.url}/rest/?token=x"})]
            with pytest.raises(StoreTrouble, match=r"redirects to.*MAGENTO_STORE_URL") as caught:
                history_of(stand_in).count(ALL)
            assert elsewhere.seen == []
            assert "token=" not in str(caught.value)

    def test_public_requests_follow_redirects(self, stand_in: StandIn) -> None:
        stand_in.scripted = [Scripted(status=302, headers={"Location": "/elsewhere"}), Scripted(body=rows({"id": 1, "url": "/a.html"}))]
        [product] = look_up(stand_in, "render_info", [ProductKey("1")], access_token="").values()
        assert product.url == f"{stand_in.url}/a.html"

    def test_the_api_can_have_its_own_address(self) -> None:
        with running_magento(2, path="/store") as stand_in:
            shop = shop_at(stand_in, url=f"{stand_in.url}/")
            history = MAGENTO.history(Shop(store=shop.store, http=shop.http, address="https://shop.example"))
            assert history is not None
            assert history.count(ALL) == 2

    def test_secrets_are_not_in_any_repr(self, stand_in: StandIn) -> None:
        shown = repr(shop_at(stand_in, **FOUR))
        assert not [secret for secret in FOUR.values() if secret in shown and secret != CONSUMER_KEY]


class TestHistory:
    def test_all_orders_are_returned_oldest_first_and_counted(self) -> None:
        with running_magento(230) as stand_in:
            history = history_of(stand_in)
            pages = list(history.pages(ALL))
            assert ids(pages) == list(range(FIRST_ORDER_ID, FIRST_ORDER_ID + 230))
            assert history.count(ALL) == 230
            assert history.note(ALL) == ""
            assert [len(page.orders) for page in pages] == [100, 100, 30]
            assert len(stand_in.seen) == 4
            assert {seen.path for seen in stand_in.seen} == {"/rest/all/V1/orders"}
            assert list(history.pages(ALL, pages[-1].cursor)) == []

    @pytest.mark.slow
    @pytest.mark.no_cover
    def test_five_thousand_orders_need_little_memory(self) -> None:
        late = Window(created_since=moment(FIRST_CREATED + 4_700 * BETWEEN_ORDERS_S))
        with running_magento(5000) as stand_in:
            tracemalloc.start()
            last = max(page.cursor for page in history_of(stand_in).pages(late))
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert last == str(FIRST_ORDER_ID + 4999)
            assert peak < 20_000_000
            assert history_of(stand_in).count(ALL) == 5000

    def test_orders_map_to_the_same_as_their_webhooks(self) -> None:
        with running_magento(12) as stand_in:
            context = Context(
                topic="",
                received_at=datetime(2026, 1, 1, tzinfo=UTC),
                options=Options(public_url=PUBLIC_URL, store_url="https://t.example"),
            )
            provider = PROVIDERS["magento"]
            told = [order for page in history_of(stand_in).pages(ALL) for order in page.orders]
            by_webhook = [as_bytes({"data": stand_in.order(sale)}) for sale in stand_in.listed()]
            for order, delivered in zip(told, by_webhook, strict=True):
                [body] = outcomes(provider, order, context)
                assert [body] == [*outcomes(provider, delivered, context)]
                assert body["items"]
            assert history_of(stand_in).order(str(FIRST_ORDER_ID), Deadline(5)) == told[0]

    def test_numbers_stay_exact(self, stand_in: StandIn) -> None:
        stand_in.scripted = [Scripted(body=b'{"items":[{"entity_id":9007199254740993,"price":10.100000000000000001}],"total_count":1}')]
        [page] = history_of(stand_in).pages(ALL)
        assert page.orders == [b'{"entity_id":9007199254740993,"price":10.100000000000000001}']
        assert page.cursor == "9007199254740993"

    def test_windows_include_their_start_but_not_their_end(self) -> None:
        with running_magento(10) as stand_in:
            third, fifth = (moment(stand_in.orders[FIRST_ORDER_ID + place].created) for place in (2, 4))
            window = Window(created_since=third, created_until=fifth)
            assert ids(history_of(stand_in).pages(window)) == [FIRST_ORDER_ID + 2, FIRST_ORDER_ID + 3]
            assert history_of(stand_in).count(window) == 2
            elsewhere = Window(created_since=third.astimezone(moment(0).astimezone().tzinfo), created_until=fifth)
            assert history_of(stand_in).count(elsewhere) == 2
            later = Window(created_since=third + timedelta(milliseconds=1), created_until=fifth + timedelta(milliseconds=1))
            assert ids(history_of(stand_in).pages(later)) == [FIRST_ORDER_ID + 3, FIRST_ORDER_ID + 4]

    def test_changed_orders_are_found(self) -> None:
        with running_magento(120) as stand_in:
            now = FIRST_CREATED + 10_000_000
            for order_id in (1003, 1090):
                stand_in.change(order_id, state="complete", at=now)
            assert ids(history_of(stand_in).pages(Window(changed_since=moment(now)))) == [1003, 1090]

    def test_no_order_is_missed_or_repeated_while_orders_come_and_go(self) -> None:
        """After each page, some read and some unread orders are deleted, one changes, and new ones arrive."""
        with running_magento(330) as stand_in:
            told: list[int] = []

            def between() -> None:
                for order_id in [*told[-60::7], *told[-2:]]:
                    if order_id in stand_in.orders:
                        stand_in.delete(order_id)
                waiting = [sale.id for sale in stand_in.listed() if sale.id not in told]
                if len(waiting) > 130:
                    stand_in.delete(waiting[120])
                    stand_in.add()

            stand_in.after_page = between
            for page in history_of(stand_in).pages(ALL):
                told += ids([page])
            assert len(told) == len(set(told))
            assert {sale.id for sale in stand_in.listed()} <= set(told)
            assert told == sorted(told)

    def test_another_process_can_continue_from_any_cursor(self) -> None:
        with running_magento(350) as stand_in:
            cursor, told = "", []
            while (page := next(iter(history_of(stand_in).pages(ALL, cursor)), None)) is not None:
                told += ids([page])
                cursor = page.cursor
                stand_in.delete(told[-1])
                stand_in.delete(told[-20])
            assert told == list(range(FIRST_ORDER_ID, FIRST_ORDER_ID + 350))

    @pytest.mark.parametrize("cursor", ["", "x", "[]", "-7", "null", "1.5", "\u0663", "0"])
    def test_an_invalid_cursor_starts_at_the_beginning(self, cursor: str) -> None:
        with running_magento(3) as stand_in:
            assert len(ids(history_of(stand_in).pages(ALL, cursor))) == 3

    @pytest.mark.parametrize("settings", [{"most_per_page": 50}, {"most_per_gateway": 50}], ids=["input limit", "gateway"])
    def test_after_a_rejection_fewer_orders_are_requested(self, settings: dict[str, Any]) -> None:
        with running_magento(70, **settings) as stand_in:
            assert len(ids(history_of(stand_in).pages(ALL))) == 70
            sizes = [seen.query["searchCriteria[pageSize]"] for seen in stand_in.seen]
            assert sizes == ["100", "20", "20", "20", "20"]

    def test_a_page_limit_that_is_too_low_is_an_error(self) -> None:
        message = "Maximum SearchCriteria pageSize is 10"
        with running_magento(70, most_per_page=10) as stand_in, pytest.raises(StoreTrouble, match=message):
            ids(history_of(stand_in).pages(ALL))

    def test_after_a_timeout_fewer_orders_are_requested_once(self, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(history_module, "REQUEST_S", 0.3)
        stand_in.add()
        stand_in.scripted = [Scripted(hang=0.5)]
        assert len(ids(history_of(stand_in).pages(ALL))) == 1
        stand_in.scripted = [Scripted(hang=0.5), Scripted(hang=0.5)]
        with pytest.raises(StoreTrouble, match="in time"):
            ids(history_of(stand_in).pages(ALL))
        time.sleep(0.3)  # the simulated store finishes its request

    def test_a_short_pause_is_made_if_the_store_asks_for_one(self, stand_in: StandIn) -> None:
        stand_in.add()
        stand_in.scripted = [Scripted(status=429, headers={"Retry-After": "0"})] * 2
        assert len(ids(history_of(stand_in).pages(ALL))) == 1
        stand_in.scripted = [Scripted(status=429, headers={"Retry-After": "900"})]
        with pytest.raises(StoreTrouble) as caught:
            ids(history_of(stand_in).pages(ALL))
        assert caught.value.wait_s == 900

    @pytest.mark.parametrize(
        "body",
        [
            b"{}", b"[]", b"<html>", b'{"items":[7]}', b'{"items":[{}]}', b'{"items":[{"entity_id":"x"}]}',
            b'{"items":[{"entity_id":[1]}]}', b"null", b'{"message":"m"}', b'{"items":[{"entity_id":5},{"entity_id":4}]}',
            b'{"items":[{"entity_id":5},{"entity_id":5}]}',
        ],
    )  # fmt: skip
    def test_a_hostile_answer_is_an_error(self, stand_in: StandIn, body: bytes) -> None:
        stand_in.scripted = [Scripted(body=body)] * 2
        with pytest.raises(StoreTrouble):
            list(history_of(stand_in).pages(ALL))
        stand_in.scripted = [Scripted(body=body)]
        with pytest.raises(StoreTrouble):
            history_of(stand_in).count(ALL)

    def test_an_order_that_is_nested_too_deeply_is_an_error(self, stand_in: StandIn) -> None:
        for depth in (400, 700, 900, 960, 990, 5000):
            stand_in.scripted = [Scripted(body=b'{"items":[{"entity_id":1,"x":' + b"[" * depth + b"]" * depth + b'}],"total_count":1}')]
            with suppress(StoreTrouble):
                assert len(list(history_of(stand_in).pages(ALL))) == 1

    def test_a_store_that_ignores_the_cursor_is_not_read_endlessly(self, stand_in: StandIn) -> None:
        stand_in.scripted = [Scripted(body=as_bytes({"items": [{"entity_id": 1}, {"entity_id": 2}], "total_count": 1000}))] * 20
        with pytest.raises(StoreTrouble, match="doesn't sort its orders by id"):
            list(history_of(stand_in).pages(ALL))
        assert len(stand_in.seen) == 2

    def test_short_pages_do_not_end_the_reading(self, stand_in: StandIn) -> None:
        pages = [[{"entity_id": 3}], [{"entity_id": 9}], []]
        stand_in.scripted = [Scripted(body=as_bytes({"items": page})) for page in pages]
        assert ids(history_of(stand_in).pages(ALL)) == [3, 9]


class TestOneOrder:
    def test_an_order_is_found_by_id_or_by_number(self) -> None:
        with running_magento(3) as stand_in:
            history = history_of(stand_in)
            by_id = history.order("1002", Deadline(5))
            assert by_id is not None
            assert json.loads(by_id)["entity_id"] == 1002
            assert history.order(number(1002), Deadline(5)) == by_id
            assert history.order("999", Deadline(5)) is None
            assert history.order("000000012", Deadline(5)) is None

    def test_a_number_is_never_used_as_an_id(self) -> None:
        """Magento treats 000001002 as 1002, which may be another order."""
        with running_magento(3) as stand_in:
            history_of(stand_in).order("000001002", Deadline(5))
            assert [seen.path for seen in stand_in.seen] == ["/rest/all/V1/orders"]

    def test_a_store_that_uses_numbers_is_searched_by_number_only(self) -> None:
        with running_magento(3) as stand_in:
            history = history_of(stand_in, options={"order_id": "increment_id"})
            assert history.order("1002", Deadline(5)) is None
            found = history.order(number(1002), Deadline(5))
            assert found is not None
            assert json.loads(found)["increment_id"] == number(1002)
            assert {seen.path for seen in stand_in.seen} == {"/rest/all/V1/orders"}

    @pytest.mark.parametrize("order_id", ["../orders", "", "x\ny", "9" * 60])
    def test_an_invalid_number_finds_no_order(self, stand_in: StandIn, order_id: str) -> None:
        assert history_of(stand_in).order(order_id, Deadline(5)) is None

    def test_a_number_used_in_two_store_views_finds_no_order(self, stand_in: StandIn) -> None:
        stand_in.scripted = [Scripted(body=rows({"entity_id": 1, "increment_id": "0001"}, {"entity_id": 2, "increment_id": "0001"}))]
        assert history_of(stand_in).order("0001", Deadline(5)) is None

    @pytest.mark.parametrize("body", [b"7", b"[]", b"<html>", b'{"message":"m"}'])
    def test_a_hostile_answer_is_no_order_or_an_error(self, stand_in: StandIn, body: bytes) -> None:
        for order_id in ("7", "0007"):
            stand_in.scripted = [Scripted(body=body)]
            with suppress(StoreTrouble):
                assert history_of(stand_in).order(order_id, Deadline(5)) is None

    def test_a_missing_api_is_an_error(self, stand_in: StandIn) -> None:
        stand_in.scripted = [Scripted(status=404, body=b'{"message":"Request does not match any route."}')]
        with pytest.raises(StoreTrouble, match="route"):
            history_of(stand_in).order("7", Deadline(5))


class TestRegistry:
    def steps(self, stand_in: StandIn) -> list[tuple[Work, str]]:
        shop, registry = shop_at(stand_in), registry_of(stand_in)
        settings = Settings(stores={"tea": shop.store}, public_url=PUBLIC_URL, public_url_is_set=True)
        steps = plan(shop.store, registry, settings)
        for step in steps:
            carry_out(step, registry, ADDRESS)
        return [(step.work, step.topic) for step in steps]

    def test_seven_subscriptions_are_created_once_with_the_current_secret(self, stand_in: StandIn) -> None:
        topics = [f"sales.order.{verb}" for verb in ("created", "updated", "paid", "shipped", "holded", "unholded", "cancelled")]
        assert self.steps(stand_in) == [(Work.CREATE, topic) for topic in topics]
        assert self.steps(stand_in) == [(Work.KEEP, topic) for topic in topics]
        assert {row["verification_token"] for row in stand_in.subscriptions.values()} == {SECRET}
        assert {row["metadata"] for row in stand_in.subscriptions.values()} == {"http"}
        assert {seen.path for seen in stand_in.seen} == {"/rest/V1/async_events", "/rest/V1/async_event"}

    def test_disabled_misdirected_and_duplicate_subscriptions_are_repaired(self, stand_in: StandIn) -> None:
        self.steps(stand_in)
        held = stand_in.subscriptions
        held[1]["status"] = False
        held[2]["recipient_url"] = "https://old.example/webhooks/tea"
        held[8] = {**held[3], "subscription_id": 8}
        held[9] = {**held[4], "subscription_id": 9, "recipient_url": "https://crm.example/orders"}
        works = [work for work, _ in self.steps(stand_in)]
        assert works.count(Work.KEEP) == 5
        assert {work for work, _ in self.steps(stand_in)} == {Work.KEEP}
        active = sorted((row["event_name"], row["recipient_url"]) for row in held.values() if row["status"])
        assert [event for event, url in active if url == ADDRESS] == sorted(registry_of(stand_in).topics)
        assert [event for event, url in active if url != ADDRESS] == ["sales.order.shipped"]  # another system's, unchanged

    def test_all_pages_are_read(self) -> None:
        with running_magento(most_per_page=20) as stand_in:
            row = {"event_name": "sales.order.created", "recipient_url": ADDRESS, "status": True}
            stand_in.subscriptions = {one: {"subscription_id": one, **row} for one in range(1, 51)}
            assert [webhook.id for webhook in registry_of(stand_in).webhooks()] == [str(one) for one in range(1, 51)]

    @pytest.mark.parametrize("work", ["webhooks", "create"])
    def test_without_the_module_the_message_says_what_to_install(self, work: str) -> None:
        with running_magento(has_async_events=False) as stand_in:
            registry = registry_of(stand_in)
            works: dict[str, Callable[[], object]] = {
                "webhooks": registry.webhooks,
                "create": lambda: registry.create("sales.order.created", ADDRESS),
            }
            with pytest.raises(StoreTrouble, match=r"mage-os/mageos-common-async-events.*docs/stores\.md"):
                works[work]()

    def test_missing_access_is_named(self) -> None:
        with running_magento(denied="async_event") as stand_in, pytest.raises(StoreTrouble, match="Manage Asynchronous Events"):
            registry_of(stand_in, **FOUR).webhooks()

    def test_requests_with_a_body_are_signed_too(self) -> None:
        with running_magento(bearer_allowed=False) as stand_in:
            registry_of(stand_in, **FOUR).create("sales.order.created", ADDRESS)
            assert [row["event_name"] for row in stand_in.subscriptions.values()] == ["sales.order.created"]

    @pytest.mark.parametrize("auth", ["token", "basic", "adobe_io", "adobe_webhook"])
    def test_stores_whose_orders_something_else_sends_have_no_registry(self, stand_in: StandIn, auth: str) -> None:
        assert MAGENTO.registry(shop_at(stand_in, auth=auth)) is None
        assert MAGENTO.registry(shop_at(stand_in, secret="")) is None

    def test_rows_that_are_not_subscriptions_are_ignored(self, stand_in: StandIn) -> None:
        good = {"subscription_id": 2, "event_name": "sales.order.created", "recipient_url": "x"}
        odd = [None, 7, {}, {"subscription_id": 1}, {**good, "event_name": 3}, {**good, "subscription_id": [3]}]
        stand_in.scripted = [Scripted(body=rows(*odd, {**good, "metadata": "event_bridge"}))]
        assert registry_of(stand_in).webhooks() == []

    @pytest.mark.parametrize("body", [b"{}", b"<html>", b"7", b'{"message":"m"}'])
    def test_a_hostile_answer_is_an_error(self, stand_in: StandIn, body: bytes) -> None:
        stand_in.scripted = [Scripted(body=body)]
        with pytest.raises(StoreTrouble):
            registry_of(stand_in).webhooks()


def test_the_instructions_contain_everything_to_paste_for_each_way() -> None:
    text = "\n".join(MAGENTO.by_hand(ADDRESS, "fresh-secret"))
    assert text.count(ADDRESS) == 3
    for part in (
        "Verification token", "fresh-secret", "sales.order.cancelled", "observer.sales_order_save_commit_after", 'auth = "adobe_io"',
        "adobe_client_id", 'auth = "token"', "docs/magento-mageplaza-template.md",
    ):  # fmt: skip
        assert part in text


def test_the_simulated_store_rejects_reused_signatures(stand_in: StandIn) -> None:
    stand_in.add()
    shop = shop_at(stand_in, **FOUR)
    history = MAGENTO.history(shop)
    assert history is not None
    sent: list[requests.PreparedRequest] = []
    session, _ = shop.http._session(is_named=True)
    prepare = session.prepare_request
    session.prepare_request = lambda request: sent.append(prepare(request)) or sent[-1]  # type: ignore[func-returns-value, method-assign]
    history.count(ALL)
    authorization = sent[0].headers["Authorization"]
    header = {"Authorization": authorization.decode() if isinstance(authorization, bytes) else authorization}
    assert requests.get(str(sent[0].url), headers=header, timeout=5).status_code == 401
    stand_in.nonces.clear()
    assert requests.get(f"{sent[0].url}&x=1", headers=header, timeout=5).status_code == 401
    stand_in.nonces.clear()
    assert requests.get(str(sent[0].url), headers=header, timeout=5).status_code == 200
