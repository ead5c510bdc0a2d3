"""Statements that keep what arrives: one insert for each delivery, and a count of what was refused."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Row,
    select,
    update,
)

from adapter.inbox import counters
from adapter.inbox.settling import reopen
from adapter.inbox.sql import upserting
from adapter.inbox.tables import deliveries, refusals
from mappings import Key

KEY_LIFETIME = timedelta(hours=48)

"""How long the hash of a body counts as an idempotency key: the same state of an order may come back later, and rightly."""


class Receipt(NamedTuple):
    """What became of a request: which delivery it is, and whether that is new or a dead one that its copy has re-opened."""

    delivery: int
    new: bool
    reopened: bool = False


def keep(connection: Connection, *, store: str, key: Key, topic: str, headers: Mapping[str, str], payload: bytes, at: datetime) -> Receipt:
    """Keep a delivery. A copy changes nothing, but re-opens a dead one."""
    row = {
        "store": store,
        "key": key.value,
        "topic": topic,
        "headers": json.dumps(headers),
        "payload": payload,
        "received_at": at,
        "due_at": at,
    }
    new_id = _insert_delivery(connection, row)
    if new_id is not None:
        return Receipt(new_id, True)
    known = connection.execute(
        select(deliveries.c.id, deliveries.c.received_at, deliveries.c.state)
        .where(deliveries.c.store == store, deliveries.c.key == key.value)
        .with_for_update()
    ).one()
    if key.expires and known.received_at <= at - KEY_LIFETIME:
        connection.execute(update(deliveries).where(deliveries.c.id == known.id).values(key=f"{key.value}#{known.id}"))
        renewed = _insert_delivery(connection, row)
        if renewed is not None:
            return Receipt(renewed, True)
    counters.count(connection, "duplicates", store=store)
    reopened = known.state == "dead" and reopen(connection, deliveries.c.id == known.id, at=at, priority=None) != []
    return Receipt(known.id, False, reopened)


def count_refusal(connection: Connection, *, store: str, reason: str, at: datetime) -> None:
    """Remember that a request was not proved genuine, and nothing else of it."""
    row = upserting(connection, refusals).values(store=store, reason=reason, times=1, last_at=at)
    connection.execute(
        row.on_conflict_do_update(index_elements=["store", "reason"], set_={"times": refusals.c.times + 1, "last_at": row.excluded.last_at})
    )


def keep_part(connection: Connection, parent: Row[Any], index: int, payload: bytes) -> int | None:
    """Keep one order of a body that held several, as a delivery of its own; its id, or None where it is kept already."""
    row = {
        "store": parent.store,
        "key": f"{parent.id}/{index}",
        "topic": parent.topic,
        "headers": parent.headers,
        "payload": payload,
        "received_at": parent.received_at,
        "due_at": parent.due_at,
        "priority": parent.priority,
        "parent_id": parent.id,
    }
    return _insert_delivery(connection, row)


def _insert_delivery(connection: Connection, row: Mapping[str, Any]) -> int | None:
    statement = upserting(connection, deliveries).values(**row).on_conflict_do_nothing(index_elements=["store", "key"])
    new_id: int | None = connection.execute(statement.returning(deliveries.c.id)).scalar()
    return new_id
