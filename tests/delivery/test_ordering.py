"""In order: whatever arrives, however Drip answers, and wherever a sender ends, Drip's picture of an order only moves forward.

A hypothesis state machine over the real parts, on real databases, against a model of ten lines (`Model`).
"""

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import Engine, event

from adapter.delivery.sender import Sender
from adapter.inbox.database import transaction
from adapter.inbox.tables import metadata
from adapter.sandbox import running_sandbox
from adapter.web import webhooks
from tests.support.adapter_under_test import ACCOUNT, AdapterUnderTest, Clock, make_settings, shopify_order

ORDERS = {"1": "shopify", "2": "shopify", "3": "woocommerce", "4": "woocommerce"}
"""Shopify's idempotency key names a webhook; WooCommerce's is a body's hash."""
_MOST_STEPS = 500
Fault = dict[str, Any]
FAULTS: dict[str, Fault] = {
    "500, lost": {"status": 500},
    "500, taken": {"status": 500, "record": True},
    "503, lost": {"status": 503},
    "503, taken": {"status": 503, "record": True},
    "422": {"status": 422},
    "429": {"status": 429, "headers": {"Retry-After": "30"}},
    "429, no word of when": {"status": 429},
    "dropped, lost": {"drop": True},
    "dropped, taken": {"drop": True, "record": True},
    "404 for batches": {"status": 404, "kind": "batch"},
}


@dataclass(frozen=True)
class Arrival:
    """A snapshot that arrived: `who` is its shopper, by which its body is recognised."""

    who: str
    minute: int
    progress: tuple[int, ...]
    at: datetime

    def overtakes(self, earlier: "Arrival") -> bool:
        """Later by the store's time; of the same time, further on, or more than a minute later here."""
        if self.minute != earlier.minute:
            return self.minute > earlier.minute
        return self.progress >= earlier.progress or self.at - earlier.at > timedelta(minutes=1)


class Model:
    """What Drip must have in the end: of each order that was ever placed, its newest snapshot."""

    def __init__(self) -> None:
        self.arrivals: dict[str, list[Arrival]] = {order: [] for order in ORDERS}
        self.placed: set[str] = set()
        self.refusable: set[str] = set()

    def arrived(self, order: str, arrival: Arrival, *, placed: bool) -> None:
        self.arrivals[order].append(arrival)
        self.placed |= {order} if placed else set()

    def copy_arrived(self, order: str, who: str, at: datetime) -> None:
        """A WooCommerce body again: a copy, unless another state of the order has arrived since."""
        arrivals = self.arrivals[order]
        if arrivals[-1].who != who:
            first = next(arrival for arrival in arrivals if arrival.who == who)
            arrivals.append(replace(first, at=at))

    def newest(self, order: str) -> str | None:
        """Whose snapshot wins, each compared with the winner before it; None if the order was never placed."""
        if order not in self.placed:
            return None
        newest, *later = self.arrivals[order]
        for arrival in later:
            newest = arrival if arrival.overtakes(newest) else newest
        return newest.who

    def may_follow(self, order: str, earlier: str, later: str) -> bool:
        """Whether a snapshot of the one may be sent after one of the other."""
        arrivals = enumerate(self.arrivals[order])
        pairs = ((x, y) for x, y in itertools.permutations(arrivals, 2) if (x[1].who, y[1].who) == (earlier, later))
        return any(y.overtakes(x) if i < j else not x.overtakes(y) for (i, x), (j, y) in pairs)


def _shopify(order_id: int, minute: int, who: str, placed: bool, refunded: int) -> dict[str, Any]:
    paid = {"current_total_price": str(100 - refunded)} | ({"financial_status": "partially_refunded"} if refunded else {})
    refunds = [{"transactions": [{"kind": "refund", "status": "success", "amount": str(refunded)}]}] if refunded else []
    state = paid if placed else {"cancelled_at": "2026-09-30T12:00:00Z", "financial_status": "voided"}
    return shopify_order(order_id, minutes=minute, email=who, refunds=refunds, **state)


