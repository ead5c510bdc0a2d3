"""Whatever a Magento shop does to an order, the totals and the items add up to what the order still comes to, in both vocabularies."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings import PROVIDERS, Context, LifecycleState, Options, Order, encode, render, unsent_events
from tests.mappings.magento.magento_order import Line, MagentoOrder

OPTIONS = Options(store_url="https://shop.example", public_url="https://adapter.example", vocabulary="lifecycle")
CONTEXT = Context(received_at=datetime(2026, 10, 1, 12, 0, tzinfo=UTC), options=OPTIONS)
CENT = Decimal("0.01")


@st.composite
def orders(draw: st.DrawFn) -> MagentoOrder:
    """Up to three products and, perhaps, a dynamic bundle with up to three parts, each in some quantity of its own."""
    rates: dict[str, Any] = {
        "includes_tax": draw(st.booleans()),
        "tax_percent": draw(st.sampled_from((0, 7, 20))),
        "discount_percent": draw(st.sampled_from((0, 10, 33))),
    }
    prices = st.integers(min_value=0, max_value=9999).map(lambda amount: Decimal(amount) / 100)
    lines = [
        Line(item_id=number, product_type=kind, price=draw(prices), ordered=draw(st.integers(1, 5)), **rates)
        for number, kind in enumerate(draw(st.lists(st.sampled_from(("simple", "virtual", "giftcard")), max_size=3)), 1)
    ]
    bundles, parts = draw(st.integers(1, 3)), draw(st.integers(0 if lines else 1, 3))
    for number in range(11, 11 + parts):
        # Without any price a dynamic bundle cannot be told from a fixed-price one.
        price, ordered = draw(prices) + CENT, bundles * draw(st.integers(1, 3))
        lines.append(Line(item_id=number, product_type="simple", price=price, ordered=ordered, parent=10, **rates))
    shipping = draw(st.sampled_from((Decimal(0), Decimal(8))))
    return MagentoOrder(lines, shells=(10,) if parts else (), shells_ordered=bundles, shipping=shipping)


def happen(order: MagentoOrder, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """One of the things that can happen to an order as it stands."""
    lines, is_over = order.lines, any(line.canceled for line in order.lines)
    open_for = {
        "invoice": {line.item_id: 0 if is_over else line.ordered - line.invoiced for line in lines},
        "refund": {line.item_id: line.invoiced - line.refunded for line in lines},
        "ship": {line.item_id: line.invoiced - line.refunded - line.shipped for line in lines},
    }
    event = draw(st.sampled_from([name for name, most in open_for.items() if any(amount > 0 for amount in most.values())] or ["nothing"]))
    if any(open_for["invoice"].values()) and draw(st.integers(1, 4)) == 1:
        order.cancel()
    elif event != "nothing":
        quantities = {item_id: draw(st.integers(0, most)) for item_id, most in open_for[event].items() if most > 0}
        if not any(quantities.values()):
            quantities = {item_id: most for item_id, most in open_for[event].items() if most > 0}
        left = order.sums["invoiced shipping_amount"] - order.sums["refunded shipping_amount"]
        if event == "refund":
            order.refund(quantities, left if draw(st.booleans()) else Decimal(0))
        else:
            {"invoice": order.invoice, "ship": order.ship}[event](quantities)


def mapped(order: MagentoOrder) -> Order:
    provider = PROVIDERS["magento"]
    [reading] = provider.readings(encode(order.payload()), CONTEXT)
    assert not reading.problems
    return provider.map(reading, CONTEXT)


@pytest.mark.slow
@pytest.mark.no_cover
@settings(max_examples=100)
@given(st.data())
def test_what_is_left_adds_up(data: st.DataObject) -> None:
    shop, state, counted = data.draw(orders()), None, Decimal(0)
    for _ in range(data.draw(st.integers(2, 7))):
        happen(shop, data.draw)
        order = mapped(shop)
        # Each invoice and credit memo rounds every amount of every line.
        tolerance = CENT * 6 * (len(shop.lines) + 1)
        check_sums(shop, order, tolerance)
        state, counted = check_lifecycle(order, state, counted)


def check_sums(shop: MagentoOrder, order: Order, tolerance: Decimal) -> None:
    totals = (order.grand_total, order.total_discounts, order.total_taxes, order.total_fees, order.total_shipping)
    assert min(totals) >= 0
    assert abs(order.discrepancy or Decimal(0)) <= CENT * len(shop.lines)
    held = [line for line in shop.lines if line.ordered > line.canceled + line.refunded]
    if not held:
        assert order.total_taxes <= tolerance
        assert order.total_discounts <= tolerance
        assert abs(order.grand_total - order.total_shipping) <= tolerance
        return
    assert {item.product_id for item in order.items} == {str(line.parent or line.item_id) for line in held}
    gross = sum((item.total + item.discounts for item in order.items), Decimal(0))
    assert gross == sum(((line.ordered - line.canceled - line.refunded) * line.price for line in held), Decimal(0))
    total = gross + order.total_taxes + order.total_shipping + order.total_fees - order.total_discounts
    assert abs(total - order.grand_total) <= tolerance
    assert abs(sum((item.taxes for item in order.items), Decimal(0)) - order.total_taxes) <= tolerance
    assert abs(sum((item.discounts for item in order.items), Decimal(0)) - order.total_discounts) <= tolerance


def check_lifecycle(order: Order, state: LifecycleState | None, counted: Decimal) -> tuple[LifecycleState | None, Decimal]:
    """What Drip counts after this snapshot's events is what the default vocabulary's total says."""
    for event in unsent_events(order, state):
        state, counted = event.after, counted + (event.refund_amount or 0)
    body = render(order, action="updated", occurred_at=order.updated_at, options=OPTIONS)
    assert body["grand_total"] - counted == order.grand_total
    return state, counted
