"""Schema, migrations and transactions, on both databases."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text, update

from adapter.errors import DatabaseAway
from adapter.inbox.database import connect, database_now, snapshot, transaction
from adapter.inbox.ledger import take_up
from adapter.inbox.migration import migrate
from adapter.inbox.readiness import why_not_storing
from adapter.inbox.receiving import count_refusal
from adapter.inbox.schema_version import is_migrated
from adapter.inbox.sqlite_file import create_file
from adapter.inbox.tables import deliveries, metadata
from tests.support.adapter_under_test import AdapterUnderTest, shopify_order
from tests.support.postgresql import PostgresqlServer


def test_migrations_build_the_tables_that_the_code_declares(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}


def test_migrating_twice_and_at_once_is_safe(database_url: str) -> None:
    barrier = threading.Barrier(4)

    def run() -> None:
        engine = connect(database_url)
        barrier.wait()
        migrate(engine)
        migrate(engine)
        engine.dispose()

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(run) for _ in range(4)]:
            future.result()
    engine = connect(database_url)
    assert is_migrated(engine)
    engine.dispose()


def test_an_empty_database_is_not_migrated(database_url: str) -> None:
    engine = connect(database_url)
    assert not is_migrated(engine)
    engine.dispose()
    assert not database_url.startswith("sqlite") or not Path(database_url.removeprefix("sqlite:///")).exists()


def test_sqlite_syncs_every_commit(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'x.db'}")
    create_file(engine)
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
    engine.dispose()


@pytest.fixture
def server(postgresql: PostgresqlServer) -> Iterator[Engine]:
    """An empty database on PostgreSQL, whose commits are synced unless asked otherwise."""
    url = postgresql.new_database()
    engine = connect(url)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER DATABASE {engine.url.database} SET synchronous_commit = on"))
    engine.dispose()
    yield engine
    engine.dispose()
    postgresql.drop(url)


def test_postgresql_keeps_room_for_the_updates_of_deliveries(server: Engine) -> None:
    migrate(server)
    with snapshot(server) as connection:
        assert "fillfactor=75" in connection.execute(text("SELECT reloptions FROM pg_class WHERE relname = 'deliveries'")).scalar_one()


def test_a_commit_on_sqlite_is_synced_once_the_turn_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no other writer waits for the disk; and it isn't synced where it need not be."""
    engine = connect(f"sqlite:///{tmp_path / 'x.db'}")
    migrate(engine)
    log, synced_files, sync = (tmp_path / "x.db-wal").stat().st_ino, list[int](), os.fdatasync

    def sync_in_nobodys_turn(descriptor: int) -> None:
        with (tmp_path / "x.db-turn").open() as turn:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        synced_files.append(os.fstat(descriptor).st_ino)
        sync(descriptor)

    monkeypatch.setattr("os.fdatasync", sync_in_nobodys_turn)
    for synced in (True, False, True):
        with transaction(engine, synced=synced) as connection:
            count_refusal(connection, store="shopify", reason="missing", at=database_now(connection))
    assert synced_files == [log, log]
    engine.dispose()


def test_a_commit_that_need_not_be_synced_leaves_others_as_they_are_on_postgresql(server: Engine) -> None:
    found = []
    for synced in (True, False, True):
        with transaction(server, synced=synced) as connection:
            found.append(connection.execute(text("SHOW synchronous_commit")).scalar())
    assert found == ["on", "off", "on"]
    with transaction(server) as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "3s"


def test_a_connection_that_the_server_ended_is_replaced_unnoticed(server: Engine) -> None:
    other = connect(server.url.render_as_string(hide_password=False))
    with snapshot(server) as connection:
        process = connection.execute(text("SELECT pg_backend_pid()")).scalar()
    with snapshot(other) as connection:
        connection.execute(text("SELECT pg_terminate_backend(:process, 3000)"), {"process": process})
    with snapshot(server) as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar() != process
    other.dispose()


