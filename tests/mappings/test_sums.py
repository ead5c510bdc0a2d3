"""Whatever was sold, in whatever currency and however it was refunded: items, totals and events add up, on every platform.

A sale is drawn in the smallest units of its currency, and written down as each platform reports it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings import PROVIDERS, Context, LifecycleState, Options, Order, OrderActivity, as_sent, render, unsent_events

OPTIONS = Options(store_url="https://shop.example", public_url="https://adapter.example")
LIFECYCLE = replace(OPTIONS, vocabulary="lifecycle")
CONTEXT = Context(received_at=datetime(2026, 10, 1, 12, 0, tzinfo=UTC), options=OPTIONS)
CURRENCIES = {"JPY": 0, "EUR": 2, "KWD": 3}
EMAIL = "ada.shopper@example.com"
CREATED = "2026-09-30T12:00:00"


@dataclass(frozen=True)
class Line:
    """So many units at a price, with the discount and the tax of all of them."""

    price: int
    quantity: int
    discount: int
    tax: int

    @property
    def total(self) -> int:
        return self.price * self.quantity - self.discount


@dataclass(frozen=True)
class Sale:
    """All amounts are in the currency's smallest unit."""

    currency: str
    tax_included: bool
    lines: Sequence[Line]
    shipping: int
    fee: int
    gift_card: int
    refunds: Sequence[int]

    @property
    def tax(self) -> int:
        return sum(line.tax for line in self.lines)

    @property
    def discounts(self) -> int:
        return sum(line.discount for line in self.lines)

    @property
    def total(self) -> int:
        """Before gift cards."""
        tax = 0 if self.tax_included else self.tax
        return sum(line.total for line in self.lines) + self.shipping + self.fee + tax

    def amount(self, units: int) -> Decimal:
        return Decimal(units).scaleb(-CURRENCIES[self.currency])

    def text(self, units: int) -> str:
        return f"{self.amount(units):f}"


@st.composite
def lines(draw: st.DrawFn) -> Line:
    price, quantity = draw(st.integers(0, 99_999)), draw(st.integers(1, 4))
    return Line(price, quantity, draw(st.integers(0, price * quantity)), draw(st.integers(0, 9_999)))


amounts = st.sampled_from([0, 1]) | st.integers(0, 9_999)
sales = st.builds(
    Sale,
    currency=st.sampled_from(sorted(CURRENCIES)),
    tax_included=st.booleans(),
    lines=st.lists(lines(), max_size=3),
    shipping=amounts,
    fee=amounts,
    gift_card=amounts,
    refunds=st.lists(st.integers(1, 50_000), max_size=3),
)


