"""In order: whatever arrives, however Drip answers, and wherever a sender ends, Drip's picture of an order only moves forward.

A hypothesis state machine over the real parts, on real databases, against a model of ten lines (`Model`).
"""

import itertools
import json
from collections.abc import Iterator
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
from tests.support.adapter_under_test import ACCOUNT, AdapterUnderTest, Clock, make_settings, shopify_order

ORDERS = ("1", "2", "3", "4")
_MOST_STEPS = 500
Snapshot = tuple[int, int]
"""An order's own time in minutes and the order of arrival: together the version."""
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


class Model:
    """What Drip must have in the end: of each order that was ever placed, its newest snapshot."""

    def __init__(self) -> None:
        self.snapshots: dict[str, dict[str, Snapshot]] = {order: {} for order in ORDERS}
        self.placed: set[str] = set()
        self.refusable: set[str] = set()

    def arrived(self, order: str, who: str, snapshot: Snapshot, *, placed: bool) -> None:
        self.snapshots[order][who] = snapshot
        self.placed |= {order} if placed else set()

    def newest(self, order: str) -> Snapshot | None:
        return max(self.snapshots[order].values()) if order in self.placed else None


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
        self.model = Model()
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.numbers = itertools.count(1)

    # --- what happens

    @initialize(arrivals=st.lists(st.tuples(st.sampled_from(ORDERS), st.integers(0, 5), st.sampled_from([True, True, False])), min_size=4))
    def a_busy_day_begins(self, arrivals: list[tuple[str, int, bool]]) -> None:
        for order, minute, placed in arrivals[:12]:
            self.a_snapshot_arrives(order, minute, placed)
        self.adapter.read()

    @rule(order=st.sampled_from(ORDERS), minute=st.integers(0, 5), placed=st.sampled_from([True, True, True, False]))
    def a_snapshot_arrives(self, order: str, minute: int, placed: bool) -> None:
        """Of any age: in order or late, or in the same second as another; some cancelled before any money stayed."""
        number = next(self.numbers)
        who = f"shopper{number}@example.com"
        canceled = {} if placed else {"cancelled_at": "2026-09-30T12:00:00Z", "financial_status": "voided"}
        document = shopify_order(int(order), minutes=minute, total=f"{number}.00", **canceled, email=who)
        self._post(f"w{number}", document)
        # Of two of the same second, the cancelled one is the later by its rank of progress.
        self.model.arrived(order, who, (2 * minute + (not placed), number), placed=placed)

    @rule(order=st.sampled_from(ORDERS), minutes=st.permutations(range(4)))
    def a_few_arrive_in_any_order(self, order: str, minutes: list[int]) -> None:
        for minute in minutes:
            self.a_snapshot_arrives(order, minute, placed=True)

    @precondition(lambda self: self.posted)
    @rule(which=st.integers(0, 1000))
    def a_copy_arrives(self, which: int) -> None:
        webhook_id, document = self.posted[which % len(self.posted)]
        self.adapter.post(document, webhook_id=webhook_id)

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

    @rule(name=st.sampled_from(sorted(FAULTS)), order=st.sampled_from([None, None, *ORDERS]), times=st.sampled_from([1, 1, 2, 4]))
    def drip_will_answer_otherwise(self, name: str, order: str | None, times: int) -> None:
        self.adapter.tell_drip(**FAULTS[name], order_id=order, times=times)
        if name == "422":
            self.model.refusable |= {order} if order else set(ORDERS)

    @rule()
    def drip_recovers(self) -> None:
        self.adapter.drip_recovers()

    @rule(
        where=st.sampled_from(["before the request", "after the request", "before the commit"]),
        order=st.sampled_from(ORDERS),
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
        versions = [self.model.snapshots[order][body["email"]] for body in bodies]
        assert [body["action"] for body in bodies[:1]] in ([], ["created"])
        if refused:  # which of its snapshots Drip took is Drip's affair; that they came in order, and each as it was, is ours
            return
        assert (versions[-1] if versions else None) == self.model.newest(order), f"order {order} ended as {versions}"
        for earlier, later in itertools.pairwise(range(len(bodies))):
            if versions[later] > versions[earlier]:
                assert bodies[later]["action"] == "updated"
            else:
                assert json.dumps(bodies[later]) == json.dumps(bodies[earlier]), f"order {order} went back: {versions}"
                self.tally["repetitions"] = self.tally.get("repetitions", 0) + 1

    # --- by hand

    @property
    def _sender(self) -> Sender:
        return self.adapter.senders[ACCOUNT.id]

    def _let_crash(self, sender: Sender, where: str) -> None:
        settle = sender._settler.settle

        def crash(*args: Any) -> Any:
            if where == "before the commit":
                settle(*args)
            raise _CrashError

        if where == "before the request":
            sender._drip = cast(Any, SimpleNamespace(post_order=crash, post_batch=crash))
        else:
            sender._settler = cast(Any, SimpleNamespace(settle=crash, probed=sender._settler.probed))

    def _post(self, webhook_id: str, document: dict[str, Any]) -> None:
        assert self.adapter.post(document, webhook_id=webhook_id).status_code == 200
        self.posted.append((webhook_id, document))

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
    assert tally["repetitions"] > 0, "nothing was ever in doubt"


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
