"""The loop that sends one account's orders: lanes oldest first, one request at a time, each body stored before it is posted."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row

from adapter.delivery.answers import Answer, Outcome
from adapter.delivery.drip import DEADLINES_S, Drip
from adapter.delivery.lease import Lease
from adapter.delivery.pacing import HOUR, MOST_ORDERS, Demand, Kind, Pacing, Plan
from adapter.delivery.preparing import Post, Preparer
from adapter.delivery.queues import LaneQueue, load_queues
from adapter.delivery.settling import SMALLEST_BATCH, Settler, Trouble
from adapter.errors import DatabaseAway
from adapter.inbox import accounts, reading, sending
from adapter.inbox.adoption import adopt_orders
from adapter.inbox.database import Clock, snapshot, transaction
from adapter.inbox.erasure import still_pending
from adapter.inbox.sending import LONGEST_REQUEST, Lane
from adapter.settings import Account, Settings

log = logging.getLogger(__name__)
_MOST_BYTES = 5_000_000
# As many as make a difference to the pacing; counting further would cost time with every request.
_COUNTED = 4 * MOST_ORDERS
# Beyond a request's deadline, for what is done before and after it.
_PULSE_S = 30.0
_OTHERS_SPEND = timedelta(minutes=1)
# Less than the pulse, so that the lease is kept meanwhile. SQLite is away, too, while others keep it busy.
_SETTLING_S = 20.0
_BETWEEN_SETTLINGS_S = 0.5


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What one look at the database tells."""

    trouble: Trouble
    plan: Plan
    lanes: Sequence[Lane]