def shopify(sale: Sale, *, follows_refunds: bool) -> dict[str, Any]:
    """`current_total_price` follows the refund of a line, and not that of an amount. Shopify counts gift cards as payments."""
    text, refunded = sale.text, sum(sale.refunds)
    return {
        "id": 9,
        "email": EMAIL,
        "created_at": f"{CREATED}Z",
        "currency": sale.currency,
        "financial_status": "partially_refunded" if sale.refunds else "paid",
        "taxes_included": sale.tax_included,
        "total_price": text(sale.total),
        "current_total_price": text(max(0, sale.total - refunded) if follows_refunds else sale.total),
        "total_line_items_price": text(sum(line.price * line.quantity for line in sale.lines)),
        "total_discounts": text(sale.discounts),
        "total_tax": text(sale.tax),
        "total_shipping_price_set": {"shop_money": {"amount": text(sale.shipping)}},
        "total_tip_received": text(sale.fee),
        "line_items": [
            {
                "id": number,
                "product_id": number,
                "title": "Lamp",
                "price": text(line.price),
                "quantity": line.quantity,
                "discount_allocations": [{"amount": text(line.discount // 2)}, {"amount": text(line.discount - line.discount // 2)}],
                "tax_lines": [{"price": text(line.tax)}],
            }
            for number, line in enumerate(sale.lines, 1)
        ],
        "refunds": [
            {"id": number, "transactions": [{"kind": "refund", "status": "success", "amount": text(amount), "currency": sale.currency}]}
            for number, amount in enumerate(sale.refunds, 1)
        ],
    }


def woocommerce(sale: Sale, **_: Any) -> dict[str, Any]:
    """Amounts are always without tax. A fee below 0 is a discount, and a gift card lowers the total."""
    text = sale.text
    total = sum(line.total for line in sale.lines) + sale.shipping + sale.fee + sale.tax - sale.gift_card
    return {
        "id": 9,
        "status": "processing",
        "currency": sale.currency,
        "date_created_gmt": CREATED,
        "date_paid_gmt": CREATED,
        "prices_include_tax": sale.tax_included,
        "total": text(total),
        "total_tax": text(sale.tax),
        "discount_total": text(sale.discounts),
        "shipping_total": text(sale.shipping),
        "billing": {"email": EMAIL},
        "fee_lines": [{"total": text(sale.fee + 7)}, {"total": text(-7)}],
        "gift_cards": [{"amount": text(sale.gift_card)}],
        "line_items": [
            {
                "id": number,
                "product_id": number,
                "name": "Lamp",
                "quantity": line.quantity,
                "subtotal": text(line.price * line.quantity),
                "total": text(line.total),
                "total_tax": text(line.tax),
            }
            for number, line in enumerate(sale.lines, 1)
        ],
        "refunds": [{"id": number, "total": text(-amount)} for number, amount in enumerate(sale.refunds, 1)],
    }


def magento(sale: Sale, **_: Any) -> dict[str, Any]:
    """Prices are always without tax. What is refunded is an adjustment, of no line, and a gift card lowers the total."""
    number_of = sale.amount
    total = sum(line.total for line in sale.lines) + sale.shipping + sale.fee + sale.tax - sale.gift_card
    return {
        "entity_id": 9,
        "increment_id": "000000009",
        "state": "processing",
        "status": "processing",
        "customer_email": EMAIL,
        "created_at": CREATED.replace("T", " "),
        "order_currency_code": sale.currency,
        "grand_total": number_of(total),
        "total_paid": number_of(total),
        "total_refunded": number_of(sum(sale.refunds)),
        "subtotal": number_of(sum(line.price * line.quantity for line in sale.lines)),
        "discount_amount": number_of(-sale.discounts),
        "tax_amount": number_of(sale.tax),
        "shipping_amount": number_of(sale.shipping),
        "extension_attributes": {"custom_fees": [{"custom_fee_amount": number_of(sale.fee)}]},
        "gift_cards_amount": number_of(sale.gift_card),
        "items": [
            {
                "item_id": number,
                "product_id": number,
                "product_type": "simple",
                "name": "Lamp",
                "price": number_of(line.price),
                "qty_ordered": line.quantity,
                "discount_amount": number_of(line.discount),
                "tax_amount": number_of(line.tax),
            }
            for number, line in enumerate(sale.lines, 1)
        ],
    }


def bigcommerce(sale: Sale, **_: Any) -> dict[str, Any]:
    """Of the two kinds of amounts one is exact; the other is an estimate, here always 0. A gift certificate is a payment."""
    text, kind = sale.text, "inc_tax" if sale.tax_included else "ex_tax"
    return {
        "id": 9,
        "status_id": 11,
        "default_currency_code": sale.currency,
        "date_created": "Wed, 30 Sep 2026 12:00:00 +0000",
        "billing_address": {"email": EMAIL},
        "is_tax_inclusive_pricing": sale.tax_included,
        "total_inc_tax": text(sale.total),
        "total_tax": text(sale.tax),
        f"subtotal_{kind}": text(sum(line.price * line.quantity for line in sale.lines)),
        f"shipping_cost_{kind}": text(sale.shipping),
        f"handling_cost_{kind}": text(sale.fee // 2),
        f"wrapping_cost_{kind}": text(sale.fee - sale.fee // 2),
        "discount_amount": text(sale.discounts // 2),
        "coupon_discount": text(sale.discounts - sale.discounts // 2),
        "gift_certificate_amount": text(sale.gift_card),
        "products": [
            {
                "id": number,
                "product_id": number,
                "name": "Lamp",
                "quantity": line.quantity,
                f"price_{kind}": text(line.price),
                "total_tax": text(line.tax),
                "applied_discounts": [{"amount": text(line.discount)}],
            }
            for number, line in enumerate(sale.lines, 1)
        ],
        "refunds": [{"total_amount": sale.amount(amount), "payments": []} for amount in sale.refunds],
    }


PAYLOADS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "shopify": shopify,
    "woocommerce": woocommerce,
    "magento": magento,
    "bigcommerce": bigcommerce,
}
# Whether a gift card lowers the total, or pays a part of it.
LOWERED_BY_GIFT_CARDS = ("woocommerce", "magento")


class _Numbers(json.JSONEncoder):
    """Decimals as JSON numbers: a `Decimal` of up to nine digits is the same as a float."""

    def default(self, o: Any) -> Any:
        return float(o) if isinstance(o, Decimal) else super().default(o)


def mapped(provider: str, document: Mapping[str, Any]) -> Order:
    [reading] = PROVIDERS[provider].readings(json.dumps(document, cls=_Numbers).encode(), CONTEXT)
    assert not reading.problems
    return PROVIDERS[provider].map(reading, CONTEXT)


@pytest.mark.parametrize("provider", sorted(PAYLOADS))
@settings(max_examples=40)
@given(sale=sales, follows_refunds=st.booleans())
def test_items_and_totals_add_up(provider: str, sale: Sale, follows_refunds: bool) -> None:
    order = mapped(provider, PAYLOADS[provider](sale, follows_refunds=follows_refunds))
    gift_card = sale.gift_card if provider in LOWERED_BY_GIFT_CARDS else 0
    # On two platforms amounts are without tax even where the shop's prices include it.
    tax = sale.tax if provider in LOWERED_BY_GIFT_CARDS or not sale.tax_included else 0
    total = sum(line.total for line in sale.lines) + sale.shipping + sale.fee + tax - gift_card
    more = 7 if provider == "woocommerce" else 0
    assert order.refunded_total == sale.amount(sum(sale.refunds))
    assert order.grand_total == sale.amount(max(0, total - sum(sale.refunds)))
    assert order.total_discounts == sale.amount(sale.discounts + more)
    assert order.total_taxes == sale.amount(sale.tax)
    assert order.total_shipping == sale.amount(sale.shipping)
    assert order.total_fees == sale.amount(sale.fee + more)
    assert [item.total for item in order.items] == [sale.amount(line.total) for line in sale.lines]
    assert [item.price * item.quantity - item.discounts for item in order.items] == [item.total for item in order.items]
    assert sum(item.taxes for item in order.items) == order.total_taxes
    assert not order.discrepancy


@pytest.mark.parametrize("provider", sorted(PAYLOADS))
@settings(max_examples=25)
@given(sale=sales, follows_refunds=st.booleans(), arrives=st.lists(st.booleans(), min_size=4, max_size=4))
def test_refunds_one_by_one_come_to_the_same_in_both_vocabularies(
    provider: str, sale: Sale, follows_refunds: bool, arrives: list[bool]
) -> None:
    state: LifecycleState | None = None
    counted = Decimal(0)
    for refunds in range(len(sale.refunds) + 1):
        if not arrives[refunds]:
            continue
        order = mapped(provider, PAYLOADS[provider](replace(sale, refunds=sale.refunds[:refunds]), follows_refunds=follows_refunds))
        rendered = as_sent(order, state)
        for event in unsent_events(order, state):
            state, counted = event.after, counted + (event.refund_amount or 0)
            assert event.refund_amount is None or event.refund_amount > 0
        bodies = [
            render(each, action="updated", occurred_at=CONTEXT.received_at, options=kind)
            for each, kind in ((order, OPTIONS), (rendered, LIFECYCLE))
        ]
        assert [OrderActivity().validate(body) for body in bodies] == [{}, {}]
        assert bodies[0]["grand_total"] == bodies[1]["grand_total"] - counted >= 0


@pytest.mark.parametrize("provider", ["shopify", "bigcommerce"])
@settings(max_examples=30)
@given(sale=sales, data=st.data())
def test_of_a_line_that_was_returned_in_part_the_rest_stands(provider: str, sale: Sale, data: st.DataObject) -> None:
    """A line returned as a whole is left out, unless nothing is left at all."""
    returned = [data.draw(st.integers(0, line.quantity)) for line in sale.lines]
    document = PAYLOADS[provider](sale, follows_refunds=True)
    if provider == "shopify":  # in two refunds
        halves = [(count // 2, count - count // 2) for count in returned]
        document["refunds"] = [
            {"refund_line_items": [{"line_item_id": number, "quantity": half[index]} for number, half in enumerate(halves, 1)]}
            for index in range(2)
        ]
    else:
        for row, count in zip(document["products"], returned, strict=True):
            row["quantity_refunded"] = count
    held = [line.quantity - count for line, count in zip(sale.lines, returned, strict=True)]
    shown = [(line, count) for line, count in zip(sale.lines, held, strict=True) if count] or [(line, line.quantity) for line in sale.lines]
    order = mapped(provider, document)
    assert [item.quantity for item in order.items] == [count for _, count in shown]
    for item, (line, count) in zip(order.items, shown, strict=True):
        share = Decimal(count) / line.quantity
        assert abs(item.discounts - sale.amount(line.discount) * share) <= sale.amount(1) / 2
        assert abs(item.taxes - sale.amount(line.tax) * share) <= sale.amount(1) / 2
        assert item.total == sale.amount(line.price) * count - item.discounts
        assert item.total >= -sale.amount(1) / 2


@settings(max_examples=30)
@given(sale=sales, refunded=st.lists(st.integers(0, 5_000), max_size=3), twice=st.booleans())
def test_shipping_is_refunded_once_however_often_it_is_reported(sale: Sale, refunded: list[int], twice: bool) -> None:
    """Since 2024-10 a Shopify refund of shipping may be there twice: as an adjustment and as a line."""
    document = shopify(replace(sale, tax_included=False), follows_refunds=True)
    document["refunds"] = [
        {
            "order_adjustments": [{"kind": "shipping_refund", "amount": sale.text(-amount)}],
            "refund_shipping_lines": [{"subtotal_amount_set": {"shop_money": {"amount": sale.text(amount)}}}] if twice else [],
        }
        for amount in refunded
    ]
    assert mapped("shopify", document).total_shipping == sale.amount(max(0, sale.shipping - sum(refunded)))


@settings(max_examples=30)
@given(price=st.integers(-9_999, 9_999), quantity=st.integers(1, 4), currency=st.sampled_from(sorted(CURRENCIES)))
@pytest.mark.parametrize("provider", sorted(PAYLOADS))
def test_a_line_below_0_is_a_discount_and_its_total_stays(provider: str, price: int, quantity: int, currency: str) -> None:
    sale = Sale(currency, False, [Line(price, quantity, 0, 0), Line(10_000, 4, 0, 0)], 0, 0, 0, ())
    item, _ = mapped(provider, PAYLOADS[provider](sale, follows_refunds=True)).items
    assert item.price == sale.amount(max(0, price))
    assert (item.total, item.discounts) == (sale.amount(price * quantity), sale.amount(max(0, -price * quantity)))
