"""Shopify's requests about personal data are stored and acknowledged like any webhook, and then carried out."""

import json
import logging
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from adapter.delivery import maintenance as module
from adapter.delivery.maintenance import Maintenance
from adapter.delivery.run import Senders
from adapter.errors import DatabaseAway
from adapter.inbox import retention
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.forgotten import forgotten_at
from adapter.inbox.products import keep_products
from adapter.operations import forget
from adapter.settings import Account
from mappings import PROVIDERS, Compliance, Context, Product, ProductKey
from tests.support.adapter_under_test import ACCOUNT, AdapterUnderTest, Clock, make_settings, shopify_order
from tests.support.shoppers import EMAIL, NAME, flushed_traces, order_of, traces

SHOP = "lamps.myshopify.example"
CUSTOMER = {"id": 115310627314723954, "email": EMAIL.lower(), "phone": "555-0199"}
PHONE = "555-0199"


def about(**more: Any) -> dict[str, Any]:
    return {"shop_id": 954889, "shop_domain": SHOP, **more}


def redact(customer: Any = None, orders: Any = ()) -> dict[str, Any]:
    return about(customer=CUSTOMER if customer is None else customer, orders_to_redact=list(orders))


def keep_up(adapter: AdapterUnderTest, maintenance: Maintenance | None = None) -> None:
    """Read what is new, and do what was asked; the purge has been."""
    adapter.settle()
    to_its_end(maintenance or Maintenance(adapter.engine, adapter.settings, adapter.clock))


def to_its_end(maintenance: Maintenance) -> None:
    while maintenance.step():
        pass


def asked(document: Any, topic: str = "") -> Compliance | None:
    return PROVIDERS["shopify"].compliance(document, Context(topic=topic, received_at=Clock().now))


class TestRecognised:
    """By the signed body; its topic is not signed."""

    @pytest.mark.parametrize("topic", ["customers/redact", "CUSTOMERS_REDACT", "", "orders/updated", "shop/redact"])
    def test_the_redaction_of_a_customer(self, topic: str) -> None:
        found = asked(redact(orders=[1, 2]), topic)
        assert found is not None
        assert (found.kind, found.shop, found.email, found.order_ids) == ("customer_redact", SHOP, EMAIL.lower(), ("1", "2"))

    @pytest.mark.parametrize("topic", ["customers/data_request", "CUSTOMERS_DATA_REQUEST", "customers/redact", ""])
    def test_a_data_request(self, topic: str) -> None:
        found = asked(about(orders_requested=[1], customer=CUSTOMER, data_request={"id": 9999}), topic)
        assert found is not None
        assert (found.kind, found.order_ids) == ("data_request", ("1",))

    @pytest.mark.parametrize(
        ("topic", "kind"), [("shop/redact", "shop_redact"), ("SHOP_REDACT", "shop_redact"), ("", None), ("app/uninstalled", None)]
    )
    def test_the_redaction_of_a_shop_needs_its_topic(self, topic: str, kind: str | None) -> None:
        found = asked(about(), topic)
        assert (found.kind if found else None) == kind

    @pytest.mark.parametrize("topic", ["shop/redact", "customers/redact", "customers/data_request", ""])
    @pytest.mark.parametrize(
        "document",
        [
            shopify_order(),
            {"id": 1},
            {"id": 1, "shop_id": 954889, "shop_domain": SHOP},
            about(line_items=[]),
            {"shop_domain": SHOP},
            [],
            "x",
            None,
        ],
    )
    def test_nothing_else_is_one(self, document: Any, topic: str) -> None:
        assert asked(document, topic) is None

    @pytest.mark.parametrize("customer", [None, "x", [], {"email": None}, {"email": {"a": 1}, "id": [1]}, {"id": None, "email": ""}])
    @pytest.mark.parametrize("orders", [None, "x", [None, {"id": 1}, 7, "8", True, 0]])
    def test_odd_values_are_no_crash(self, customer: Any, orders: Any) -> None:
        found = asked(about(customer=customer, orders_to_redact=orders), "customers/redact")
        assert found is not None
        assert found.email == ""

    def test_no_other_platform_asks(self) -> None:
        for name in ("woocommerce", "magento"):
            assert PROVIDERS[name].compliance(redact(), Context(topic="customers/redact", received_at=Clock().now)) is None


