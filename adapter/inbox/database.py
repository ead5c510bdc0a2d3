"""Access to the database: SQLite by default, PostgreSQL if web and sender run on several machines.

Both are used alike: short transactions, no session state, no server-side prepared statements, so that PgBouncer may stand between.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from adapter.errors import DatabaseAway
from adapter.inbox import counters
from adapter.inbox.packing import use_keys
from adapter.inbox.postgresql_server import begin_writing, commit_in_one_trip, connect_postgresql
from adapter.inbox.sqlite_file import not_opened, path_of, remember_file, require_file, sync_file, watch_file
from adapter.inbox.tables import Instant
from adapter.inbox.write_turn import begin_writing as begin_writing_sqlite
from adapter.inbox.write_turn import turn_to_write

# A webhook must be answered within 4 s, even if the database is unreachable; small plans allow 20 connections in total.
_CONNECTIONS = 3
_PATIENCE_S = 3
_BUSY_TIMEOUT = f"PRAGMA busy_timeout = {_PATIENCE_S * 1000}"
_IS_OURS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'deliveries'"
_CLOCK_KEEPS_S = 1.0
_NOW = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint) AS now").columns(now=Instant())
_OTHER_TABLES = ("42P01", "42703")  # PostgreSQL has no such table, or no such column
# PostgreSQL refuses the user's rights or all writing, or finds its own data damaged.
_REFUSES_ALL = ("42501", "25006", "XX000", "XX001", "XX002")
_NO_SUCH_TABLE = ("no such table", "no such column", "table deliveries has no column")
OTHER_TABLES = "the tables in the database of DATABASE_URL are missing or of another version: run drip-adapter migrate"
_NOT_A_DATABASE = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def connect(url: str, payload_keys: Sequence[bytes] = ()) -> Engine:
    """An engine for a DATABASE_URL, which encrypts with the first of these keys and decrypts with all. It connects when first used."""
    engine = (
        _sqlite(url)
        if make_url(url).get_backend_name() == "sqlite"
        else connect_postgresql(url, connections=_CONNECTIONS, patience_s=_PATIENCE_S)
    )
    if payload_keys:
        from adapter.inbox.encryption import Keyring  # noqa: PLC0415 - its library takes long to load, and most installations have no keys

        use_keys(engine.dialect, Keyring(payload_keys))
    return engine


@contextmanager
def transaction(engine: Engine, *, synced: bool = True) -> Iterator[Connection]:
    """A writing transaction, committed at the end; raises `DatabaseAway` if the connection is lost.

    Without `synced` its commit doesn't wait for the disk: it survives any end of this process, but if the machine or the database server
    fails within the next second it may be undone, and with it only what was committed later. For work that is then simply done again.
    """
    is_synced_later = bool(path_of(engine))  # once the turn has been passed on: no other writer waits for the disk
    with turn_to_write(engine, _PATIENCE_S), reaching_database(engine), engine.connect() as connection:
        opened = connection.info
        with connection.execution_options(synced=synced and not is_synced_later).begin():
            counters.begin(connection)
            yield connection
            counters.write(connection)
    if synced and is_synced_later:
        sync_file(engine, opened)


def commit_statement(engine: Engine, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run one statement in a transaction of its own, committed and synced on return; its rows. Raises like `transaction`.

    For the one statement whose speed matters most. On SQLite it waits for its turn without a time limit, which takes less: those who ask
    for it have a deadline of their own.
    """
    if engine.dialect.name == "postgresql":
        with _driver_connection(engine) as connection:
            return commit_in_one_trip(connection.driver_connection, _PATIENCE_S, statement, values)
    with driver_transaction(engine) as cursor:
        rows: list[tuple[Any, ...]] = cursor.execute(statement, values).fetchall()
    return rows


@contextmanager
def driver_transaction(engine: Engine) -> Iterator[Any]:
    """A writing transaction on the driver's own cursor, committed and synced at the end. Raises and waits like `commit_statement`."""
    with _driver_connection(engine) as connection:
        cursor = connection.cursor()
        try:
            if engine.dialect.name == "postgresql":
                cursor.execute(begin_writing(_PATIENCE_S, synced=True))
            else:
                begin_writing_sqlite(cursor.execute, _PATIENCE_S, synced=False)
            yield cursor
        finally:
            cursor.close()  # a statement that is still open would keep SQLite's lock, even on a closed connection
        connection.commit()


