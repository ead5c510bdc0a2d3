"""Today's vocabulary, sent: step by step, remembered one by one, and never twice."""

import random
from dataclasses import replace
from typing import Any, Literal

import pytest

from adapter.settings import Settings
from tests.support.adapter_under_test import AdapterUnderTest, shopify_order


def speaking(settings: Settings, vocabulary: Literal["contract", "lifecycle"]) -> Settings:
    """The settings with another vocabulary for the Shopify store."""
    store = settings.stores["shopify"]
    spoken = replace(store, options=replace(store.options, vocabulary=vocabulary))
    return replace(settings, stores={**settings.stores, "shopify": spoken})


def again(adapter: AdapterUnderTest, vocabulary: Literal["contract", "lifecycle"] = "lifecycle") -> AdapterUnderTest:
    """The adapter started again with this vocabulary, on the same database."""
    return AdapterUnderTest(adapter.engine, speaking(adapter.settings, vocabulary), adapter.sandbox_url, clock=adapter.clock)


@pytest.fixture
def lively(adapter: AdapterUnderTest) -> AdapterUnderTest:
    """The adapter with a store that speaks today's vocabulary."""
    return again(adapter)


def order(minutes: float = 0, **more: Any) -> dict[str, Any]:
    return shopify_order(minutes=minutes, **{"financial_status": "pending", **more})


def refunded(minutes: float, *amounts: str, total: str = "100.00", left: str) -> dict[str, Any]:
    """The order after these sums were given back."""
    refunds = [
        {"id": number, "transactions": [{"kind": "refund", "status": "success", "amount": amount, "currency": "USD"}]}
        for number, amount in enumerate(amounts)
    ]
    status = "refunded" if left == "0.00" else "partially_refunded"
    return order(minutes, total_price=total, current_total_price=left, refunds=refunds, financial_status=status)


def told(adapter: AdapterUnderTest) -> list[tuple[str, float, float | None]]:
    """Action, grand total and refund of each order that Drip received."""
    return [(order["action"], order["grand_total"], order.get("refund_amount")) for order in adapter.received()]


def test_an_order_paid_at_once_is_placed_and_then_paid(lively: AdapterUnderTest) -> None:
    lively.post(order(financial_status="paid"))
    lively.settle()
    assert told(lively) == [("placed", 100.0, None), ("paid", 100.0, None)]
    assert lively.states() == ["delivered"]
    assert [attempt.action for attempt in lively.attempts(lively.rows()[0].id)] == ["placed", "paid"]


def test_each_refund_carries_what_was_not_sent_yet(lively: AdapterUnderTest) -> None:
    for snapshot in (
        order(0, financial_status="paid"),
        refunded(5, "10.00", left="90.00"),
        refunded(6, "10.00", "15.50", left="74.50"),
        refunded(7, "10.00", "15.50", left="74.50") | {"tags": "vip"},
    ):
        lively.post(snapshot)
        lively.settle()
    assert told(lively)[2:] == [("refunded", 100.0, 10.0), ("refunded", 100.0, 15.5), ("updated", 100.0, None)]


def test_one_snapshot_may_owe_all_of_it(lively: AdapterUnderTest) -> None:
    lively.post(refunded(9, "30.00", left="70.00") | {"fulfillment_status": "fulfilled"})
    lively.settle()
    assert [(action, refund) for action, _, refund in told(lively)] == [
        ("placed", None), ("paid", None), ("fulfilled", None), ("refunded", 30.0),
    ]  # fmt: skip


def test_an_order_never_captured_takes_its_total_back_when_cancelled(lively: AdapterUnderTest) -> None:
    lively.post(order())
    lively.settle()
    lively.post(order(5, cancelled_at="2026-09-30T12:05:00Z", cancel_reason="customer", financial_status="voided"))
    lively.settle()
    assert told(lively) == [("placed", 100.0, None), ("canceled", 100.0, 100.0)]


def test_a_step_that_fails_is_tried_again_and_none_before_it(lively: AdapterUnderTest) -> None:
    lively.post(order(financial_status="paid"))
    lively.read()
    [sender] = lively.senders.values()
    assert sender.step()
    lively.tell_drip(status=503)
    assert sender.step()
    lively.drip_recovers()
    lively.clock.advance(minutes=5)
    lively.settle()
    assert told(lively) == [("placed", 100.0, None), ("paid", 100.0, None)]
    assert lively.states() == ["delivered"]


