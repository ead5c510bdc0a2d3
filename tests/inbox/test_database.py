"""Schema, migrations and transactions, on both databases."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from adapter.errors import DatabaseAway
from adapter.inbox.database import connect, database_now, snapshot, transaction
from adapter.inbox.migration import migrate
from adapter.inbox.schema_version import is_migrated
from adapter.inbox.sqlite_file import create_file
from adapter.inbox.tables import metadata


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
