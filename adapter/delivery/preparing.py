"""Turns stored payloads into the bodies to post to Drip, or into the reason why nothing is sent."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from adapter.catalog.catalog import Catalog, Completed, LookupTime
from adapter.delivery.lifecycle import next_event, stored
from adapter.delivery.lost_products import may_lack_products, with_lost_products
from adapter.delivery.posts import Post, about, memory, supersede
from adapter.delivery.queues import LaneQueue
from adapter.delivery.trials import Trials
from adapter.inbox import sending, settling, sources
from adapter.inbox.counters import count_each
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.packing import packing_of
from adapter.inbox.public_address import LearnedAddress
from adapter.monitoring.error_reporting import report
from adapter.process.time_limit import NO_LIMIT, TimeLimit
from adapter.settings import Settings, Store
from mappings import VOCABULARIES, Order, Reason, Rejected, Skip, digest, encode, render

log = logging.getLogger(__name__)
_MOST_KEPT = 1000
# Mapped orders are many times as large as what they are made from, so there are few at a time.
_MOST_MAPPED, _MOST_MAPPED_BYTES = 100, 250_000


@dataclass(frozen=True, slots=True)
class _Draft:
    """A mapped snapshot whose products have not been looked up yet."""

    queue: LaneQueue
    store: Store
    order: Order


def _pieces(queues: Sequence[LaneQueue]) -> Iterator[Sequence[LaneQueue]]:
    """Few enough at a time to be mapped together."""
    begun = size = 0
    for index, queue in enumerate(queues):
        size += len(queue.target.packed or b"")
        if size > _MOST_MAPPED_BYTES or index - begun == _MOST_MAPPED - 1:
            yield queues[begun : index + 1]
            begun, size = index + 1, 0
    if begun < len(queues):
        yield queues[begun:]


Mapped = TypeVar("Mapped")


class Preparer:
    """Maps one account's deliveries, each with the current options of its store."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        account: str,
        clock: Callable[[], datetime],
        guard: Callable[[Connection], None],
        time_limit: TimeLimit = NO_LIMIT,
    ) -> None:
        self._engine = engine
        self._packing = packing_of(engine.dialect)
        self._guard = guard
        self._time_limit = time_limit
        self._trials = Trials(settings)
        self._settings = settings
        self._account = account
        self._clock = clock
        self._catalog = Catalog(engine, settings, clock, writes_itself=False)
        self._learned = LearnedAddress(engine, settings)
        self._differing: list[str] = []
        self._kept: dict[int, Post] = {}

    def keep(self, posts: Sequence[Post]) -> None:
        """Keep the bodies of a batch that failed: its parts are the same orders again."""
        self._kept = {post.queue.target.id: post for post in posts} | (self._kept if len(self._kept) < _MOST_KEPT else {})

    def forget(self) -> None:
        """Drop what was kept."""
        self._kept = {}

    def prepare(self, queues: Sequence[LaneQueue]) -> Iterator[Post]:
        """What to post for these lanes, in the same order; lanes whose target was settled without a request are left out."""
        self._learned.refresh()
        time_left = LookupTime()
        for some in _pieces(queues):
            yield from self._prepare_some(some, time_left)

    def _prepare_some(self, queues: Sequence[LaneQueue], time_left: LookupTime) -> list[Post]:
        started = [self._begin(queue) for queue in queues]
        drafts = [each for each in started if isinstance(each, _Draft)]
        completed = iter(self._catalog.complete_some([(draft.store, draft.order) for draft in drafts], time_left))
        ready = (self._finish(each, next(completed)) if isinstance(each, _Draft) else each for each in started)
        return [post for post in ready if post is not None]

    def _begin(self, queue: LaneQueue) -> Post | _Draft | None:
        if (attempt := queue.unconfirmed) is not None:
            last = attempt.action in VOCABULARIES["contract"]  # a lifecycle event may have others behind it
            body = self._packing.unpack(attempt.packed)
            return self._post(queue, attempt.action, body, digest=attempt.digest, lifecycle=attempt.lifecycle, last=last)
        kept = self._kept.pop(queue.target.id, None)
        if kept is not None and (kept.queue.has, kept.queue.newest) == (queue.has, queue.newest):
            return replace(kept, queue=queue)
        return self._guarded(queue, lambda: self._map_in_time(queue))

    def _post(self, queue: LaneQueue, action: str, body: bytes, **more: Any) -> Post:
        return Post(queue=queue, action=action, packed=self._packing.pack(body), size=len(body), **more)

    def _finish(self, draft: _Draft, completed: Completed) -> Post | None:
        post = self._guarded(draft.queue, lambda: self._render_in_time(draft, completed))
        return self._compare(draft, post) if post is not None else None

    def _guarded(self, queue: LaneQueue, work: Callable[[], Mapped | Skip]) -> Mapped | None:
        """The result of `work`; None if it settled the delivery instead."""
        try:
            result = work()
        except Rejected as rejected:
            self._kill(queue, rejected.problems)
            return None
        except Exception as error:  # noqa: BLE001 - one payload that crashes the mapping must not stop the others
            report(error)
            self._kill(queue, sources.crash(error))
            return None
        if isinstance(result, Skip):
            self._skip(queue, result)
            return None
        return result

    def _map_in_time(self, queue: LaneQueue) -> _Draft | Skip:
        if queue.target.starts:  # it may have ended a sender
            self._trials.check(queue.target, self._packing.unpack(queue.target.packed))
        with self._time_limit():
            return self._map(queue)

    def _render_in_time(self, draft: _Draft, completed: Completed) -> Post:
        with self._time_limit():
            return self._render(draft, completed)

    def _map(self, queue: LaneQueue) -> _Draft | Skip:
        source = sources.source_of(queue.target, self._settings)
        [reading] = source.provider.readings(self._packing.unpack(queue.target.packed), source.context)
        if skip := reading.skip(placed=True):
            return skip
        order = source.provider.map(reading, source.context)
        if order.unexplained:
            self._differing.append(queue.lane.store)
            log.warning("the amounts in the payload do not add up to its total", extra={"action": "sums_differ", **about(queue)})
        return _Draft(queue, source.store, order)

    def write(self, connection: Connection) -> None:
        """Record what was found on the way, in the caller's transaction: products, and payloads whose amounts do not add up."""
        self._catalog.write(connection)
        differing, self._differing = self._differing, []
        count_each(connection, "sums_differ", "store", differing)

    def _render(self, draft: _Draft, completed: Completed) -> Post:
        options, queue = self._learned.applied_to(draft.store.options), draft.queue
        following = next_event(self._with_lost_products(queue, completed.order), queue.has, options.vocabulary)
        order = following.order
        body = render(
            order,
            action=following.action,
            occurred_at=order.created_at if queue.has is None else order.updated_at,
            options=options,
            refund_amount=following.refund_amount,
        )
        return self._post(
            queue,
            following.action,
            encode(body),
            digest=digest(body),
            lifecycle=stored(following.after),
            last=following.last,
            looked_up=json.dumps(completed.looked_up) if completed.looked_up else None,
        )

    def _with_lost_products(self, queue: LaneQueue, order: Order) -> Order:
        if queue.has is None or not may_lack_products(order):
            return order
        with snapshot(self._engine) as connection:
            return with_lost_products(order, sending.last_body(connection, self._account, queue.lane))

    def _compare(self, draft: _Draft, post: Post) -> Post | None:
        """Compare a body with what Drip has: post it, or settle it as stale, unchanged or fully sent."""
        queue = draft.queue
        if queue.has is None:
            return post
        if queue.is_stale:
            self._skip(queue, Skip(Reason.STALE, "older than the state of this order that Drip has"))
            return None
        if post.action != "updated" or post.digest != queue.has.digest or queue.target.forced:
            return post
        by_event = draft.store.options.vocabulary == "lifecycle"
        self._unchanged(queue, post, fully_sent=by_event and queue.has.delivery_id == queue.target.id)
        return None

    def _unchanged(self, queue: LaneQueue, post: Post, *, fully_sent: bool) -> None:
        now = self._clock()
        with transaction(self._engine) as connection:
            self._guard(connection)
            settling.remember(connection, [memory(self._account, post)], now)
            if fully_sent:  # by this very delivery, one event at a time
                settling.deliver(connection, [queue.target.id], now, requests=0)
            else:
                settling.skip(connection, queue.target.id, Skip(Reason.UNCHANGED, "Drip already has exactly this state of the order"), now)
            supersede(connection, queue, now)
        ended = {"action": "delivered"} if fully_sent else {"action": "skipped", "reason": str(Reason.UNCHANGED)}
        log.info("nothing new for Drip", extra={**ended, **about(queue)})

    def _skip(self, queue: LaneQueue, skip: Skip) -> None:
        with transaction(self._engine) as connection:
            self._guard(connection)
            settling.skip(connection, queue.target.id, skip, self._clock())
        log.info(skip.detail, extra={"action": "skipped", "reason": str(skip.reason), **about(queue)})

    def _kill(self, queue: LaneQueue, problems: dict[str, list[str]]) -> None:
        with transaction(self._engine) as connection:
            self._guard(connection)
            settling.kill(connection, queue.target.id, problems, self._clock())
        log.warning("cannot be mapped", extra={"action": "dead", **about(queue)})
