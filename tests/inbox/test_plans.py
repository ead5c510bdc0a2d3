"""The statements that run all the time find their rows by an index, on both databases, however much is finished or waits."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from adapter.delivery.pacing import HOUR
from adapter.inbox import copies, counters, erasure, figures, ledger, reading, receiving, retention, sending
from adapter.inbox.database import connect, snapshot
from adapter.inbox.migration import migrate
from adapter.inbox.receiving import Arrival
from adapter.inbox.sending import Lane
from mappings import Key
from tests.benchmarks.databases import STORE, fill
from tests.benchmarks.many_stores import spread
from tests.support.adapter_under_test import ACCOUNT
from tests.support.postgresql import PostgresqlServer

NOW = datetime.now(UTC)
_STORES = [STORE, "woocommerce"]
_LANES = [Lane(STORE, "waiting-7"), Lane(STORE, "waiting-8")]


@pytest.fixture(scope="module", params=["sqlite", "sqlite-without-statistics", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A database with 16,000 delivered, 4,000 skipped and 4,000 waiting deliveries, of which it knows; SQLite mostly does not."""
    if request.param != "postgresql":
        url = f"sqlite:///{tmp_path_factory.mktemp('plans') / 'adapter.db'}"
    else:
        server: PostgresqlServer = request.getfixturevalue("postgresql")
        url = server.new_database()
    engine = connect(url)
    migrate(engine)
    fill(engine, finished=20_000, waiting=4000, at=NOW)
    with engine.begin() as connection:
        connection.execute(text("UPDATE deliveries SET state = 'skipped', reason = 'unpaid' WHERE state = 'delivered' AND id % 5 = 0"))
        connection.execute(text("ANALYZE"))
        if request.param == "sqlite-without-statistics":
            connection.execute(text("DELETE FROM sqlite_stat1"))
    engine.dispose()
    yield engine
    engine.dispose()
    if request.param == "postgresql":
        server.drop(url)


Statement = Callable[[Connection], Any]


def arrived(key: str) -> Arrival:
    return Arrival(store=STORE, key=Key(value=key, expires=False), topic="t", headers={}, payload=b"{}", at=NOW)


def keep(key: str) -> Statement:
    return lambda connection: receiving.keep(connection, arrived(key))


