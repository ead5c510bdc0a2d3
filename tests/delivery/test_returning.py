"""Orders that return to an earlier state: what was changed is changed back, and no time of the store's moves with it."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from adapter.inbox import backfills, copies, receiving
from adapter.inbox.backfills import Past
from adapter.inbox.database import transaction
from adapter.inbox.sending import Lane
from adapter.inbox.tables import deliveries, orders
from adapter.inbox.versions import Version, newest_of, trusted
from adapter.web import webhooks
from mappings import Context, Provider
from tests.support.adapter_under_test import ACCOUNT, AdapterUnderTest, shopify_order

READINGS = ["at once", "at the end"]


def woo(**changes: Any) -> dict[str, Any]:
    """A paid order of 50.00, whose `date_modified_gmt` stays as it is."""
    return {
        "id": 77,
        "status": "processing",
        "total": "50.00",
        "currency": "USD",
        "billing": {"email": "ada.shopper@example.com"},
        "line_items": [],
        "refunds": [],
        "date_created_gmt": "2026-09-30T12:00:00",
        "date_modified_gmt": "2026-09-30T12:00:05",
        "date_paid_gmt": "2026-09-30T12:00:05",
        "_links": {"self": [{"href": "https://woo.example/wp-json/wc/v3/orders/77"}]},
        **changes,
    }


REFUND = {"refunds": [{"id": 9, "reason": "", "total": "-5.00"}]}
UNPAID = {"status": "cancelled", "date_paid_gmt": None}


@pytest.fixture(autouse=True)
def arrivals_by_the_tests_clock(adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "datetime", SimpleNamespace(now=lambda zone: adapter.clock()))


@pytest.fixture(params=READINGS)
def reads_at_once(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == READINGS[0])


@pytest.fixture
def store(adapter: AdapterUnderTest, reads_at_once: bool) -> Callable[..., float]:
    """Posts WooCommerce orders, each so many seconds after the one before; what Drip has at the end."""

    def post(*orders: Any, seconds: float = 1.0) -> float:
        for order in orders:
            answer = adapter.post(order, store="woocommerce", topic="order.updated")
            assert answer.status_code == 200
            adapter.clock.advance(seconds=seconds)
            if reads_at_once:
                adapter.settle()
        adapter.settle()
        [*_, (_, total)] = adapter.actions()
        return total

    return post


def test_a_deleted_refund_is_undone_at_drip(store: Callable[..., float]) -> None:
    """C is B without the refund: other bytes, and the same time of the order."""
    assert store(woo(total="50.00"), woo(**REFUND, note="B"), woo(note="C"), seconds=61) == 50.0


def test_of_what_arrives_together_the_refunded_is_the_later(store: Callable[..., float]) -> None:
    assert store(woo(), woo(**REFUND), woo(note="overtaken on its way"), seconds=1) == 45.0


@pytest.mark.parametrize("seconds", [61, 3600])
def test_the_same_bytes_again_after_another_state_are_that_state_again(
    adapter: AdapterUnderTest, store: Callable[..., float], seconds: int
) -> None:
    first = json.dumps(woo()).encode()
    assert store(first, woo(**REFUND), first, seconds=seconds) == 50.0
    assert len(adapter.rows()) == 3
    assert adapter.rows()[0].key == f"{adapter.rows()[2].key}#{adapter.rows()[0].id}"


def test_a_state_that_comes_back_twice_is_one_more_delivery_and_one_copy(adapter: AdapterUnderTest, store: Callable[..., float]) -> None:
    first = json.dumps(woo()).encode()
    assert store(first, woo(**REFUND), first, first, seconds=61) == 50.0
    assert len(adapter.rows()) == 3


def test_a_copy_that_came_before_the_other_state_is_a_copy(adapter: AdapterUnderTest, store: Callable[..., float]) -> None:
    first = json.dumps(woo()).encode()
    assert store(first, first, woo(**REFUND), seconds=61) == 45.0
    assert len(adapter.rows()) == 2


def test_a_doubled_older_state_is_a_copy(adapter: AdapterUnderTest, store: Callable[..., float]) -> None:
    first = json.dumps(woo(date_modified_gmt="2026-09-30T12:00:04")).encode()
    assert store(first, woo(**REFUND), first, seconds=61) == 45.0
    assert len(adapter.rows()) == 2


def test_back_and_forth_and_back(adapter: AdapterUnderTest, store: Callable[..., float]) -> None:
    first, second = (json.dumps(document).encode() for document in (woo(), woo(**REFUND)))
    assert store(first, second, first, second, seconds=61) == 45.0
    assert store(first, seconds=61) == 50.0


def test_a_page_of_orders_that_comes_back_is_split_again(adapter: AdapterUnderTest, store: Callable[..., float]) -> None:
    page, other = ([woo(**change), woo(id=78, **change)] for change in ({}, REFUND))
    assert store(json.dumps(page).encode(), json.dumps(other).encode(), json.dumps(page).encode(), seconds=61) == 50.0
    assert {order["order_id"]: order["grand_total"] for order in adapter.received()} == {"77": 50.0, "78": 50.0}


def test_a_page_that_holds_an_order_twice_is_not_followed_by_itself(adapter: AdapterUnderTest, store: Callable[..., float]) -> None:
    page = json.dumps([woo(), woo(**REFUND)]).encode()
    store(page, page, seconds=61)
    assert adapter.states().count("skipped:split") == 1


@pytest.mark.parametrize("order", [(UNPAID, {}), ({}, UNPAID)], ids=["in order", "overtaken"])
def test_paid_within_the_second_in_which_it_was_cancelled_unpaid(
    store: Callable[..., float], order: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    assert store(*(woo(**change) for change in order)) == 50.0


def test_a_webhook_of_shopifys_repeated_after_another_is_a_copy(adapter: AdapterUnderTest) -> None:
    """Its key names the webhook, and Shopify repeats one for hours."""
    for webhook, order in (("a", shopify_order(total="100.00")), ("b", shopify_order(total="90.00")), ("a", shopify_order(total="100.00"))):
        adapter.post(order, webhook_id=webhook)
        adapter.clock.advance(minutes=2)
        adapter.settle()
    assert len(adapter.rows()) == 2
    assert adapter.actions()[-1] == ("updated", 90.0)


def test_a_dead_delivery_followed_by_another_state_is_tried_again_by_its_copy(adapter: AdapterUnderTest) -> None:
    first = json.dumps(woo()).encode()
    adapter.tell_drip(status=422, times=1)
    for document in (first, woo(**REFUND), first):
        adapter.post(document, store="woocommerce", topic="order.updated")
        adapter.settle()
        adapter.clock.advance(minutes=2)
    assert [total for _, total in adapter.actions()] == [45.0, 50.0]


def test_what_an_earlier_version_recorded_without_its_arrival_can_still_be_undone(
    adapter: AdapterUnderTest, store: Callable[..., float]
) -> None:
    store(woo(**REFUND))
    with transaction(adapter.engine) as connection:
        connection.execute(update(orders).values(received_at=None))
    adapter.clock.advance(minutes=2)
    assert store(woo()) == 50.0


def test_a_key_that_is_retired_while_its_copy_arrives_keeps_the_copy(adapter: AdapterUnderTest) -> None:
    """PostgreSQL: the insert meets the key, and before it is looked up the reader has renamed it."""
    first = json.dumps(woo()).encode()
    adapter.post(first, store="woocommerce", topic="order.updated")
    with transaction(adapter.engine) as connection:
        insert = receiving._insert_delivery
        tries = []

        def insert_once_in_vain(*args: Any) -> int | None:
            tries.append(args)
            if len(tries) > 1:
                return insert(*args)
            connection.execute(delete(deliveries))
            return None

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(receiving, "_insert_delivery", insert_once_in_vain)
            provider = adapter.settings.stores["woocommerce"].provider
            arrival = receiving.Arrival("woocommerce", provider.key({}, first), "order.updated", {}, first, adapter.clock())
            assert receiving.keep(connection, arrival).new


class TestBackfill:
    def past(self, adapter: AdapterUnderTest, provider: Provider, document: dict[str, Any]) -> Past:
        payload = json.dumps(document).encode()
        options = adapter.settings.stores["woocommerce"].options
        [reading] = provider.readings(payload, Context(topic="", received_at=adapter.clock(), options=options))
        assert reading.identity is not None
        moment = trusted(reading.identity.updated_at, adapter.clock())
        assert moment is not None
        return Past(payload, str(hash(payload)), reading.identity.order_id, (moment, reading.identity.progress))

    def backfill(self, adapter: AdapterUnderTest, document: dict[str, Any]) -> int:
        past = [self.past(adapter, adapter.settings.stores["woocommerce"].provider, document)]
        now = adapter.clock()
        with transaction(adapter.engine) as connection:
            known = backfills.known_orders(connection, ["woocommerce"], ACCOUNT.id, past, now)
            new = [each for each in past if not known.covers(each)]
            kept = backfills.keep_past(connection, "woocommerce", ACCOUNT.id, "", new, now)
        adapter.settle()
        adapter.clock.advance(minutes=2)
        return len(kept)

    def test_a_state_that_a_webhook_replaced_and_that_is_back_is_read_again(self, adapter: AdapterUnderTest) -> None:
        assert self.backfill(adapter, woo()) == 1
        assert self.backfill(adapter, woo()) == 0
        adapter.post(woo(**REFUND), store="woocommerce", topic="order.updated")
        adapter.settle()
        adapter.clock.advance(minutes=2)
        assert self.backfill(adapter, woo()) == 1
        assert self.backfill(adapter, woo()) == 0
        assert [total for _, total in adapter.actions()] == [50.0, 45.0, 50.0]

    def test_a_state_that_a_webhook_has_just_replaced_is_not(self, adapter: AdapterUnderTest) -> None:
        adapter.post(woo(**REFUND), store="woocommerce", topic="order.updated")
        adapter.settle()
        assert self.backfill(adapter, woo()) == 0


def test_the_winner_is_the_same_however_many_are_compared_at_once(adapter: AdapterUnderTest) -> None:
    """Each with the winner before it: so what is sent one by one and what is sent in a batch end alike."""
    now = adapter.clock()

    def version(number: int, seconds: float, progress: int) -> Version:
        return Version(snapshot_at=now, progress=(Decimal(progress),), received_at=now + timedelta(seconds=seconds), delivery_id=number)

    history = [version(1, 0, 5), version(2, 29, 6), version(3, 61, 4), version(4, 90, 3)]
    assert newest_of(history).delivery_id == 4
    assert newest_of(reversed(history)).delivery_id == 4
    winner = history[0]
    for each in history[1:]:
        winner = newest_of([winner, each])
    assert winner.delivery_id == 4
    assert newest_of([replace(history[0], delivery_id=9), history[0]]).delivery_id == 9


def test_copies_leave_no_mark_once_they_are_kept(adapter: AdapterUnderTest, store: Callable[..., float]) -> None:
    first = json.dumps(woo()).encode()
    store(first, woo(**REFUND), first, seconds=61)
    with transaction(adapter.engine) as connection:
        assert connection.execute(select(deliveries.c.copied_at)).scalars().all() == [None] * 3


SHOPIFY_TOPICS = ("orders/create", "ORDERS_UPDATED", "orders/paid", "")


@pytest.mark.parametrize("days", [0, 3, 80])
def test_a_recorded_webhook_is_no_new_delivery_under_any_id_or_topic(adapter: AdapterUnderTest, days: int) -> None:
    recorded: list[tuple[str, bytes, list[dict[str, Any]]]] = [
        ("shopify", json.dumps(shopify_order()).encode(), [{"webhook_id": f"id-{n}", "topic": t} for n, t in enumerate(SHOPIFY_TOPICS)]),
        (
            "woocommerce",
            json.dumps(woo()).encode(),
            [
                {"topic": topic, "headers": {"X-WC-Webhook-Delivery-ID": f"d{number}"}}
                for number, topic in enumerate(("order.updated", "order.created", "order.deleted", ""))
            ],
        ),
    ]
    for name, payload, ways in recorded:
        for way in ways:
            answer = adapter.post(payload, store=name, **way)
            assert answer.status_code == 200
            adapter.settle()
            adapter.clock.advance(days=days)
    assert [row.store for row in adapter.rows()] == ["shopify", "woocommerce"]
    assert len(adapter.received()) == 2


def test_recorded_webhooks_sent_again_in_turns_are_copies(adapter: AdapterUnderTest, store: Callable[..., float]) -> None:
    first, second = (json.dumps(woo(**change)).encode() for change in ({}, {**REFUND, "date_modified_gmt": "2026-09-30T12:01:00"}))
    assert store(first, second, first, second, first, seconds=61) == 45.0
    assert len(adapter.rows()) == 2


@pytest.mark.parametrize("reads_at_once", READINGS, indirect=True)
def test_a_shopify_order_changed_and_changed_back_within_a_second(adapter: AdapterUnderTest, reads_at_once: bool) -> None:
    """Another webhook has another ID, so it is not Shopify's own repetition."""
    for webhook, total in (("a", "100.00"), ("b", "90.00"), ("c", "100.00"), ("a", "100.00"), ("c", "100.00")):
        adapter.post(shopify_order(total=total), webhook_id=webhook)
        adapter.clock.advance(seconds=61)
        if reads_at_once:
            adapter.settle()
    adapter.settle()
    assert adapter.actions()[-1] == ("updated", 100.0) if reads_at_once else adapter.actions() == [("created", 100.0)]
    assert len(adapter.rows()) == 3


def test_an_order_with_thousands_of_snapshots_is_read_as_fast_as_any(adapter: AdapterUnderTest) -> None:
    adapter.post(shopify_order())
    adapter.read()
    [row] = adapter.rows()
    kept = {name: value for name, value in row._mapping.items() if name not in ("id", "key")}
    with transaction(adapter.engine) as connection:
        connection.execute(insert(deliveries), [{**kept, "key": f"orders/updated:{number}"} for number in range(3000)])
    with transaction(adapter.engine) as connection:
        begun = time.process_time()
        assert copies.keep_returned(connection, [Lane(row.store, row.order_id)]) == []
        took_s = time.process_time() - begun
    assert took_s < 0.2
