"""A payload whose sender chose too few fields is completed from the store's own API, where that may be asked."""

import json
import logging
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapter.delivery import unread
from adapter.inbox import holdups
from adapter.inbox.database import snapshot
from adapter.stores.api import Page, Platform, Window
from adapter.stores.http import Deadline, StoreTrouble
from tests.support.adapter_under_test import AdapterUnderTest, shopify_order

EVENT = {
    "specversion": "1.0",
    "type": "com.adobe.commerce.observer.sales_order_save_commit_after",
    "id": "e1",
    "data": {"key": "k", "value": {"entity_id": 501, "increment_id": "000000501", "status": "processing", "grand_total": 59}},
}
WHOLE = {
    "entity_id": 501,
    "increment_id": "000000501",
    "state": "processing",
    "status": "processing",
    "customer_email": "grace.shopper@example.com",
    "created_at": "2026-09-30 12:00:00",
    "updated_at": "2026-09-30 12:01:00",
    "order_currency_code": "USD",
    "grand_total": 59,
    "items": [{"item_id": 1, "product_id": 77, "sku": "MUG", "name": "Mug", "price": 59, "qty_ordered": 1, "product_type": "simple"}],
}


@dataclass
class Ledger:
    """A store's orders; `fails` makes its API fail."""

    orders: dict[str, Any]
    fails: StoreTrouble | None = None
    bad: Collection[str] = ()
    """Orders for which its API returns something else."""
    asked: list[str] = field(default_factory=list)
    is_slow: Any = field(default_factory=threading.Lock)
    """No request ends while this is held."""
    most_at_once: int = 0
    _under_way: int = 0

    def order(self, order_id: str, deadline: Deadline) -> bytes | None:
        self.asked.append(order_id)
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        with self.is_slow:
            pass
        self._under_way -= 1
        if self.fails:
            raise self.fails
        if order_id in self.bad:
            raise StoreTrouble("magento-shop.example returned 200 with a body that isn't JSON")
        return json.dumps(self.orders[order_id]).encode() if order_id in self.orders else None

    def count(self, window: Window) -> int | None:
        return None

    def note(self, window: Window) -> str:
        return ""

    def pages(self, window: Window, cursor: str = "") -> Iterator[Page]:
        yield from ()


Open = Callable[[Ledger | None], None]


