"""Amounts in the shop's and the shopper's currency, where a payload has only one of them."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from mappings import PROVIDERS, Context, Options, Order, Reading, Rejected

CONTEXT = Context(received_at=datetime(2026, 10, 1, tzinfo=UTC), options=Options(store_url="https://shop.example"))
EURO_REFUND = {"transactions": [{"kind": "refund", "status": "success", "amount": "50.00", "currency": "EUR"}]}


def both(shop: str, shown: str) -> dict[str, Any]:
    return {"shop_money": {"amount": shop}, "presentment_money": {"amount": shown}}


def read(context: Context, **changed: Any) -> Reading:
    payload = {
        "id": 9,
        "email": "ada.shopper@example.com",
        "created_at": "2026-09-30T12:00:00Z",
        "currency": "GBP",
        "presentment_currency": "EUR",
        "total_price": "160.00",
        "current_total_price": "160.00",
        "financial_status": "paid",
        "line_items": [{"id": 1, "product_id": 7, "title": "Lamp", "price": "80.00", "quantity": 2}],
        **changed,
    }
    [reading] = PROVIDERS["shopify"].readings(json.dumps(payload).encode(), context)
    return reading


def mapped(currency: Any = "shop", **changed: Any) -> Order:
    context = replace(CONTEXT, options=replace(CONTEXT.options, currency=currency))
    return PROVIDERS["shopify"].map(read(context, **changed), context)


def test_a_payload_in_one_currency_needs_no_sets() -> None:
    order = mapped("presentment", presentment_currency="GBP", current_total_price_set=both("160.00", "160.00"))
    assert (order.currency, order.grand_total, order.items[0].price) == ("GBP", Decimal(160), Decimal(80))


def test_every_amount_that_is_used_must_be_in_the_shoppers_currency() -> None:
    with pytest.raises(Rejected) as caught:
        mapped(
            "presentment",
            total_price_set=both("160.00", "200.00"),
            current_total_price_set=both("160.00", "200.00"),
            total_tax="10.00",
            shipping_lines=[{"title": "Post", "price": "4.00"}],
            line_items=[
                {
                    "id": 1, "title": "Lamp", "price": "80.00", "quantity": 2, "tax_lines": [{"price": "10.00"}],
                    "duties": [{"shop_money": {"amount": "3.00"}, "presentment_money": {}}],
                },
                {"id": 2, "title": "Free sample", "price": "0.00", "quantity": 1},
            ],
        )  # fmt: skip
    assert sorted(caught.value.problems) == [
        "line_items.0.duties.0.presentment_money",
        "line_items.0.price_set",
        "line_items.0.tax_lines.0.price_set",
        "shipping_lines.0.price_set",
        "total_tax_set",
    ]


@pytest.mark.parametrize("amounts", [("160.00", "200.00"), ("0.80", "1.00"), ("80", "100.0")])
def test_a_refund_is_converted_at_the_orders_own_rate(amounts: tuple[str, str]) -> None:
    assert mapped(total_price_set=both(*amounts), refunds=[EURO_REFUND]).refunded_total == 40


def test_a_refund_of_everything_in_parts_is_exactly_everything() -> None:
    third = {"kind": "refund", "status": "success", "amount": "33.33", "currency": "EUR"}
    rest = {**third, "amount": "33.34"}
    order = mapped(
        total_price="79.99", current_total_price="79.99", total_price_set=both("79.99", "100.00"),
        refunds=[{"transactions": [third, third]}, {"transactions": [rest, {**rest, "status": "failure"}, {**rest, "kind": "sale"}]}],
    )  # fmt: skip
    assert (order.refunded_total, order.grand_total) == (Decimal("79.99"), Decimal(0))


def test_without_a_rate_the_total_follows_the_current_total() -> None:
    order = mapped(current_total_price="120.00", refunds=[EURO_REFUND])
    assert (order.refunded_total, order.grand_total) == (Decimal(0), Decimal(120))


def test_a_negative_refund_raises_no_total() -> None:
    back = {"kind": "refund", "status": "success", "amount": "-7.00", "currency": "GBP"}
    order = mapped(refunds=[{"transactions": [back]}])
    assert (order.refunded_total, order.grand_total) == (Decimal(0), Decimal(160))


def test_the_tax_in_a_refunded_shipping_line_counts_even_below_one() -> None:
    # 5.00 with 0.80 tax in it; a REST body states what was refunded without the tax.
    shipping = {"id": 3, "price": "5.00", "tax_lines": [{"price": "0.80"}]}
    refund = {"refund_shipping_lines": [{"shipping_line_id": 3, "subtotal_amount_set": both("4.20", "4.20")}]}
    order = mapped(taxes_included=True, total_shipping_price_set=both("5.00", "5.00"), shipping_lines=[shipping], refunds=[refund])
    assert order.total_shipping == 0


@pytest.mark.parametrize(("total", "is_sent"), [("0.50", True), ("0.00", False)])
def test_a_canceled_order_is_sent_if_any_money_stayed(total: str, is_sent: bool) -> None:
    canceled = {"cancelled_at": "2026-09-30T13:00:00Z", "cancel_reason": "customer"}
    reading = read(CONTEXT, **canceled, total_price=total, current_total_price=total)
    assert reading.placed == is_sent
