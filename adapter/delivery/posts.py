"""What is posted to Drip, and what it leaves behind."""

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from adapter.delivery.queues import LaneQueue
from adapter.inbox import settling
from adapter.inbox.packing import Packed
from mappings import Reason, Skip

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """One order to post, and the lane it belongs to."""

    queue: LaneQueue
    action: str
    packed: Packed
    """The body as it is stored."""
    size: int
    """Bytes of the body."""
    digest: str
    lifecycle: str | None
    """The value of `orders.lifecycle` once Drip has accepted this."""
    last: bool = True
    """Whether the snapshot needs no further request after this one."""
    looked_up: str | None = None
    """JSON: where each product's page and image address came from."""


def memory(account: str, post: Post) -> dict[str, Any]:
    """What to remember of an order once Drip has it: a row for `settling.remember`."""
    queue = post.queue
    version = queue.version
    return {
        "account": account,
        "store": queue.lane.store,
        "order_id": queue.lane.order_id,
        "snapshot_at": version.snapshot_at,
        "progress": json.dumps([str(rank) for rank in version.progress]),
        "received_at": version.received_at,
        "delivery_id": version.delivery_id,
        "digest": post.digest,
        "lifecycle": post.lifecycle,
    }


def supersede(connection: Connection, queue: LaneQueue, now: datetime) -> None:
    """Skip the older snapshots that waited in the same lane."""
    for row in queue.older():
        skip = Skip(Reason.SUPERSEDED, f"delivery {queue.target.id} holds a newer state of this order")
        settling.skip(connection, row.id, skip, now)
        log.info(skip.detail, extra={"action": "skipped", "reason": str(skip.reason), **about(queue), "delivery": row.id})


def about(queue: LaneQueue) -> dict[str, Any]:
    """The log fields that identify a lane's target."""
    return {"delivery": queue.target.id, "store": queue.lane.store, "order": queue.lane.order_id}
