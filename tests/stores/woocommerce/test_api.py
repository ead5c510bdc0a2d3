"""WooCommerce's own APIs, against a stand-in over real HTTP and HTTPS."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests

from adapter.settings import Store
from adapter.settings.values import ApiSettings
from adapter.stores.api import History, Page, Registry, Shop, Window
from adapter.stores.http import Deadline, Http, StoreTrouble, host_of
from adapter.stores.platforms import platforms
from adapter.stores.woocommerce import history as history_module
from adapter.stores.woocommerce.client import Answer
from adapter.stores.woocommerce.registry import clock_ahead
from mappings import PROVIDERS, Context, Credentials, Options, Product, ProductKey, outcomes
from tests.stand_ins.server import Scripted
from tests.stand_ins.woocommerce import running_woocommerce
from tests.stand_ins.woocommerce_shop import FIRST_CREATED, FIRST_ORDER_ID, GONE, HIDDEN, KEY, SECRET, variations, webhook_bytes
from tests.stand_ins.woocommerce_shop import Shop as StandIn
from tests.support.certificate import self_signed

WOOCOMMERCE = platforms()["woocommerce"]
WEBHOOK_SECRET = "current-secret"
ADDRESS = "https://adapter.example/webhooks/tea"
ALL = Window()


class TrustingHttp(Http):
    """Trusts the stand-in's certificate."""

    def __init__(self, host: str, authority: Path) -> None:
        super().__init__({host})
        self._authority = authority

    def _session(self, *, is_named: bool) -> Any:
        session, adapters = super()._session(is_named=is_named)
        session.verify = str(self._authority)
        return session, adapters


class MovedSite(tzinfo):
    """The clock of a site whose time zone was changed one night: it went back by nine hours."""

    def fromutc(self, moment: datetime) -> datetime:
        return moment + (self.utcoffset(moment) or timedelta(0))

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return timedelta(hours=9 if moment and moment.replace(tzinfo=None).isoformat() < "2025-10-26T01" else 0)

    def dst(self, moment: datetime | None) -> None:
        """None: unknown."""

    def tzname(self, moment: datetime | None) -> None:
        """It has no name."""


def shop_at(stand_in: StandIn, *, key: str = KEY, secret: str = SECRET, http: Http | None = None, named: bool = True) -> Shop:
    """The stand-in as a store of the settings; `named`: they contain its address."""
    store = Store(
        name="tea",
        provider=PROVIDERS["woocommerce"],
        credentials=Credentials(secrets=(WEBHOOK_SECRET, "retired-secret")),
        options=Options(store_url=stand_in.url if named else ""),
        api=ApiSettings(consumer_key=key, consumer_secret=secret),
    )
    return Shop(store=store, http=http or Http({host_of(stand_in.url)}), address=stand_in.url)


def history_of(stand_in: StandIn, **settings: Any) -> History:
    history = WOOCOMMERCE.history(shop_at(stand_in, **settings))
    assert history is not None
    return history


def registry_of(stand_in: StandIn) -> Registry:
    registry = WOOCOMMERCE.registry(shop_at(stand_in))
    assert registry is not None
    return registry


def look_up(stand_in: StandIn, source: str, keys: Iterable[ProductKey], **settings: Any) -> dict[ProductKey, Product]:
    [asked] = [each for each in WOOCOMMERCE.sources(shop_at(stand_in, **settings)) if each.name == source]
    return {product.key: product for product in asked.look_up(list(keys), Deadline(5))}


def ids(pages: Iterable[Page]) -> list[int]:
    return [json.loads(order)["id"] for page in pages for order in page.orders]


def moment(unix: int) -> datetime:
    return datetime.fromtimestamp(unix, UTC)


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with running_woocommerce() as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secure(certificate: tuple[str, str]) -> Iterator[tuple[StandIn, Http]]:
    """A shop behind HTTPS, and a client that trusts it."""
    with running_woocommerce(3, tls=certificate) as stand_in:
        yield stand_in, TrustingHttp(host_of(stand_in.url), Path(certificate[0]))