@contextmanager
def _driver_connection(engine: Engine) -> Iterator[Any]:
    """The driver's connection, for one transaction. On SQLite what was committed is synced afterwards: no other writer waits for that."""
    driver = engine.dialect.loaded_dbapi
    with reaching_database(engine):
        try:
            with turn_to_write(engine, patience_s=None):
                connection = engine.raw_connection()
                opened = connection.info
                try:
                    yield connection
                except BaseException as error:
                    with suppress(driver.Error):
                        connection.rollback()
                    if isinstance(error, (driver.OperationalError, driver.InterfaceError)):
                        connection.invalidate()
                    raise
                finally:
                    connection.close()
        except driver.Error as error:  # as SQLAlchemy would raise it
            raise DBAPIError.instance("", None, error, driver.Error, dialect=engine.dialect) from error
    sync_file(engine, opened)


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """For reading, without a lock; raises `DatabaseAway` if the connection is lost. On SQLite all statements see the same state."""
    require_file(engine)
    with reaching_database(engine), engine.connect().execution_options(reading=True) as connection:
        yield connection


def database_now(connection: Connection) -> datetime:
    """The database's clock: the one that all senders share."""
    if connection.dialect.name == "postgresql":
        # As a number: how times are written is a setting of the server's (DateStyle), and the driver reads only one way.
        moment: datetime = connection.execute(_NOW).scalar_one()
        return moment
    return datetime.now(UTC)


class Clock(Protocol):
    """The current time: the database's, or a test's."""

    def __call__(self) -> datetime:
        """Now."""

    def sync(self, connection: Connection) -> None:
        """Read the database's clock if the last time is a while ago."""


class DatabaseClock:
    """The database's clock, read from time to time and continued with this machine's."""

    def __init__(self) -> None:
        self._asked = float("-inf")
        self._then = datetime.now(UTC)

    def sync(self, connection: Connection) -> None:
        """Read the database's clock, unless it was read a moment ago."""
        if time.monotonic() - self._asked > _CLOCK_KEEPS_S:
            self._then = database_now(connection)
            self._asked = time.monotonic()

    def __call__(self) -> datetime:
        elapsed = time.monotonic() - self._asked
        return self._then + timedelta(seconds=elapsed) if elapsed < float("inf") else datetime.now(UTC)


class _SqliteCompiler(SQLiteCompiler):
    """Writes the index that a statement names (`adapter.inbox.sql.using`), which SQLAlchemy leaves out for SQLite."""

    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        return text


def _sqlite(url: str) -> Engine:
    engine = create_engine(url, hide_parameters=True, poolclass=QueuePool, pool_size=_CONNECTIONS, max_overflow=0, pool_timeout=_PATIENCE_S)
    watch_file(engine)

    engine.dialect.statement_compiler = _SqliteCompiler

    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # transactions are begun explicitly, below
        connection.execute(_BUSY_TIMEOUT)
        if connection.execute(_IS_OURS).fetchone():  # the mode is written to the file: another program's is left as it is
            connection.execute("PRAGMA journal_mode = WAL")
        for pragma in (
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
            "PRAGMA secure_delete = ON",  # erased data is overwritten in the file
        ):
            connection.execute(pragma)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # reads the file, and creates those beside it
        remember_file(engine, connection, record.info)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads before it writes fails if another one writes in between, so writers take the lock at once.
        options = connection.get_execution_options()
        if options.get("reading"):
            connection.exec_driver_sql("BEGIN")
        else:
            begin_writing_sqlite(connection.exec_driver_sql, _PATIENCE_S, synced=options.get("synced", True))

    return engine


@contextmanager
def reaching_database(engine: Engine) -> Iterator[None]:
    """Turn a lost connection, and a database that does nothing, into `DatabaseAway`. A row that it rejects stays a `DBAPIError`."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise _unusable(engine, _first_line(error)) from error
    except DBAPIError as error:
        sqlstate = getattr(error.orig, "sqlstate", "")
        if sqlstate in _OTHER_TABLES:
            raise DatabaseAway(OTHER_TABLES) from error
        if sqlstate in _REFUSES_ALL or getattr(error.orig, "sqlite_errorcode", None) in _NOT_A_DATABASE:
            raise _unusable(engine, _first_line(error)) from error
        if error.connection_invalidated:
            raise DatabaseAway(f"the connection to the database of DATABASE_URL was lost: {_first_line(error)}") from error
        raise


def _unusable(engine: Engine, why: str) -> DatabaseAway:
    if not (path := path_of(engine)):
        return DatabaseAway(f"the database of DATABASE_URL can't be used: {why}")
    if why.startswith(_NO_SUCH_TABLE):
        return DatabaseAway(OTHER_TABLES)
    return not_opened(path, why)


def _first_line(error: Exception) -> str:
    # The driver's message: SQLAlchemy's would quote the statement's parameters.
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
