"""WooCommerce's trash: only an id arrives, and in the lifecycle vocabulary the order is canceled by it."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, update

from adapter.inbox.database import transaction
from adapter.inbox.tables import deliveries
from adapter.sandbox import RunningSandbox
from adapter.settings.values import ApiSettings
from tests.stand_ins.woocommerce import running_woocommerce
from tests.stand_ins.woocommerce_shop import KEY, SECRET
from tests.support.adapter_under_test import AdapterUnderTest, make_settings, restart


@pytest.fixture
def lively(engine: Engine, sandbox: RunningSandbox) -> AdapterUnderTest:
    restart(sandbox)
    return AdapterUnderTest(engine, make_settings(sandbox.url, vocabulary="lifecycle"), sandbox.url)


@pytest.fixture
def plain(engine: Engine, sandbox: RunningSandbox) -> AdapterUnderTest:
    restart(sandbox)
    return AdapterUnderTest(engine, make_settings(sandbox.url), sandbox.url)


def order(**more: Any) -> dict[str, Any]:
    return {
        "id": 41, "number": "41", "status": "processing", "currency": "EUR", "total": "10.00", "order_key": "wc_order_k41",
        "date_created_gmt": "2026-09-30T12:00:00", "date_modified_gmt": "2026-09-30T12:00:05", "date_paid_gmt": "2026-09-30T12:00:04",
        "billing": {"email": "ada@example.com"}, "payment_url": "https://tea.example/checkout/order-pay/41/?key=wc_order_k41",
        "line_items": [{"id": 1, "name": "Tea", "product_id": 7, "quantity": 1, "subtotal": "10.00", "total": "10.00"}], **more,
    }  # fmt: skip


def post(adapter: AdapterUnderTest, document: Any, topic: str = "order.updated") -> None:
    adapter.post(document, store="woocommerce", topic=topic)
    adapter.settle()
    adapter.clock.advance(minutes=2)


def sent(adapter: AdapterUnderTest) -> list[tuple[str, float, float | None]]:
    return [(body["action"], body["grand_total"], body.get("refund_amount")) for body in adapter.received()]


def test_an_order_in_the_trash_is_canceled_with_all_its_value(lively: AdapterUnderTest) -> None:
    post(lively, order())
    post(lively, {"id": 41}, "order.deleted")
    assert sent(lively) == [("placed", 10.0, None), ("paid", 10.0, None), ("canceled", 10.0, 10.0)]
    assert lively.states() == ["delivered", "skipped:split", "delivered"]
    assert lively.received()[-1]["status"] == "trash"
    assert lively.received()[-1]["occurred_at"] > "2026-09-30T12:00:05Z", "when it was put there, which changes none of its dates"


def test_what_was_refunded_before_is_not_subtracted_again(lively: AdapterUnderTest) -> None:
    post(lively, order(refunds=[{"id": 5, "total": "-4.00"}], date_modified_gmt="2026-09-30T12:01:00"))
    post(lively, {"id": 41}, "order.deleted")
    assert sent(lively)[-2:] == [("refunded", 10.0, 4.0), ("canceled", 10.0, 6.0)]


def test_restored_it_counts_again_and_may_go_to_the_trash_once_more(lively: AdapterUnderTest) -> None:
    post(lively, order())
    post(lively, {"id": 41}, "order.deleted")
    post(lively, order(date_modified_gmt="2026-09-30T12:30:00"), "order.restored")
    assert sent(lively)[-1] == ("updated", 20.0, None), "Drip cannot take the refund of 10 back"
    post(lively, {"id": 41}, "order.deleted")
    assert sent(lively)[-1] == ("updated", 10.0, None), "of which Drip has subtracted 10"


def test_one_that_drip_does_not_have_is_not_placed_by_it(lively: AdapterUnderTest) -> None:
    post(lively, {"id": 41}, "order.deleted")
    post(lively, order(status="pending", date_paid_gmt=None))
    post(lively, {"id": 41}, "order.deleted")
    assert sent(lively) == []
    assert lively.states() == ["skipped:not_an_order", "skipped:unpaid", "skipped:split", "skipped:never_placed"]


def test_a_body_with_the_status_of_the_trash_is_canceled_as_well(lively: AdapterUnderTest) -> None:
    post(lively, order())
    post(lively, order(status="trash"))
    assert sent(lively)[-1] == ("canceled", 10.0, 10.0)


def test_in_the_contracts_vocabulary_it_keeps_its_value(plain: AdapterUnderTest) -> None:
    post(plain, order())
    post(plain, {"id": 41}, "order.deleted")
    post(plain, order(status="trash"))
    assert sent(plain) == [("created", 10.0, None)]
    assert plain.states() == ["delivered", "skipped:not_an_order", "skipped:draft"]


def test_an_erased_payload_is_fetched_again_where_there_is_a_key(lively: AdapterUnderTest) -> None:
    with running_woocommerce(orders=1) as shop:
        [number] = shop.orders
        store = lively.settings.stores["woocommerce"]
        api, options = ApiSettings(consumer_key=KEY, consumer_secret=SECRET), replace(store.options, store_url=shop.url)
        settings = replace(lively.settings, stores={"woocommerce": replace(store, api=api, options=options)})
        adapter = AdapterUnderTest(lively.engine, settings, lively.sandbox_url)
        post(adapter, shop.order(shop.orders[number]), "order.created")
        with transaction(adapter.engine) as connection:
            connection.execute(update(deliveries).values(payload=None))
        shop.trash(number)
        post(adapter, {"id": number}, "order.deleted")
    assert sent(adapter)[-1][0] == "canceled"


@pytest.mark.parametrize("body", [{"id": "41 or 1"}, {"id": None}, {"id": []}, {"id": 42}, {}, {"id": 41, "x": 1}])
def test_what_names_no_known_order_changes_nothing(lively: AdapterUnderTest, body: dict[str, Any]) -> None:
    post(lively, order())
    post(lively, body, "order.deleted")
    assert [action for action, _, _ in sent(lively)] == ["placed", "paid"]
    assert lively.states()[-1] == "skipped:not_an_order"
