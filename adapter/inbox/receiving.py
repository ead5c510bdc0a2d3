"""Statements that store deliveries, and count refused requests."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, Select, and_, case, exists, not_, select, update

from adapter.inbox import counters
from adapter.inbox.copies import has_returned, retire_key
from adapter.inbox.database import commit_statement
from adapter.inbox.packing import packing_of
from adapter.inbox.settling import reopen
from adapter.inbox.sql import as_lanes, lanes_of, upserting
from adapter.inbox.tables import LIVE, RETRY, Instant, deliveries, refusals
from mappings import Key

_COLUMNS = ("store", "key", "topic", "headers", "payload", "received_at", "due_at")
_INSERT = f"INSERT INTO deliveries ({', '.join(_COLUMNS)}) VALUES"
_A_DAY = timedelta(days=1)
_UNLESS_KNOWN = "ON CONFLICT (store, key) DO NOTHING"
_micros: Callable[[datetime, Any], int | None] = Instant().process_bind_param


@dataclass(frozen=True, slots=True)
class Arrival:
    """A verified webhook, to be stored."""

    store: str
    key: Key
    topic: str
    headers: Mapping[str, str]
    payload: bytes
    at: datetime

    def packed(self, pack: Callable[[bytes], bytes]) -> "Arrival":
        """The same with its payload in the form in which it is stored."""
        return Arrival(self.store, self.key, self.topic, self.headers, pack(self.payload), self.at)

    @property
    def bare(self) -> "Arrival":
        """The same with only its payload, for a database that rejects the rest."""
        key = replace(self.key, value=self.key.value.encode("ascii", "backslashreplace").decode())
        return Arrival(self.store, key, "", {}, self.payload, self.at)


class Receipt(NamedTuple):
    """The delivery that a request became; whether it is new, or a dead one that this copy re-opened."""

    delivery: int
    new: bool
    reopened: bool = False


def insert_new(engine: Engine, arrivals: Sequence[Arrival]) -> list[int | None]:
    """Store all in one transaction, which is committed on return; the id of each, or None for one whose key exists already.

    The one statement that decides how many webhooks a second are acknowledged, so it goes to the driver directly. Raises `DatabaseAway`,
    and `DBAPIError` where the database refuses a row: then none is kept.
    """
    pack = packing_of(engine.dialect).pack
    rows = [
        (
            each.store,
            each.key.value,
            each.topic,
            json.dumps(each.headers),
            pack(each.payload),
            _micros(each.at, None),
            _micros(each.at, None),
        )
        for each in arrivals
    ]
    if not rows:
        return []
    mark = "%s" if engine.dialect.name == "postgresql" else "?"
    places = ", ".join([f"({', '.join([mark] * len(_COLUMNS))})"] * len(rows))
    statement = f"{_INSERT} {places} {_UNLESS_KNOWN} RETURNING store, key, id"
    ids = {(store, key): new_id for store, key, new_id in commit_statement(engine, statement, [value for row in rows for value in row])}
    return [ids.pop((row[0], row[1]), None) for row in rows]


def keep(connection: Connection, arrival: Arrival) -> Receipt:
    """Store a delivery. A copy changes nothing, except that it re-opens a dead one."""
    store, key, at = arrival.store, arrival.key, arrival.at
    row = {
        "store": store,
        "key": key.value,
        "topic": arrival.topic,
        "headers": json.dumps(arrival.headers),
        "payload": arrival.payload,
        "received_at": at,
        "due_at": at,
    }
    new_id = _insert_delivery(connection, row)
    if new_id is not None:
        return Receipt(new_id, True)
    known = connection.execute(
        select(deliveries.c.id, deliveries.c.headers, deliveries.c.state)
        .where(deliveries.c.store == store, deliveries.c.key == key.value)
        .with_for_update()
    ).one_or_none()
    if known is None:  # its key has just been retired, by the reader or the purge
        return keep(connection, arrival)
    if key.expires and not _is_repeat(key, known.headers):
        if has_returned(connection, known.id):
            retire_key(connection, known.id, key.value)
            return keep(connection, arrival)
        # Only the reader can find out whether an unread delivery is another state of the order.
        connection.execute(update(deliveries).where(deliveries.c.id == known.id).values(copied_at=at))
    counters.count(connection, "duplicates", store=store)
    reopened = known.state == "dead" and reopen(connection, deliveries.c.id == known.id, at=at, priority=None) != []
    return Receipt(known.id, False, reopened)


def plain_copies(connection: Connection, arrivals: Sequence[Arrival]) -> list[Receipt | None]:
    """For each arrival the receipt of the delivery that it is a copy of, if the copy changes nothing; None for all that `keep` looks at.

    One statement for all: a platform that sends much again does so when it received no answer, and should get one fast.
    """
    keys = {(each.store, each.key.value) for each in arrivals if each.key.value.isascii() and each.key.value.isprintable()}
    rows = connection.execute(_known(connection.dialect.name), {"lanes": as_lanes(keys)}) if keys else ()
    known = {(row.store, row.key): row for row in rows}
    found = [(each, known.get((each.store, each.key.value))) for each in arrivals]
    return [Receipt(row.id, False) if row is not None and _is_plain(each.key, row) else None for each, row in found]


@cache
def _known(dialect: str) -> Select[Any]:
    wanted = lanes_of(dialect)
    same = and_(deliveries.c.store == wanted.c.store, deliveries.c.key == wanted.c.order_id)
    columns = deliveries.c.id, deliveries.c.store, deliveries.c.key, deliveries.c.state, deliveries.c.headers
    return select(*columns).join_from(wanted, deliveries, same)


def _is_plain(key: Key, row: Row[Any]) -> bool:
    return row.state != "dead" and (not key.expires or _is_repeat(key, row.headers))


def another_copy(connection: Connection, arrival: Arrival, first: Receipt) -> Receipt:
    """Count one more copy of a delivery, which changes nothing."""
    counters.count(connection, "duplicates", store=arrival.store)
    return Receipt(first.delivery, False)


def _is_repeat(key: Key, headers: str) -> bool:
    """Whether the platform itself sends a delivery again, which it does with the same ID."""
    return bool(key.sent_as) and key.sent_as in json.loads(headers).values()


def count_refusal(connection: Connection, *, store: str, reason: str, at: datetime) -> None:
    """Count a request that could not be verified. Nothing else of it is stored.

    Refusals come back if a webhook has been accepted since the last one, which was at most a day ago.
    """
    row = upserting(connection, refusals).values(store=store, reason=reason, times=1, last_at=at)
    mine = and_(deliveries.c.store == store, deliveries.c.priority.in_((LIVE, RETRY)), deliveries.c.received_at > refusals.c.last_at)
    is_back = exists().where(mine).correlate(refusals)
    values = {
        "times": refusals.c.times + 1,
        "last_at": row.excluded.last_at,
        "before_at": case((is_back, refusals.c.last_at), else_=refusals.c.before_at),
        "returns": case((not_(is_back), refusals.c.returns), (refusals.c.last_at > at - _A_DAY, refusals.c.returns + 1), else_=0),
    }
    connection.execute(row.on_conflict_do_update(index_elements=["store", "reason"], set_=values))


def keep_part(connection: Connection, parent: Row[Any], index: int, payload: bytes) -> int | None:
    """Store one order of a body that contains several, as a separate delivery; its id, or None if it is stored already."""
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