def test_a_newer_snapshot_takes_over_what_the_older_one_still_owed(lively: AdapterUnderTest) -> None:
    lively.post(order(financial_status="paid"))
    lively.read()
    [sender] = lively.senders.values()
    assert sender.step()  # placed
    lively.post(order(5, financial_status="paid", fulfillment_status="fulfilled"))
    lively.settle()
    assert [action for action, _, _ in told(lively)] == ["placed", "paid", "fulfilled"]
    assert lively.states() == ["skipped:superseded", "delivered"]


def test_a_refund_in_doubt_is_repeated_from_its_stored_body(lively: AdapterUnderTest) -> None:
    lively.post(order(financial_status="paid"))
    lively.settle()
    lively.post(refunded(5, "10.00", left="90.00"))
    lively.read()
    lively.tell_drip(drop=True)
    [sender] = lively.senders.values()
    assert sender.step()
    lively.drip_recovers()
    lively.post(refunded(6, "10.00", "5.00", left="85.00"))
    lively.clock.advance(minutes=5)
    lively.settle()
    assert told(lively)[2:] == [("refunded", 100.0, 10.0), ("refunded", 100.0, 5.0)]
    first = lively.attempts(lively.rows()[1].id)
    assert first[0].body == first[1].body


def test_a_second_sender_goes_on_with_the_step_that_is_next(lively: AdapterUnderTest) -> None:
    lively.post(order(financial_status="paid", fulfillment_status="fulfilled"))
    lively.read()
    [sender] = lively.senders.values()
    assert sender.step()
    [account] = lively.settings.accounts.values()
    lively.senders = {account.id: lively.new_sender(account)}
    lively.settle()
    assert [action for action, _, _ in told(lively)] == ["placed", "paid", "fulfilled"]


def test_switching_to_it_places_no_order_again(adapter: AdapterUnderTest) -> None:
    adapter.post(order(financial_status="paid"))
    adapter.settle()
    lively = again(adapter)
    lively.post(order(5, financial_status="paid", fulfillment_status="fulfilled"))
    lively.settle()
    assert told(lively) == [("created", 100.0, None), ("fulfilled", 100.0, None)]


def test_switching_to_it_makes_up_for_refunds_by_their_sum(adapter: AdapterUnderTest) -> None:
    """Under the contract the total had followed the refund; now it is whole again, and the refund is told."""
    adapter.post(refunded(5, "10.00", left="90.00"))
    adapter.settle()
    lively = again(adapter)
    lively.post(refunded(6, "10.00", left="90.00") | {"tags": "vip"})
    lively.settle()
    assert told(lively) == [("created", 90.0, None), ("refunded", 100.0, 10.0)]


def test_switching_away_takes_no_refund_off_twice(lively: AdapterUnderTest) -> None:
    lively.post(refunded(5, "10.00", left="90.00"))
    lively.settle()
    plain = again(lively, "contract")
    plain.post(refunded(6, "10.00", "20.00", left="70.00"))
    plain.settle()
    # Drip has taken 10 off by itself: 80 - 10 is what is left of the order.
    assert told(plain)[-1] == ("updated", 80.0, None)


@pytest.mark.parametrize("seed", range(6))
def test_shuffled_and_doubled_every_history_ends_alike(lively: AdapterUnderTest, seed: int) -> None:
    history = [
        order(0),
        order(1, financial_status="paid"),
        order(2, financial_status="paid", fulfillment_status="fulfilled"),
        refunded(3, "10.00", left="90.00") | {"fulfillment_status": "fulfilled"},
        refunded(4, "10.00", "5.00", left="85.00") | {"fulfillment_status": "fulfilled"},
    ]
    dice = random.Random(seed)
    shuffled = [*history, *dice.sample(history, 2)]
    dice.shuffle(shuffled)
    for snapshot in shuffled:
        lively.post(snapshot)
        if dice.random() < 0.5:
            lively.settle()
    lively.settle()
    actions = [action for action, _, _ in told(lively)]
    assert actions[0] == "placed"
    for once in ("placed", "paid", "fulfilled"):
        assert actions.count(once) == 1
    assert sum(refund or 0 for _, _, refund in told(lively)) == 15.0
    assert {total for _, total, _ in told(lively)} == {100.0}
    assert "pending" not in lively.states()