def _woocommerce(order_id: int, minute: int, who: str, placed: bool, refunded: int) -> dict[str, Any]:
    return {
        "id": order_id,
        "status": "processing" if placed else "cancelled",
        "total": "100.00",
        "currency": "USD",
        "billing": {"email": who},
        "line_items": [],
        "refunds": [{"id": 1, "total": f"-{refunded}.00"}] if refunded else [],
        "date_created_gmt": "2026-09-30T12:00:00",
        "date_modified_gmt": f"2026-09-30T12:0{minute}:00",
        "date_paid_gmt": "2026-09-30T12:00:00" if placed else None,
        "_links": {"self": [{"href": f"https://woo.example/wp-json/wc/v3/orders/{order_id}"}]},
    }


DOCUMENTS: dict[str, Callable[[int, int, str, bool, int], dict[str, Any]]] = {"shopify": _shopify, "woocommerce": _woocommerce}


class _CrashError(Exception):
    """The sender's process ends here."""


class Ordering(RuleBasedStateMachine):
    """One store's orders on their way to one account."""

    engine: Engine
    sandbox_url: str
    tally: dict[str, int]

    def __init__(self) -> None:
        super().__init__()
        with transaction(self.engine) as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
        self.adapter = AdapterUnderTest(self.engine, make_settings(self.sandbox_url), self.sandbox_url, Clock())
        self.adapter.drip_forgets()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(webhooks, "datetime", SimpleNamespace(now=lambda zone: self.adapter.clock()))
        self.model = Model()
        self.posted: list[tuple[str, str, dict[str, Any]]] = []
        self.numbers = itertools.count(1)

    # --- what happens

    @initialize(
        arrivals=st.lists(st.tuples(st.sampled_from(sorted(ORDERS)), st.integers(0, 5), st.sampled_from([True, True, False])), min_size=4)
    )
    def a_busy_day_begins(self, arrivals: list[tuple[str, int, bool]]) -> None:
        for order, minute, placed in arrivals[:12]:
            self.a_snapshot_arrives(order, minute, placed)
        self.adapter.read()

    @rule(
        order=st.sampled_from(sorted(ORDERS)),
        minute=st.integers(0, 5),
        placed=st.sampled_from([True, True, True, False]),
        refunded=st.sampled_from([0, 0, 5]),
    )
    def a_snapshot_arrives(self, order: str, minute: int, placed: bool, refunded: int = 0) -> None:
        """Of any age: in order or late, or in the same second as another; some cancelled before any money stayed."""
        number = next(self.numbers)
        who = f"shopper{number}@example.com"
        refunded = refunded if placed else 0
        document = DOCUMENTS[ORDERS[order]](int(order), minute, who, placed, refunded)
        if ORDERS[order] == "shopify":  # what is cancelled ranks above what is paid
            progress: tuple[int, ...] = (refunded, not placed)
        else:  # what is paid ranks above what was cancelled unpaid
            progress = (refunded, placed)
        self._post(order, who, document)
        self.model.arrived(order, Arrival(who, minute, progress, self.adapter.clock()), placed=placed)

    @rule(order=st.sampled_from(sorted(ORDERS)), minutes=st.permutations(range(4)))
    def a_few_arrive_in_any_order(self, order: str, minutes: list[int]) -> None:
        for minute in minutes:
            self.a_snapshot_arrives(order, minute, placed=True)

    @rule(
        order=st.sampled_from(["1", "3", "4"]),
        minute=st.integers(6, 9),
        seconds=st.sampled_from([75, 75, 31, 1]),
        meanwhile=st.sampled_from(["sent", "sent", "read", "nothing"]),
    )
    def a_change_is_undone(self, order: str, minute: int, seconds: int, meanwhile: str) -> None:
        """A refund is made and deleted, and the store's time of the order does not move: A, B, and A again."""
        for refunded in (0, 5):
            self.a_snapshot_arrives(order, minute, placed=True, refunded=refunded)
            self.adapter.clock.advance(seconds=seconds)
            if meanwhile != "nothing":
                self.adapter.read()
            if meanwhile == "sent":
                self._settle()
        self.a_copy_arrives(len(self.posted) - 2)

    @precondition(lambda self: self.posted)
    @rule(which=st.integers(0, 1000))
    def a_copy_arrives(self, which: int) -> None:
        order, who, document = self.posted[which % len(self.posted)]
        self._deliver(order, who, document)
        if ORDERS[order] == "woocommerce":
            self.model.copy_arrived(order, who, self.adapter.clock())

    @rule()
    def the_reader_reads(self) -> None:
        self.adapter.read()

    @rule(steps=st.integers(1, 4))
    def the_sender_sends(self, steps: int) -> None:
        for _ in range(steps):
            self._sender.step()

    @rule()
    def all_settles(self) -> None:
        self._settle()

    @rule(steps=st.integers(1, 3))
    def a_backlog_builds_up(self, steps: int) -> None:
        """As if singles took so long that anything goes in batches."""
        self._sender._pacing.single_takes_s = 1000.0
        self.the_sender_sends(steps)

    @rule(name=st.sampled_from(sorted(FAULTS)), order=st.sampled_from([None, None, *sorted(ORDERS)]), times=st.sampled_from([1, 1, 2, 4]))
    def drip_will_answer_otherwise(self, name: str, order: str | None, times: int) -> None:
        self.adapter.tell_drip(**FAULTS[name], order_id=order, times=times)
        if name == "422":
            self.model.refusable |= {order} if order else set(ORDERS)

    @rule()
    def drip_recovers(self) -> None:
        self.adapter.drip_recovers()

    @rule(
        where=st.sampled_from(["before the request", "after the request", "before the commit"]),
        order=st.sampled_from(sorted(ORDERS)),
        minute=st.integers(3, 9),
    )
    def the_sender_crashes(self, where: str, order: str, minute: int) -> None:
        """Its bodies are stored by then; another takes over."""
        sender = self._sender
        self._let_crash(sender, where)
        self.a_snapshot_arrives(order, minute, placed=True)
        self.adapter.read()
        try:
            for _ in range(3):
                sender.step()
        except _CrashError:
            self.tally[where] = self.tally.get(where, 0) + 1
        self.another_takes_the_lease()

    @rule()
    def another_takes_the_lease(self) -> None:
        self.adapter.senders[ACCOUNT.id] = self.adapter.new_sender(ACCOUNT)

    @rule(seconds=st.sampled_from([1, 6, 31, 75, 310, 900, 4 * 3600]))
    def time_goes_by(self, seconds: int) -> None:
        self.adapter.clock.advance(seconds=seconds)

    # --- what must be true in the end

    def teardown(self) -> None:
        self.patch.undo()
        self.adapter.drip_recovers()
        deadline = 200
        while self._waits():
            self._settle()
            self.adapter.clock.advance(minutes=10) if deadline > 100 else self.adapter.clock.advance(hours=6)
            deadline -= 1
            assert deadline, f"still waiting: {self.adapter.states()}"
        entries: dict[str, list[dict[str, Any]]] = {order: [] for order in ORDERS}
        for entry in self.adapter.received():
            entries[entry["order_id"]].append(entry)
        refused = {row.order_id for row in self.adapter.rows() if row.state == "dead"}
        assert refused <= self.model.refusable, "an order is dead that Drip never refused"
        for order, bodies in entries.items():
            self._check(order, bodies, refused=order in refused)
        self.tally["examples"] = self.tally.get("examples", 0) + 1
        self.tally["orders at Drip"] = self.tally.get("orders at Drip", 0) + sum(map(len, entries.values()))

    def _check(self, order: str, bodies: list[dict[str, Any]], *, refused: bool) -> None:
        sent = [body["email"] for body in bodies]
        assert [body["action"] for body in bodies[:1]] in ([], ["created"])
        if refused:  # which of its snapshots Drip took is Drip's affair; that they came in order, and each as it was, is ours
            return
        assert (sent[-1] if sent else None) == self.model.newest(order), f"order {order} ended as {sent}: {self.model.arrivals[order]}"
        for earlier, later in itertools.pairwise(bodies):
            if json.dumps(earlier) == json.dumps(later):
                self.tally["repetitions"] = self.tally.get("repetitions", 0) + 1
            else:
                assert later["action"] == "updated"
                assert self.model.may_follow(order, earlier["email"], later["email"]), f"order {order} went back: {sent}"
        self.tally["returns"] = self.tally.get("returns", 0) + (len({*sent}) < len([who for who, _ in itertools.groupby(sent)]))

    # --- by hand

    @property
    def _sender(self) -> Sender:
        return self.adapter.senders[ACCOUNT.id]

    def _let_crash(self, sender: Sender, where: str) -> None:
        settle = sender._ledger._settler.settle

        def crash(*args: Any) -> Any:
            if where == "before the commit":
                settle(*args)
            raise _CrashError

        if where == "before the request":
            sender._drip = cast(Any, SimpleNamespace(post_order=crash, post_batch=crash))
        else:
            sender._ledger._settler = cast(Any, SimpleNamespace(settle=crash))

    def _post(self, order: str, who: str, document: dict[str, Any]) -> None:
        self._deliver(order, who, document)
        self.posted.append((order, who, document))

    def _deliver(self, order: str, who: str, document: dict[str, Any]) -> None:
        self.adapter.clock.advance(milliseconds=1)
        store = ORDERS[order]
        topic = {"shopify": "orders/updated", "woocommerce": "order.updated"}[store]
        assert self.adapter.post(document, store=store, topic=topic, webhook_id=who).status_code == 200

    def _settle(self) -> None:
        self.adapter.read()
        for _ in range(_MOST_STEPS):
            if not self._sender.step():
                return
        raise AssertionError(f"the sender never comes to rest: {self.adapter.states()}")

    def _waits(self) -> bool:
        return any(row.state == "pending" for row in self.adapter.rows())