def test_a_server_that_writes_times_and_texts_in_another_way_is_understood(server: Engine) -> None:
    migrate(server)
    with server.begin() as connection:
        for setting in ("DateStyle = 'SQL, DMY'", "TimeZone = 'Asia/Kolkata'", "client_encoding = 'LATIN1'", "bytea_output = 'escape'"):
            connection.execute(text(f"ALTER DATABASE {server.url.database} SET {setting}"))
    server.dispose()
    with transaction(server) as connection:
        assert abs(database_now(connection) - datetime.now(UTC)) < timedelta(minutes=1)
        assert connection.execute(text("SELECT :name"), {"name": "Łódź 東京"}).scalar() == "Łódź 東京"


def test_a_server_that_only_reads_is_away(server: Engine) -> None:
    migrate(server)
    with server.begin() as connection:
        connection.execute(text(f"ALTER DATABASE {server.url.database} SET default_transaction_read_only = on"))
    server.dispose()
    with pytest.raises(DatabaseAway, match=r"DATABASE_URL can't be used: .*read-only"), transaction(server) as connection:
        connection.execute(text("DELETE FROM leases"))
    assert "read-only" in why_not_storing(server)


def test_a_user_without_rights_is_away(server: Engine) -> None:
    migrate(server)
    role = f"nobody_{server.url.database}"
    with server.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
    denied = connect(server.url.set(username=role).render_as_string(hide_password=False))
    try:
        with pytest.raises(DatabaseAway, match="permission denied for table deliveries"), snapshot(denied) as connection:
            connection.execute(text("SELECT count(*) FROM deliveries"))
        assert "permission denied" in why_not_storing(denied)
    finally:
        denied.dispose()
        with server.begin() as connection:
            connection.execute(text(f"DROP ROLE {role}"))


def test_postgresql_ends_a_transaction_that_stands_still(server: Engine) -> None:
    """As of a sender that was stopped in it: its locks would keep all others from these orders."""

    def stand_still() -> None:
        with transaction(server) as connection:
            assert connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar() == "10s"
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 50"))
            time.sleep(0.3)
            connection.execute(text("SELECT 1"))

    with pytest.raises(DatabaseAway):
        stand_still()
    with snapshot(server) as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1


def test_an_order_that_lost_its_reading_is_not_sent(adapter: AdapterUnderTest) -> None:
    """A commit that was not synced is gone with the database server; a sender may have claimed the order before."""
    adapter.post(shopify_order())
    adapter.read()
    with transaction(adapter.engine) as connection:
        assert take_up(connection, [1]) == {1}
        connection.execute(update(deliveries).values(read_at=None))
        assert take_up(connection, [1]) == set()


def test_a_failed_transaction_leaves_nothing(engine: Engine) -> None:
    def work() -> None:
        with transaction(engine) as connection:
            connection.execute(text("INSERT INTO leases (account) VALUES ('a')"))
            raise KeyError("broken off")

    with pytest.raises(KeyError):
        work()
    with snapshot(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM leases")).scalar() == 0


def test_an_unreachable_server_is_away_and_the_message_names_the_setting() -> None:
    engine = connect("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(DatabaseAway, match="DATABASE_URL"), transaction(engine):
        pass


def test_a_locked_sqlite_file_is_away_within_the_time_a_store_waits(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'x.db'}")
    migrate(engine)
    with transaction(engine), pytest.raises(DatabaseAway), transaction(engine):
        pass
    engine.dispose()


def test_one_who_writes_all_the_time_does_not_keep_the_others_from_sqlite(tmp_path: Path) -> None:
    """A sender on a slow disk holds the lock nearly always; each of the others gets it at one of the next times that it lets it go."""
    url, stop = f"sqlite:///{tmp_path / 'x.db'}", threading.Event()
    engine, busy = connect(url), connect(url)
    migrate(engine)

    def write_all_the_time() -> None:
        while not stop.wait(0.008):
            with transaction(busy):
                stop.wait(0.13)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_all_the_time)
        begun = time.monotonic()
        try:
            for _ in range(10):
                time.sleep(0.02)  # so that the other has begun
                with transaction(engine):
                    pass
        finally:
            stop.set()
        took = time.monotonic() - begun
        writing.result()
    engine.dispose()
    busy.dispose()
    assert took < 4  # a look each 100 ms makes it about 20


def test_the_clock_is_in_utc(engine: Engine) -> None:
    with snapshot(engine) as connection:
        assert database_now(connection).utcoffset() is not None