class TestProducts:
    KEYS = (
        ProductKey("1"),
        ProductKey("31"),
        ProductKey("31", str(variations(31)[1])),
        ProductKey(str(HIDDEN[0])),
        ProductKey(str(GONE[0])),
    )

    def test_the_store_api_returns_published_products_in_two_requests(self, stand_in: StandIn) -> None:
        found = look_up(stand_in, "store_api", self.KEYS)
        assert set(found) == set(self.KEYS[:3])
        assert found[ProductKey("1")] == Product(
            key=ProductKey("1"),
            url=f"{stand_in.url}/product/tea-1/",
            image_url=f"{stand_in.url}/wp-content/uploads/1-side.jpg",  # the first is a WebP, which mail clients do not show
            brand="O\u2019Leaf",
            categories=("Tea & Herbs",),
            tags=("loose leaf",),
        )
        assert found[self.KEYS[2]].url == f"{stand_in.url}/product/tea-31/?attribute_size=2"
        assert len(stand_in.seen) == 2

    def test_the_store_api_never_gets_credentials(self, stand_in: StandIn) -> None:
        look_up(stand_in, "store_api", self.KEYS)
        assert [seen.credentials for seen in stand_in.seen] == ["", ""]
        assert not any("key" in name or "oauth" in name for seen in stand_in.seen for name in seen.query)

    def test_the_rest_api_returns_hidden_products_too_and_uncategorized_is_left_out(self, stand_in: StandIn) -> None:
        found = look_up(stand_in, "rest", self.KEYS)
        assert set(found) == set(self.KEYS[:4])
        assert found[ProductKey("1")] == look_up(stand_in, "store_api", self.KEYS)[ProductKey("1")]
        assert found[self.KEYS[2]].image_url.endswith("3102-side.jpg")
        assert [seen.credentials for seen in stand_in.seen[:2]] == ["oauth", "oauth"]

    def test_the_rest_api_needs_a_key_and_an_address_from_the_settings(self, stand_in: StandIn) -> None:
        for settings in ({"key": ""}, {"secret": ""}, {"named": False}):
            shop = shop_at(stand_in, **settings)
            assert [source.name for source in WOOCOMMERCE.sources(shop)] == ["store_api"]
            assert WOOCOMMERCE.history(shop) is None
            assert WOOCOMMERCE.registry(shop) is None

    def test_products_have_the_requested_keys_and_invalid_ids_are_not_requested(self, stand_in: StandIn) -> None:
        keys = [
            ProductKey("2", view="7"),
            ProductKey("abc"),
            ProductKey("1,2&x=1"),
            ProductKey("3", "x"),
            ProductKey("\u0663"),
            ProductKey("0"),
        ]
        assert list(look_up(stand_in, "store_api", keys)) == [ProductKey("2", view="7")]
        assert stand_in.seen[0].query["include"] == "2"
        assert look_up(stand_in, "rest", keys[1:]) == {}
        assert len(stand_in.seen) == 1

    def test_a_variation_must_belong_to_its_product(self, stand_in: StandIn) -> None:
        foreign = ProductKey("32", str(variations(31)[0]))
        for source in ("store_api", "rest"):
            assert look_up(stand_in, source, [foreign]) == {}

    @pytest.mark.parametrize("place", [0, 1], ids=["store_api", "rest"])
    def test_products_are_returned_if_only_their_variations_fail(self, stand_in: StandIn, place: int) -> None:
        source = WOOCOMMERCE.sources(shop_at(stand_in))[place]
        stand_in.scripted = [Scripted(body=webhook_bytes([stand_in.product(31)])), Scripted(status=500, body=b"{}")]
        assert [product.key for product in source.look_up([self.KEYS[1], self.KEYS[2]], Deadline(5))] == [self.KEYS[1]]
        stand_in.scripted = [Scripted(status=500, body=b"{}")]
        with pytest.raises(StoreTrouble, match="answered 500"):
            source.look_up([self.KEYS[2]], Deadline(5))

    def test_variations_are_requested_only_while_half_of_the_time_is_left(self, stand_in: StandIn) -> None:
        [_, rest] = WOOCOMMERCE.sources(shop_at(stand_in))
        stand_in.scripted = [Scripted(body=b"[]", hang=0.6)]
        rest.look_up([ProductKey(str(number), str(variations(number)[0])) for number in range(31, 35)], Deadline(1))
        assert len(stand_in.seen) == 1

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_blocked_store_api_says_what_to_do(self, status: int) -> None:
        with running_woocommerce(store_api_status=status) as stand_in:
            with pytest.raises(StoreTrouble, match=r"security plugin.*WOOCOMMERCE_CONSUMER_KEY"):
                look_up(stand_in, "store_api", self.KEYS)
            assert look_up(stand_in, "rest", self.KEYS)

    def test_a_firewalls_page_says_what_to_allow(self, stand_in: StandIn) -> None:
        stand_in.scripted = [Scripted(status=403, body=b"<html>Forbidden")]
        with pytest.raises(StoreTrouble, match="allow /wp-json/wc/"):
            look_up(stand_in, "store_api", self.KEYS)
        assert len(stand_in.seen) == 1

    @pytest.mark.parametrize("status", [429, 503])
    def test_the_time_that_a_shop_asks_to_wait_is_passed_on(self, stand_in: StandIn, status: int) -> None:
        stand_in.scripted = [Scripted(status=status, body=b"<html>later", headers={"Retry-After": "17"})]
        with pytest.raises(StoreTrouble) as caught:
            look_up(stand_in, "store_api", self.KEYS)
        assert caught.value.wait_s == 17

    @pytest.mark.parametrize("source", ["store_api", "rest"])
    @pytest.mark.parametrize(
        "body",
        [
            b"<!DOCTYPE html><p>Checking your browser", b"", b"null", b"7", b'"text"', b"{}", b'{"code":"x","message":"y"}', b"[",
            b"\xff\xfe", b'{"code":{"a":1},"message":[]}', b"[" * 100_000,
        ],
        ids=range(11),
    )  # fmt: skip
    def test_a_response_that_is_not_a_list_is_an_error(self, stand_in: StandIn, source: str, body: bytes) -> None:
        stand_in.scripted = [Scripted(body=body)] * 3
        with pytest.raises(StoreTrouble):
            look_up(stand_in, source, [ProductKey("1")])

    @pytest.mark.parametrize(
        "row",
        [
            None, 7, "x", [], {}, {"id": "x"}, {"id": True}, {"id": {"a": 1}}, {"id": [1]}, {"id": 1.5}, {"id": -1}, {"id": 10**30},
        ],
    )  # fmt: skip
    def test_rows_that_are_not_products_are_ignored(self, stand_in: StandIn, row: Any) -> None:
        for source in ("store_api", "rest"):
            stand_in.scripted = [Scripted(body=webhook_bytes([row, {"id": 2}]))]
            assert list(look_up(stand_in, source, [ProductKey("2"), ProductKey("1")])) == [ProductKey("2")]

    def test_fields_of_the_wrong_type_are_blank(self, stand_in: StandIn) -> None:
        odd: dict[str, Any] = {"id": 1, "permalink": False, "images": [None, {"src": False}, {"src": ["x"]}], "categories": False}
        odd |= {"tags": [{"name": None}, {"name": {"a": 1}}], "brands": {"0": {"name": "B" * 900}}, "parent": []}
        stand_in.scripted = [Scripted(body=webhook_bytes([odd]))]
        assert look_up(stand_in, "store_api", [ProductKey("1")]) == {ProductKey("1"): Product(key=ProductKey("1"), brand="B" * 255)}

    @pytest.mark.parametrize("link", ["javascript:alert(1)", "//[", "ftp://x/", "https://x.example/" + "a" * 3000])
    def test_addresses_must_be_web_addresses_and_not_too_long(self, stand_in: StandIn, link: str) -> None:
        stand_in.scripted = [Scripted(body=webhook_bytes([{"id": 1, "permalink": link, "images": [{"src": link}, {"src": "/a b.png"}]}]))]
        [product] = look_up(stand_in, "store_api", [ProductKey("1")]).values()
        assert (product.url, product.image_url) == ("", f"{stand_in.url}/a%20b.png")