def _quickened(engine: Engine) -> Engine:
    """Its commits wait for no disk: here a sender ends by an exception, and the database never."""
    quick = "PRAGMA synchronous = OFF" if engine.dialect.name == "sqlite" else "SET synchronous_commit = off"

    @event.listens_for(engine, "connect")
    def hurry(connection: Any, record: Any) -> None:
        connection.execute(quick)
        if engine.dialect.name == "postgresql":
            connection.commit()

    engine.dispose()
    return engine


@pytest.fixture(scope="module")
def sandbox_url() -> Iterator[str]:
    with running_sandbox(enforce_limits=False) as sandbox:
        yield sandbox.url


@pytest.mark.slow
@pytest.mark.no_cover
def test_every_order_ends_as_its_newest_snapshot_and_never_goes_back(engine: Engine, sandbox_url: str) -> None:
    machine = type("Bound", (Ordering,), {"engine": _quickened(engine), "sandbox_url": sandbox_url, "tally": {}})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12 if engine.dialect.name == "sqlite" else 8,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    tally: dict[str, int] = machine.tally  # type: ignore[attr-defined]
    print(tally)
    assert tally["before the request"] > 0, "no crash was tried"
    assert tally["after the request"] > 0
    assert tally["before the commit"] > 0
    assert tally["repetitions"] > 0, "the outcome of no request was ever unknown"
    assert tally["returns"] > 0, "no order ever returned to an earlier state"


@pytest.mark.parametrize("status", [429, 404])
def test_a_doubt_outlives_an_answer_that_says_nothing_of_it(engine: Engine, sandbox_url: str, status: int) -> None:
    adapter = AdapterUnderTest(engine, make_settings(sandbox_url), sandbox_url)
    adapter.drip_forgets()
    adapter.tell_drip(times=1, drop=True, record=True)
    adapter.tell_drip(times=1, status=status)
    adapter.post(shopify_order(1, total="1.00"))
    adapter.settle()
    adapter.clock.advance(minutes=6)
    adapter.settle()  # the repetition is told off
    adapter.post(shopify_order(1, minutes=1, total="2.00"))
    for _ in range(2):
        adapter.clock.advance(minutes=6)
        adapter.settle()
    assert adapter.actions() == [("created", 1.0), ("created", 1.0), ("updated", 2.0)]
    first, again, _ = adapter.received()
    assert first == again