@pytest.fixture
def magento(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Lets the Magento store's API answer from a ledger; None: no credentials are set."""

    def opened(ledger: Ledger | None) -> None:
        platform = Platform(name="magento", sources=lambda _: (), history=lambda _: ledger, registry=lambda _: None, by_hand=lambda *_: [])
        monkeypatch.setattr("adapter.stores.platforms.platforms", lambda: {"magento": platform})

    return opened


def post_event(adapter: AdapterUnderTest, order_id: int = 501, event_id: str = "") -> None:
    event = json.loads(json.dumps(EVENT))
    event["id"], event["data"]["value"]["entity_id"] = event_id or f"e{order_id}", order_id
    assert adapter.post(event, store="magento", topic="com.adobe.commerce.observer.sales_order_save_commit_after").status_code == 200


def test_the_whole_order_is_asked_for_and_sent(adapter: AdapterUnderTest, magento: Open) -> None:
    magento(ledger := Ledger({"501": WHOLE}))
    post_event(adapter)
    adapter.settle()
    assert ledger.asked == ["501"]
    assert adapter.states() == ["skipped:split", "delivered"]
    [order] = adapter.received()
    assert (order["order_id"], order["email"], order["grand_total"]) == ("501", "grace.shopper@example.com", 59)
    [event, whole] = adapter.rows()
    assert "from the store's API" in event.detail
    assert (whole.parent_id, whole.order_number) == (event.id, "000000501")


def test_without_credentials_the_rules_decide(adapter: AdapterUnderTest, magento: Open) -> None:
    magento(None)
    post_event(adapter)
    adapter.settle()
    assert adapter.states() == ["skipped:no_email"]


def test_an_order_that_the_store_does_not_know_is_left_to_the_rules(adapter: AdapterUnderTest, magento: Open) -> None:
    magento(Ledger({}))
    post_event(adapter)
    adapter.settle()
    assert adapter.states() == ["skipped:no_email"]


def test_while_the_store_is_away_the_order_waits(adapter: AdapterUnderTest, magento: Open, caplog: pytest.LogCaptureFixture) -> None:
    magento(ledger := Ledger({"501": WHOLE}, fails=StoreTrouble("magento-shop.example did not answer in time")))
    post_event(adapter)
    with caplog.at_level(logging.WARNING):
        for tries, rest in enumerate((2, 4, 8, 10, 10), 1):  # more often than a delivery may be begun in vain
            adapter.settle()
            assert adapter.states() == ["pending"]
            assert len(ledger.asked) == tries
            adapter.clock.advance(minutes=rest)
    assert "did not answer in time" in caplog.text
    ledger.fails = None
    adapter.settle()
    assert adapter.states() == ["skipped:split", "delivered"]


def held_up(adapter: AdapterUnderTest) -> list[tuple[str, str, float]]:
    """Reason, cause and minutes of what holds up the store."""
    with snapshot(adapter.engine) as connection:
        rows = holdups.current(connection, adapter.clock()).get("magento", [])
    return [(row.reason, row.why, (adapter.clock() - row.since).total_seconds() / 60) for row in rows]


def test_what_the_store_s_api_holds_up_is_known_until_it_responds(adapter: AdapterUnderTest, magento: Open) -> None:
    magento(ledger := Ledger({"501": WHOLE, "502": WHOLE}, fails=StoreTrouble("magento-shop.example returned 401")))
    post_event(adapter)
    for minutes in range(15):
        adapter.settle()
        assert held_up(adapter) == [("store_api", "magento-shop.example returned 401", minutes)]
        adapter.clock.advance(minutes=1)
    post_event(adapter, 502)
    adapter.settle()
    assert [why for _, why, _ in held_up(adapter)] == ["magento-shop.example returned 401"]
    adapter.new_reader()
    ledger.fails = None
    adapter.settle()
    assert held_up(adapter) == []


def test_what_no_reader_tries_again_is_over_by_itself(adapter: AdapterUnderTest, magento: Open) -> None:
    magento(Ledger({}, fails=StoreTrouble("down")))
    post_event(adapter)
    adapter.settle()
    adapter.clock.advance(minutes=4)
    assert held_up(adapter) == []


def test_a_store_that_says_for_how_long_is_left_alone_for_so_long(adapter: AdapterUnderTest, magento: Open) -> None:
    magento(ledger := Ledger({"501": WHOLE}, fails=StoreTrouble("under maintenance", wait_s=600)))
    post_event(adapter)
    for minutes, asked in ((0, 1), (9, 1), (2, 2)):
        adapter.clock.advance(minutes=minutes)
        adapter.settle()
        assert len(ledger.asked) == asked


def test_a_store_that_is_away_for_a_day_makes_a_dead_letter_that_can_be_sent_again(adapter: AdapterUnderTest, magento: Open) -> None:
    magento(ledger := Ledger({"501": WHOLE}, fails=StoreTrouble("magento-shop.example did not answer in time")))
    post_event(adapter)
    adapter.settle()
    adapter.clock.advance(days=1)
    adapter.settle()
    [row] = adapter.rows()
    assert row.state == "dead"
    assert "did not answer in time" in row.problems
    ledger.fails = None
    post_event(adapter)  # a copy opens it again
    adapter.settle()
    assert adapter.states() == ["skipped:split", "delivered"]


def test_a_store_that_has_just_failed_is_left_alone_for_a_while(adapter: AdapterUnderTest, magento: Open) -> None:
    magento(ledger := Ledger({}, fails=StoreTrouble("away")))
    for number in range(5):
        post_event(adapter, 600 + number)
    adapter.settle()
    assert adapter.states() == ["pending"] * 5
    assert ledger.asked == ["600", "601", "602"]
    adapter.clock.advance(minutes=1)
    adapter.settle()
    assert ledger.asked[3:] == ["603"], "not one of those that have failed"


def test_orders_that_alone_fail_hold_up_no_others(adapter: AdapterUnderTest, magento: Open) -> None:
    bad, good = ("600", "602"), [str(number) for number in range(601, 611) if number != 602]
    magento(ledger := Ledger({number: {**WHOLE, "entity_id": int(number)} for number in good}, bad=bad))
    for number in sorted([*bad, *good]):
        post_event(adapter, int(number))
    adapter.settle()
    assert sorted(adapter.states()) == ["delivered"] * 9 + ["pending"] * 2 + ["skipped:split"] * 9
    for _ in range(3):
        adapter.clock.advance(minutes=2)
        adapter.settle()
    assert [ledger.asked.count(number) for number in bad] == [3, 3], "less often each time"
    ledger.orders["611"] = {**WHOLE, "entity_id": 611}
    post_event(adapter, 611)
    adapter.settle()
    with snapshot(adapter.engine) as connection:
        assert holdups.current(connection, adapter.clock()) == {}, "the store's API works"
    adapter.clock.advance(days=1)
    adapter.settle()
    dead = [row for row in adapter.rows() if row.state == "dead"]
    assert [row.order_id for row in dead] == [*bad]
    assert all("isn't JSON" in row.problems for row in dead)


def test_a_store_none_of_whose_first_orders_can_be_read_goes_on_with_the_next(adapter: AdapterUnderTest, magento: Open) -> None:
    bad = tuple(str(number) for number in range(600, 606))
    magento(Ledger({"606": {**WHOLE, "entity_id": 606}, "607": {**WHOLE, "entity_id": 607}}, bad=bad))
    for number in range(600, 608):
        post_event(adapter, number)
    for _ in range(8):
        adapter.settle()
        adapter.clock.advance(minutes=1)
    assert adapter.states().count("delivered") == 2


def test_no_endless_number_waits_and_none_is_lost(adapter: AdapterUnderTest, magento: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "_MOST_WAITING", 2)
    monkeypatch.setattr(unread, "_AT_ONCE", 1)
    magento(ledger := Ledger({str(number): {**WHOLE, "entity_id": number} for number in range(600, 604)}, fails=StoreTrouble("away")))
    for number in range(600, 604):
        post_event(adapter, number)
    adapter.settle()
    assert adapter.states() == ["pending"] * 4
    ledger.fails = None
    adapter.clock.advance(minutes=2)
    adapter.settle()
    assert sorted(adapter.states()) == ["delivered"] * 4 + ["skipped:split"] * 4


def test_a_slow_store_holds_up_no_other_stores_orders(adapter: AdapterUnderTest, magento: Open) -> None:
    magento(ledger := Ledger({str(number): {**WHOLE, "entity_id": number} for number in range(600, 603)}))
    with ledger.is_slow:
        for number in range(600, 603):
            post_event(adapter, number)
        adapter.post(shopify_order())
        adapter.reader.step()
        [live] = [row for row in adapter.rows() if row.store == "shopify"]
        assert live.read_at is not None
        assert adapter.reader.is_fetching
    adapter.settle()
    assert sorted(adapter.states()) == ["delivered"] * 4 + ["skipped:split"] * 3
    assert ledger.most_at_once == 1


def test_webhooks_that_arrived_together_share_one_response(adapter: AdapterUnderTest, magento: Open) -> None:
    magento(ledger := Ledger({"501": WHOLE}))
    for number in range(3):
        post_event(adapter, event_id=f"e{number}")
    adapter.settle()
    assert ledger.asked == ["501"]
    adapter.clock.advance(seconds=1)
    ledger.orders["501"] = {**WHOLE, "grand_total": 60, "updated_at": "2026-09-30 12:02:00"}
    post_event(adapter, event_id="later")
    adapter.settle()
    assert ledger.asked == ["501", "501"]
    assert [order["grand_total"] for order in adapter.received()] == [59, 60]


def test_an_order_that_changes_while_it_is_fetched_is_fetched_again(adapter: AdapterUnderTest, magento: Open) -> None:
    magento(ledger := Ledger({"501": WHOLE}))
    with ledger.is_slow:
        post_event(adapter, event_id="first")
        adapter.reader.step()
        adapter.clock.advance(seconds=1)
        post_event(adapter, event_id="second")
    adapter.settle()
    assert ledger.asked == ["501", "501"]


def test_a_whole_payload_asks_nobody(adapter: AdapterUnderTest, magento: Open) -> None:
    magento(ledger := Ledger({"501": WHOLE}))
    adapter.post(WHOLE, store="magento")
    adapter.settle()
    assert ledger.asked == []
    assert adapter.states() == ["delivered"]