class TestAddressForms:
    @pytest.mark.parametrize("path", ["", "/shop"])
    @pytest.mark.parametrize(
        ("permalinks", "tried", "used"),
        [("index", ["wp-json"], "index.php/wp-json"), ("plain", ["wp-json", "index.php/wp-json"], "index.php")],
    )
    def test_the_form_of_addresses_is_determined_once(self, path: str, permalinks: str, tried: list[str], used: str) -> None:
        with running_woocommerce(3, path=path, permalinks=permalinks, version=(11, 1)) as stand_in:
            assert look_up(stand_in, "store_api", [ProductKey("1")])
            history = history_of(stand_in)
            stand_in.seen.clear()
            assert history.count(ALL) == 3
            assert len(ids(history.pages(ALL))) == 3
            right = f"{path}/{used}" if permalinks == "plain" else f"{path}/{used}/wc/v3/orders"
            assert [seen.path for seen in stand_in.seen] == [*(f"{path}/{form}/wc/v3/orders" for form in tried), right, right]

    def test_with_plain_permalinks_a_key_is_ignored_and_the_setting_is_named(self, secure: tuple[StandIn, Http]) -> None:
        """Before WooCommerce 11.1. The public Store API answers nevertheless."""
        stand_in, http = secure
        stand_in.permalinks = "plain"
        assert look_up(stand_in, "store_api", [ProductKey("1")], http=http)
        with pytest.raises(StoreTrouble, match=r"permalinks are plain.*Settings > Permalinks") as caught:
            history_of(stand_in, http=http).count(ALL)
        assert "401 woocommerce_rest_cannot_view: Sorry, you cannot list resources." in str(caught.value)
        assert "CONSUMER_KEY" not in str(caught.value)

    def test_once_the_form_is_known_an_html_page_is_not_requested_in_another(self, stand_in: StandIn) -> None:
        [source, _] = WOOCOMMERCE.sources(shop_at(stand_in))
        assert source.look_up([ProductKey("1")], Deadline(5))
        stand_in.scripted = [Scripted(status=404, body=b"<html>")]
        with pytest.raises(StoreTrouble, match=r"isn't JSON.*WOOCOMMERCE_STORE_URL"):
            source.look_up([ProductKey("1")], Deadline(5))
        assert len(stand_in.seen) == 2


