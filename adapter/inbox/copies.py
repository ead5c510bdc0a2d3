"""Copies of deliveries that came back after another state of their order: A, B, and A again byte for byte.

The hash of a body is an idempotency key only while no other snapshot of its order has been kept since. Receiving parses nothing, so it
cannot check that: it records when a copy arrived. The reader, which finds out which order a delivery is of, decides here.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, insert, select, update

from adapter.inbox.receiving import KEY_LIFETIME
from adapter.inbox.sending import Lane
from adapter.inbox.sql import as_lanes, lanes_of, parts, using
from adapter.inbox.tables import Instant, deliveries

# A body's hash, as mappings.core.provider.body_key has it; other keys name one particular webhook.
_HASH = re.compile(r"[0-9a-f]{64}")
_COLUMNS = [deliveries.c[name] for name in ("id", "store", "order_id", "parent_id", "key", "received_at", "copied_at")]


def retire_keys(connection: Connection, lanes: Iterable[Lane], now: datetime) -> Sequence[int]:
    """Let deliveries that another snapshot of their order followed be kept anew when they arrive again.

    Copies that arrived after the other snapshot, but before it was read, are kept now; returns their ids.
    """
    followed: dict[int, list[Row[Any]]] = {}
    for rows in _lanes(connection, lanes, now - KEY_LIFETIME):
        for row in rows:
            # What a page was split into is followed by other pages, not by its own parts.
            later = [other for other in rows if other.id > row.id and (row.parent_id is None or other.parent_id != row.parent_id)]
            if later and (row.parent_id is not None or _HASH.fullmatch(row.key)):
                followed.setdefault(row.parent_id or row.id, []).extend(later)
    kept: list[int] = []
    for some in parts(sorted(followed)):
        for row in connection.execute(select(*_COLUMNS).where(deliveries.c.id.in_(some))).all():
            if _HASH.fullmatch(row.key):
                kept += _retire(connection, row, followed[row.id])
    return kept


def _lanes(connection: Connection, lanes: Iterable[Lane], since: datetime) -> Iterable[Sequence[Row[Any]]]:
    """The deliveries of each of these orders whose keys still count, where there are several."""
    found: dict[Lane, list[Row[Any]]] = defaultdict(list)
    parameters = {"lanes": as_lanes((lane.store, lane.order_id) for lane in lanes), "since": since}
    for row in connection.execute(_of_lanes(connection.dialect.name), parameters):
        found[Lane(row.store, row.order_id)].append(row)
    return (rows for rows in found.values() if len(rows) > 1)


@cache
def _of_lanes(dialect: str) -> Any:
    wanted = lanes_of(dialect)
    same = and_(deliveries.c.store == wanted.c.store, deliveries.c.order_id == wanted.c.order_id)
    recent = deliveries.c.received_at > bindparam("since", type_=Instant)
    return using(select(*_COLUMNS).join_from(wanted, deliveries, same).where(recent), deliveries, "ix_deliveries_lane")


def _retire(connection: Connection, row: Row[Any], later: Sequence[Row[Any]]) -> Sequence[int]:
    retired = {"key": f"{row.key}#{row.id}", "copied_at": None}
    connection.execute(update(deliveries).where(deliveries.c.id == row.id).values(retired))
    if row.copied_at is None or not any(other.received_at < row.copied_at for other in later):
        return ()
    same = select(deliveries.c.store, deliveries.c.topic, deliveries.c.headers, deliveries.c.payload)
    original = connection.execute(same.where(deliveries.c.id == row.id, deliveries.c.payload.is_not(None))).one_or_none()
    if original is None:
        return ()
    copy = {**original._mapping, "key": row.key, "received_at": row.copied_at, "due_at": row.copied_at}
    return connection.execute(insert(deliveries).values(copy).returning(deliveries.c.id)).scalars().all()
