"""Statements that move deliveries between states, and record what Drip has."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    and_,
    bindparam,
    update,
)

from adapter.inbox import counters
from adapter.inbox.sql import inserting, parts
from adapter.inbox.tables import RETRY, Instant, deliveries, orders
from mappings import Skip


def skip(connection: Connection, delivery_id: int, reason: Skip, at: datetime) -> None:
    """pending -> skipped."""
    for store in _settle(connection, delivery_id, at, state="skipped", reason=str(reason.reason), detail=reason.detail):
        counters.count(connection, "skipped", store=store, reason=str(reason.reason))


def skip_all(connection: Connection, chosen: Sequence[tuple[int, str, Skip]], at: datetime) -> None:
    """pending -> skipped for deliveries that the caller has locked: id, store and reason of each."""
    if chosen:
        found = [{"of": of, "at": at, "why": str(why.reason), "more": why.detail} for of, _, why in chosen]
        connection.execute(_SKIP, found)
    for _, store, why in chosen:
        counters.count(connection, "skipped", store=store, reason=str(why.reason))


REFUSED = "Drip refused it"
"""Why a delivery is dead: Drip will never accept its body."""
GIVEN_UP = "given up"
"""Why a delivery is dead: all its attempts failed, and not because of the order."""
_SKIP = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("of"))
    .values(
        state="skipped",
        reason=bindparam("why", type_=Text),
        detail=bindparam("more", type_=Text),
        settled_at=bindparam("at", type_=Instant),
        problems=None,
        starts=0,
    )
)


def kill(connection: Connection, delivery_id: int, problems: Mapping[str, Sequence[str]], at: datetime, *, why: str | None = None) -> None:
    """pending -> dead. `why` is `REFUSED` or `GIVEN_UP`; None if the payload is at fault."""
    for store in _settle(connection, delivery_id, at, state="dead", problems=json.dumps(problems, ensure_ascii=False), detail=why):
        counters.count(connection, "dead", store=store)


def reopen(
    connection: Connection, which: ColumnElement[bool], *, at: datetime, priority: int | None = RETRY, forced: bool = False
) -> Sequence[int]:
    """Back to pending and unread, to be sent again with the current mapping; which deliveries. Erased ones stay as they are."""
    values: dict[str, Any] = {
        "state": "pending", "reason": None, "detail": None, "problems": None, "problems_before": deliveries.c.problems, "settled_at": None,
        "read_at": None, "starts": 0, "failed": 0, "most_together": None, "due_at": at, "forced": forced,
    }  # fmt: skip
    if priority is not None:
        values["priority"] = priority
    kept = update(deliveries).where(which, deliveries.c.payload.is_not(None))
    return connection.execute(kept.values(values).returning(deliveries.c.id)).scalars().all()


def postpone(connection: Connection, ids: Iterable[int], until: datetime) -> None:
    """Let deliveries wait until a time."""
    connection.execute(update(deliveries).where(deliveries.c.id.in_(list(ids))).values(due_at=until))


def spend_attempt(connection: Connection, delivery_id: int) -> None:
    """Charge a delivery with a failed attempt."""
    connection.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(failed=deliveries.c.failed + 1))


def take_back(connection: Connection, ids: Iterable[int]) -> Sequence[int]:
    """dead -> pending for orders that turned out not to be at fault; which deliveries."""
    values = {"state": "pending", "problems": None, "detail": None, "settled_at": None}
    refused = and_(deliveries.c.id.in_(list(ids)), deliveries.c.state == "dead", deliveries.c.payload.is_not(None))
    return connection.execute(update(deliveries).where(refused).values(values).returning(deliveries.c.id)).scalars().all()


def erase_payload(connection: Connection, delivery_id: int) -> None:
    """Erase a payload that is not needed any more."""
    connection.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(payload=None))


def deliver(connection: Connection, ids: Sequence[int], at: datetime, *, requests: int) -> None:
    """pending -> delivered, by so many more requests: 1 or none."""
    for part in parts(ids):
        for row in connection.execute(_DELIVER, {"ids": list(part), "at": at, "requests": requests}):
            counters.count(connection, "delivered", store=row.store)
            counters.count_time(connection, row.store, row.priority, at - row.received_at)


_DELIVER = (
    update(deliveries)
    .where(deliveries.c.id.in_(bindparam("ids", expanding=True)))
    .values(
        state="delivered",
        settled_at=bindparam("at", type_=Instant),
        attempts=deliveries.c.attempts + bindparam("requests"),
        forced=False,
        starts=0,
        reason=None,
        detail=None,
        problems=None,
    )
    .returning(deliveries.c.store, deliveries.c.priority, deliveries.c.received_at)
)
_MOVED = ("snapshot_at", "progress", "received_at", "delivery_id", "digest", "lifecycle", "updated_at")


def remember(connection: Connection, rows: Sequence[Mapping[str, Any]], at: datetime) -> None:
    """Record what Drip now has: each row has the columns of `orders` except its times."""
    connection.execute(_remember(connection.dialect.name), [{**values, "created_at": at, "updated_at": at} for values in rows])


@cache
def _remember(dialect: str) -> Any:
    row = inserting(dialect, orders)
    return row.on_conflict_do_update(index_elements=["account", "store", "order_id"], set_={name: row.excluded[name] for name in _MOVED})


def limit_batches(connection: Connection, ids: Sequence[int], most: int) -> None:
    """Limit these to smaller batches, after a larger one failed."""
    for part in parts(ids):
        connection.execute(update(deliveries).where(deliveries.c.id.in_(part)).values(most_together=most))


def free_batches(connection: Connection, account: str) -> None:
    """Lift the limits on batch sizes: Drip's outage, not the orders, made the batches fail."""
    waiting = and_(deliveries.c.state == "pending", deliveries.c.read_at.is_not(None), deliveries.c.account == account)
    connection.execute(update(deliveries).where(waiting, deliveries.c.most_together.is_not(None)).values(most_together=None))


def _settle(connection: Connection, delivery_id: int, at: datetime, **values: Any) -> Sequence[str]:
    """Settle a delivery; the name of its store, or nothing where it is gone."""
    values = {"reason": None, "detail": None, "problems": None, "starts": 0} | values
    settled = update(deliveries).where(deliveries.c.id == delivery_id).values(settled_at=at, **values)
    return connection.execute(settled.returning(deliveries.c.store)).scalars().all()
