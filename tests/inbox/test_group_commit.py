"""Group commit: all that has arrived shares one transaction, and none suffers for another."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, text

from adapter.errors import DatabaseAway
from adapter.inbox import counters, group_commit
from adapter.inbox.database import connect, snapshot, transaction
from adapter.inbox.group_commit import Keeper
from adapter.inbox.migration import migrate
from adapter.inbox.receiving import Arrival, Receipt
from adapter.inbox.tables import deliveries
from mappings import Key
from tests.support.waiting import wait_until

MANY = 20


def arrival(number: int, topic: str = "orders/updated", *, expires: bool = False) -> Arrival:
    key = Key(value=f"k{number}", expires=expires)
    return Arrival(store="shopify", key=key, topic=topic, headers={}, payload=b"%d" % number, at=datetime.now(UTC))


def keep_all(keeper: Keeper, engine: Engine, arrivals: list[Arrival]) -> list[Receipt]:
    """Keep all of them, each in a thread of its own: the first one waits for a transaction that writes, and the others for the first.

    `keeper` must be new: it starts with the first of them.
    """
    assert not keeper._running
    with ThreadPoolExecutor(len(arrivals)) as pool:
        with transaction(engine) as connection:
            connection.execute(text("LOCK TABLE deliveries" if engine.dialect.name == "postgresql" else "DELETE FROM leases"))
            futures = [pool.submit(keeper.keep, arrivals[0])]
            wait_until(lambda: keeper._running and not keeper._waiting)
            futures += [pool.submit(keeper.keep, each) for each in arrivals[1:]]
            wait_until(lambda: len(keeper._waiting) == len(arrivals) - 1)
        return [future.result() for future in futures]


def kept(engine: Engine) -> list[tuple[bytes, str]]:
    with snapshot(engine) as connection:
        return [tuple(row) for row in connection.execute(select(deliveries.c.payload, deliveries.c.topic).order_by(deliveries.c.key))]


def test_those_that_wait_together_share_a_commit(engine: Engine) -> None:
    commits = []
    keeper = Keeper(engine, on_kept=lambda: commits.append(1))
    receipts = keep_all(keeper, engine, [arrival(number) for number in range(MANY)])
    assert {receipt.new for receipt in receipts} == {True}
    assert len({receipt.delivery for receipt in receipts}) == MANY
    assert sorted(payload for payload, _ in kept(engine)) == sorted(b"%d" % number for number in range(MANY))
    assert len(commits) == 2  # of the first one, and of all others


@pytest.mark.parametrize(("expires", "looks"), [(False, 1), (True, 3)], ids=["by id", "by body"])
def test_copies_in_one_batch_are_one_delivery(engine: Engine, expires: bool, looks: int) -> None:
    """All are looked at together; of copies that may show that an order has returned to a state, the first and the last once more."""
    looked: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def hear(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("SELECT") and "deliveries.state" in statement:
            looked.append(statement)

    receipts = keep_all(Keeper(engine), engine, [arrival(1, expires=expires)] * 8)
    assert len({receipt.delivery for receipt in receipts}) == 1
    assert sorted(receipt.new for receipt in receipts) == [False] * 7 + [True]
    assert len(kept(engine)) == 1
    assert len(looked) == looks
    with snapshot(engine) as connection:
        assert counters.totals(connection) == [("duplicates", {"store": "shopify"}, 7)]


def test_copies_cost_a_fixed_number_of_statements(engine: Engine) -> None:
    """As when a store sends a thousand again that it received no answer to."""
    heard: list[str] = []
    numbers = range(MANY)
    ids = {receipt.delivery for receipt in keep_all(Keeper(engine), engine, [arrival(number) for number in numbers])}

    @event.listens_for(engine, "before_cursor_execute")
    def hear(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith(("SELECT", "INSERT", "UPDATE")):
            heard.append(statement.split(maxsplit=1)[0])

    receipts = keep_all(Keeper(engine), engine, [arrival(number) for number in numbers])
    assert {receipt.delivery for receipt in receipts} == ids
    assert {receipt.new for receipt in receipts} == {False}
    assert heard == ["SELECT", "INSERT"] * 2  # for the first one alone, and for all others: the look, and the counter
    with snapshot(engine) as connection:
        assert counters.totals(connection) == [("duplicates", {"store": "shopify"}, MANY)]


def test_a_row_that_the_database_rejects_harms_no_other(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        picky = "CREATE TRIGGER picky BEFORE INSERT ON deliveries WHEN NEW.topic = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END"
    else:
        picky = "ALTER TABLE deliveries ADD CONSTRAINT picky CHECK (topic <> 'bad')"
    with engine.begin() as connection:
        connection.execute(text(picky))
    receipts = keep_all(Keeper(engine), engine, [arrival(1), arrival(2, topic="bad"), arrival(3)])
    assert [receipt.new for receipt in receipts] == [True] * 3
    assert kept(engine) == [(b"1", "orders/updated"), (b"2", ""), (b"3", "orders/updated")]


def test_what_takes_too_long_is_given_up_but_the_next_is_kept(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_DEADLINE_S", 0.2)
    keeper = Keeper(engine)
    with transaction(engine) as connection:
        connection.execute(text("LOCK TABLE deliveries" if engine.dialect.name == "postgresql" else "DELETE FROM leases"))
        with pytest.raises(DatabaseAway, match="DATABASE_URL did not answer within"):
            keeper.keep(arrival(1))
    monkeypatch.setattr(group_commit, "_DEADLINE_S", 10.0)
    assert keeper.keep(arrival(2)).new


def test_an_unreachable_database_fails_all_that_wait_at_once() -> None:
    keeper = Keeper(connect("postgresql+psycopg://nobody@127.0.0.1:1/none"))
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(keeper.keep, arrival(number)) for number in range(8)]
        for future in futures:
            with pytest.raises(DatabaseAway):
                future.result()


def test_the_thread_ends_when_nothing_arrives_and_a_new_one_starts(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_IDLE_S", 0.05)
    keeper = Keeper(engine)
    assert keeper.keep(arrival(1)).new
    wait_until(lambda: not keeper._running)
    assert keeper.keep(arrival(2)).new


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Engine:
    engine = connect(f"sqlite:///{tmp_path / 'adapter.db'}")
    migrate(engine)
    return engine


def test_a_webhook_counts_as_kept_only_once_the_log_is_synced(on_sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    may_sync, done, files, sync = threading.Event(), threading.Event(), list[str](), os.fdatasync

    def sync_later(file: int) -> None:
        is_first = not files
        files.append(Path(f"/proc/self/fd/{file}").readlink().name)
        if is_first:
            may_sync.wait(60)
        sync(file)

    monkeypatch.setattr(os, "fdatasync", sync_later)
    keeper = Keeper(on_sqlite)
    job = keeper.begin(arrival(1), done.set)
    wait_until(lambda: files)
    assert len(kept(on_sqlite)) == 1
    with transaction(on_sqlite) as connection:  # others need not wait until this one is synced
        connection.execute(text("DELETE FROM leases"))
    assert not done.is_set()
    may_sync.set()
    assert done.wait(60)
    assert keeper.outcome(job).new
    assert files == ["adapter.db-wal", "adapter.db-wal"]


def test_what_the_disk_fails_to_sync_is_not_acknowledged(on_sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(DatabaseAway, match="can't be synced to disk: Input/output error"):
        Keeper(on_sqlite).keep(arrival(1))
