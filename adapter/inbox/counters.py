"""Counters that survive every purge: totals by name and labels.

A transaction collects its counts and writes them at its end, one row per counter, so a batch of a thousand orders costs as much as one
order. Each counter is spread over several rows, and a transaction adds to a random one, so that concurrent transactions rarely wait for
each other.

Kept deliveries are not counted as they arrive, to keep receiving fast: their rows are the count. From time to time, long before a purge,
`roll_up` adds the rows up to a mark to the counter; a reader adds the rows beyond the mark.
"""

import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Connection, and_, cast, func, select, update

from adapter.inbox.sql import as_lanes, inserting, lanes_of
from adapter.inbox.tables import LIVE, counters, deliveries
from adapter.inbox.views import store_names

SLOTS = 16
"""Rows per counter on PostgreSQL; SQLite has one writer at a time and needs only one."""
BUCKETS_S = (1, 2, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)
"""Upper bounds, in seconds, of the histogram of the time from a webhook to Drip's acceptance."""
BEYOND = "+Inf"
_TALLY = "tally"
_Tally = Counter[tuple[str, tuple[tuple[str, str], ...]]]
_KEPT, _MARK = "kept", "kept_until"
_MILLISECOND = timedelta(milliseconds=1)


# --- counting ----------------------------------------------------------------------------------------------------------------------


def count(connection: Connection, name: str, by: int = 1, **labels: str) -> None:
    """Add to a counter, in the caller's transaction. Labels hold names and codes, no personal data."""
    tally: _Tally = connection.get_execution_options()[_TALLY]
    tally[name, tuple(labels.items())] += by


def count_each(connection: Connection, name: str, label: str, values: Iterable[str]) -> None:
    """Add to the counter of each value of a label, as often as the value occurs."""
    for value, number in Counter(values).items():
        count(connection, name, number, **{label: value})


def count_time(connection: Connection, store: str, priority: int, took: timedelta) -> None:
    """Add a delivery to the histogram of the time to Drip. Requested retries and backfilled orders would only distort it."""
    if priority == LIVE:
        seconds = took.total_seconds()
        bucket = next((str(bound) for bound in BUCKETS_S if seconds <= bound), BEYOND)
        count(connection, "to_drip", store=store, le=bucket)
        count(connection, "to_drip_milliseconds", max(0, took // _MILLISECOND), store=store)


def begin(connection: Connection) -> None:
    """Prepare a transaction for counting."""
    connection.execution_options(**{_TALLY: Counter()})


def write(connection: Connection) -> None:
    """Write what the transaction has counted, as its last statement: the rows are then locked only while it commits."""
    tally: _Tally = connection.get_execution_options()[_TALLY]
    if not tally:
        return
    slot = random.randrange(SLOTS) if connection.dialect.name == "postgresql" else 0  # noqa: S311 - not a secret
    # Always sorted, so that two transactions that write the same rows cannot deadlock.
    totals = sorted((name, _text(dict(labels)), value) for (name, labels), value in tally.items())
    connection.execute(
        _add(connection.dialect.name), [{"name": name, "labels": labels, "slot": slot, "value": value} for name, labels, value in totals]
    )


@cache
def _add(dialect: str) -> Any:
    row = inserting(dialect, counters)
    return row.on_conflict_do_update(index_elements=["name", "labels", "slot"], set_={"value": counters.c.value + row.excluded.value})


# --- kept deliveries ---------------------------------------------------------------------------------------------------------------


def newest_id(connection: Connection) -> int:
    """The id of the newest delivery; 0 if there is none."""
    newest: int | None = connection.execute(select(func.max(deliveries.c.id))).scalar()
    return newest or 0


def stores_between(connection: Connection, after: int, until: int) -> Sequence[str]:
    """The stores of the deliveries after one id, and up to another."""
    if not after:
        return sorted(store_names(connection))
    found = select(deliveries.c.store).where(deliveries.c.id > after, deliveries.c.id <= until).distinct()
    return sorted(connection.execute(found).scalars())


def roll_up(connection: Connection, store: str, until: int) -> None:
    """Count a store's deliveries up to the id `until`, which must be old: on PostgreSQL a smaller id may commit after a larger one."""
    mark = {"name": _MARK, "labels": _text({"store": store}), "slot": 0}
    connection.execute(inserting(connection.dialect.name, counters).values(**mark, value=0).on_conflict_do_nothing())
    which = and_(*(counters.c[name] == value for name, value in mark.items()))
    since = connection.execute(select(counters.c.value).where(which).with_for_update()).scalar_one()
    if until <= since:
        return
    mine = and_(deliveries.c.store == store, deliveries.c.id > since, deliveries.c.id <= until)
    if number := connection.execute(select(func.count()).select_from(deliveries).where(mine)).scalar_one():
        count(connection, _KEPT, number, store=store)
    connection.execute(update(counters).where(which).values(value=until))


def kept_by_store(connection: Connection) -> dict[str, int]:
    """How many deliveries of each store were ever kept. Counters and marks are read at once: a roll-up is seen whole or not at all."""
    known: dict[str, dict[str, int]] = {_KEPT: {}, _MARK: {}}
    chosen = select(counters.c.name, counters.c.labels, func.sum(counters.c.value)).where(counters.c.name.in_([_KEPT, _MARK]))
    for name, labels, value in connection.execute(chosen.group_by(counters.c.name, counters.c.labels)):
        known[name][json.loads(labels)["store"]] = int(value)
    marks = {**dict.fromkeys(store_names(connection), 0), **known[_MARK]}
    wanted = lanes_of(connection.dialect.name)
    beyond = and_(deliveries.c.store == wanted.c.store, deliveries.c.id > cast(wanted.c.order_id, BigInteger))
    # One store after the other: for all at once PostgreSQL would read the whole table.
    counted = select(wanted.c.store, select(func.count(deliveries.c.id)).where(beyond).correlate(wanted).scalar_subquery())
    found = dict(known[_KEPT])
    for store, number in connection.execute(counted, {"lanes": as_lanes((store, str(mark)) for store, mark in marks.items())}):
        found[store] = found.get(store, 0) + number
    return found


# --- reading -----------------------------------------------------------------------------------------------------------------------


def totals(connection: Connection) -> Sequence[tuple[str, dict[str, str], int]]:
    """Every counter except that of kept deliveries: name, labels, value."""
    total = cast(func.sum(counters.c.value), BigInteger)
    chosen = select(counters.c.name, counters.c.labels, total).where(counters.c.name.not_in([_KEPT, _MARK]))
    rows: Iterable[Any] = connection.execute(chosen.group_by(counters.c.name, counters.c.labels))
    return [(name, json.loads(labels), value) for name, labels, value in rows]


def _text(labels: dict[str, str]) -> str:
    return json.dumps(labels, sort_keys=True, ensure_ascii=False)
