"""Sends one account's orders: lanes oldest first but stores in turn, one request at a time, each body stored before it is posted.

An order takes three commits: its claim, its body before the request, and the outcome. Only the last two wait for the disk: if the machine
fails, the order is claimed anew.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine

from adapter.delivery.answers import Answer, Outcome
from adapter.delivery.drip import DEADLINES_S, Drip
from adapter.delivery.lease import Lease
from adapter.delivery.pacing import MOST_ORDERS, Kind, Plan
from adapter.delivery.planning import Outlook, Planner, Rest, Trouble
from adapter.delivery.preparing import Post, Preparer
from adapter.delivery.queues import LaneQueue, load_queues
from adapter.delivery.settling import SMALLEST_BATCH, Settler
from adapter.errors import DatabaseAway
from adapter.inbox import accounts, ledger, reading
from adapter.inbox.adoption import adopt_orders
from adapter.inbox.database import Clock, snapshot, transaction
from adapter.inbox.ledger import LONGEST_REQUEST
from adapter.inbox.packing import Packing, packing_of
from adapter.process.time_limit import NO_LIMIT, TimeLimit
from adapter.settings import Account, Settings

log = logging.getLogger(__name__)
_MOST_BYTES = 5_000_000
# Beyond a request's deadline, for what is done before and after it.
_PULSE_S = 30.0
_OTHERS_SPEND = timedelta(minutes=1)
# Less than the pulse, so that the lease is kept meanwhile. SQLite is away, too, while others keep it busy.
_SETTLING_S = 20.0
_BETWEEN_SETTLINGS_S = 0.5
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
        self._clock = clock
        stores = settings.stores_of(account)
        self._renamed = [store for store in stores if store.aliases]
        self._limits: dict[Kind, int] = {"single": settings.single_requests_per_hour, "batch": settings.batch_requests_per_hour}
        self._preparer = Preparer(engine, settings, account.id, clock, lease.guard, time_limit)
        fingerprint = account.fingerprint(settings.drip_api_url)
        self._settler = Settler(account.id, fingerprint, clock)
        self._planner = Planner(account.id, fingerprint, {store.name for store in stores}, self._limits, lease, clock, self._settler.probed)
        self._pacing = self._planner.pacing
        self._adopted_of = 0
        self._started: list[int] = []
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
        self._unmark_interrupted()
        self._adopt()
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
        elif self._preparer.has_found:
            with transaction(self._engine) as connection:
                self._preparer.write(connection)
        self._started = []
        self.rest = Rest(self._pacing.windows["single"].opens(self._clock(), live=True), live=True)
        return bool(chosen) or not queues

    def _unmark_interrupted(self) -> None:
        """A lost database interrupted these: their payloads are not to blame."""
        if self._started:
            with transaction(self._engine) as connection:
                reading.unmark_started(connection, self._started)
            self._started = []

    def _adopt(self) -> None:
        """With a new lease, take over what the account has of stores under their old names: nobody else sends for it now."""
        if self._adopted_of != self._lease.taken:
            for store in self._renamed:
                adopt_orders(self._engine, self._account, store.name, store.aliases)
            self._adopted_of = self._lease.taken

    # --- choosing ------------------------------------------------------------------------------------------------------------------

    def _claim(self, outlook: Outlook) -> tuple[list[LaneQueue], Kind, list[LaneQueue]]:
        """The lanes that can be sent, and how which of them are sent now."""
        with transaction(self._engine, synced=False) as connection:
            queues, plan = self._queues(connection, outlook)
            kind, chosen = self._choose(queues, plan)
            self._started = [queue.target.id for queue in chosen]
            if chosen:
                reading.mark_started(connection, self._started)
        return queues, kind, chosen

    def _queues(self, connection: Connection, outlook: Outlook) -> tuple[list[LaneQueue], Plan]:
        """The lanes of a plan. Part of a failed batch continues as a batch, however fast singles are: it would spend too many of them."""
        now = self._clock()
        queues = load_queues(connection, self._account, outlook.lanes, now)
        if outlook.trouble.probing or outlook.plan.kind == "batch" or not queues or not SMALLEST_BATCH < _most(queues[0]) < MOST_ORDERS:
            return queues, outlook.plan
        if self._pacing.windows["batch"].opens(now, live=True) > now:
            return queues, outlook.plan
        lanes = self._planner.due(connection, MOST_ORDERS)
        return load_queues(connection, self._account, lanes, now), Plan("batch", MOST_ORDERS, live_only=False)

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

    def _send(self, kind: Kind, posts: Sequence[Post], trouble: Trouble) -> None:
        started = self._clock()
        # Packed before the transaction, since on SQLite webhooks wait while it is open.
        attempts = {post.queue.target.id: _attempt(post, packing_of(self._engine.dialect)) for post in posts}
        with transaction(self._engine) as connection:
            self._lease.guard(connection)
            self._preparer.write(connection)
            there = ledger.take_up(connection, [post.queue.target.id for post in posts])  # a shopper's data may just have been erased
            posts = [post for post in posts if post.queue.target.id in there]
            if not posts:
                return
            request_id = ledger.begin_request(connection, self._account, kind, started)
            ledger.begin_attempts(connection, request_id, [attempts[post.queue.target.id] for post in posts])
        self._pacing.windows[kind].spend(started, started + LONGEST_REQUEST)
        self._lease.still_fresh()
        with self._while_waiting():
            answer = self._drip.post_order(posts[0].body) if kind == "single" else self._drip.post_batch([post.body for post in posts])
        self.unanswered = answer.status is None
        if answer.status is not None:
            self._pacing.windows[kind].ended(started + LONGEST_REQUEST, self._clock())
        self._settle(request_id, kind, posts, answer, trouble)

    def _settle(self, request_id: int, kind: Kind, posts: Sequence[Post], answer: Answer, trouble: Trouble) -> None:
        """Record how a request ended, trying again while the database is away: nobody else knows, and Drip would get the orders twice."""
        until = time.monotonic() + _SETTLING_S
        while True:
            try:
                with transaction(self._engine) as connection:
                    # A holder that was stopped in the middle may find that another has repeated its request, and moved on.
                    self._lease.guard(connection)
                    # If its end is recorded already, only the confirmation of that commit was lost.
                    if ledger.end_request(connection, request_id, answer.status, self._clock()):
                        self._settler.settle(connection, request_id, kind, posts, answer, trouble)
                        self._note_quota(connection, kind, answer)
                break
            except DatabaseAway as error:
                if time.monotonic() >= until:
                    raise
                log.warning(str(error), extra={"action": "database_away"})
                time.sleep(_BETWEEN_SETTLINGS_S)
        if kind == "batch" and answer.outcome != Outcome.DELIVERED:
            self._preparer.keep(posts)

    def _note_quota(self, connection: Connection, kind: Kind, answer: Answer) -> None:
        """Obey a limit of Drip's that is lower than ours, and leave room for others who spend the same quota."""
        window = self._pacing.windows[kind]
        if answer.limit is not None and 0 < answer.limit != window.limit and answer.limit <= self._limits[kind]:
            accounts.set_trouble(connection, self._account, **{f"{kind}_limit": answer.limit})
        now = self._clock()
        if answer.remaining == 0 and answer.outcome != Outcome.THROTTLED and window.left(now) > 1 and not window.is_closed(now):
            accounts.set_trouble(connection, self._account, **{f"{kind}_closed_until": now + _OTHERS_SPEND})


def _attempt(post: Post, packing: Packing) -> dict[str, Any]:
    return {
        "delivery_id": post.queue.target.id,
        "action": post.action,
        "body": packing.pack(post.body),
        "digest": post.digest,
        "lifecycle": post.lifecycle,
        "looked_up": post.looked_up,
    }


def _most(queue: LaneQueue) -> int:
    return queue.target.most_together or MOST_ORDERS


def _fitting(posts: list[Post]) -> list[Post]:
    """As many as fit into one request."""
    size = 0
    for index, post in enumerate(posts):
        size += len(post.body) + 1
        if size > _MOST_BYTES and index:
            return posts[:index]
    return posts
