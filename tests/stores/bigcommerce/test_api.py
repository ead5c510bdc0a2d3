"""BigCommerce's APIs, against a stand-in over real HTTP."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from adapter.settings import Store
from adapter.settings.values import ApiSettings
from adapter.stores.api import History, Registry, Shop, Window
from adapter.stores.bigcommerce.client import Client
from adapter.stores.http import Deadline, Http, StoreTrouble
from adapter.stores.platforms import platforms
from mappings import PROVIDERS, Context, Credentials, Options, ProductKey, outcomes
from tests.stand_ins.bigcommerce import TOKEN, running_bigcommerce
from tests.stand_ins.bigcommerce import Shop as StandIn
from tests.stand_ins.server import Scripted
from tests.support.adapter_under_test import AdapterUnderTest
from tests.support.fixture_cases import RECEIVED_AT

BIGCOMMERCE = platforms()["bigcommerce"]
ADDRESS = "https://adapter.example/webhooks/pots"
SECRET = "bigcommerce client secret"


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with running_bigcommerce() as shop:
        yield shop


def store_at(stand_in: StandIn, *, token: str = TOKEN, auth: str = "", path: str = "/v3/") -> Store:
    return Store(
        name="pots",
        provider=PROVIDERS["bigcommerce"],
        auth=auth,
        credentials=Credentials(secrets=(SECRET,)),
        options=Options(store_url="https://pots.example.org"),
        api=ApiSettings(url=f"{stand_in.url}{path}", access_token=token),
    )


def shop_at(stand_in: StandIn, *, token: str = TOKEN, auth: str = "", path: str = "/v3/") -> Shop:
    store = store_at(stand_in, token=token, auth=auth, path=path)
    return Shop(store=store, http=Http(store.named_hosts), address="https://pots.example.org")


def history_at(stand_in: StandIn, token: str = TOKEN) -> History:
    history = BIGCOMMERCE.history(shop_at(stand_in, token=token))
    assert history is not None
    return history


def registry_at(stand_in: StandIn, auth: str = "") -> Registry:
    registry = BIGCOMMERCE.registry(shop_at(stand_in, auth=auth))
    assert registry is not None
    return registry


class TestOneOrder:
    def test_it_is_gathered_from_its_parts_into_what_the_mapping_reads(self, stand_in: StandIn) -> None:
        number = stand_in.add(
            14, lines=2, coupon_discount="2.0000", items_shipped=1, total_inc_tax="38.0000", coupons_rows=[{"code": "TEN"}],
            shipments_rows=[{"tracking_number": "T1", "tracking_link": "https://track.example/T1"}],
        )  # fmt: skip
        stand_in.refunds[number] = [{"total_amount": 8, "payments": [{"amount": 8, "is_declined": False}]}]
        payload = history_at(stand_in).order(str(number), Deadline(10))
        assert payload is not None
        context = Context(
            received_at=RECEIVED_AT, options=Options(store_url="https://pots.example.org", public_url="https://adapter.example")
        )
        [body] = outcomes(PROVIDERS["bigcommerce"], payload, context)
        assert (body["order_id"], body["grand_total"], body["refunded_total"]) == (str(number), Decimal("30.0000"), 8)
        assert [item["sku"] for item in body["items"]] == ["M0", "M1"]
        assert (body["discount_codes"], body["tracking_numbers"]) == (["TEN"], ["T1"])

    def test_an_order_with_more_lines_than_a_page_is_whole(self, stand_in: StandIn) -> None:
        number = stand_in.add(lines=120)
        payload = history_at(stand_in).order(str(number), Deadline(10))
        assert payload is not None
        assert len(json.loads(payload)["products"]) == 120

    def test_an_order_without_lines_is_whole_too(self, stand_in: StandIn) -> None:
        payload = history_at(stand_in).order(str(stand_in.add(lines=0)), Deadline(10))
        assert payload is not None
        assert json.loads(payload)["products"] == []

    def test_the_email_address_of_the_account_stands_in_for_a_missing_one(self, stand_in: StandIn) -> None:
        stand_in.customers[12] = "otto.finch@example.com"
        number = stand_in.add(billing_address={"email": ""})
        payload = history_at(stand_in).order(str(number), Deadline(10))
        assert payload is not None
        assert json.loads(payload)["customer"] == {"id": 12, "email": "otto.finch@example.com"}
        stand_in.may_read_customers = False
        payload = history_at(stand_in).order(str(number), Deadline(10))
        assert payload is not None
        assert "customer" not in json.loads(payload)

    @pytest.mark.parametrize("order_id", ["999", "x", "../hooks", ""])
    def test_one_that_does_not_exist_is_none(self, stand_in: StandIn, order_id: str) -> None:
        assert history_at(stand_in).order(order_id, Deadline(10)) is None
        assert [seen.path for seen in stand_in.seen if "hooks" in seen.path] == []


class TestPastOrders:
    def test_all_come_once_oldest_first_though_others_are_added(self, stand_in: StandIn) -> None:
        numbers = [stand_in.add() for _ in range(60)]
        numbers.insert(3, stand_in.add(status_id=0))

        def another() -> None:
            stand_in.add()

        stand_in.after_page = another
        pages = list(history_at(stand_in).pages(Window()))
        ids = [json.loads(order)["id"] for page in pages for order in page.orders]
        assert ids == sorted(set(ids))
        assert set(ids) >= {number for number in numbers if stand_in.orders[number]["status_id"] != 0}
        assert all(stand_in.orders[number]["status_id"] != 0 for number in ids)

    def test_a_cursor_continues(self, stand_in: StandIn) -> None:
        numbers = [stand_in.add() for _ in range(60)]
        first = next(iter(history_at(stand_in).pages(Window())))
        rest = [json.loads(order)["id"] for page in history_at(stand_in).pages(Window(), first.cursor) for order in page.orders]
        assert rest == numbers[len(first.orders) :]

    def test_only_those_of_the_window(self, stand_in: StandIn) -> None:
        numbers = [stand_in.add() for _ in range(5)]
        since = RECEIVED_AT.replace(year=2026, month=3, day=3, hour=9, minute=0) + timedelta(minutes=numbers[2])
        [page] = history_at(stand_in).pages(Window(created_since=since))
        assert [json.loads(order)["id"] for order in page.orders] == numbers[2:]

    def test_it_waits_as_long_as_the_store_asks_for(self, stand_in: StandIn) -> None:
        stand_in.add()
        stand_in.scripted = [Scripted(b"{}", 429, {"X-Rate-Limit-Time-Reset-Ms": "30"})]
        [page] = history_at(stand_in).pages(Window())
        assert len(page.orders) == 1


class TestTroubles:
    @pytest.mark.parametrize(
        ("scripted", "message"),
        [
            (Scripted(b"{}", 401), "rejects the token (401): check BIGCOMMERCE_ACCESS_TOKEN"),
            (Scripted(b"{}", 403), "needs the scope Orders: read-only"),
            (Scripted(b"{}", 429), "too many requests"),
            (Scripted(b"{}", 302, {"Location": "https://elsewhere.example/"}), "BIGCOMMERCE_API_URL"),
            (Scripted(b"{}", 500), "answered 500"),
            (Scripted(b"<html>", 200), "isn't JSON"),
        ],
    )
    def test_each_is_reported_with_its_cause(self, stand_in: StandIn, scripted: Scripted, message: str) -> None:
        stand_in.scripted = [scripted]
        with pytest.raises(StoreTrouble, match=message.replace("(", r"\(").replace(")", r"\)")):
            history_at(stand_in).order(str(stand_in.add()), Deadline(10))

    def test_something_else_than_a_list_is_reported(self, stand_in: StandIn) -> None:
        stand_in.scripted = [Scripted(b'{"data": {}}', 200)]
        with pytest.raises(StoreTrouble, match="a list was requested"):
            list(history_at(stand_in).pages(Window()))

    def test_how_long_to_wait_is_passed_on(self, stand_in: StandIn) -> None:
        stand_in.scripted = [Scripted(b"{}", 429, {"X-Rate-Limit-Time-Reset-Ms": "15000"})]
        with pytest.raises(StoreTrouble) as raised:
            history_at(stand_in).order(str(stand_in.add()), Deadline(10))
        assert raised.value.wait_s == 15

    def test_without_a_token_nothing_is_offered(self, stand_in: StandIn) -> None:
        shop = shop_at(stand_in, token="")
        assert (BIGCOMMERCE.history(shop), BIGCOMMERCE.registry(shop), list(BIGCOMMERCE.sources(shop))) == (None, None, [])

    @pytest.mark.parametrize("path", ["", "/", "/v2", "/v3", "/v3/"])
    def test_the_address_may_end_with_a_version(self, stand_in: StandIn, path: str) -> None:
        client = Client(shop_at(stand_in, path=path))
        assert client.rows("v2/orders", {}, Deadline(10), "") == []


class TestProducts:
    def test_page_picture_and_categories(self, stand_in: StandIn) -> None:
        [source] = BIGCOMMERCE.sources(shop_at(stand_in))
        keys = [ProductKey("70"), ProductKey("70", "570"), ProductKey("70", "670"), ProductKey("999"), ProductKey("line-3")]
        found = {product.key: product for product in source.look_up(keys, Deadline(10))}
        assert set(found) == {ProductKey("70"), ProductKey("70", "570")}
        assert found[ProductKey("70")].url == "https://pots.example.org/mug-70/"
        assert found[ProductKey("70")].image_url == "https://cdn.example/70.jpg"
        assert found[ProductKey("70")].categories == ("Mugs & cups",)
        assert found[ProductKey("70", "570")].image_url == "https://cdn.example/70-blue.jpg"

    def test_without_the_names_of_categories_the_rest_remains(self, stand_in: StandIn) -> None:
        [source] = BIGCOMMERCE.sources(shop_at(stand_in))
        stand_in.scripted = [Scripted(b"{}", 403, where="categories")]
        stand_in.scripted.insert(0, Scripted(json.dumps({"data": [{"id": 70, "categories": [23], "images": []}]}).encode()))
        [product] = source.look_up([ProductKey("70")], Deadline(10))
        assert (product.image_url, product.categories) == ("", ())

    def test_nobody_is_asked_about_lines_that_are_no_products(self, stand_in: StandIn) -> None:
        [source] = BIGCOMMERCE.sources(shop_at(stand_in))
        assert list(source.look_up([ProductKey("line-3")], Deadline(10))) == []
        assert stand_in.seen == []


class TestWebhooks:
    def test_those_that_are_created_are_listed(self, stand_in: StandIn) -> None:
        registry = registry_at(stand_in)
        assert registry.webhooks() == []
        for topic in registry.topics:
            registry.create(topic, ADDRESS)
        assert [(hook.topic, hook.address, hook.active) for hook in registry.webhooks()] == [
            (topic, ADDRESS, True) for topic in registry.topics
        ]
        assert [hook["headers"] for hook in stand_in.hooks.values()] == [{"x-webhook-scope": topic} for topic in registry.topics]

    def test_with_a_token_each_webhook_carries_it(self, stand_in: StandIn) -> None:
        registry = registry_at(stand_in, auth="token")
        assert registry.chooses_secret
        registry.create("store/order/created", ADDRESS)
        [hook] = stand_in.hooks.values()
        assert hook["headers"] == {"x-webhook-scope": "store/order/created", "x-webhook-token": SECRET}

    def test_a_deactivated_one_is_activated_and_a_lost_one_created(self, stand_in: StandIn) -> None:
        registry = registry_at(stand_in)
        registry.create("store/order/created", "https://old.example/webhooks/pots")
        [hook] = registry.webhooks()
        stand_in.hooks[int(hook.id)]["is_active"] = False
        registry.repair(hook, ADDRESS)
        [mended] = registry.webhooks()
        assert (mended.id, mended.active, mended.address) == (hook.id, True, ADDRESS)
        registry.delete(mended)
        registry.delete(mended)
        assert registry.webhooks() == []
        registry.repair(mended, ADDRESS)
        assert [each.topic for each in registry.webhooks()] == ["store/order/created"]

    def test_no_id_leads_elsewhere(self, stand_in: StandIn) -> None:
        registry = registry_at(stand_in)
        registry.create("store/order/created", ADDRESS)
        [hook] = registry.webhooks()
        with pytest.raises(StoreTrouble, match="is not a webhook ID"):
            registry.delete(replace(hook, id="../orders/1"))


def notify(adapter: AdapterUnderTest, number: int, happened_at: int = 1772529245) -> None:
    event = {
        "producer": "stores/q7hexample", "hash": "5f0b", "created_at": happened_at, "store_id": "1003417", "scope": "store/order/updated",
        "data": {"type": "order", "id": number},
    }  # fmt: skip
    assert adapter.post(event, store="bigcommerce", topic="store/order/updated").status_code == 200


@pytest.fixture
def connected(adapter: AdapterUnderTest, stand_in: StandIn) -> AdapterUnderTest:
    """The adapter with the stand-in as its BigCommerce store."""
    store = adapter.settings.stores["bigcommerce"]
    store = replace(store, api=ApiSettings(url=stand_in.url, access_token=TOKEN))
    settings = replace(adapter.settings, stores={**adapter.settings.stores, "bigcommerce": store})
    return AdapterUnderTest(adapter.engine, settings, adapter.sandbox_url)


class TestFromWebhookToDrip:
    def test_an_order_arrives_with_picture_and_page_and_a_change_of_it_too(self, connected: AdapterUnderTest, stand_in: StandIn) -> None:
        number = stand_in.add(lines=2)
        notify(connected, number)
        connected.settle()
        [order] = connected.received()
        assert (order["action"], order["order_id"], order["grand_total"]) == ("created", str(number), 40)
        assert [item["image_url"] for item in order["items"]] == ["https://cdn.example/70.jpg", "https://cdn.example/71.jpg"]
        stand_in.orders[number] |= {"status_id": 5, "status": "Cancelled", "date_modified": "Fri, 06 Mar 2026 08:00:00 +0000"}
        notify(connected, number, 1772529300)
        connected.settle()
        assert [(each["action"], each["occurred_at"]) for each in connected.received()][1:] == [("updated", "2026-03-06T08:00:00Z")]

    def test_several_webhooks_of_one_change_are_one_order_at_drip(self, connected: AdapterUnderTest, stand_in: StandIn) -> None:
        number = stand_in.add()
        for second in range(3):
            notify(connected, number, 1772529245 + second)
        connected.settle()
        assert len(connected.received()) == 1
        assert len([seen for seen in stand_in.seen if seen.path.endswith(f"/v2/orders/{number}")]) == 1

    def test_an_order_that_is_gone_is_not_a_dead_letter(self, connected: AdapterUnderTest) -> None:
        notify(connected, 4711)
        connected.settle()
        assert connected.states() == ["skipped:not_an_order"]
        assert connected.rows()[0].detail == "the store no longer has this order"

    def test_while_the_api_is_away_the_order_waits(self, connected: AdapterUnderTest, stand_in: StandIn) -> None:
        stand_in.scripted = [Scripted(b"{}", 503)]
        notify(connected, stand_in.add())
        connected.settle()
        assert connected.states() == ["pending"]
        connected.clock.advance(minutes=2)
        connected.settle()
        assert connected.states() == ["skipped:split", "delivered"]

    @pytest.mark.parametrize(
        ("body", "status", "then"),
        [
            (b"<!doctype html><title>Error</title>", 200, "pending"),
            (b"<!doctype html><title>Error</title>", 500, "pending"),
            (b"[]", 200, "pending"),
            (b'"none"', 200, "pending"),
            (b'{"status": "Shipped"}', 200, "skipped:split"),
        ],
    )
    def test_an_order_that_the_api_returns_unreadably_waits_alone(
        self, connected: AdapterUnderTest, stand_in: StandIn, body: bytes, status: int, then: str
    ) -> None:
        bad, *good = [stand_in.add() for _ in range(4)]
        stand_in.scripted = [Scripted(body, status, where=f"/v2/orders/{bad}")]
        for number in (bad, *good):
            notify(connected, number)
        connected.settle()
        [first, *_] = connected.rows()
        assert (first.state if first.reason is None else f"{first.state}:{first.reason}") == then
        assert {order["order_id"] for order in connected.received()} == {str(number) for number in good}
        dead = [row.problems for row in connected.rows() if row.state == "dead"]
        assert len(dead) == (then != "pending")
        assert all('"id"' in problems for problems in dead)

    def test_an_unfinished_checkout_is_held_until_the_order_is_placed(self, connected: AdapterUnderTest, stand_in: StandIn) -> None:
        number = stand_in.add(status_id=0, payment_status="")
        notify(connected, number)
        connected.settle()
        assert connected.received() == []
        stand_in.orders[number] |= {"status_id": 11, "payment_status": "captured", "date_modified": "Tue, 03 Mar 2026 12:00:00 +0000"}
        notify(connected, number, 1772529300)
        connected.settle()
        assert [order["action"] for order in connected.received()] == ["created"]
