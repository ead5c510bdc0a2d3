"""Sends one account's orders: lanes oldest first but stores in turn, one request at a time, each body stored before it is posted.

An order takes three commits: its claim, its body before the request, and the outcome. Only the last two wait for the disk: if the machine
fails, the order is claimed anew.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

from sqlalchemy import Connection, Engine

from adapter.delivery.answers import Outcome
from adapter.delivery.drip import DEADLINES_S, Drip
from adapter.delivery.lease import Lease
from adapter.delivery.pacing import MOST_ORDERS, Kind, Plan
from adapter.delivery.planning import Outlook, Planner, Rest, Trouble
from adapter.delivery.posts import Post
from adapter.delivery.preparing import Preparer
from adapter.delivery.queues import LaneQueue, hold_up, load_queues, may_go
from adapter.delivery.request_ledger import AT_ONCE, RequestLedger
from adapter.delivery.settling import SMALLEST_BATCH, Settler
from adapter.inbox import reading
from adapter.inbox.adoption import adopt_orders
from adapter.inbox.database import Clock, snapshot, transaction
from adapter.inbox.ledger import LONGEST_REQUEST
from adapter.inbox.packing import packing_of
from adapter.inbox.write_turn import in_turns
from adapter.process.time_limit import NO_LIMIT, TimeLimit
from adapter.settings import Account, Settings

_MOST_BYTES = 5_000_000
# Beyond a request's deadline, for what is done before and after it.
_PULSE_S = 30.0
WhileWaiting = Callable[[], AbstractContextManager[None]]
"""Entered while a request is at Drip."""


class Sender:
    """Sends for one account. `step` does one thing and returns; the caller holds the lease and loops."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        account: Account,
        *,
        lease: Lease,
        drip: Drip,
        clock: Clock,
        time_limit: TimeLimit = NO_LIMIT,
        while_waiting: WhileWaiting = nullcontext,
    ) -> None:
        self._engine = engine
        self._account = account.id
        self._while_waiting = while_waiting
        self._lease = lease
        self._drip = drip
        self._packing = packing_of(engine.dialect)
        self._clock = clock
        stores = settings.stores_of(account)
        self._renamed = [store for store in stores if store.aliases]
        limits: dict[Kind, int] = {"single": settings.single_requests_per_hour, "batch": settings.batch_requests_per_hour}
        self._preparer = Preparer(engine, settings, account.id, clock, lease.guard, time_limit)
        fingerprint = account.fingerprint(settings.drip_api_url)
        settler = Settler(account.id, fingerprint, clock)
        self._planner = Planner(account.id, fingerprint, {store.name for store in stores}, limits, lease, clock, settler.probed)
        self._pacing = self._planner.pacing
        self._ledger = RequestLedger(engine, lease, settler, self._pacing, limits, clock)
        self._taken_over = 0
        self._in_hand: list[int] = []
        """The deliveries that are being mapped."""
        self.rest = Rest()
        """After a step without anything to do: when there may be."""
        self.unanswered = False
        """Whether Drip did not answer the last request."""

    def close(self) -> None:
        """Let go of the connection to Drip."""
        self._drip.close()

    def step(self) -> bool:
        """Settle or send something; whether there was anything to do."""
        started = time.monotonic()
        self._lease.pulse(DEADLINES_S["batch"] + _PULSE_S)
        self._take_over()
        with snapshot(self._engine) as connection:
            self._clock.sync(connection)
            outlook = self._planner.look(connection)
        if isinstance(outlook, Rest):
            self.rest = outlook
            self._preparer.forget()
            return False
        self._lease.confirm()
        queues, kind, chosen = self._claim(outlook)
        posts = _fitting(self._preparer.prepare(chosen))
        if posts:
            kind = "single" if len(posts) == 1 and self._singles_open() else kind
            self._send(kind, posts, outlook.trouble)
            if kind == "single":
                self._pacing.measured(time.monotonic() - started)
        elif chosen:
            with transaction(self._engine, synced=False) as connection:
                self._lease.guard(connection)
                self._write_found(connection)
        self._in_hand = []
        self.rest = Rest(self._pacing.windows["single"].opens(self._clock(), live=True), live=True)
        return bool(chosen) or not queues

    def _take_over(self) -> None:
        """With a new lease, see to what the last holder had in hand, and take over what the account has of stores under their old names.

        What a lost database interrupted here is not to blame for that.
        """
        if self._taken_over != self._lease.taken or self._in_hand:
            with transaction(self._engine, synced=False) as connection:
                self._lease.guard(connection)
                reading.take_up_interrupted(connection, self._in_hand, self._account)
            self._in_hand = []
        if self._taken_over != self._lease.taken:
            for store in self._renamed:
                adopt_orders(self._engine, self._account, store.name, store.aliases)
            self._taken_over = self._lease.taken

    # --- choosing ------------------------------------------------------------------------------------------------------------------

    def _claim(self, outlook: Outlook) -> tuple[list[LaneQueue], Kind, list[LaneQueue]]:
        """The lanes that can be sent, and how which of them are sent now. Nobody else sends for this account, so nothing is locked."""
        now = self._clock()
        with snapshot(self._engine) as connection:
            queues, plan = self._queues(connection, outlook, now)
        ready = [queue for queue in queues if may_go(queue, now)]
        self._hold_up([queue for queue in queues if not may_go(queue, now)], now)
        kind, chosen = self._choose(ready, plan)
        if chosen:
            self._in_hand = [queue.target.id for queue in chosen]
            with transaction(self._engine, synced=False) as connection:
                self._lease.guard(connection)
                reading.set_in_hand(connection, self._in_hand, self._account)
        return ready, kind, chosen

    def _hold_up(self, queues: Sequence[LaneQueue], now: datetime) -> None:
        for some in in_turns(self._engine, queues, AT_ONCE):
            with transaction(self._engine) as connection:
                self._lease.guard(connection)
                for queue in some:
                    hold_up(connection, queue, now)

    def _queues(self, connection: Connection, outlook: Outlook, now: datetime) -> tuple[list[LaneQueue], Plan]:
        """The lanes of a plan. Part of a failed batch continues as a batch, however fast singles are: it would spend too many of them."""
        queues = load_queues(connection, self._account, outlook.lanes)
        first = next((queue for queue in queues if may_go(queue, now)), None)
        if outlook.trouble.probing or outlook.plan.kind == "batch" or first is None or not SMALLEST_BATCH < _most(first) < MOST_ORDERS:
            return queues, outlook.plan
        if self._pacing.windows["batch"].opens(now, live=True) > now:
            return queues, outlook.plan
        lanes = self._planner.due(connection, MOST_ORDERS)
        return load_queues(connection, self._account, lanes), Plan("batch", MOST_ORDERS, live_only=False)

    def _choose(self, queues: list[LaneQueue], plan: Plan) -> tuple[Kind, list[LaneQueue]]:
        """What goes into the request. Suspects go alone: what crashed a sender before, and the rest of a batch that failed."""
        together = [queue for queue in queues if not queue.target.starts and _most(queue) > SMALLEST_BATCH]
        if plan.kind == "batch" and together:
            most = _most(together[0])
            return "batch", [queue for queue in together if _most(queue) == most][:most]
        return "single", queues[:1] if plan.kind == "single" or self._singles_open() else []

    def _singles_open(self) -> bool:
        now = self._clock()
        return self._pacing.windows["single"].opens(now, live=True) <= now

    # --- sending -------------------------------------------------------------------------------------------------------------------

    def _write_found(self, connection: Connection) -> None:
        """Record what was found while orders were mapped, and that none is in hand any more."""
        self._preparer.write(connection)
        reading.set_in_hand(connection, (), self._account)

    def _send(self, kind: Kind, posts: Sequence[Post], trouble: Trouble) -> None:
        started = self._clock()
        request_id, posts = self._ledger.begin(kind, posts, started, self._write_found)
        if request_id is None:
            return
        self._pacing.windows[kind].spend(started, started + LONGEST_REQUEST)
        self._lease.still_fresh()
        with self._while_waiting():
            bodies = (self._packing.unpack(post.packed) for post in posts)
            answer = self._drip.post_order(next(bodies)) if kind == "single" else self._drip.post_batch(bodies)
        self.unanswered = answer.status is None
        if answer.status is not None:
            self._pacing.windows[kind].ended(started + LONGEST_REQUEST, self._clock())
        self._ledger.end(request_id, kind, posts, answer, trouble)
        if kind == "batch" and answer.outcome != Outcome.DELIVERED:
            self._preparer.keep(posts)


def _most(queue: LaneQueue) -> int:
    return queue.target.most_together or MOST_ORDERS


def _fitting(posts: Iterable[Post]) -> list[Post]:
    """As many as fit into one request; the others are not even mapped."""
    size, fitting = 0, list[Post]()
    for post in posts:
        size += post.size + 1
        if size > _MOST_BYTES and fitting:
            break
        fitting.append(post)
    return fitting
