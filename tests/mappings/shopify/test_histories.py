"""Generated histories of a Shopify order: Drip must count the same value in both vocabularies, and never less than nothing."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings import PROVIDERS, Context, LifecycleState, Options, Order, as_sent, render, unsent_events

OPTIONS = Options(store_url="https://shop.example", public_url="https://adapter.example")
LIFECYCLE = replace(OPTIONS, vocabulary="lifecycle")
CONTEXT = Context(received_at=datetime(2026, 10, 1, 12, 0, tzinfo=UTC), options=OPTIONS)
# One euro is 0.80 pounds.
TO_SHOPPER = Decimal("1.25")


@dataclass
class Shop:
    """An order of a shop in GBP and a shopper in EUR, as Shopify would report it."""

    total_follows_additions: bool
    """Whether `total_price` includes lines that were added later; both have been seen."""
    total: Decimal = Decimal(100)
    current: Decimal = Decimal(100)
    refunds: list[dict[str, Any]] = field(default_factory=list)
    status: str = "pending"
    shipped: bool = False
    canceled: bool = False

    def edit(self, change: Decimal) -> None:
        self.current = max(Decimal(0), self.current + change)
        if change > 0 and self.total_follows_additions:
            self.total += change

    def refund(self, amount: Decimal, *, form: str) -> None:
        """Pay money back, with the amount in the shop's currency, in the shopper's, or in both."""
        transaction: dict[str, Any] = {"kind": "refund", "status": "success"}
        shown = amount * TO_SHOPPER
        if form == "set":
            sides = {"shop_money": {"amount": str(amount)}, "presentment_money": {"amount": str(shown)}}
            transaction |= {"amount": str(shown), "currency": "EUR", "amount_set": sides}
        else:
            transaction |= {"amount": str(shown if form == "EUR" else amount), "currency": form}
        self.refunds.append({"id": len(self.refunds) + 1, "transactions": [transaction], "refund_line_items": []})
        self.status = "partially_refunded"

    def payload(self) -> dict[str, Any]:
        def both(amount: Decimal) -> dict[str, Any]:
            return {"shop_money": {"amount": str(amount)}, "presentment_money": {"amount": str(amount * TO_SHOPPER)}}

        return {
            "id": 9,
            "email": "ada.shopper@example.com",
            "created_at": "2026-09-30T12:00:00Z",
            "currency": "GBP",
            "presentment_currency": "EUR",
            "total_price": str(self.total),
            "total_price_set": both(self.total),
            "current_total_price": str(self.current),
            "current_total_price_set": both(self.current),
            "financial_status": self.status,
            "fulfillment_status": "fulfilled" if self.shipped else None,
            "cancelled_at": "2026-10-01T00:00:00Z" if self.canceled else None,
            "refunds": list(self.refunds),
            "line_items": [],
        }


cents = st.integers(1, 12000).map(lambda amount: Decimal(amount) / 100)
steps = st.tuples(
    st.sampled_from(["pay", "ship", "add", "remove", "return", "exchange", "goodwill", "cancel"]),
    cents,
    cents,
    st.sampled_from(["GBP", "EUR", "set"]),
    st.booleans(),
)


def apply(shop: Shop, step: tuple[str, Decimal, Decimal, str, bool]) -> None:
    what, amount, other, form, _ = step
    if what == "pay" and shop.status == "pending":
        shop.status = "paid"
    elif what == "ship":
        shop.shipped = True
    elif what == "add":
        shop.edit(amount)
    elif what == "remove":
        shop.edit(-amount)
    elif what == "return":  # the shop may keep a part, as a restocking fee
        shop.edit(-amount)
        shop.refund(min(amount, other), form=form)
    elif what == "exchange":
        shop.edit(-amount)
        shop.edit(other)
    elif what == "goodwill":
        shop.refund(amount, form=form)
    elif what == "cancel":
        shop.canceled = True
        if shop.status == "pending":
            shop.status = "voided"


def mapped(payload: Mapping[str, Any]) -> Order:
    provider = PROVIDERS["shopify"]
    [reading] = provider.readings(json.dumps(payload).encode(), CONTEXT)
    return provider.map(reading, CONTEXT)


def values_at_drip(orders: list[Order]) -> Iterator[tuple[Decimal, bool]]:
    """What Drip counts after each event, and whether the event was the last of its snapshot."""
    sent: LifecycleState | None = None
    refunded = Decimal(0)
    for order in orders:
        rendered = as_sent(order, sent)
        owed = [(event.action, event.refund_amount, event.after) for event in unsent_events(order, sent)]
        for number, (action, refund, after) in enumerate(owed or [("updated", None, sent)], 1):
            sent = after
            body = render(rendered, action=action, occurred_at=order.updated_at, options=LIFECYCLE, refund_amount=refund)
            refunded += refund or 0
            yield body["grand_total"] - refunded, number >= len(owed)


@pytest.mark.slow
@pytest.mark.no_cover
@settings(deadline=None, max_examples=150)
@given(follows=st.booleans(), history=st.lists(steps, max_size=7))
def test_both_vocabularies_end_at_the_same_value_and_never_below_zero(
    follows: bool, history: list[tuple[str, Decimal, Decimal, str, bool]]
) -> None:
    shop = Shop(total_follows_additions=follows)
    orders = [mapped(shop.payload())]
    for step in history:
        apply(shop, step)
        if not step[-1] or step is history[-1]:  # else this snapshot never arrives
            orders.append(mapped(shop.payload()))
            assert 0 <= orders[-1].grand_total <= shop.current
    ends = []
    for value, last in values_at_drip(orders):
        assert value >= 0
        if last:
            ends.append(value)
    by_contract = [render(order, action="updated", occurred_at=order.updated_at, options=OPTIONS)["grand_total"] for order in orders]
    assert ends == by_contract


@settings(deadline=None, max_examples=60)
@given(amounts=st.lists(cents, min_size=1, max_size=4), forms=st.lists(st.sampled_from(["GBP", "EUR", "set"]), min_size=4, max_size=4))
def test_a_refund_counts_the_same_in_whatever_currency_it_is_reported(amounts: list[Decimal], forms: list[str]) -> None:
    shop, plain = (Shop(total_follows_additions=True, status="paid") for _ in range(2))
    for amount, form in zip(amounts, forms, strict=False):
        shop.refund(amount, form=form)
        plain.refund(amount, form="GBP")
    assert mapped(shop.payload()).refunded_total == mapped(plain.payload()).refunded_total == sum(amounts)
