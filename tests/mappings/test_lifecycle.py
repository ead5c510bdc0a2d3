"""The lifecycle vocabulary: which events of a snapshot Drip still lacks, given those it has."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mappings import LifecycleState, Order, as_sent, lifecycle_of, unsent_events

HUNDRED = Decimal(100)
ORDER = Order(
    provider="shopify",
    order_id="9",
    email="ada.shopper@example.com",
    created_at=datetime(2026, 9, 30, 12, 0, tzinfo=UTC),
    updated_at=datetime(2026, 9, 30, 12, 0, tzinfo=UTC),
    grand_total=HUNDRED,
    original_total=HUNDRED,
    order_url="https://shop.example/orders/9",
)


def order(*, refunded: int = 0, **more: Any) -> Order:
    """The order of 100 with what has happened to it; what was given back is gone from its total."""
    return replace(ORDER, refunded_total=Decimal(refunded), **{"grand_total": HUNDRED - refunded, **more})


def owed(snapshot: Order, sent: LifecycleState | None) -> list[tuple[str, Decimal | None]]:
    return [(event.action, event.refund_amount) for event in unsent_events(snapshot, sent)]


class TestUnsentEvents:
    def test_an_order_new_to_drip_starts_with_placed_whatever_else_happened(self) -> None:
        everything = order(paid=True, fulfilled=True, refunded=100, canceled=True)
        assert owed(order(), None) == [("placed", None)]
        assert owed(everything, None) == [
            ("placed", None), ("paid", None), ("fulfilled", None), ("refunded", HUNDRED), ("canceled", None),
        ]  # fmt: skip

    def test_each_event_carries_the_state_after_it(self) -> None:
        """So that they can be sent and remembered one by one."""
        snapshot = order(paid=True, refunded=30)
        sent: LifecycleState | None = None
        for _ in range(3):
            first, *rest = unsent_events(snapshot, sent)
            assert [event.action for event in unsent_events(snapshot, first.after)] == [event.action for event in rest]
            sent = first.after
        assert (sent, unsent_events(snapshot, sent)) == (LifecycleState(paid=True, refunded=Decimal(30)), [])

    @pytest.mark.parametrize(
        "sent", [LifecycleState(paid=True), LifecycleState(paid=True, fulfilled=True, canceled=True, refunded=HUNDRED)]
    )
    def test_an_event_is_not_sent_twice_even_if_it_no_longer_holds(self, sent: LifecycleState) -> None:
        assert owed(order(paid=sent.paid, fulfilled=sent.fulfilled), sent) == []
        assert owed(order(), sent) == []

    def test_a_refund_is_the_part_not_sent_yet(self) -> None:
        assert owed(order(refunded=45), LifecycleState(refunded=Decimal(30))) == [("refunded", Decimal(15))]
        assert owed(order(refunded=30), LifecycleState(refunded=Decimal(30))) == []
        assert owed(order(refunded=20), LifecycleState(refunded=Decimal(30))) == []

    @pytest.mark.parametrize(
        ("refunded", "left", "sent", "taken_back"),
        [
            (0, 0, 0, [("canceled", HUNDRED)]),
            (0, 100, 0, [("canceled", None)]),
            (0, 40, 0, [("canceled", Decimal(60))]),
            (30, 0, 30, [("canceled", Decimal(70))]),
            (30, 0, 10, [("refunded", Decimal(20)), ("canceled", Decimal(70))]),
            (90, 10, 0, [("refunded", Decimal(90)), ("canceled", None)]),
        ],
        ids=["nothing captured", "all kept", "a part kept", "refund to come", "refund missed and to come", "shipping kept"],
    )
    def test_a_cancellation_takes_back_what_the_order_no_longer_holds(
        self, refunded: int, left: int, sent: int, taken_back: list[tuple[str, Decimal | None]]
    ) -> None:
        snapshot = order(canceled=True, refunded=refunded, grand_total=Decimal(left))
        assert owed(snapshot, LifecycleState(refunded=Decimal(sent))) == taken_back

    def test_what_a_cancellation_took_back_is_not_taken_back_again_when_it_is_paid_out(self) -> None:
        [canceled] = unsent_events(order(canceled=True, grand_total=Decimal(40)), LifecycleState())
        assert canceled.after == LifecycleState(canceled=True, refunded=Decimal(60))
        assert owed(order(canceled=True, refunded=60, grand_total=Decimal(40)), canceled.after) == []
        assert owed(order(canceled=True, refunded=100), canceled.after) == [("refunded", Decimal(40))]


class TestOrderedTotal:
    @pytest.mark.parametrize(
        ("original", "refunded", "left", "canceled", "ordered"),
        [
            (100, 0, 100, False, 100),
            (100, 30, 70, False, 100),
            (100, 100, 0, False, 100),
            (100, 0, 80, False, 80),
            (100, 10, 70, False, 80),
            (100, 0, 120, False, 120),
            (100, 10, 100, False, 110),
            (100, 150, 0, True, 150),
            (100, 0, 0, True, 100),
            (100, 30, 0, True, 100),
            (100, 0, 100, True, 100),
        ],
        ids=[
            "untouched", "refund in part", "refund whole", "edited to less", "edited, then refund", "edited to more",
            "edited to more, then refund", "refund of more than the original, cancelled", "cancelled", "cancelled, refund in part",
            "cancelled, all kept",
        ],
    )  # fmt: skip
    def test_it_follows_edits_and_not_refunds(self, original: int, refunded: int, left: int, canceled: bool, ordered: int) -> None:
        snapshot = order(original_total=Decimal(original), refunded=refunded, grand_total=Decimal(left), canceled=canceled)
        assert snapshot.ordered_total == ordered
        assert snapshot.ordered_total - snapshot.lost_total == snapshot.grand_total

    @pytest.mark.parametrize(
        ("snapshot", "sent", "ordered"),
        [
            (order(refunded=30), None, 100),
            (order(refunded=30), LifecycleState(refunded=Decimal(10)), 100),
            (order(refunded=30), LifecycleState(refunded=Decimal(30)), 100),
            (order(refunded=0), LifecycleState(refunded=Decimal(30)), 130),
            (order(), LifecycleState(canceled=True, refunded=HUNDRED), 200),
            (order(canceled=True, grand_total=Decimal(0)), LifecycleState(refunded=Decimal(30)), 100),
        ],
        ids=["new", "a refund to send", "all sent", "a refund deleted", "reopened", "canceled after a refund was deleted"],
    )
    def test_drip_ends_with_what_the_order_holds_even_if_a_refund_was_taken_back(
        self, snapshot: Order, sent: LifecycleState | None, ordered: int
    ) -> None:
        assert as_sent(snapshot, sent).ordered_total == ordered
        last = ([event.after for event in unsent_events(snapshot, sent)] or [sent or LifecycleState()])[-1]
        assert ordered - last.refunded == snapshot.grand_total


def test_the_lifecycle_of_an_order_itself() -> None:
    snapshot = order(paid=True, canceled=True)
    assert lifecycle_of(snapshot) == LifecycleState(paid=True, canceled=True)
    assert lifecycle_of(snapshot, Decimal(5)).refunded == 5


@given(
    st.lists(st.tuples(st.decimals(0, 16, places=2), st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=6),
    st.booleans(),
)
def test_whatever_snapshots_are_missed_the_refunds_sent_are_the_refunds_made(
    moments: list[tuple[Decimal, bool, bool, bool]], canceled: bool
) -> None:
    refunded, paid, shipped = Decimal(0), False, False
    sent: LifecycleState | None = None
    events: list[tuple[str, Decimal | None]] = []
    for number, (part, pays, ships, missed) in enumerate(moments, 1):
        last = number == len(moments)
        refunded, paid, shipped = refunded + part, paid or pays, shipped or ships
        if missed and not last:
            continue
        snapshot = replace(
            order(paid=paid, fulfilled=shipped), refunded_total=refunded, grand_total=HUNDRED - refunded, canceled=canceled and last
        )
        for event in unsent_events(snapshot, sent):
            events.append((event.action, event.refund_amount))
            sent = event.after
    actions = [action for action, _ in events]
    assert sum((amount for _, amount in events if amount is not None), Decimal(0)) == refunded
    assert actions[0] == "placed"
    assert all(actions.count(once) <= 1 for once in ("placed", "paid", "fulfilled", "canceled"))
    assert all(amount is None or amount > 0 for _, amount in events)
    assert sent == LifecycleState(paid=paid, fulfilled=shipped, canceled=canceled, refunded=refunded)
