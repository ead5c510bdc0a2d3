"""What becomes of an order and of its account after each answer of Drip's, and what a settled or reopened delivery's row holds."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from adapter.inbox import settling
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.tables import deliveries
from tests.support.adapter_under_test import AdapterUnderTest, shopify_order

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def post(adapter: AdapterUnderTest, *order_ids: int) -> None:
    for order_id in order_ids:
        adapter.post(shopify_order(order_id))
    adapter.read()


def settle_after(adapter: AdapterUnderTest, **passed: float) -> None:
    adapter.clock.advance(**passed)
    adapter.settle()


def change(adapter: AdapterUnderTest, *which: int, **values: Any) -> None:
    with transaction(adapter.engine) as connection:
        connection.execute(update(deliveries).where(deliveries.c.id.in_(which)).values(values))


def columns(adapter: AdapterUnderTest, *names: str) -> list[tuple[Any, ...]]:
    """These columns of all deliveries, the oldest first."""
    with snapshot(adapter.engine) as connection:
        return [tuple(row) for row in connection.execute(select(*(deliveries.c[name] for name in names)).order_by(deliveries.c.id))]


def requested(adapter: AdapterUnderTest) -> list[str]:
    return [request["order_id"] for request in adapter.requests_made()]


class TestAnOutage:
    def test_it_begins_with_the_third_order_and_is_probed_after_five_seconds(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=503)
        post(adapter, 1, 2, 3)
        sender = adapter.senders[adapter.trouble().account]
        for failing, outage in ((1, False), (2, False), (3, True)):
            assert sender.step()
            assert (len(requested(adapter)), adapter.trouble().outage_since is not None) == (failing, outage)
        assert adapter.trouble().probe_at - adapter.clock.now == timedelta(seconds=5)

    def test_one_order_that_fails_three_times_is_none(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=503)
        post(adapter, 1)
        for minutes in (0, 1, 10):
            settle_after(adapter, minutes=minutes)
        assert requested(adapter) == ["1"] * 3
        assert adapter.trouble().outage_since is None

    def test_an_answer_of_drips_in_between_is_a_new_beginning(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=503, order_id="1")
        adapter.tell_drip(status=503, order_id="2")
        adapter.tell_drip(status=503, order_id="4")
        post(adapter, 1, 2, 3, 4)
        adapter.settle()
        assert adapter.trouble().outage_since is None

    def test_what_paused_the_account_before_is_still_the_reason_after_it(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=401, times=1)
        adapter.tell_drip(status=503, times=3)
        adapter.tell_drip(status=401)
        post(adapter, 1, 2, 3, 4, 5)
        adapter.settle()
        paused = adapter.trouble()
        for _ in range(3):
            settle_after(adapter, minutes=6)
        assert adapter.trouble().outage_since is not None
        assert (adapter.trouble().pause_reason, adapter.trouble().paused_since) == (paused.pause_reason, paused.paused_since)
        settle_after(adapter, minutes=6)
        assert adapter.trouble().outage_since is None
        assert (adapter.trouble().pause_reason, adapter.trouble().paused_since) == (paused.pause_reason, paused.paused_since)
        assert adapter.trouble().probe_at - adapter.clock.now == timedelta(minutes=5)

    def test_a_probe_that_fails_and_then_passes_charges_nothing(self, adapter: AdapterUnderTest) -> None:
        """Only if another order passes next can the one before be the cause."""
        adapter.tell_drip(status=503)
        post(adapter, 1, 2, 3, 4)
        adapter.settle()
        settle_after(adapter, seconds=5)
        assert requested(adapter) == ["1", "2", "3", "4"]
        change(adapter, 1, 2, 3, state="skipped", reason="stale")
        adapter.drip_recovers()
        settle_after(adapter, seconds=10)
        assert columns(adapter, "state", "failed")[3] == ("delivered", 0)

    def test_the_order_of_a_failed_probe_is_tried_again_within_seconds(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=503, times=4)
        post(adapter, 1, 2, 3, 4, 5)
        adapter.settle()
        settle_after(adapter, seconds=5)
        settle_after(adapter, seconds=10)
        assert columns(adapter, "state", "failed", "due_at")[3] == ("pending", 1, adapter.clock.now + timedelta(seconds=5))
        assert columns(adapter, "state")[4] == ("delivered",)


class TestAPausedAccount:
    @pytest.mark.parametrize(
        ("status", "advice"),
        [
            (401, "check DRIP_API_KEY or DRIP_ACCESS_TOKEN"),
            (402, "the Drip account's plan needs attention"),
            (410, "check DRIP_API_URL"),
            (451, "check the Drip account"),
        ],
    )
    def test_its_reason_names_what_to_check(self, adapter: AdapterUnderTest, status: int, advice: str) -> None:
        adapter.tell_drip(status=status)
        post(adapter, 1)
        adapter.settle()
        assert adapter.trouble().pause_reason == f"Drip answered {status}: {advice}"

    def test_a_refused_order_waits_for_another_one_to_pass(self, adapter: AdapterUnderTest) -> None:
        """Nothing shows yet that the order is to blame."""
        adapter.tell_drip(status=401, times=1)
        adapter.tell_drip(status=422, order_id="2")
        post(adapter, 1, 2)
        adapter.settle()
        settle_after(adapter, minutes=6)
        assert (requested(adapter), adapter.states()) == (["1", "2"], ["pending", "pending"])
        settle_after(adapter, minutes=6)
        assert adapter.states() == ["delivered", "dead"]

    def test_an_order_refused_alone_while_others_pass_is_dead_and_no_sign_of_a_fault_of_ours(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=401, times=1)
        adapter.tell_drip(status=422, order_id="2")
        post(adapter, 1, 2)
        adapter.settle()
        for _ in range(3):
            settle_after(adapter, minutes=6)
        assert adapter.states() == ["delivered", "dead"]
        assert adapter.trouble().paused_since is None

    def test_after_a_batch_its_second_order_is_tried_and_then_the_next(self, adapter: AdapterUnderTest) -> None:
        adapter.senders[adapter.trouble().account]._pacing.single_takes_s = 1000.0
        adapter.tell_drip(status=401)
        adapter.post({"orders": [shopify_order(order_id) for order_id in range(1, 5)]})
        adapter.settle()
        for _ in range(2):
            settle_after(adapter, minutes=6)
        assert [(request["kind"], request["orders"]) for request in adapter.requests_made()] == [("batch", 4), ("single", 1), ("single", 1)]
        assert requested(adapter)[1:] == ["2", "3"]


class TestARefusedBatch:
    def test_its_halves_go_at_once_and_its_orders_spend_no_attempt(self, adapter: AdapterUnderTest) -> None:
        adapter.senders[adapter.trouble().account]._pacing.single_takes_s = 1000.0
        adapter.tell_drip(status=422, kind="batch", times=1)
        adapter.post({"orders": [shopify_order(order_id) for order_id in range(1, 5)]})
        adapter.read()
        assert adapter.senders[adapter.trouble().account].step()
        waiting = columns(adapter, "state", "failed", "most_together", "due_at")[1:]
        assert {row[:3] for row in waiting} == {("pending", 0, 2)}
        assert all(due_at <= adapter.clock.now for *_, due_at in waiting)

    def test_one_without_a_clear_answer_waits_some_seconds(self, adapter: AdapterUnderTest) -> None:
        adapter.senders[adapter.trouble().account]._pacing.single_takes_s = 1000.0
        adapter.tell_drip(status=500, kind="batch", times=1)
        adapter.post({"orders": [shopify_order(order_id) for order_id in range(1, 4)]})
        adapter.read()
        assert adapter.senders[adapter.trouble().account].step()
        in_seconds = adapter.clock.now + timedelta(seconds=5)
        assert columns(adapter, "failed", "most_together", "due_at")[1:] == [(0, 1, in_seconds)] * 3


class TestRows:
    def test_a_settled_delivery_starts_afresh_if_it_is_opened_again(self, adapter: AdapterUnderTest) -> None:
        adapter.post(shopify_order(1))
        adapter.post(shopify_order(2, email=""))
        adapter.settle()
        change(adapter, 1, 2, starts=2, failed=3, most_together=7, forced=False)
        with transaction(adapter.engine) as connection:
            assert settling.reopen(connection, deliveries.c.id.in_([1, 2]), at=adapter.clock(), forced=True) == [1, 2]
        assert columns(adapter, "state", "starts", "failed", "most_together", "forced") == [("pending", 0, 0, None, True)] * 2
        change(adapter, 1, 2, starts=1)
        adapter.settle()
        assert adapter.states() == ["delivered", "skipped:no_email"]
        assert columns(adapter, "starts", "forced")[0] == (0, False)
        assert columns(adapter, "starts")[1] == (0,)

    def test_a_copy_of_a_dead_delivery_keeps_its_place_before_retries(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=422, times=1)
        adapter.post(shopify_order(1), webhook_id="w")
        adapter.settle()
        assert adapter.states() == ["dead"]
        [before] = columns(adapter, "priority")
        adapter.post(shopify_order(1), webhook_id="w")
        assert columns(adapter, "state", "priority") == [("pending", *before)]

    def test_in_doubt_and_sent_early_it_is_tried_again_when_it_was_due(self, adapter: AdapterUnderTest) -> None:
        """A newer snapshot waits behind a request of which nobody knows the outcome: that is repeated first, and costs no attempt."""
        adapter.tell_drip(drop=True, times=2)
        adapter.post(shopify_order(1))
        adapter.settle()
        [(failed, due_at)] = columns(adapter, "failed", "due_at")
        assert failed == 1
        adapter.post(shopify_order(1, minutes=1, total="90.00"))
        adapter.settle()
        assert requested(adapter) == ["1", "1"]
        later = max(due_at, adapter.clock.now + timedelta(seconds=5))
        assert columns(adapter, "failed", "due_at") == [(1, later), (0, later)]