STATEMENTS: dict[str, tuple[Statement, set[str]]] = {
    "stores_with_unread": (lambda connection: reading.stores_with_unread(connection, 0, "", 50), {"ix_deliveries_unread"}),
    "oldest_unread": (lambda connection: reading.oldest_unread(connection, 0, STORE, 50), {"ix_deliveries_unread"}),
    "oldest_unread, but some": (lambda connection: reading.oldest_unread(connection, 0, STORE, 50, [7]), {"ix_deliveries_unread"}),
    "stores_that_wait": (reading.stores_that_wait, {"ix_deliveries_waiting"}),
    "due_accounts": (lambda connection: sending.due_accounts(connection, NOW), {"ix_deliveries_due"}),
    "outlook": (lambda connection: sending.outlook(connection, ACCOUNT.id, NOW, 4000), {"ix_deliveries_due"}),
    "due_lanes": (lambda connection: sending.due_lanes(connection, ACCOUNT.id, NOW, 1), {"ix_deliveries_due"}),
    "due_lanes of a batch": (lambda connection: sending.due_lanes(connection, ACCOUNT.id, NOW, 1000), {"ix_deliveries_due"}),
    "oldest_of_each": (
        lambda connection: sending.oldest_of_each(connection, ACCOUNT.id, _STORES, NOW),
        {"ix_deliveries_waiting"},
    ),
    "take_up": (lambda connection: ledger.take_up(connection, [7, 8]), set()),
    "end_request": (lambda connection: ledger.end_request(connection, 7, 202, NOW), {"pk_requests"}),
    "end_attempts": (
        lambda connection: ledger.end_attempts(connection, 7, "delivered", [{"of": 7, "drip_request_id": None, "answer": "{}"}]),
        {"ix_attempts_delivery_id"},
    ),
    "waiting": (lambda connection: sending.waiting(connection, _LANES), {"ix_deliveries_lane"}),
    "what_drip_has": (lambda connection: sending.what_drip_has(connection, ACCOUNT.id, _LANES), set()),
    "ledger": (lambda connection: ledger.entries(connection, ACCOUNT.id, "batch", NOW - HOUR), {"ix_requests_ledger"}),
    "attempts_for": (
        lambda connection: sending.attempts_for(connection, ACCOUNT.id, [7, 8]),
        {"ix_attempts_delivery_id", "pk_requests"},
    ),
    "keep_returned": (lambda connection: copies.keep_returned(connection, _LANES), {"ix_deliveries_lane"}),
    "has_returned": (lambda connection: copies.has_returned(connection, 7), {"ix_deliveries_lane"}),
    "placed_lanes": (lambda connection: reading.placed_lanes(connection, _LANES), {"ix_deliveries_lane"}),
    "reopen_held": (lambda connection: reading.reopen_held(connection, _LANES, lambda store: ACCOUNT.id), {"ix_deliveries_lane"}),
    "retention: settled": (
        lambda connection: retention.settled(connection, NOW - HOUR, 7, NOW + HOUR),
        {"ix_deliveries_settled_at"},
    ),
    "retention: with_bodies": (lambda connection: retention.with_bodies(connection, [7, 8]), {"ix_attempts_delivery_id"}),
    "retention: erase_settled": (
        lambda connection: retention.erase_settled(connection, [7, 8, 9], ("delivered",), NOW + HOUR),
        {"ix_attempts_delivery_id"},
    ),
    "retention: delete_settled": (
        lambda connection: retention.delete_settled(connection, NOW + HOUR),
        {"ix_deliveries_settled_at"},
    ),
    "retention: old_requests": (lambda connection: retention.old_requests(connection, 7, NOW), {"pk_requests"}),
    "retention: delete_unused": (lambda connection: retention.delete_unused(connection, [7, 8]), {"ix_attempts_request_id"}),
    "erasure: next_request": (lambda connection: erasure.next_request(connection, _STORES), set()),
    "erasure: still_pending": (lambda connection: erasure.still_pending(connection, [7, 8]), set()),
    "figures: backlogs": (lambda connection: figures.backlogs(connection, NOW), set()),
    "figures: retrying": (lambda connection: figures.retrying(connection, NOW - HOUR), set()),
    "figures: unread": (figures.unread, {"ix_deliveries_unread"}),
    "figures: dead": (figures.dead, {"ix_deliveries_state"}),
    "figures: newest_requests": (
        lambda connection: figures.newest_requests(connection, [ACCOUNT.id], ("single", "batch")),
        {"ix_requests_ledger"},
    ),
    "counters: kept_by_store": (counters.kept_by_store, set()),
    # The store's index or, for few ids, their own: both are bounded.
    "counters: roll_up": (lambda connection: counters.roll_up(connection, STORE, 100), set()),
    "counters: newest_id": (counters.newest_id, set()),
    "keep, a new one": (keep("another"), set()),
    "plain_copies": (lambda connection: receiving.plain_copies(connection, [arrived("finished-7")]), {"uq_deliveries_store_key"}),
    "keep, a copy": (keep("finished-7"), {"uq_deliveries_store_key"}),
}
# SQLite's own names for what has none: the row id, and the indexes of a primary key or a unique constraint.
_SQLITE_NAMES = {
    "pk_requests": "INTEGER PRIMARY KEY",
    "pk_orders": "sqlite_autoindex_orders_1",
    "uq_deliveries_store_key": "sqlite_autoindex_deliveries_1",
}


@contextmanager
def overheard(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are run, with their parameters."""
    heard: list[tuple[str, Any]] = []

    @event.listens_for(connection, "before_cursor_execute")
    def hear(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        if not statement.startswith("BEGIN"):
            heard.append((statement, parameters))

    yield heard
    event.remove(connection, "before_cursor_execute", hear)


def plan_of(connection: Connection, statement: str, parameters: Any) -> str:
    """The database's plan, as text."""
    if connection.dialect.name == "sqlite":
        return "\n".join(row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters))
    return json.dumps(connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one(), indent=1)