class Sender:
    """Sends for one account. `step` does one thing and returns; the caller holds the lease and loops."""

    def __init__(self, engine: Engine, settings: Settings, account: Account, *, lease: Lease, drip: Drip, clock: Clock) -> None:
        self._engine = engine
        self._account = account.id
        self._lease = lease
        self._drip = drip
        self._clock = clock
        self._renamed = [store for store in settings.stores_of(account) if store.aliases]
        self._stores = [store.name for store in settings.stores_of(account)]
        self._limits: dict[Kind, int] = {"single": settings.single_requests_per_hour, "batch": settings.batch_requests_per_hour}
        self._pacing = Pacing(**{f"{kind}_limit": limit for kind, limit in self._limits.items()})
        self._preparer = Preparer(engine, settings, account.id, clock, lease.guard)
        self._settler = Settler(account.id, self._stores, clock)
        self._ledger_of = 0
        self._adopted_of = 0
        self._begun: list[int] = []

    def step(self) -> bool:
        """Settle or send something; whether there was anything to do."""
        self._lease.pulse(DEADLINES_S["batch"] + _PULSE_S)
        self._forgive()
        self._adopt()
        with snapshot(self._engine) as connection:
            self._clock.sync(connection)
            outlook = self._look(connection)
        if outlook is None:
            return False
        self._lease.confirm()
        with transaction(self._engine) as connection:
            queues, plan = self._queues(connection, outlook)
            kind, chosen = self._choose(queues, plan)
            reading.mark_started(connection, [queue.target.id for queue in chosen])
        self._begun = [queue.target.id for queue in chosen]
        posts = _fitting(self._preparer.prepare(chosen))
        if posts:
            self._send("single" if len(posts) == 1 and self._singles_open() else kind, posts, outlook.trouble)
        self._begun = []
        return bool(chosen) or not queues

    def _forgive(self) -> None:
        """Deliveries whose turn the database broke off, and not their payloads, were not begun in vain."""
        if self._begun:
            with transaction(self._engine) as connection:
                reading.unmark_started(connection, self._begun)
            self._begun = []

    def _adopt(self) -> None:
        """With a new lease, take over what the account has of stores under their old names: nobody else sends for it now."""
        if self._adopted_of != self._lease.taken:
            for store in self._renamed:
                adopt_orders(self._engine, self._account, store.name, store.aliases)
            self._adopted_of = self._lease.taken

    # --- looking -------------------------------------------------------------------------------------------------------------------

    def _look(self, connection: Connection) -> _Outlook | None:
        """What to do next; None if nothing is due or allowed."""
        now = self._clock()
        if not self._stores or not sending.any_due(connection, self._stores, now):
            return None
        lease = accounts.lease(connection, self._account)
        if lease is None:
            return None
        self._learn(connection, lease)
        trouble = Trouble(lease.paused_since is not None, lease.outage_since is not None, lease.probe_at, lease.outage_probes)
        if trouble.probing:
            return self._probe(connection, trouble)
        plan = self._pacing.decide(now, Demand(*sending.count_due(connection, self._stores, now, _COUNTED)))
        if not isinstance(plan, Plan):
            return None
        wanted = 1 if plan.kind == "single" else plan.orders
        lanes = sending.due_lanes(connection, self._stores, now, wanted, live_only=plan.live_only)
        return _Outlook(trouble, plan, lanes)

    def _learn(self, connection: Connection, lease: Row[Any]) -> None:
        """Take over what the database knows of the quota: all of it with a new lease, what Drip said at every look."""
        kinds: tuple[Kind, ...] = ("single", "batch")
        for kind in kinds:
            window = self._pacing.windows[kind]
            said = getattr(lease, f"{kind}_limit")
            window.limit = min(self._limits[kind], said) if said is not None else self._limits[kind]
            window.closed_until = getattr(lease, f"{kind}_closed_until")
            if self._ledger_of != self._lease.taken:
                entries = sending.ledger(connection, self._account, kind, self._clock() - HOUR)
                window.load((begun, ended or begun + LONGEST_REQUEST) for begun, ended in entries)
        self._ledger_of = self._lease.taken

    def _probe(self, connection: Connection, trouble: Trouble) -> _Outlook | None:
        """While the account is in trouble one order is tried now and then, each time another one."""
        now, window = self._clock(), self._pacing.windows["single"]
        if (trouble.probe_at is not None and trouble.probe_at > now) or window.is_closed(now) or not window.left(now):
            return None
        probed = self._settler.probed
        lanes = sending.due_lanes(connection, self._stores, now, len(probed) + 1)
        untried = [lane for lane in lanes if lane not in probed]
        if not untried:
            probed.clear()
        lane = (untried or lanes)[0]
        probed.add(lane)
        return _Outlook(trouble, Plan("single", 1, live_only=False), [lane])

    # --- choosing ------------------------------------------------------------------------------------------------------------------

    def _queues(self, connection: Connection, outlook: _Outlook) -> tuple[list[LaneQueue], Plan]:
        """The lanes of a plan. Part of a failed batch goes on as a batch, however fast singles are: it would spend too many of them."""
        now = self._clock()
        queues = load_queues(connection, self._account, outlook.lanes, now)
        if outlook.trouble.probing or outlook.plan.kind == "batch" or not queues or not SMALLEST_BATCH < _most(queues[0]) < MOST_ORDERS:
            return queues, outlook.plan
        if self._pacing.windows["batch"].opens(now, live=True) > now:
            return queues, outlook.plan
        lanes = sending.due_lanes(connection, self._stores, now, MOST_ORDERS)
        return load_queues(connection, self._account, lanes, now), Plan("batch", MOST_ORDERS, live_only=False)

    def _choose(self, queues: list[LaneQueue], plan: Plan) -> tuple[Kind, list[LaneQueue]]:
        """What goes into the request. Suspects go by themselves: what stopped a sender before, and the rest of a batch that failed."""
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
        begun = self._clock()
        with transaction(self._engine) as connection:
            self._lease.guard(connection)
            there = still_pending(connection, [post.queue.target.id for post in posts])  # a shopper may have just been forgotten
            posts = [post for post in posts if post.queue.target.id in there]
            if not posts:
                return
            request_id = sending.begin_request(connection, self._account, kind, begun)
            sending.begin_attempts(connection, request_id, [_attempt(post) for post in posts])
        self._pacing.windows[kind].spend(begun, begun + LONGEST_REQUEST)
        self._lease.still_fresh()
        started = time.monotonic()
        answer = self._drip.post_order(posts[0].body) if kind == "single" else self._drip.post_batch([post.body for post in posts])
        if answer.status is not None:
            self._pacing.windows[kind].ended(begun + LONGEST_REQUEST, self._clock())
            if kind == "single":
                self._pacing.measured(time.monotonic() - started)
        self._settle(request_id, kind, posts, answer, trouble)

    def _settle(self, request_id: int, kind: Kind, posts: Sequence[Post], answer: Answer, trouble: Trouble) -> None:
        """Write down how a request ended, again and again while the database is away: only we know, and Drip would get the orders twice."""
        until = time.monotonic() + _SETTLING_S
        while True:
            try:
                with transaction(self._engine) as connection:
                    # A holder that was stopped in the middle may find that another has repeated its request, and moved on.
                    self._lease.guard(connection)
                    if sending.is_under_way(connection, request_id):  # else only the word of the commit was lost
                        self._settler.settle(connection, request_id, kind, posts, answer, trouble)
                        self._note_quota(connection, kind, answer)
                return
            except DatabaseAway as error:
                if time.monotonic() >= until:
                    raise
                log.warning(str(error), extra={"action": "database_away"})
                time.sleep(_BETWEEN_SETTLINGS_S)

    def _note_quota(self, connection: Connection, kind: Kind, answer: Answer) -> None:
        """Obey a limit of Drip's that is lower than ours, and leave room for others who spend the same quota."""
        window = self._pacing.windows[kind]
        if answer.limit is not None and 0 < answer.limit != window.limit and answer.limit <= self._limits[kind]:
            accounts.set_trouble(connection, self._account, **{f"{kind}_limit": answer.limit})
        now = self._clock()
        if answer.remaining == 0 and answer.outcome != Outcome.THROTTLED and window.left(now) > 1 and not window.is_closed(now):
            accounts.set_trouble(connection, self._account, **{f"{kind}_closed_until": now + _OTHERS_SPEND})


def _attempt(post: Post) -> dict[str, Any]:
    return {
        "delivery_id": post.queue.target.id,
        "action": post.action,
        "body": post.body,
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
