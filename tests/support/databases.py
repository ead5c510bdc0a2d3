"""One migrated database for each kind and test process. Emptying it between tests costs less than making another one."""

import shutil
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Engine, event, text

from adapter.inbox.database import connect
from adapter.inbox.migration import migrate
from adapter.inbox.tables import metadata
from tests.support.postgresql import PostgresqlServer

_MOST_DEAD_ROWS = 2000
_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_CATALOG = """
    WITH ours AS (SELECT oid, relname, relhastriggers FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    SELECT (SELECT string_agg(relname || oid || relhastriggers, ' ' ORDER BY oid) FROM ours),
           (SELECT string_agg(conname, ' ' ORDER BY oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace),
           (SELECT string_agg(attname || atttypid || attnotnull, ' ' ORDER BY attrelid, attnum) FROM pg_attribute
             WHERE attrelid IN (SELECT oid FROM ours))
"""
_RESTART = "SELECT setval(format('%I', sequencename), 1, false) FROM pg_sequences WHERE schemaname = 'public'"


class ReusedDatabase(Protocol):
    """A migrated database that one test after the other gets empty. Its engine keeps the SQL that it has compiled."""

    url: str
    engine: Engine

    def reset(self) -> None:
        """Empty it and disconnect whoever is left."""


class ReusedSqlite:
    """A file, replaced by a copy of an empty one."""

    def __init__(self, folder: Path) -> None:
        self._file, self._empty = folder / "adapter.db", folder / "empty.db"
        self.url = f"sqlite:///{self._file}"
        empty = connect(f"sqlite:///{self._empty}")
        migrate(empty)
        empty.dispose()
        self.engine = connect(self.url)

        @event.listens_for(self.engine, "connect")
        def hurry(connection: Any, record: Any) -> None:
            connection.execute("PRAGMA synchronous = OFF")  # no test cuts the power

    def reset(self) -> None:
        self.engine.dispose()
        for file in self._file.parent.glob(f"{self._file.name}*"):
            file.unlink()
        shutil.copy(self._empty, self._file)


class ReusedPostgresql:
    """A database on the run's server, emptied table by table, or made anew if a test has changed its schema."""

    def __init__(self, server: PostgresqlServer) -> None:
        self._server = server
        self.url = server.new_database()
        self.engine = connect(self.url)
        self._make()

    def _make(self) -> None:
        migrate(self.engine)
        self._dead_rows = 0
        with self.engine.connect() as connection:
            self._catalog = connection.execute(text(_CATALOG)).one()

    def reset(self) -> None:
        self.engine.dispose()
        with self.engine.begin() as connection:
            connection.execute(text(_OTHERS))
            unchanged = connection.execute(text(_CATALOG)).one() == self._catalog
            if unchanged:
                self._dead_rows += sum(connection.execute(table.delete()).rowcount for table in reversed(metadata.sorted_tables))
                connection.execute(text(_RESTART))
        if not unchanged:
            self._make_anew()
        elif self._dead_rows > _MOST_DEAD_ROWS:
            self._vacuum()

    def _make_anew(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        self._make()

    def _vacuum(self) -> None:
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM"))
        self._dead_rows = 0
