"""Today's vocabulary: one course of an order, told alike on every platform; refunds by their sum."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings import PROVIDERS, Context, Options, Order, Told, render, steps

CONTEXT = Context(
    received_at=datetime(2026, 10, 1, 12, 0, tzinfo=UTC),
    options=Options(vocabulary="lifecycle", store_url="https://shop.example", public_url="https://adapter.example"),
)
# A snapshot of a course: what was paid, refunded so far, shipped, canceled.
State = Mapping[str, Any]


def shopify(state: State) -> dict[str, Any]:
    refunds = [
        {"id": 1, "transactions": [{"kind": "refund", "status": "success", "amount": state["refunded"], "currency": "USD"}]}
    ]  # one refund that grows: only the sum matters
    left = Decimal("100.00") - Decimal(state["refunded"])
    status = "refunded" if left == 0 else "partially_refunded" if left < 100 else "paid"
    return {
        "id": 9,
        "email": "ada.shopper@example.com",
        "created_at": "2026-09-30T12:00:00Z",
        "currency": "USD",
        "total_price": "100.00",
        "current_total_price": str(left),
        "financial_status": (status if state["paid"] else "voided" if state["canceled"] else "pending"),
        "fulfillment_status": "fulfilled" if state["shipped"] else None,
        "cancelled_at": "2026-10-01T00:00:00Z" if state["canceled"] else None,
        "refunds": refunds if Decimal(state["refunded"]) else [],
        "order_status_url": "https://shop.example/orders/9",
        "line_items": [{"id": 1, "product_id": 7, "title": "Lamp", "price": "100.00", "quantity": 1}],
    }


def woocommerce(state: State) -> dict[str, Any]:
    status = "cancelled" if state["canceled"] else "completed" if state["shipped"] else "processing" if state["paid"] else "on-hold"
    return {
        "id": 9,
        "number": "9",
        "status": status,
        "currency": "USD",
        "date_created_gmt": "2026-09-30T12:00:00",
        "date_paid_gmt": "2026-09-30T12:05:00" if state["paid"] else None,
        "total": "100.00",
        "billing": {"email": "ada.shopper@example.com"},
        "refunds": [{"id": 1, "total": f"-{state['refunded']}"}] if Decimal(state["refunded"]) else [],
        "line_items": [{"id": 1, "product_id": 7, "name": "Lamp", "subtotal": "100.00", "total": "100.00", "quantity": 1}],
    }


def magento(state: State) -> dict[str, Any]:
    return {
        "entity_id": 9,
        "increment_id": "000000009",
        "state": "canceled" if state["canceled"] else "complete" if state["shipped"] else "processing" if state["paid"] else "new",
        "customer_email": "ada.shopper@example.com",
        "created_at": "2026-09-30 12:00:00",
        "order_currency_code": "USD",
        "grand_total": 100,
        "total_paid": 100 if state["paid"] else 0,
        "total_due": 0 if state["paid"] else 100,
        "total_refunded": float(state["refunded"]),
        "total_canceled": 100 if state["canceled"] and not state["paid"] else 0,
        "items": [{"item_id": 1, "product_id": 7, "sku": "LAMP", "name": "Lamp", "price": 100, "qty_ordered": 1, "product_type": "simple"}],
    }


PLATFORMS: dict[str, Callable[[State], dict[str, Any]]] = {"shopify": shopify, "woocommerce": woocommerce, "magento": magento}


def state(*, paid: bool = False, shipped: bool = False, refunded: str = "0.00", canceled: bool = False) -> State:
    return {"paid": paid, "shipped": shipped, "refunded": refunded, "canceled": canceled}


def order_of(platform: str, snapshot: State) -> Order:
    provider = PROVIDERS[platform]
    [reading] = provider.readings(json.dumps(PLATFORMS[platform](snapshot)).encode(), CONTEXT)
    return provider.map(reading, CONTEXT)


def tell(orders: list[Order]) -> list[tuple[str, Decimal, Decimal | None]]:
    """Action, total and refund of each event that these snapshots owe, one after the other."""
    told: Told | None = None
    events = []
    for order in orders:
        for step in steps(order, told):
            body = render(
                order, action=step.action, occurred_at=order.created_at, options=CONTEXT.options, refund_amount=step.refund_amount
            )
            events.append((body["action"], body["grand_total"], body.get("refund_amount")))
            told = step.told
    return events


HUNDRED = Decimal(100)
COURSES = {
    "bought, shipped, and given back in two parts": (
        [
            state(),
            state(paid=True),
            state(paid=True, shipped=True),
            state(paid=True, shipped=True, refunded="30.00"),
            state(paid=True, shipped=True, refunded="70.00"),
        ],
        [
            ("placed", HUNDRED, None),
            ("paid", HUNDRED, None),
            ("fulfilled", HUNDRED, None),
            ("refunded", HUNDRED, Decimal(30)),
            ("refunded", HUNDRED, Decimal(40)),
        ],
    ),
    "all of it seen at once": (
        [state(paid=True, shipped=True, refunded="30.00")],
        [("placed", HUNDRED, None), ("paid", HUNDRED, None), ("fulfilled", HUNDRED, None), ("refunded", HUNDRED, Decimal(30))],
    ),
    "canceled before any money came": (
        [state(), state(canceled=True)],
        [("placed", HUNDRED, None), ("canceled", HUNDRED, HUNDRED)],
    ),
    "nothing new": ([state(), state()], [("placed", HUNDRED, None)]),
}


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("course", COURSES)
def test_one_course_is_told_alike_on_every_platform(platform: str, course: str) -> None:
    snapshots, told = COURSES[course]
    assert tell([order_of(platform, snapshot) for snapshot in snapshots]) == told


def test_refunded_whole_and_then_canceled_takes_nothing_off_twice() -> None:
    paid = state(paid=True)
    back = {**paid, "refunded": "100.00", "canceled": True}
    assert tell([order_of("shopify", paid), order_of("shopify", back)])[2:] == [("refunded", HUNDRED, HUNDRED), ("canceled", HUNDRED, None)]


def test_an_edit_that_lowers_the_total_is_no_refund() -> None:
    order = order_of("shopify", state(paid=True))
    edited = replace(order, grand_total=Decimal(80))
    assert edited.ordered_total == 80
    assert tell([order, edited]) == [("placed", HUNDRED, None), ("paid", HUNDRED, None)]


@given(
    st.lists(st.decimals(0, 40, places=2), min_size=1, max_size=6),
    st.lists(st.booleans(), min_size=6, max_size=6),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_whatever_is_missed_the_refunds_told_are_the_refunds_made(parts: list[Decimal], seen: list[bool], shipped: list[bool]) -> None:
    order = order_of("shopify", state(paid=True))
    snapshots, total, arrived = [order], Decimal(0), False
    for number, part in enumerate(parts):
        total, arrived = total + part, arrived or shipped[number]
        last = number == len(parts) - 1
        if seen[number] or last:
            snapshots.append(replace(order, refunded_total=total, fulfilled=arrived))
    events = tell(snapshots)
    actions = [action for action, _, _ in events]
    assert sum((refund for _, _, refund in events if refund is not None), Decimal(0)) == total
    assert actions[0] == "placed"
    assert all(actions.count(once) <= 1 for once in ("placed", "paid", "fulfilled", "canceled"))
    assert all(refund is None or refund > 0 for _, _, refund in events)
