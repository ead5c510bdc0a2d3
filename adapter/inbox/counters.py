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
from typing import Any

from sqlalchemy import BigInteger, Connection, and_, cast, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from adapter.inbox.tables import LIVE, counters, deliveries

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
    row = _inserting(connection)
    added = row.on_conflict_do_update(index_elements=["name", "labels", "slot"], set_={"value": counters.c.value + row.excluded.value})
    slot = random.randrange(SLOTS) if connection.dialect.name == "postgresql" else 0  # noqa: S311 - not a secret
    # Always sorted, so that two transactions that write the same rows cannot deadlock.
    totals = sorted((name, _text(dict(labels)), value) for (name, labels), value in tally.items())
    connection.execute(added, [{"name": name, "labels": labels, "slot": slot, "value": value} for name, labels, value in totals])


# --- kept deliveries ---------------------------------------------------------------------------------------------------------------


def newest_id(connection: Connection) -> int:
    """The id of the newest delivery; 0 if there is none."""
    newest: int | None = connection.execute(select(func.max(deliveries.c.id))).scalar()
    return newest or 0


def roll_up(connection: Connection, store: str, until: int) -> None:
    """Count a store's deliveries up to the id `until`, which must be old: on PostgreSQL a smaller id may commit after a larger one."""
    mark = {"name": _MARK, "labels": _text({"store": store}), "slot": 0}
    connection.execute(_inserting(connection).values(**mark, value=0).on_conflict_do_nothing())
    which = and_(*(counters.c[name] == value for name, value in mark.items()))
    since = connection.execute(select(counters.c.value).where(which).with_for_update()).scalar_one()
    if until <= since:
        return
    mine = and_(deliveries.c.store == store, deliveries.c.id > since, deliveries.c.id <= until)
    if number := connection.execute(select(func.count()).select_from(deliveries).where(mine)).scalar_one():
        count(connection, _KEPT, number, store=store)
    connection.execute(update(counters).where(which).values(value=until))


def kept(connection: Connection, store: str) -> int:
    """How many deliveries of a store were ever kept. One statement, so that it sees a concurrent roll-up either whole or not at all."""
    labels = _text({"store": store})
    rolled = select(func.sum(counters.c.value)).where(counters.c.name == _KEPT, counters.c.labels == labels).scalar_subquery()
    mark = select(counters.c.value).where(counters.c.name == _MARK, counters.c.labels == labels).scalar_subquery()
    beyond = select(func.count()).where(deliveries.c.store == store, deliveries.c.id > func.coalesce(mark, 0)).scalar_subquery()
    return int(connection.execute(select(func.coalesce(rolled, 0) + beyond)).scalar_one())


# --- reading -----------------------------------------------------------------------------------------------------------------------


def totals(connection: Connection) -> Sequence[tuple[str, dict[str, str], int]]:
    """Every counter except that of kept deliveries: name, labels, value."""
    total = cast(func.sum(counters.c.value), BigInteger)
    chosen = select(counters.c.name, counters.c.labels, total).where(counters.c.name.not_in([_KEPT, _MARK]))
    rows: Iterable[Any] = connection.execute(chosen.group_by(counters.c.name, counters.c.labels))
    return [(name, json.loads(labels), value) for name, labels, value in rows]


def _text(labels: dict[str, str]) -> str:
    return json.dumps(labels, sort_keys=True, ensure_ascii=False)


def _inserting(connection: Connection) -> Any:
    return (postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)(counters)
