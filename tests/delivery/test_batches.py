"""Batches, outages and the ledger: real databases, a stand-in for Drip over real HTTP, and a clock that stands still."""

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests as http
from sqlalchemy import Connection, Engine, update

from adapter.delivery import request_ledger
from adapter.delivery.pacing import HOUR
from adapter.errors import DatabaseAway
from adapter.inbox import counters, ledger
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.tables import deliveries, requests
from adapter.settings import Account
from tests.support.adapter_under_test import ACCOUNT, AdapterUnderTest, make_settings, shopify_order


def slow_singles(adapter: AdapterUnderTest) -> None:
    """As if single requests took so long that any backlog outlasts them: the pacing then prefers batches."""
    for sender in adapter.senders.values():
        sender._pacing.single_takes_s = 1000.0


def backlog(adapter: AdapterUnderTest, count: int, *, first: int = 1) -> None:
    """That many orders, one page of them in one webhook."""
    adapter.post({"orders": [shopify_order(order_id) for order_id in range(first, first + count)]})
    adapter.read()


def made(adapter: AdapterUnderTest) -> list[tuple[str, int]]:
    """Kind and number of orders of each request."""
    return [(request["kind"], request["orders"]) for request in adapter.requests_made()]


def by_state(adapter: AdapterUnderTest) -> dict[str, int]:
    counted: dict[str, int] = {}
    for state in adapter.states():
        counted[state] = counted.get(state, 0) + 1
    return counted


def ids_at_drip(adapter: AdapterUnderTest) -> dict[str, str]:
    """The request id that Drip gave each order."""
    entries = http.get(f"{adapter.sandbox_url}/received", timeout=5).json()["orders"]
    return {entry["order"]["order_id"]: entry["request_id"] for entry in entries}


def ids_here(adapter: AdapterUnderTest) -> dict[str, str]:
    return {row.order_id: adapter.attempts(row.id)[0].drip_request_id for row in adapter.rows() if row.order_id}


def settle_until_the_second_part(adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch, *, counts: Callable[[], bool]) -> None:
    """The sender dies when it begins to record the second part since `counts`."""
    commits = itertools.count()

    @contextmanager
    def dies_after_the_first_part(engine: Engine, *, synced: bool = True) -> Iterator[Connection]:
        if counts() and next(commits) == 1:
            sys.exit()
        with transaction(engine, synced=synced) as connection:
            yield connection

    with monkeypatch.context() as patched:
        patched.setattr(request_ledger, "transaction", dies_after_the_first_part)
        with pytest.raises(SystemExit):
            adapter.settle()