def scans(plan: str, dialect: str) -> list[str]:
    """What the plan reads from one end to the other, the index of the unread excepted: there is nothing else in it."""
    lines = [line.strip() for line in plan.splitlines()]
    if dialect == "sqlite":
        return [line for line in lines if line.startswith("SCAN") and "ix_deliveries_unread" not in line and "CONSTANT ROW" not in line]
    return [str(node["Relation Name"]) for node in _nodes(json.loads(plan)) if node.get("Node Type") == "Seq Scan"]


def _nodes(plan: Any) -> Iterator[dict[str, Any]]:
    """The nodes of a PostgreSQL plan, wherever they are nested."""
    if isinstance(plan, dict):
        yield plan
    for part in plan.values() if isinstance(plan, dict) else plan if isinstance(plan, list) else ():
        yield from _nodes(part)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_uses_its_index_and_scans_no_table(filled: Engine, name: str) -> None:
    run, indexes = STATEMENTS[name]
    dialect = filled.dialect.name
    with filled.connect() as connection, connection.begin() as undone:
        counters.begin(connection)
        with overheard(connection) as heard:
            run(connection)
        plans = [plan_of(connection, statement, parameters) for statement, parameters in heard]
        undone.rollback()
    assert plans
    together = "\n".join(plans)
    assert [scan for plan in plans for scan in scans(plan, dialect) if not _small(scan)] == [], together
    for index in indexes:
        assert (_SQLITE_NAMES.get(index, index) if dialect == "sqlite" else index) in together, together


def _small(scan: str) -> bool:
    """Whether it is a subquery's few rows, or a table that never has more than a few."""
    few = (
        "some",
        "anon",
        "names",
        "waiting",
        "due",
        "firsts",
        "each",
        "later",
        "deliveries USING COVERING INDEX ix_deliveries_waiting",
        "deliveries USING INDEX ix_deliveries_waiting",
    )
    return scan.startswith(tuple(f"SCAN {name}" for name in few)) or scan in ("counters", "leases")


def test_the_guard_sees_a_scan(filled: Engine) -> None:
    with snapshot(filled) as connection:
        plan = plan_of(connection, "SELECT * FROM deliveries WHERE topic = 'x'", ())
    assert scans(plan, filled.dialect.name)


def test_a_due_lane_is_found_by_the_index_alone_without_sorting(filled: Engine) -> None:
    with snapshot(filled) as connection:
        with overheard(connection) as heard:
            lanes = sending.due_lanes(connection, ACCOUNT.id, NOW, 1)
        plans = [plan_of(connection, statement, parameters) for statement, parameters in heard]
    assert lanes == [Lane(STORE, "waiting-4000")]
    assert all("TEMP B-TREE" not in plan and '"Sort"' not in plan for plan in plans), plans


def test_what_waits_for_its_time_is_not_even_looked_at(filled: Engine) -> None:
    """A paused account's 4,000 waiting deliveries cost another account nothing: the index begins with the account."""
    with snapshot(filled) as connection:
        with overheard(connection) as heard:
            assert not sending.due_lanes(connection, "another", NOW + timedelta(days=1), 1)
        plans = [plan_of(connection, statement, parameters) for statement, parameters in heard]
    assert all("account=? AND priority=? AND due_at<?" in plan or "Index Cond" in plan for plan in plans)


def test_retries_of_many_stores_are_found_without_a_step_for_each_store_and_delivery(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'adapter.db'}")
    migrate(engine)
    fill(engine, finished=2000, waiting=400, at=NOW)
    spread(engine, stores=200, accounts=1)
    engine.dispose()  # so that the new connection reads the statistics
    with snapshot(engine) as connection:
        with overheard(connection) as heard:
            figures.retrying(connection, NOW)
        [plan] = [plan_of(connection, statement, parameters) for statement, parameters in heard]
    engine.dispose()
    assert "ix_deliveries_waiting" in plan
    assert "AND id=?" not in plan