class TestCustomersRedact:
    def test_it_is_answered_and_done(self, adapter: AdapterUnderTest, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        adapter.post(order_of(1))
        adapter.post(shopify_order(2))
        adapter.settle()
        answer = adapter.post(redact(), topic="customers/redact")
        assert (answer.status_code, answer.json) == (200, {"delivery": "3", "status": "kept"})
        keep_up(adapter)
        assert flushed_traces(adapter.engine, EMAIL, NAME, PHONE) == []
        assert adapter.states() == ["delivered", "delivered", "skipped:not_an_order"]
        assert adapter.row(3).detail == "customers/redact: erased 1 delivery of 1 order"
        assert [row.id for row in adapter.rows() if row.payload] == [2]
        assert EMAIL.lower() not in caplog.text.lower()

    def test_by_the_orders_alone_when_the_customer_is_deleted(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1, email="", customer=None))
        adapter.post(shopify_order(2))
        adapter.settle()
        adapter.post(redact(customer={}, orders=[1]), topic="customers/redact")
        keep_up(adapter)
        assert flushed_traces(adapter.engine, NAME) == []
        assert [row.id for row in adapter.rows() if row.payload] == [2]

    def test_by_the_orders_alone_in_a_body_that_held_several(self, adapter: AdapterUnderTest) -> None:
        adapter.post({"orders": [shopify_order(2), order_of(1, email="", customer=None)]})
        adapter.settle()
        adapter.post(redact(customer={}, orders=[1]), topic="customers/redact")
        keep_up(adapter)
        assert flushed_traces(adapter.engine, NAME) == []
        assert [row.order_id for row in adapter.rows() if row.payload] == ["2"]

    def test_by_the_customers_id_alone(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1, email="another@shop.example"))
        adapter.post(shopify_order(2, note=str(CUSTOMER["id"])))
        adapter.settle()
        adapter.post(redact(customer={"id": CUSTOMER["id"]}), topic="customers/redact")
        keep_up(adapter)
        assert [row.id for row in adapter.rows() if row.payload] == [2]

    def test_of_that_store_only(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1))
        adapter.post({"id": 1, "note": EMAIL}, store="woocommerce")
        adapter.settle()
        adapter.post(redact(orders=[1]), topic="customers/redact")
        keep_up(adapter)
        assert adapter.row(1).payload is None
        assert EMAIL.encode() in (adapter.row(2).payload or b"")

    def test_what_waits_is_not_sent_any_more_and_the_rest_is(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=503)
        adapter.post(order_of(1))
        adapter.post(shopify_order(2))
        adapter.post(redact(), topic="customers/redact")
        keep_up(adapter)
        adapter.drip_recovers()
        adapter.clock.advance(days=1)
        adapter.settle()
        assert adapter.states() == ["dead", "delivered", "skipped:not_an_order"]
        assert flushed_traces(adapter.engine) == []

    def test_the_order_does_not_come_back(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1))
        adapter.post(redact(orders=[1]), topic="customers/redact")
        adapter.settle()
        keep_up(adapter)
        adapter.post(order_of(1, minutes=5, total="90.00"))
        adapter.settle()
        assert adapter.states()[-1] == "skipped:forgotten"
        assert [action for action, _ in adapter.actions()] == ["created"]
        assert flushed_traces(adapter.engine) == []

    def test_another_store_that_the_shopper_did_not_leave_sends_on(self, adapter: AdapterUnderTest) -> None:
        adapter.post(redact(), topic="customers/redact")
        keep_up(adapter)
        with snapshot(adapter.engine) as connection:
            assert forgotten_at(connection, [EMAIL.lower()], ["shopify"]) is not None
            assert forgotten_at(connection, [EMAIL.lower()], ["another"]) is None

    def test_several_that_name_one_shopper_are_all_done(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1))
        for _ in range(3):
            adapter.post(redact(orders=[1]), topic="customers/redact")
        keep_up(adapter)
        assert adapter.states()[1:] == ["skipped:not_an_order"] * 3
        assert flushed_traces(adapter.engine, EMAIL, NAME, PHONE) == []

    def test_it_waits_without_holding_up_any_order(self, adapter: AdapterUnderTest) -> None:
        """Read and set aside: far more than are read at once stand before the next order."""
        for number in range(60):
            adapter.post(redact(orders=[number]), topic="customers/redact")
        adapter.clock.advance(minutes=-2)  # so that whatever comes next falls due after them
        adapter.read()
        adapter.clock.advance(minutes=2)
        adapter.post(shopify_order(1))
        adapter.settle()
        assert adapter.states() == ["pending"] * 60 + ["delivered"]
        adapter.clock.advance(days=365)
        adapter.post(shopify_order(2))
        adapter.settle()
        assert adapter.states() == ["pending"] * 60 + ["delivered"] * 2

    @pytest.mark.slow
    def test_in_pieces_between_which_orders_go_on(self, adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("_AT_ONCE", "_PIECE"):
            monkeypatch.setattr(forget, name, 2)
        for number in range(1, 8):
            adapter.post(order_of(number))
        adapter.settle()
        adapter.post(redact(), topic="customers/redact")
        adapter.settle()
        maintenance, number = Maintenance(adapter.engine, adapter.settings, adapter.clock), 100
        while adapter.row(8).state == "pending":
            assert maintenance.step()
            number += 1
            if number < 120:
                adapter.post(shopify_order(number))
                adapter.settle()
                assert adapter.received()[-1]["order_id"] == str(number)
        assert number > 108
        assert flushed_traces(adapter.engine) == []


class TestBrokenOff:
    def test_a_request_starts_again_after_a_crash(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1))
        adapter.settle()
        adapter.post(redact(), topic="customers/redact")
        adapter.settle()
        assert Maintenance(adapter.engine, adapter.settings, adapter.clock).step()
        assert adapter.row(2).state == "pending"
        keep_up(adapter)
        assert adapter.states() == ["delivered", "skipped:not_an_order"]
        assert flushed_traces(adapter.engine) == []

    def test_one_that_crashes_maintenance_every_time_is_dead_and_the_next_is_done(self, adapter: AdapterUnderTest) -> None:
        for number in (1, 2):
            adapter.post(redact(orders=[number]), topic="customers/redact")
        adapter.settle()
        for _ in range(3):
            Maintenance(adapter.engine, adapter.settings, adapter.clock).step()
        keep_up(adapter)
        assert adapter.states() == ["dead", "skipped:not_an_order"]

    def test_an_internal_error_ends_only_that_request(self, adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        adapter.post(redact(orders=[1]), topic="customers/redact")
        adapter.settle()

        def broken(*args: Any, **kw: Any) -> Any:
            raise KeyError(EMAIL)

        monkeypatch.setattr(module, "Search", broken)
        maintenance = Maintenance(adapter.engine, adapter.settings, adapter.clock)
        with pytest.raises(KeyError):
            maintenance.step()
        monkeypatch.undo()
        assert adapter.states() == ["dead"]
        assert EMAIL.lower() not in (adapter.row(1).problems or "").lower()

    def test_a_database_that_is_away_doesnt_count_as_a_start(self, adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        adapter.post(redact(orders=[1]), topic="customers/redact")
        adapter.settle()
        maintenance = Maintenance(adapter.engine, adapter.settings, adapter.clock)

        def away(*args: Any, **kw: Any) -> Any:
            raise DatabaseAway("gone for a moment")

        for _ in range(5):
            with monkeypatch.context() as patch:
                patch.setattr(module, "erase", away)
                with pytest.raises(DatabaseAway):
                    to_its_end(maintenance)
        keep_up(adapter, maintenance)
        assert adapter.states() == ["skipped:not_an_order"]


class TestDataRequest:
    def test_it_says_what_is_kept_and_erases_only_itself(self, adapter: AdapterUnderTest, caplog: pytest.LogCaptureFixture) -> None:
        adapter.post(order_of(1))
        adapter.post(shopify_order(2))
        adapter.post(shopify_order(3))
        adapter.settle()
        adapter.post(about(orders_requested=[3], customer=CUSTOMER, data_request={"id": 9999}), topic="customers/data_request")
        keep_up(adapter)
        row = adapter.row(4)
        assert (row.state, row.reason, row.payload) == ("skipped", "not_an_order", None)
        assert row.detail.startswith("customers/data_request: deliveries 1, 3 hold data of this shopper")
        assert [row.id for row in adapter.rows() if row.payload] == [1, 2, 3]
        [line] = [record for record in caplog.records if getattr(record, "action", "") == "data_request"]
        assert line.levelno == logging.WARNING
        assert flushed_traces(adapter.engine, PHONE) == []

    def test_it_says_when_nothing_is_kept(self, adapter: AdapterUnderTest) -> None:
        adapter.post(about(orders_requested=[], customer=CUSTOMER), topic="customers/data_request")
        keep_up(adapter)
        assert "nothing is stored" in adapter.row(1).detail


class TestShopRedact:
    def test_all_of_the_store_goes_and_nothing_of_another(self, adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "PIECE", 2)
        monkeypatch.setattr(retention, "PIECE", 2)
        adapter.post({"id": 1, "note": "of another shop"}, store="woocommerce")
        for number in range(1, 6):
            adapter.post(order_of(number))
        adapter.settle()
        with transaction(adapter.engine) as connection:
            for store in ("shopify", "woocommerce"):
                told = [Product(key=ProductKey(str(number)), url=f"https://{store}.example/p") for number in range(5)]
                keep_products(connection, store, told, "webhook", adapter.clock())
        adapter.tell_drip(status=503)
        adapter.post(order_of(9))
        adapter.settle()
        adapter.post(about(), topic="shop/redact")
        keep_up(adapter)
        assert flushed_traces(adapter.engine) == []
        assert flushed_traces(adapter.engine, "shopify.example") == []
        assert "products.url" in traces(adapter.engine, "woocommerce.example")
        assert adapter.row(1).payload
        assert adapter.states()[1:] == ["delivered"] * 5 + ["dead", "skipped:not_an_order"]
        assert "6 deliveries" in adapter.row(8).detail

    def test_not_by_the_topic_of_another_body(self, adapter: AdapterUnderTest) -> None:
        """A genuine body, posted again under another topic."""
        adapter.post(shopify_order(1))
        adapter.post(shopify_order(2), topic="shop/redact")
        adapter.post(redact(customer={}), topic="shop/redact")
        keep_up(adapter)
        assert adapter.row(1).payload

    def test_of_another_shop_of_the_same_app_it_is_not_done(self, adapter: AdapterUnderTest) -> None:
        """An app has one address for these requests, whichever of its shops they are about."""
        ours = {"X-Shopify-Shop-Domain": "ours.myshopify.example"}
        adapter.post(order_of(1), headers=ours)
        adapter.settle()
        adapter.post(about(), topic="shop/redact", headers=ours)
        keep_up(adapter)
        assert adapter.states() == ["delivered", "dead"]
        [why] = json.loads(adapter.row(2).problems)[""]
        assert why.startswith(f"it is about {SHOP}, but store shopify belongs to ours.myshopify.example")
        assert adapter.row(1).payload

    def test_of_the_own_shop_it_is_done(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1), headers={"X-Shopify-Shop-Domain": SHOP.upper()})
        adapter.settle()
        adapter.post(about(), topic="shop/redact")
        keep_up(adapter)
        assert flushed_traces(adapter.engine) == []


def test_an_unsigned_request_leaves_no_trace(adapter: AdapterUnderTest) -> None:
    answer = adapter.web.post("/webhooks/shopify", data=json.dumps(redact()), headers={"X-Shopify-Topic": "customers/redact"})
    assert answer.status_code == 401
    assert adapter.rows() == []


def test_requests_go_before_the_purge(adapter: AdapterUnderTest) -> None:
    adapter.post(redact(), topic="customers/redact")
    adapter.settle()
    maintenance = Maintenance(adapter.engine, adapter.settings, adapter.clock)
    adapter.clock.now += timedelta(hours=2)
    maintenance.step()
    while adapter.row(1).state == "pending":
        assert maintenance.step()


@pytest.mark.parametrize("account", [None, ACCOUNT])
def test_a_sender_does_it_automatically(engine: Engine, sandbox_url: str, account: Account | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.delivery.run._BETWEEN_LOOKS_S", 0.1)
    adapter = AdapterUnderTest(engine, replace(make_settings(sandbox_url, account=account), database_url=str(engine.url)), sandbox_url)
    for sender in adapter.senders.values():
        sender._lease.release()
    senders = Senders(engine, adapter.settings)
    senders.start()
    try:
        adapter.post(order_of(1))
        adapter.post(redact(), topic="customers/redact")
        deadline = time.monotonic() + 10
        while adapter.row(2).state == "pending":
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        senders.stop()
    assert flushed_traces(engine) == []
