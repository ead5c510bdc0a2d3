"""Fees that only the store's `fee_keys` name, on every platform."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from mappings import PROVIDERS, Context, Options, Order, Rejected

SHOPIFY: Mapping[str, Any] = {
    "id": 9,
    "email": "ada.shopper@example.com",
    "created_at": "2026-09-30T12:00:00Z",
    "currency": "USD",
    "total_price": "105.00",
    "current_total_price": "105.00",
    "total_line_items_price": "100.00",
    "order_status_url": "https://shop.example/orders/9",
    "line_items": [{"id": 1, "product_id": 7, "title": "Lamp", "price": "50.00", "quantity": 2}],
    "note_attributes": [{"name": "cod_fee", "value": "5.00"}],
}
WOOCOMMERCE: Mapping[str, Any] = {
    "id": 9,
    "number": "9",
    "status": "processing",
    "currency": "USD",
    "date_created_gmt": "2026-09-30T12:00:00",
    "total": "105.00",
    "billing": {"email": "ada.shopper@example.com"},
    "line_items": [{"id": 1, "product_id": 7, "name": "Lamp", "subtotal": "100.00", "total": "100.00", "quantity": 2}],
    "_links": {"self": [{"href": "https://shop.example/wp-json/wc/v3/orders/9"}]},
    "meta_data": [{"id": 1, "key": "_cod_fee", "value": "5.00"}],
}
MAGENTO: Mapping[str, Any] = {
    "entity_id": 9,
    "increment_id": "000000009",
    "state": "new",
    "status": "pending",
    "customer_email": "ada.shopper@example.com",
    "created_at": "2026-09-30 12:00:00",
    "order_currency_code": "USD",
    "subtotal": 100,
    "grand_total": 105,
    "items": [{"item_id": 1, "product_id": 7, "product_type": "simple", "sku": "LAMP", "name": "Lamp", "price": 50, "qty_ordered": 2}],
    "cod_fee": "5.0000",
}
EACH = pytest.mark.parametrize(
    ("platform", "payload", "key"),
    [
        ("shopify", SHOPIFY, "note_attributes.cod_fee"),
        ("woocommerce", WOOCOMMERCE, "meta_data._cod_fee"),
        ("magento", MAGENTO, "cod_fee"),
    ],
)


def order_of(platform: str, payload: Mapping[str, Any], *keys: str) -> Order:
    options = Options(store_url="https://shop.example", fee_keys=keys)
    context = Context(received_at=datetime(2026, 10, 1, 12, 0, tzinfo=UTC), options=options)
    [reading] = PROVIDERS[platform].readings(json.dumps(payload).encode(), context)
    return PROVIDERS[platform].map(reading, context)


@EACH
def test_a_hidden_fee_is_missed_until_it_is_named(platform: str, payload: Mapping[str, Any], key: str) -> None:
    hidden, named = order_of(platform, payload), order_of(platform, payload, key)
    assert (hidden.unexplained, hidden.total_fees) == (Decimal(-5), Decimal(0))
    assert (named.unexplained, named.total_fees) == (Decimal(0), Decimal(5))


@EACH
def test_a_fee_that_is_no_number_is_refused_by_its_path(platform: str, payload: Mapping[str, Any], key: str) -> None:
    broken = json.loads(json.dumps(payload).replace('"5.00', '"five'))
    with pytest.raises(Rejected) as refused:
        order_of(platform, broken, key)
    assert list(refused.value.problems) == [key]


def test_a_fee_is_less_what_was_refunded_of_it() -> None:
    assert order_of("magento", {**MAGENTO, "cod_fee_refunded": "1.5000"}, "cod_fee").total_fees == Decimal("3.5")
    assert order_of("magento", {**MAGENTO, "cod_fee_refunded": "6.0000"}, "cod_fee").total_fees == 0
    assert order_of("magento", {**MAGENTO, "cod_fee_refunded": "unreadable"}, "cod_fee").total_fees == 5
    assert order_of("magento", {**MAGENTO, "cod_fee": "0.8000", "cod_fee_refunded": "0.3000"}, "cod_fee").total_fees == Decimal("0.5")


def test_a_canceled_order_that_comes_to_nothing_has_no_fees() -> None:
    canceled = {**MAGENTO, "state": "canceled", "status": "canceled", "total_canceled": 105}
    assert order_of("magento", canceled, "cod_fee").total_fees == 0


def test_sums_that_cannot_be_made_stay_unknown() -> None:
    assert order_of("magento", {**MAGENTO, "subtotal": None}, "cod_fee").discrepancy is None


@pytest.mark.parametrize(
    ("total", "unexplained"), [(105, -5), ("100.01", 0), ("100.02", Decimal("-0.02")), ("99.99", 0), ("99.9", Decimal("0.1"))]
)
def test_a_cent_a_line_is_rounding(total: Any, unexplained: Any) -> None:
    assert order_of("magento", {**MAGENTO, "grand_total": total}).unexplained == unexplained
