"""From a kept payload to the body that Drip gets, or to the reason why nothing is sent."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine

from adapter.delivery import contexts
from adapter.delivery.queues import LaneQueue
from adapter.delivery.versions import version_of
from adapter.inbox import statements
from adapter.inbox.database import transaction
from adapter.settings import Settings
from mappings import Reason, Rejected, Skip, digest, encode, render

log = logging.getLogger(__name__)
_A_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Post:
    """What is to be posted for a lane."""

    queue: LaneQueue
    action: str
    body: bytes
    digest: str


def memory(account: str, post: Post) -> dict[str, Any]:
    """What is remembered of an order once Drip has it: a row for `statements.remember`."""
    queue = post.queue
    version = queue.version(queue.target)
    return {
        "account": account,
        "store": queue.lane.store,
        "order_id": queue.lane.order_id,
        "snapshot_at": version.snapshot_at,
        "progress": json.dumps([str(rank) for rank in version.progress]),
        "delivery_id": version.delivery_id,
        "digest": post.digest,
    }


def supersede(connection: Connection, queue: LaneQueue, now: datetime) -> None:
    """Settle the snapshots that waited behind a newer one."""
    for row in queue.older():
        skip = Skip(Reason.SUPERSEDED, f"delivery {queue.target.id} holds a newer state of this order")
        statements.skip(connection, row.id, skip, now)


def about(queue: LaneQueue) -> dict[str, Any]:
    """The fields that a log line tells of a lane's target."""
    return {"delivery": queue.target.id, "store": queue.lane.store, "order": queue.lane.order_id}


class Preparer:
    """Maps one account's deliveries, each with its store's options of today."""

    def __init__(
        self, engine: Engine, settings: Settings, account: str, clock: Callable[[], datetime], guard: Callable[[Connection], None]
    ) -> None:
        self._engine = engine
        self._guard = guard
        self._settings = settings
        self._account = account
        self._clock = clock

    def prepare(self, queue: LaneQueue) -> Post | None:
        """What to post for a lane; None if its target was settled without a request."""
        if (attempt := queue.doubtful) is not None:
            return Post(queue, attempt.action, attempt.body, attempt.digest)
        try:
            result = self._map(queue)
        except Rejected as rejected:
            self._kill(queue, rejected.problems)
            return None
        except Exception as error:  # noqa: BLE001 - whatever a payload sets off in the mapping must not stop the others
            self._kill(queue, contexts.crash(error))
            return None
        if isinstance(result, Skip):
            self._skip(queue, result)
            return None
        return self._compare(queue, result)

    def _map(self, queue: LaneQueue) -> Post | Skip:
        source = contexts.source_of(queue.target, self._settings)
        [reading] = source.provider.readings(queue.target.payload, source.context)
        if skip := reading.skip(placed=True):
            return skip
        order = source.provider.map(reading, source.context)
        if abs(order.discrepancy) > _A_CENT * max(1, len(order.items)):
            log.warning("the payload's own sums differ from its total", extra={"action": "sums_differ", **about(queue)})
        action, occurred_at = ("created", order.created_at) if queue.has is None else ("updated", order.updated_at)
        body = render(order, action=action, occurred_at=occurred_at, options=source.context.options)
        return Post(queue, action, encode(body), digest(body))

    def _compare(self, queue: LaneQueue, post: Post) -> Post | None:
        """Hold a body against what Drip has: post it, or settle it as stale or unchanged."""
        if queue.has is None:
            return post
        if queue.version(queue.target) < version_of(queue.has, queue.newest):
            self._skip(queue, Skip(Reason.STALE, "older than what Drip has of this order"))
            return None
        if post.digest != queue.has.digest or queue.target.forced:
            return post
        self._unchanged(queue, post)
        return None

    def _unchanged(self, queue: LaneQueue, post: Post) -> None:
        now = self._clock()
        with transaction(self._engine) as connection:
            self._guard(connection)
            statements.remember(connection, [memory(self._account, post)], now)
            statements.skip(connection, queue.target.id, Skip(Reason.UNCHANGED, "Drip has exactly this of the order already"), now)
            supersede(connection, queue, now)
        log.info("nothing new for Drip", extra={"action": "skipped", "reason": "unchanged", **about(queue)})

    def _skip(self, queue: LaneQueue, skip: Skip) -> None:
        with transaction(self._engine) as connection:
            self._guard(connection)
            statements.skip(connection, queue.target.id, skip, self._clock())
        log.info(skip.detail, extra={"action": "skipped", "reason": str(skip.reason), **about(queue)})

    def _kill(self, queue: LaneQueue, problems: dict[str, list[str]]) -> None:
        with transaction(self._engine) as connection:
            self._guard(connection)
            statements.kill(connection, queue.target.id, problems, self._clock())
        log.warning("cannot be mapped", extra={"action": "dead", **about(queue)})