class TestParts:
    """A batch is recorded in parts, since on SQLite webhooks wait while one is written."""

    @pytest.fixture(autouse=True)
    def of_two(self, monkeypatch: pytest.MonkeyPatch, adapter: AdapterUnderTest) -> None:
        monkeypatch.setattr(request_ledger, "AT_ONCE", 2)
        slow_singles(adapter)
        backlog(adapter, 5)

    def test_a_batch_of_several_parts_is_one_request(self, adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also if the confirmation of each commit is lost once."""
        commits = itertools.count()

        @contextmanager
        def unconfirmed(engine: Engine, *, synced: bool = True) -> Iterator[Connection]:
            with transaction(engine, synced=synced) as connection:
                yield connection
            if adapter.received() and next(commits) % 2 == 0:
                raise DatabaseAway("the connection to the database of DATABASE_URL was lost")

        monkeypatch.setattr(request_ledger, "transaction", unconfirmed)
        monkeypatch.setattr(request_ledger, "_BETWEEN_TRIES_S", 0)
        adapter.settle()
        assert next(commits) == 6
        assert made(adapter) == [("batch", 5)]
        assert by_state(adapter) == {"skipped:split": 1, "delivered": 5}
        with snapshot(adapter.engine) as connection:
            counted = {(name, labels.get("outcome", "")): value for name, labels, value in counters.totals(connection)}
        assert counted["attempts", "delivered"] == counted["delivered", ""] == 5
        assert ids_here(adapter) == ids_at_drip(adapter)

    def test_a_sender_that_dies_between_parts_repeats_only_what_has_no_outcome(
        self, adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settle_until_the_second_part(adapter, monkeypatch, counts=lambda: bool(adapter.received()))
        assert sorted(adapter.states()) == ["delivered"] * 2 + ["pending"] * 3 + ["skipped:split"]
        first = adapter.received()
        adapter.senders = {ACCOUNT.id: adapter.new_sender(ACCOUNT)}
        adapter.settle()
        assert by_state(adapter) == {"skipped:split": 1, "delivered": 5}
        assert sorted(order["order_id"] for order in adapter.received()[5:]) == ["3", "4", "5"]
        assert all(order in first for order in adapter.received()[5:])

    def test_a_sender_that_dies_while_it_stores_bodies_sends_each_order_once(
        self, adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settle_until_the_second_part(adapter, monkeypatch, counts=lambda: True)
        assert adapter.received() == []
        adapter.senders = {ACCOUNT.id: adapter.new_sender(ACCOUNT)}
        adapter.settle()
        assert sorted(order["order_id"] for order in adapter.received()) == ["1", "2", "3", "4", "5"]
        assert by_state(adapter) == {"skipped:split": 1, "delivered": 5}


class TestBatches:
    @pytest.mark.slow
    def test_a_backlog_that_would_outlast_singles_goes_in_one_batch(self, adapter: AdapterUnderTest) -> None:
        slow_singles(adapter)
        backlog(adapter, 150)
        adapter.settle()
        assert made(adapter) == [("batch", 150)]
        assert by_state(adapter) == {"skipped:split": 1, "delivered": 150}
        assert {order["action"] for order in adapter.received()} == {"created"}
        [attempt] = adapter.attempts(2)
        assert (attempt.kind, attempt.outcome) == ("batch", "delivered")
        assert attempt.drip_request_id

    def test_request_ids_are_kept_with_their_orders(self, adapter: AdapterUnderTest) -> None:
        slow_singles(adapter)
        backlog(adapter, 3)
        adapter.settle()
        assert ids_here(adapter) == ids_at_drip(adapter)

    def test_an_order_is_in_a_batch_once_with_its_newest_snapshot(self, adapter: AdapterUnderTest) -> None:
        for minutes in (1, 2):
            for order_id in range(1, 6):
                adapter.post(shopify_order(order_id, minutes=minutes, total=f"10{minutes}.00"))
        adapter.read()
        slow_singles(adapter)
        adapter.settle()
        assert made(adapter) == [("batch", 5)]
        assert {order["grand_total"] for order in adapter.received()} == {102.0}
        assert by_state(adapter) == {"skipped:superseded": 5, "delivered": 5}

    @pytest.mark.slow
    @pytest.mark.no_cover
    def test_a_short_backlog_goes_singly(self, adapter: AdapterUnderTest) -> None:
        backlog(adapter, 100)
        adapter.settle()
        assert made(adapter) == [("single", 1)] * 100

    @pytest.mark.slow
    @pytest.mark.no_cover
    def test_a_bad_order_in_1000_costs_at_most_12_batches_and_100_singles(self, adapter: AdapterUnderTest) -> None:
        slow_singles(adapter)
        adapter.tell_drip(status=422, order_id="777")
        backlog(adapter, 1000)
        for _ in range(20):
            adapter.settle()
            adapter.clock.advance(minutes=2)
        kinds = [kind for kind, _ in made(adapter)]
        assert kinds.count("batch") <= 12
        assert kinds.count("single") <= 100
        assert by_state(adapter) == {"skipped:split": 1, "delivered": 999, "dead": 1}

    @pytest.mark.slow
    def test_a_batch_that_may_have_arrived_goes_again_from_its_bodies_at_half_the_size(self, adapter: AdapterUnderTest) -> None:
        slow_singles(adapter)
        adapter.tell_drip(status=504, record=True, kind="batch", times=1)
        backlog(adapter, 300)
        adapter.settle()
        adapter.clock.advance(minutes=2)
        adapter.settle()
        adapter.clock.advance(minutes=2)
        adapter.settle()
        assert made(adapter) == [("batch", 300), ("batch", 150), ("batch", 150)]
        bodies: dict[str, list[Any]] = {}
        for order in adapter.received():
            bodies.setdefault(order["order_id"], []).append(order)
        assert all(first == again for first, again in bodies.values())
        assert by_state(adapter)["delivered"] == 300
        assert {row.failed for row in adapter.rows()} == {0}
        assert [attempt.outcome for attempt in adapter.attempts(2)] == ["unknown", "delivered"]

    @pytest.mark.slow
    def test_without_a_batch_address_it_goes_on_singly(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=404, kind="batch")
        backlog(adapter, 20)
        slow_singles(adapter)
        adapter.settle()
        assert made(adapter) == [("batch", 20)] + [("single", 1)] * 20
        assert adapter.trouble().batch_closed_until == adapter.clock.now + timedelta(hours=24)  # then it asks again
        assert by_state(adapter)["delivered"] == 20

    def test_wrong_credentials_pause_from_a_batch_too(self, adapter: AdapterUnderTest) -> None:
        slow_singles(adapter)
        adapter.tell_drip(status=401)
        backlog(adapter, 20)
        adapter.settle()
        assert made(adapter) == [("batch", 20)]
        assert "DRIP_API_KEY" in adapter.trouble().pause_reason
        adapter.drip_recovers()
        adapter.clock.advance(minutes=6)
        adapter.settle()
        assert by_state(adapter)["delivered"] == 20

    @pytest.mark.slow
    def test_a_429_on_batches_leaves_singles_open(self, adapter: AdapterUnderTest) -> None:
        slow_singles(adapter)
        adapter.tell_drip(status=429, kind="batch", headers={"Retry-After": "600"})
        backlog(adapter, 20)
        adapter.settle()
        assert made(adapter) == [("batch", 20)] + [("single", 1)] * 20

    def test_what_stopped_a_sender_before_goes_by_itself(self, adapter: AdapterUnderTest) -> None:
        slow_singles(adapter)
        backlog(adapter, 10)
        with transaction(adapter.engine) as connection:
            connection.execute(update(deliveries).where(deliveries.c.order_id == "4").values(starts=1))
        adapter.settle()
        assert sorted(made(adapter)) == [("batch", 9), ("single", 1)]

    @pytest.mark.slow
    def test_bodies_that_do_not_fit_into_5_mb_go_in_the_next_batch(self, adapter: AdapterUnderTest) -> None:
        wide: dict[str, Any] = {f"note_{number}": "x" * 4_000 for number in range(225)}
        settings = make_settings(adapter.sandbox_url, custom_attributes={name: name for name in wide})
        wider = AdapterUnderTest(adapter.engine, settings, adapter.sandbox_url)
        for order_id in range(1, 9):
            wider.post(shopify_order(order_id, **wide))
        wider.read()
        for sender in wider.senders.values():
            sender._pacing.single_takes_s = 1000.0
        wider.settle()
        assert made(wider) == [("batch", 5), ("batch", 3)]


class TestOutage:
    def test_three_different_orders_in_a_row_are_drips_outage_and_spend_nothing_more(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=503)
        backlog(adapter, 6)
        adapter.settle()
        assert len(made(adapter)) == 3
        assert adapter.trouble().outage_since == adapter.clock.now
        waits = []
        for _ in range(6):
            waits.append((adapter.trouble().probe_at - adapter.clock.now).total_seconds())
            adapter.clock.now = adapter.trouble().probe_at
            adapter.settle()
        assert waits == [5, 10, 20, 40, 60, 60]
        assert sum(row.failed for row in adapter.rows()) == 3

    @pytest.mark.slow
    @pytest.mark.no_cover
    def test_hours_of_503_kill_no_order_and_all_flows_within_a_minute_of_the_return(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=503)
        backlog(adapter, 8)
        end = adapter.clock.now + 3 * HOUR
        adapter.settle()
        while adapter.clock.now < end:
            adapter.clock.now = adapter.trouble().probe_at
            adapter.settle()
        assert len(made(adapter)) <= 3 + 6 + 60 * 3
        assert by_state(adapter)["pending"] == 8
        adapter.drip_recovers()
        adapter.clock.advance(minutes=1)
        adapter.settle()
        adapter.clock.advance(seconds=6)
        adapter.settle()
        assert by_state(adapter)["delivered"] == 8

    def test_each_probe_is_another_order(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=503)
        backlog(adapter, 5)
        adapter.settle()
        for _ in range(2):
            adapter.clock.now = adapter.trouble().probe_at
            adapter.settle()
        assert len({request["order_id"] for request in adapter.requests_made()}) == 5

    @pytest.mark.slow
    def test_three_orders_that_alone_make_drip_fail_stop_nobody(self, adapter: AdapterUnderTest) -> None:
        for order_id in ("1", "2", "3"):
            adapter.tell_drip(status=500, order_id=order_id)
        backlog(adapter, 12)
        adapter.settle()
        adapter.clock.advance(seconds=5)
        adapter.settle()
        assert by_state(adapter)["delivered"] == 9
        # They are tried again by themselves and fail again; whoever comes meanwhile passes.
        backlog(adapter, 1, first=100)
        for _ in range(3):
            adapter.clock.advance(seconds=11)
            adapter.settle()
        assert by_state(adapter)["delivered"] == 10

    def test_an_order_that_failed_a_probe_while_the_next_passed_is_charged(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=503, times=4)
        backlog(adapter, 6)
        adapter.settle()
        adapter.clock.advance(seconds=5)
        adapter.settle()  # the probe with order 4 fails
        adapter.clock.advance(seconds=10)
        adapter.settle()  # the next, with order 5, passes
        assert [row.failed for row in adapter.rows() if row.order_id == "4"] == [1]

    def test_status_says_so(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=503)
        backlog(adapter, 3)
        adapter.settle()
        answer = adapter.web.get("/status")
        assert answer.status_code == 503
        assert "Drip is not responding" in answer.get_json()["why"][0]

    @pytest.mark.slow
    def test_a_captive_portal_is_an_outage_that_loses_nothing_and_is_named(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=200, body="<title>Hotel WiFi</title>", record=False)
        backlog(adapter, 20)
        for _ in range(10):
            adapter.settle()
            adapter.clock.advance(minutes=1)
        assert by_state(adapter)["pending"] == 20
        assert sum(row.failed for row in adapter.rows()) == 3
        [why] = adapter.web.get("/status").get_json()["why"]
        assert 'answered 200 with text/html instead of a JSON object ("Hotel WiFi"); check DRIP_API_URL' in why
        adapter.drip_recovers()
        adapter.clock.advance(minutes=1)
        adapter.settle()
        adapter.clock.advance(seconds=6)
        adapter.settle()
        assert by_state(adapter)["delivered"] == 20
        assert len(adapter.received()) == 20
        assert adapter.trouble().pause_reason is None

    def test_a_portal_that_answers_one_order_alone_does_not_prove_that_drip_accepts_others(self, adapter: AdapterUnderTest) -> None:
        """Order 1 is refused for the account's sake; what is answered since does not come from Drip."""
        adapter.tell_drip(status=403, times=1)
        backlog(adapter, 1)
        adapter.settle()
        adapter.tell_drip(status=200, body="<title>Hotel WiFi</title>", record=False, times=1)
        backlog(adapter, 1, first=50)
        adapter.clock.advance(minutes=6)
        adapter.settle()
        adapter.tell_drip(status=403)
        adapter.clock.advance(minutes=6)
        adapter.settle()
        assert by_state(adapter)["pending"] == 2


class TestLedger:
    def test_the_quota_of_the_hour_holds_across_a_restart(self, adapter: AdapterUnderTest, sandbox_url: str) -> None:
        settings = replace(adapter.settings, single_requests_per_hour=4, batch_requests_per_hour=0)
        adapter = AdapterUnderTest(adapter.engine, settings, sandbox_url, adapter.clock)
        backlog(adapter, 10)
        for _ in range(8):
            adapter.settle()
            adapter.clock.advance(minutes=7)
            adapter.senders = {ACCOUNT.id: adapter.new_sender(ACCOUNT)}
        assert len(made(adapter)) == 4
        adapter.clock.advance(minutes=10)
        adapter.settle()
        assert len(made(adapter)) > 4

    def test_a_request_of_which_no_end_is_known_counts(self, adapter: AdapterUnderTest) -> None:
        with transaction(adapter.engine) as connection:
            ledger.begin_request(connection, ACCOUNT.id, "single", adapter.clock.now - HOUR - timedelta(seconds=30))
            ledger.begin_request(connection, ACCOUNT.id, "single", adapter.clock.now - HOUR - timedelta(seconds=90))
            ledger.begin_request(connection, "another", "single", adapter.clock.now)
        with snapshot(adapter.engine) as connection:
            assert len(ledger.entries(connection, ACCOUNT.id, "single", adapter.clock.now - HOUR)) == 1

    @pytest.mark.slow
    def test_a_lower_limit_of_drips_is_obeyed(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(kind="single", headers={"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "3"})
        adapter.tell_drip(status=404, kind="batch")
        backlog(adapter, 20)
        adapter.settle()
        for _ in range(10):
            adapter.clock.advance(minutes=5)
            adapter.settle()
        assert [kind for kind, _ in made(adapter)].count("single") == 5
        assert adapter.trouble().single_limit == 5

    def test_room_is_left_for_others_who_spend_the_same_quota(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(kind="single", times=1, headers={"X-RateLimit-Remaining": "0"})
        adapter.tell_drip(status=404, kind="batch")
        backlog(adapter, 2)
        adapter.settle()
        assert [kind for kind, _ in made(adapter)].count("single") == 1
        adapter.clock.advance(minutes=1)
        adapter.settle()
        assert by_state(adapter)["delivered"] == 2

    def test_every_request_is_in_the_ledger_with_its_end(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=500, times=1)
        backlog(adapter, 2)
        adapter.settle()
        with snapshot(adapter.engine) as connection:
            rows = connection.execute(requests.select()).all()
        assert sorted((row.kind, row.status) for row in rows) == [("single", 202), ("single", 500)]
        assert all(row.ended_at is not None for row in rows)


def test_two_accounts_do_not_touch_each_other(engine: Engine, sandbox_url: str) -> None:
    settings = make_settings(sandbox_url)
    other = Account(id="other", token="t")
    stores = dict(settings.stores) | {"woocommerce": replace(settings.stores["woocommerce"], account=other)}
    adapter = AdapterUnderTest(engine, replace(settings, stores=stores), sandbox_url)
    adapter.drip_forgets()
    adapter.tell_drip(status=401, account=ACCOUNT.id)
    adapter.post(shopify_order(1))
    woo = {"id": 5, "status": "processing", "total": "1.00", "currency": "USD", "billing": {"email": "a@example.com"}, "line_items": []}
    links = {"_links": {"self": [{"href": "https://woo.example/wp-json/wc/v3/orders/5"}]}, "date_created_gmt": "2026-09-01T00:00:00"}
    adapter.post(woo | links, store="woocommerce", topic="order.created")
    adapter.settle()
    assert adapter.states() == ["pending", "delivered"]
    assert adapter.trouble("other").paused_since is None
    adapter.drip_forgets()