class TestCredentials:
    def test_over_https_the_key_is_sent_in_the_header(self, secure: tuple[StandIn, Http]) -> None:
        stand_in, http = secure
        assert history_of(stand_in, http=http).count(ALL) == 3
        assert [seen.credentials for seen in stand_in.seen] == ["basic"]

    def test_if_the_host_removes_the_header_the_key_is_sent_in_the_query_from_then_on(self, secure: tuple[StandIn, Http]) -> None:
        stand_in, http = secure
        stand_in.strips_authorization = True
        history = history_of(stand_in, http=http)
        assert history.count(ALL) == 3
        assert len(ids(history.pages(ALL))) == 3
        assert [seen.credentials for seen in stand_in.seen] == ["basic", "query", "query"]

    def test_a_wrong_key_is_not_sent_in_the_query(self, secure: tuple[StandIn, Http]) -> None:
        stand_in, http = secure
        with pytest.raises(StoreTrouble, match=r"WOOCOMMERCE_CONSUMER_KEY.*read permission") as caught:
            history_of(stand_in, http=http, secret="cs_wrong").count(ALL)
        assert [seen.credentials for seen in stand_in.seen] == ["basic"]
        assert "401 woocommerce_rest_authentication_error: Consumer secret is invalid." in str(caught.value)
        assert "cs_wrong" not in str(caught.value)

    def test_over_plain_http_requests_are_signed_and_the_secret_is_not_sent(self, stand_in: StandIn) -> None:
        stand_in.add()
        assert history_of(stand_in).count(ALL) == 1
        [seen] = stand_in.seen
        assert seen.credentials == "oauth"
        assert SECRET not in str(seen.query)
        with pytest.raises(StoreTrouble, match="consumer_key"):
            history_of(stand_in, secret="cs_wrong").count(ALL)
        assert "query" not in {seen.credentials for seen in stand_in.seen}

    def test_the_key_is_not_sent_to_a_redirects_target_and_the_setting_is_named(self, stand_in: StandIn) -> None:
        with running_woocommerce() as elsewhere:
            stand_in.scripted = [Scripted(status=301, headers={"Location": f"{elsewhere.url}/wp-json/?consumer_key=x"})]
            with pytest.raises(StoreTrouble, match=r"redirects to.*WOOCOMMERCE_STORE_URL") as caught:
                history_of(stand_in).count(ALL)
            assert elsewhere.seen == []
            assert "consumer_key=" not in str(caught.value)

    def test_secrets_are_not_in_any_repr(self, stand_in: StandIn) -> None:
        shop = shop_at(stand_in)
        assert SECRET not in repr(shop)
        assert KEY not in repr(shop)


