"""Whole histories of one order in today's vocabulary, from the store's payloads to what Drip is told of them.

Every expectation is written by hand: the total stays as ordered, each `refund_amount` is what was not told before, and after every
snapshot Drip's own sum, the last total less all refunds told, is what the order still comes to.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings import PROVIDERS, Context, LifecycleState, Options, Order, as_sent, digest, lifecycle_of, render, unsent_events

OPTIONS = Options(vocabulary="lifecycle", store_url="https://shop.example", public_url="https://adapter.example")
CONTEXT = Context(received_at=datetime(2026, 10, 1, 12, 0, tzinfo=UTC), options=OPTIONS)
# An action, the grand total beside it, and the sum that it gives back.
Event = tuple[str, str, str | None]
# What the store changes in its payload, one snapshot after the other.
History = Sequence[Mapping[str, Any]]

BASES: Mapping[str, dict[str, Any]] = {
    "shopify": {
        "id": 9,
        "email": "ada.shopper@example.com",
        "created_at": "2026-09-30T12:00:00Z",
        "currency": "USD",
        "total_price": "100.00",
        "current_total_price": "100.00",
        "financial_status": "pending",
        "fulfillment_status": None,
        "cancelled_at": None,
        "refunds": [],
        "order_status_url": "https://shop.example/orders/9",
        "line_items": [{"id": 1, "product_id": 7, "title": "Lamp", "price": "50.00", "quantity": 2}],
    },
    "woocommerce": {
        "id": 9,
        "number": "9",
        "status": "on-hold",
        "currency": "USD",
        "date_created_gmt": "2026-09-30T12:00:00",
        "date_paid_gmt": None,
        "total": "100.00",
        "billing": {"email": "ada.shopper@example.com"},
        "refunds": [],
        "line_items": [{"id": 1, "product_id": 7, "name": "Lamp", "subtotal": "100.00", "total": "100.00", "quantity": 2}],
    },
    # Over REST, what never happened is left out: total_paid, total_refunded, total_canceled.
    "magento": {
        "entity_id": 9,
        "increment_id": "000000009",
        "state": "new",
        "status": "pending",
        "customer_email": "ada.shopper@example.com",
        "created_at": "2026-09-30 12:00:00",
        "order_currency_code": "USD",
        "grand_total": 100,
        "total_due": 100,
        "items": [
            {"item_id": 1, "product_id": 7, "product_type": "simple", "sku": "LAMP", "name": "Lamp", "price": 50, "qty_ordered": 2},
        ],
    },
}


def given_back(*amounts: str) -> list[dict[str, Any]]:
    """Refunds that have been paid out, as Shopify lists them."""
    return [
        {"id": number, "transactions": [{"kind": "refund", "status": "success", "amount": amount, "currency": "USD"}]}
        for number, amount in enumerate(amounts)
    ]


def orders_of(platform: str, history: History) -> list[Order]:
    provider, payload, orders = PROVIDERS[platform], BASES[platform], []
    for change in history:
        payload = {**payload, **change}
        [reading] = provider.readings(json.dumps(payload).encode(), CONTEXT)
        orders.append(provider.map(reading, CONTEXT))
    return orders


def tell(orders: Sequence[Order], sent: LifecycleState | None = None) -> list[Event]:
    """What Drip gets for snapshots that all arrive, in their order; a change that is no event is an `updated`."""
    events: list[Event] = []
    last, counted = "", Decimal(0)
    for order in orders:
        owed: list[tuple[str, Decimal | None]] = []
        rendered = as_sent(order, sent)
        for event in unsent_events(order, sent):
            owed.append((event.action, event.refund_amount))
            sent = event.after
        for action, refund in owed or [("updated", None)]:
            body = render(rendered, action=action, occurred_at=order.updated_at, options=OPTIONS, refund_amount=refund)
            if action == "updated" and digest(body) == last:
                continue
            last, counted = digest(body), counted + (refund or 0)
            events.append((action, f"{body['grand_total']:.2f}", None if refund is None else f"{refund:.2f}"))
        assert Decimal(events[-1][1]) - counted == order.grand_total, f"after {events[-1]} Drip counts something else than the order holds"
    return events


PLACED: Event = ("placed", "100.00", None)
PAID: Event = ("paid", "100.00", None)
FULFILLED: Event = ("fulfilled", "100.00", None)

# One course as each platform tells it, and what all three make of it.
COURSES: Mapping[str, tuple[Mapping[str, History], list[Event]]] = {
    "paid, partly given back twice, shipped": (
        {
            "shopify": [
                {},
                {"financial_status": "paid"},
                {"financial_status": "partially_refunded", "current_total_price": "90.00", "refunds": given_back("10.00")},
                {"current_total_price": "74.50", "refunds": given_back("10.00", "15.50")},
                {"fulfillment_status": "fulfilled"},
            ],
            "woocommerce": [
                {},
                {"status": "processing", "date_paid_gmt": "2026-09-30T12:05:00"},
                {"refunds": [{"id": 10, "total": "-10.00"}]},
                {"refunds": [{"id": 11, "total": "-15.50"}, {"id": 10, "total": "-10.00"}]},
                {"status": "completed"},
            ],
            "magento": [
                {},
                {"state": "processing", "status": "processing", "total_paid": 100, "total_due": 0},
                {"total_refunded": 10},
                {"total_refunded": 25.5},
                {"state": "complete", "status": "complete"},
            ],
        },
        [PLACED, PAID, ("refunded", "100.00", "10.00"), ("refunded", "100.00", "15.50"), FULFILLED],
    ),
    "shipped, and all of it given back in two parts": (
        {
            "shopify": [
                {"financial_status": "paid"},
                {"fulfillment_status": "fulfilled"},
                {"financial_status": "partially_refunded", "current_total_price": "40.00", "refunds": given_back("60.00")},
                {"financial_status": "refunded", "current_total_price": "0.00", "refunds": given_back("60.00", "40.00")},
            ],
            "woocommerce": [
                {"status": "processing", "date_paid_gmt": "2026-09-30T12:05:00"},
                {"status": "completed"},
                {"refunds": [{"id": 10, "total": "-60.00"}]},
                {"status": "refunded", "refunds": [{"id": 11, "total": "-40.00"}, {"id": 10, "total": "-60.00"}]},
            ],
            "magento": [
                {"state": "processing", "status": "processing", "total_paid": 100, "total_due": 0},
                {"state": "complete", "status": "complete"},
                {"total_refunded": 60},
                {"state": "closed", "status": "closed", "total_refunded": 100},
            ],
        },
        [PLACED, PAID, FULFILLED, ("refunded", "100.00", "60.00"), ("refunded", "100.00", "40.00")],
    ),
    "cancelled before any money came": (
        {
            "shopify": [{}, {"cancelled_at": "2026-10-01T00:00:00Z", "financial_status": "voided"}],
            "woocommerce": [{}, {"status": "cancelled"}],
            "magento": [{}, {"state": "canceled", "status": "canceled", "total_canceled": 100}],
        },
        [PLACED, ("canceled", "100.00", "100.00")],
    ),
    "shipped before it is paid": (
        {
            "shopify": [{}, {"fulfillment_status": "fulfilled"}, {"financial_status": "paid"}],
            "woocommerce": [{}, {"status": "completed"}, {"date_paid_gmt": "2026-10-01T12:05:00"}],
            "magento": [
                {},
                {
                    "state": "processing",
                    "status": "processing",
                    "items": [{**BASES["magento"]["items"][0], "qty_shipped": 2}],
                },
                {"state": "complete", "status": "complete", "total_paid": 100, "total_due": 0},
            ],
        },
        [PLACED, FULFILLED, PAID],
    ),
    "seen only when all was over": (
        {
            "shopify": [
                {
                    "financial_status": "partially_refunded",
                    "fulfillment_status": "fulfilled",
                    "current_total_price": "70.00",
                    "refunds": given_back("10.00", "20.00"),
                }
            ],
            "woocommerce": [
                {
                    "status": "completed",
                    "date_paid_gmt": "2026-09-30T12:05:00",
                    "refunds": [{"id": 11, "total": "-20.00"}, {"id": 10, "total": "-10.00"}],
                }
            ],
            "magento": [{"state": "complete", "status": "complete", "total_paid": 100, "total_due": 0, "total_refunded": 30}],
        },
        [PLACED, PAID, FULFILLED, ("refunded", "100.00", "30.00")],
    ),
}


@pytest.mark.parametrize("platform", BASES)
@pytest.mark.parametrize("course", COURSES)
def test_the_same_course_is_told_alike(course: str, platform: str) -> None:
    histories, expected = COURSES[course]
    assert tell(orders_of(platform, histories[platform])) == expected


# What only one platform can do.
SHOPIFY: Mapping[str, tuple[History, list[Event]]] = {
    "paid, given back whole, and cancelled with it": (
        [
            {"financial_status": "paid"},
            {
                "cancelled_at": "2026-10-01T00:00:00Z",
                "financial_status": "refunded",
                "current_total_price": "0.00",
                "refunds": given_back("100.00"),
            },
        ],
        [PLACED, PAID, ("refunded", "100.00", "100.00"), ("canceled", "100.00", None)],
    ),
    "partly given back, then cancelled with the rest": (
        [
            {"financial_status": "partially_refunded", "current_total_price": "70.00", "refunds": given_back("30.00")},
            {
                "cancelled_at": "2026-10-01T00:00:00Z",
                "financial_status": "refunded",
                "current_total_price": "0.00",
                "refunds": given_back("30.00", "70.00"),
            },
        ],
        [PLACED, PAID, ("refunded", "100.00", "30.00"), ("refunded", "100.00", "70.00"), ("canceled", "100.00", None)],
    ),
    "cancelled, and the shop keeps the shipping": (
        [
            {"financial_status": "paid"},
            {
                "cancelled_at": "2026-10-01T00:00:00Z",
                "financial_status": "partially_refunded",
                "current_total_price": "10.00",
                "refunds": given_back("90.00"),
            },
        ],
        [PLACED, PAID, ("refunded", "100.00", "90.00"), ("canceled", "100.00", None)],
    ),
    "cancelled at once, the money given back later": (
        [
            {"financial_status": "paid"},
            {"cancelled_at": "2026-10-01T00:00:00Z", "current_total_price": "0.00"},
            {"financial_status": "refunded", "refunds": given_back("100.00")},
        ],
        [PLACED, PAID, ("canceled", "100.00", "100.00"), ("updated", "100.00", None)],
    ),
    "cancelled while the shop still holds the money, then given back": (
        [
            {"financial_status": "paid"},
            {"cancelled_at": "2026-10-01T00:00:00Z"},
            {"financial_status": "refunded", "current_total_price": "0.00", "refunds": given_back("100.00")},
        ],
        [PLACED, PAID, ("canceled", "100.00", None), ("refunded", "100.00", "100.00")],
    ),
    # total_price keeps lines that were removed again before anything was captured.
    "edited to less, then partly given back": (
        [
            {},
            {"current_total_price": "70.00"},
            {"financial_status": "paid"},
            {"financial_status": "partially_refunded", "current_total_price": "60.00", "refunds": given_back("10.00")},
        ],
        [PLACED, ("updated", "70.00", None), ("paid", "70.00", None), ("refunded", "70.00", "10.00")],
    ),
    "edited to more, then partly given back": (
        [
            {"financial_status": "paid"},
            {"total_price": "120.00", "current_total_price": "120.00"},
            {"financial_status": "partially_refunded", "current_total_price": "110.00", "refunds": given_back("10.00")},
        ],
        [PLACED, PAID, ("updated", "120.00", None), ("refunded", "120.00", "10.00")],
    ),
    "a line taken out, and its price given back a day later": (
        [
            {"financial_status": "paid"},
            {"current_total_price": "80.00"},
            {"financial_status": "partially_refunded", "refunds": given_back("20.00")},
        ],
        [PLACED, PAID, ("updated", "80.00", None), ("refunded", "100.00", "20.00")],
    ),
    "a refund that the bank has not done yet": (
        [
            {"financial_status": "paid"},
            {"refunds": [{"id": 1, "transactions": [{"kind": "refund", "status": "pending", "amount": "20.00", "currency": "USD"}]}]},
        ],
        [PLACED, PAID],
    ),
}
WOOCOMMERCE: Mapping[str, tuple[History, list[Event]]] = {
    # A failed payment can be made good, a refund told cannot be taken back: so the total goes down, and up again.
    "payment failed, then made good": (
        [{}, {"status": "failed"}, {"status": "processing", "date_paid_gmt": "2026-10-01T12:05:00"}],
        [PLACED, ("updated", "0.00", None), PAID],
    ),
    "payment failed, then cancelled": (
        [{}, {"status": "failed"}, {"status": "cancelled"}],
        [PLACED, ("updated", "0.00", None), ("canceled", "100.00", "100.00")],
    ),
    "cancelled after it was paid, then given back": (
        [
            {"status": "processing", "date_paid_gmt": "2026-09-30T12:05:00"},
            {"status": "cancelled"},
            {"refunds": [{"id": 10, "total": "-100.00"}]},
        ],
        [PLACED, PAID, ("canceled", "100.00", None), ("refunded", "100.00", "100.00")],
    ),
}
MAGENTO: Mapping[str, tuple[History, list[Event]]] = {
    # Lines can be cancelled while the order goes on.
    "a part cancelled, the other given back": (
        [
            {},
            {"state": "complete", "status": "complete", "total_paid": 40, "total_due": 0, "total_canceled": 60},
            {"total_refunded": 40, "state": "closed", "status": "closed"},
        ],
        [PLACED, ("paid", "40.00", None), ("fulfilled", "40.00", None), ("refunded", "40.00", "40.00")],
    ),
    "canceled after a part was paid, and that part given back later": (
        [
            {},
            {"state": "canceled", "status": "canceled", "total_paid": 40, "total_due": 60, "total_canceled": 60},
            {"total_refunded": 40},
        ],
        [PLACED, ("canceled", "100.00", "60.00"), ("refunded", "100.00", "40.00")],
    ),
    "nothing to pay": (
        [{"grand_total": 0, "total_due": 0}],
        [("placed", "0.00", None), ("paid", "0.00", None)],
    ),
}


@pytest.mark.parametrize(
    ("platform", "course"),
    [(platform, name) for platform, told in (("shopify", SHOPIFY), ("woocommerce", WOOCOMMERCE), ("magento", MAGENTO)) for name in told],
)
def test_what_only_one_platform_does(platform: str, course: str) -> None:
    history, expected = {"shopify": SHOPIFY, "woocommerce": WOOCOMMERCE, "magento": MAGENTO}[platform][course]
    assert tell(orders_of(platform, history)) == expected


@pytest.mark.parametrize(
    ("platform", "cancelled"),
    [
        ("shopify", {"cancelled_at": "2026-10-01T00:00:00Z", "financial_status": "voided"}),
        ("woocommerce", {"status": "cancelled"}),
        ("magento", {"state": "canceled", "status": "canceled", "total_canceled": 100}),
    ],
)
def test_an_order_that_the_contract_had_told_as_cancelled_counts_nothing_after_the_switch(
    platform: str, cancelled: Mapping[str, Any]
) -> None:
    """There its total had gone to 0; here it is whole again, so that what it lost must be told."""
    [order] = orders_of(platform, [cancelled])
    assert tell([order], lifecycle_of(order)) == [("refunded", "100.00", "100.00")]


@pytest.mark.parametrize(
    ("shipped", "fulfilled"),
    [
        ([(2, 2, 0), (1, 1, 0)], True),
        ([(2, 2, 0), (1, 0, 0)], False),
        ([(2, 2, 0), (1, 0, 1)], True),
        ([(2, 1, 0), (1, 1, 0)], False),
        ([(2, 0, 2), (1, 0, 1)], False),
        ([(2, 0, 0), (1, 0, 0)], False),
        ([], False),
    ],
)
@pytest.mark.parametrize("state", ["processing", "closed"])
def test_magento_is_fulfilled_once_all_that_stands_has_shipped(shipped: list[tuple[int, int, int]], fulfilled: bool, state: str) -> None:
    """Also before it is paid, and after it was given back: the state says neither. Quantities ordered, shipped, cancelled."""
    line = BASES["magento"]["items"][0]
    items = [
        {**line, "item_id": number, "qty_ordered": ordered, "qty_shipped": out, "qty_canceled": cancelled}
        for number, (ordered, out, cancelled) in enumerate(shipped, 1)
    ]
    e_book = {**line, "item_id": 8, "product_type": "downloadable", "qty_shipped": 0}
    child = {**line, "item_id": 9, "parent_item_id": 1, "qty_shipped": 0}
    [order] = orders_of("magento", [{"state": state, "items": [*items, e_book, *([child] if items else [])]}])
    assert order.fulfilled is fulfilled


cents = st.integers(0, 3000).map(lambda amount: Decimal(amount) / 100)


@settings(deadline=None, max_examples=60)
@given(
    parts=st.lists(cents, min_size=1, max_size=3),
    seen=st.lists(st.booleans(), min_size=3, max_size=3),
    cancelled=st.booleans(),
    platform=st.sampled_from(sorted(BASES)),
)
def test_whatever_is_missed_drip_ends_with_what_the_order_holds(
    parts: list[Decimal], seen: list[bool], cancelled: bool, platform: str
) -> None:
    """The sum of the refunds told is the sum of those made; `tell` compares Drip's sum with the order's after every snapshot."""
    snapshots: list[Mapping[str, Any]] = []
    for number in range(1, len(parts) + 1):
        back = sum(parts[:number], Decimal(0))
        states: Mapping[str, Mapping[str, Any]] = {
            "shopify": {
                "financial_status": "partially_refunded",
                "current_total_price": str(100 - back),
                "refunds": given_back(*map(str, parts[:number])),
            },
            "woocommerce": {
                "status": "processing",
                "date_paid_gmt": "2026-09-30T12:05:00",
                "refunds": [{"id": index, "total": f"-{part}"} for index, part in enumerate(parts[:number])],
            },
            "magento": {"state": "processing", "total_paid": 100, "total_due": 0, "total_refunded": float(back)},
        }
        snapshots.append(states[platform])
    over: Mapping[str, Mapping[str, Any]] = {
        "shopify": {"cancelled_at": "2026-10-01T00:00:00Z"},
        "woocommerce": {"status": "cancelled"},
        "magento": {"state": "canceled", "total_canceled": 0},
    }
    history = [snapshot for snapshot, arrived in zip(snapshots[:-1], seen, strict=False) if arrived] + snapshots[-1:]
    history += [over[platform]] if cancelled else []
    events = tell(orders_of(platform, history))
    actions = [action for action, _, _ in events]
    assert sum((Decimal(refund) for _, _, refund in events if refund), Decimal(0)) == sum(parts)
    assert actions[0] == "placed"
    assert all(actions.count(once) <= 1 for once in ("placed", "paid", "fulfilled", "canceled"))
    assert all(Decimal(refund) > 0 for _, _, refund in events if refund is not None)
