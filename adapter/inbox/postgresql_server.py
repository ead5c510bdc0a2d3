"""Connections to a PostgreSQL server, with as few round trips as possible: an order costs some fifty of them.

A transaction begins together with its settings. Readers begin none: at PostgreSQL's default isolation each statement sees a state of its
own anyway. A pooled connection is tried out only if it may have ended.
"""

import select
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import InvalidatePoolError

_UNUSED_S = 5.0
"""A connection that was unused for so long may have been dropped on the way, without a sign of it here."""
_LONGEST_PAUSE_MS = 10_000
"""Between two statements of a transaction. Less than a lease lasts, so that a process that was stopped keeps no other from its work."""
_USED = "adapter_used"


def connect_postgresql(url: str, *, connections: int, patience_s: int) -> Engine:
    """An engine whose writing transactions, and whose attempts to connect, time out after `patience_s`."""
    engine = create_engine(
        url,
        hide_parameters=True,  # an error must not quote a payload in a log
        pool_size=connections,
        max_overflow=0,
        pool_timeout=patience_s,
        connect_args={"connect_timeout": patience_s, "prepare_threshold": None, "client_encoding": "utf8"},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: Any) -> None:
        connection.autocommit = True  # transactions are begun explicitly, below

    @event.listens_for(engine, "checkout")
    def try_out(connection: Any, record: Any, proxy: Any) -> None:
        used, record.info[_USED] = record.info.get(_USED), time.monotonic()
        if used is not None and (time.monotonic() - used > _UNUSED_S or _has_news(connection)):
            _require_alive(engine, connection)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if not options.get("reading") and options.get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql(begin_writing(patience_s, synced=options["synced"]) if "synced" in options else "BEGIN")

    return engine


def begin_writing(patience_s: int, *, synced: bool) -> str:
    """Begins a transaction whose statements time out, and which the server ends if this process stops within it: it may hold locks."""
    unsynced = "" if synced else "; SET LOCAL synchronous_commit = off"
    timeouts = f"SET LOCAL statement_timeout = {patience_s * 1000}; SET LOCAL idle_in_transaction_session_timeout = {_LONGEST_PAUSE_MS}"
    return f"BEGIN; {timeouts}{unsynced}"


def commit_in_one_trip(connection: Any, patience_s: int, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run one statement in a transaction of its own; its rows. Begin, statement and commit are one message, with the values in its text."""
    from psycopg import ClientCursor  # noqa: PLC0415 - an installation with SQLite does without it

    cursor: ClientCursor[tuple[Any, ...]] = ClientCursor(connection)
    cursor.execute(f"{begin_writing(patience_s, synced=True)}; {statement}; COMMIT".encode(), values)
    while cursor.description is None and cursor.nextset():
        pass
    return cursor.fetchall()


def _has_news(connection: Any) -> bool:
    """Whether the server has sent something unasked: at least, that it closed the connection."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _require_alive(engine: Engine, connection: Any) -> None:
    """Raise `InvalidatePoolError`, for which the pool connects anew, if the connection has ended."""
    try:
        engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error as error:
        raise InvalidatePoolError from error