class TestHistory:
    def test_all_orders_are_returned_oldest_first_and_counted(self) -> None:
        with running_woocommerce(230) as stand_in:
            history = history_of(stand_in)
            pages = list(history.pages(ALL))
            assert ids(pages) == list(range(FIRST_ORDER_ID, FIRST_ORDER_ID + 230))
            assert history.count(ALL) == 230
            assert history.note(ALL) == ""
            assert len(stand_in.seen) <= 7
            assert max(len(page.cursor) for page in pages) < 3000
            assert len(list(history.pages(ALL, pages[-1].cursor))) == 0

    def test_orders_map_to_the_same_body_as_their_webhooks(self) -> None:
        with running_woocommerce(12) as stand_in:
            context = Context(topic="", received_at=datetime(2026, 1, 1, tzinfo=UTC), options=Options(public_url="https://adapter.example"))
            provider = PROVIDERS["woocommerce"]
            returned = [order for page in history_of(stand_in).pages(ALL) for order in page.orders]
            by_webhook = [webhook_bytes(stand_in.order(sale)) for sale in stand_in.listed()]
            for order, delivered in zip(returned, by_webhook, strict=True):
                [body] = outcomes(provider, order, context)
                assert [body] == [*outcomes(provider, delivered, context)]
                assert body["items"]
            assert history_of(stand_in).order(str(FIRST_ORDER_ID), Deadline(5)) == returned[0]

    def test_numbers_stay_exact(self, stand_in: StandIn) -> None:
        stand_in.scripted = [Scripted(body=b'[{"id":9007199254740993,"price":10.100000000000000001,"date_created_gmt":null}]')]
        [page] = history_of(stand_in).pages(ALL)
        assert page.orders == [b'{"id":9007199254740993,"price":10.100000000000000001,"date_created_gmt":null}']

    def test_one_order_or_none(self, stand_in: StandIn) -> None:
        history = history_of(stand_in)
        assert history.order("999", Deadline(5)) is None
        assert history.order("../orders", Deadline(5)) is None
        assert len(stand_in.seen) == 1

    def test_windows_include_their_start_but_not_their_end(self) -> None:
        with running_woocommerce(10) as stand_in:
            third, fifth = (moment(stand_in.orders[FIRST_ORDER_ID + place].created) for place in (2, 4))
            window = Window(created_since=third, created_until=fifth)
            assert ids(history_of(stand_in).pages(window)) == [FIRST_ORDER_ID + 2, FIRST_ORDER_ID + 3]
            assert history_of(stand_in).count(window) == 2
            later = Window(created_since=third + timedelta(milliseconds=1), created_until=fifth + timedelta(milliseconds=1))
            assert ids(history_of(stand_in).pages(later)) == [FIRST_ORDER_ID + 3, FIRST_ORDER_ID + 4]

    @pytest.mark.parametrize("knows", [True, False])
    def test_changed_orders_are_found_even_if_the_store_ignores_the_filter(self, knows: bool) -> None:
        with running_woocommerce(120, knows_modified_after=knows) as stand_in:
            now = FIRST_CREATED + 10_000_000
            for order_id in (1003, 1090):
                stand_in.change(order_id, status="completed", at=now)
            assert ids(history_of(stand_in).pages(Window(changed_since=moment(now)))) == [1003, 1090]

    @pytest.mark.slow
    @pytest.mark.parametrize("totals", [True, False])
    @pytest.mark.parametrize("apart_s", [0, 1, 7, 600])
    def test_none_is_missed_and_none_returned_twice_while_orders_come_and_go(self, apart_s: int, totals: bool) -> None:
        """After each page, some orders that were returned and some that were not go to the trash, and new ones arrive."""
        with running_woocommerce(totals=totals) as stand_in:
            for number in range(330):
                stand_in.add(FIRST_CREATED + number * apart_s)
            returned: list[int] = []

            def between() -> None:
                for order_id in [*returned[-60::7], *returned[-2:]]:
                    stand_in.trash(order_id)
                waiting = [sale.id for sale in stand_in.listed() if sale.id not in returned]
                if len(waiting) > 60:
                    stand_in.trash(waiting[55])
                    stand_in.add(FIRST_CREATED + len(stand_in.orders) * apart_s)

            stand_in.after_page = between
            for page in history_of(stand_in).pages(ALL):
                returned += ids([page])
            assert len(returned) == len(set(returned))
            assert {sale.id for sale in stand_in.listed()} <= set(returned)
            assert returned == sorted(returned)

    def test_more_orders_of_one_second_than_fit_a_page_are_all_returned(self) -> None:
        with running_woocommerce(40) as stand_in:
            for _ in range(170):
                stand_in.add(FIRST_CREATED + 1_000_000)
            for _ in range(60):
                stand_in.add(FIRST_CREATED + 1_000_000 + len(stand_in.orders))
            assert ids(history_of(stand_in).pages(ALL)) == sorted(stand_in.orders)

    @pytest.mark.slow
    @pytest.mark.parametrize("zone", [ZoneInfo("Europe/Berlin"), MovedSite()], ids=["autumn", "moved"])
    def test_all_orders_of_an_hour_that_occurs_twice_are_returned(self, zone: tzinfo) -> None:
        """If a site sorts by its own clock, 02:30 of the first pass and of the second are next to each other."""
        start = int(datetime(2025, 10, 25, 22, 0, tzinfo=UTC).timestamp())
        with running_woocommerce(zone=zone) as stand_in:
            for number in range(720):
                stand_in.add(start + number * 90)
            returned = ids(history_of(stand_in).pages(ALL))
            assert len(returned) == 720
            assert set(returned) == set(stand_in.orders)

    @pytest.mark.parametrize("apart_s", [0, 30, 600])
    def test_it_resumes_from_any_cursor_in_another_process(self, apart_s: int) -> None:
        with running_woocommerce() as stand_in:
            for number in range(180):
                stand_in.add(FIRST_CREATED + number * apart_s)
            cursor, returned = "", []
            while True:
                page = next(iter(history_of(stand_in).pages(ALL, cursor)), None)
                if page is None:
                    break
                returned += ids([page])
                cursor = page.cursor
                stand_in.trash(returned[-1])
                stand_in.trash(returned[-20])
            assert returned == sorted(stand_in.orders)

    @pytest.mark.parametrize(
        "cursor", ["", "x", "[]", "7", "null", '{"since":1}', '{"since":"","returned":[],"at":0}', '{"at":"x","returned":{},"since":""}']
    )
    def test_an_invalid_cursor_starts_at_the_beginning(self, cursor: str) -> None:
        with running_woocommerce(3) as stand_in:
            assert len(ids(history_of(stand_in).pages(ALL, cursor))) == 3

    def test_pages_are_smaller_once_the_gateway_has_timed_out(self) -> None:
        with running_woocommerce(70, most_per_page=25) as stand_in:
            assert len(ids(history_of(stand_in).pages(ALL))) == 70
            assert [seen.query["per_page"] for seen in stand_in.seen][:3] == ["50", "20", "20"]

    def test_a_smaller_page_is_requested_once_if_the_server_does_not_respond(
        self, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(history_module, "REQUEST_S", 0.3)
        stand_in.add()
        stand_in.scripted = [Scripted(hang=0.6)]
        assert len(ids(history_of(stand_in).pages(ALL))) == 1
        stand_in.scripted = [Scripted(hang=0.6), Scripted(hang=0.6)]
        with pytest.raises(StoreTrouble, match="in time"):
            ids(history_of(stand_in).pages(ALL))
        time.sleep(0.4)  # the stand-in ends what it does

    @pytest.mark.parametrize("created", ["0001-01-01T00:00:00", "-0001-11-30T00:00:00", "9999-12-31T23:59:59", 7, [1], ""])
    def test_an_invalid_time_breaks_nothing(self, stand_in: StandIn, created: Any) -> None:
        rows = [{"id": 1, "date_created_gmt": created}, {"id": 2, "date_created_gmt": "2026-01-01T00:00:00"}]
        stand_in.scripted = [Scripted(body=webhook_bytes(rows), headers={"X-WP-Total": "2"})]
        [page] = history_of(stand_in).pages(ALL)
        assert len(page.orders) == 2
        stand_in.scripted = [Scripted(body=b"[]")]
        assert list(history_of(stand_in).pages(ALL, page.cursor)) == []

    def test_it_waits_if_the_store_asks_for_a_short_pause(self, stand_in: StandIn) -> None:
        stand_in.add()
        stand_in.scripted = [Scripted(status=429, headers={"Retry-After": "0"})] * 2
        assert len(ids(history_of(stand_in).pages(ALL))) == 1
        stand_in.scripted = [Scripted(status=429, headers={"Retry-After": "900"})]
        with pytest.raises(StoreTrouble) as caught:
            ids(history_of(stand_in).pages(ALL))
        assert caught.value.wait_s == 900

    @pytest.mark.parametrize(
        "body", [b"{}", b"<html>", b"[7]", b"[{}]", b'[{"id":"x"}]', b'[{"id":[1]}]', b"null", b'{"code":"e","message":"m"}']
    )
    def test_a_hostile_response_is_an_error(self, stand_in: StandIn, body: bytes) -> None:
        stand_in.scripted = [Scripted(body=body)] * 2
        with pytest.raises(StoreTrouble):
            list(history_of(stand_in).pages(ALL))

    @pytest.mark.parametrize("total", ["1000000", "", "x"])
    def test_paging_that_never_advances_is_stopped(self, stand_in: StandIn, total: str) -> None:
        rows = webhook_bytes([{"id": number, "date_created_gmt": "2026-01-01T00:00:00"} for number in range(1, 51)])
        stand_in.scripted = [Scripted(body=rows, headers={"X-WP-Total": total})] * 200
        with pytest.raises(StoreTrouble, match="does not paginate"):
            list(history_of(stand_in).pages(ALL))


class TestRegistry:
    def test_webhooks_are_created_with_the_current_secret(self, stand_in: StandIn) -> None:
        registry = registry_of(stand_in)
        for topic in registry.topics:
            registry.create(topic, ADDRESS)
        assert [hook["secret"] for hook in stand_in.webhooks.values()] == [WEBHOOK_SECRET] * 4
        assert [(webhook.topic, webhook.address, webhook.active) for webhook in registry.webhooks()] == [
            (topic, ADDRESS, True) for topic in ("order.created", "order.updated", "order.restored", "product.updated")
        ]

    def test_a_webhook_is_recognized_as_ours_by_its_name(self, stand_in: StandIn) -> None:
        registry = registry_of(stand_in)
        registry.create("order.created", ADDRESS)
        [made] = registry.webhooks()
        assert made.ours
        stand_in.webhooks.clear()
        hook = {"topic": "order.created", "delivery_url": ADDRESS, "status": "active"}
        for number, name in enumerate(["Drip, Order created", "ERP", None, 7], 10):
            stand_in.webhooks[number] = {"id": number, **hook, "name": name}
        assert [webhook.ours for webhook in registry.webhooks()] == [True, False, None, None]

    def test_a_repaired_webhook_is_replaced(self, stand_in: StandIn) -> None:
        """PUT keeps owner, API version and failures, so the next failure would disable it again."""
        hook = {"topic": "order.created", "delivery_url": "https://old.example/", "secret": "old"}
        stand_in.webhooks = {7: {"id": 7, "status": "disabled", **hook}, 8: {"id": 8, "status": "paused", **hook}}
        registry = registry_of(stand_in)
        [first, second] = registry.webhooks()
        assert (first.active, second.active) == (False, False)
        registry.repair(first, ADDRESS)
        registry.delete(second)
        registry.delete(second)  # it's gone already, which is fine
        [made] = stand_in.webhooks.values()
        assert made["id"] not in (7, 8)
        assert (made["topic"], made["status"], made["delivery_url"], made["secret"]) == ("order.created", "active", ADDRESS, WEBHOOK_SECRET)
        assert (made["failure_count"], made["api_version"], made["user"]) == (0, 3, "admin")

    def test_times_are_by_our_clock(self, stand_in: StandIn) -> None:
        hook = {"id": 7, "topic": "order.created", "delivery_url": ADDRESS, "status": "active"}
        stand_in.webhooks = {7: {**hook, "date_created_gmt": "2026-01-01T10:00:00", "date_modified_gmt": "2026-01-01T11:00:00"}}
        [webhook] = registry_of(stand_in).webhooks()
        assert webhook.created_at
        assert webhook.used_at
        assert abs(webhook.created_at - datetime(2026, 1, 1, 10, 0, tzinfo=UTC)) < timedelta(seconds=3)
        assert webhook.used_at - webhook.created_at == timedelta(hours=1)
        rows = webhook_bytes([{**hook, "date_created_gmt": None, "date_modified_gmt": "", "failure_count": 3}])
        stand_in.scripted = [Scripted(body=rows)]
        [webhook] = registry_of(stand_in).webhooks()
        assert (webhook.created_at, webhook.used_at, webhook.failures) == (None, None, 3)

    @pytest.mark.parametrize(("ahead_h", "date"), [(2, None), (-30, None), (0, ""), (0, "yesterday"), (0, "Mon, 99 Foo 2026 10:00:00 GMT")])
    def test_the_stores_clock_is_read_from_its_answer(self, ahead_h: int, date: str | None) -> None:
        if date is None:
            date = format_datetime(datetime.now(UTC) + timedelta(hours=ahead_h), usegmt=True)
        ahead = clock_ahead(Answer(200, {"Date": date}, []))
        assert abs(ahead - timedelta(hours=ahead_h)) < timedelta(seconds=3)

    def test_only_the_lifecycle_vocabulary_needs_the_topic_for_the_trash(self, stand_in: StandIn) -> None:
        shop = shop_at(stand_in)
        assert "order.deleted" not in registry_of(stand_in).topics
        options = replace(shop.store.options, vocabulary="lifecycle")
        registry = WOOCOMMERCE.registry(replace(shop, store=replace(shop.store, options=options)))
        assert registry
        assert "order.deleted" in registry.topics

    def test_listing_webhooks_needs_the_read_permission_only(self) -> None:
        with running_woocommerce(permission="read") as stand_in:
            assert registry_of(stand_in).webhooks() == []
            stand_in.scripted = [Scripted(status=401, body=webhook_bytes({"code": "woocommerce_rest_cannot_view", "message": "Sorry"}))]
            with pytest.raises(StoreTrouble, match="needs the read permission"):
                registry_of(stand_in).webhooks()

    @pytest.mark.parametrize("totals", [True, False])
    def test_all_pages_are_read(self, totals: bool) -> None:
        with running_woocommerce(totals=totals) as stand_in:
            hook = {"status": "active", "topic": "order.created", "delivery_url": ADDRESS}
            stand_in.webhooks = {number: {"id": number, **hook} for number in range(1, 251)}
            assert [webhook.id for webhook in registry_of(stand_in).webhooks()] == [str(number) for number in range(1, 251)]
            assert len(stand_in.seen) == 3

    @pytest.mark.parametrize("work", ["create", "repair", "delete"])
    def test_a_read_only_key_cannot_change_webhooks(self, work: str) -> None:
        with running_woocommerce(permission="read") as stand_in:
            hook = {"id": 7, "topic": "order.created", "delivery_url": ADDRESS, "status": "disabled"}
            stand_in.webhooks = {7: dict(hook)}
            registry = registry_of(stand_in)
            [webhook] = registry.webhooks()
            works: dict[str, Callable[[], None]] = {
                "create": lambda: registry.create("order.updated", ADDRESS),
                "repair": lambda: registry.repair(webhook, ADDRESS),
                "delete": lambda: registry.delete(webhook),
            }
            with pytest.raises(StoreTrouble, match=r"WOOCOMMERCE_CONSUMER_KEY.*read/write permission"):
                works[work]()
            assert stand_in.webhooks == {7: hook}

    @pytest.mark.parametrize("body", [b"{}", b"<html>", b"7", b'{"code":"e","message":"m"}'])
    def test_a_hostile_response_is_an_error(self, stand_in: StandIn, body: bytes) -> None:
        stand_in.scripted = [Scripted(body=body)] * 2
        with pytest.raises(StoreTrouble):
            registry_of(stand_in).webhooks()

    def test_other_things_in_the_list_are_ignored(self, stand_in: StandIn) -> None:
        rows = [
            None,
            7,
            {},
            {"id": 1},
            {"id": 2, "topic": 3, "delivery_url": "x"},
            {"id": [3], "topic": "order.created", "delivery_url": "x"},
        ]
        stand_in.scripted = [Scripted(body=webhook_bytes(rows))]
        assert registry_of(stand_in).webhooks() == []

    def test_a_delivery_is_signed_with_the_registered_secret(self, stand_in: StandIn) -> None:
        """The stand-in signs as WooCommerce does."""
        order_id = stand_in.add()
        with running_woocommerce() as receiver:
            registry_of(stand_in).create("order.created", f"{receiver.url}/webhooks/tea")
            assert stand_in.deliver(order_id) == [404]
            assert receiver.seen[0].path == "/webhooks/tea"

    def test_the_instructions_contain_everything_to_paste(self) -> None:
        text = "\n".join(WOOCOMMERCE.by_hand(ADDRESS, "fresh-secret"))
        for part in (
            ADDRESS,
            "fresh-secret",
            "Settings > Advanced > Webhooks",
            "Active",
            "v3",
            "Order restored",
            "Product updated",
            "Save webhook",
        ):
            assert part in text


def test_the_stand_in_rejects_a_reused_signature(stand_in: StandIn) -> None:
    stand_in.add()
    history_of(stand_in).count(ALL)
    [seen] = stand_in.seen
    assert requests.get(f"{stand_in.url}{seen.path}", params=dict(seen.query), timeout=5).status_code == 401
