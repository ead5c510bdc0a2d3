"""Whether a webhook can be stored now: tried with a write that is undone."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from adapter.errors import DatabaseAway
from adapter.inbox.database import connect, driver_transaction
from adapter.inbox.sqlite_file import path_of, require_file

_COUNTS_FOR_S = 1.0
# More than SQLite may keep in memory until the commit, so that it writes to the disk.
_SMALL_CACHE = "PRAGMA cache_size = 8"
_COLUMNS = "INSERT INTO deliveries (id, store, key, topic, headers, payload, received_at, due_at) VALUES"
_INTO_SQLITE = f"{_COLUMNS} (?, '', ?, '', '{{}}', zeroblob(65536), 0, 0)"
_INTO_POSTGRESQL = f"{_COLUMNS} (%s, '', %s, '', '{{}}', '', 0, 0)"


class _Undo(Exception):  # noqa: N818 - it ends a transaction that went well
    """Rolls the trial back."""


class Readiness:
    """Tries to store a webhook, at most once a second: anybody may ask."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._known_until = float("-inf")
        self._why = ""

    def require(self) -> None:
        """Raise `DatabaseAway` if a webhook can't be stored."""
        if why := self.why_not():
            raise DatabaseAway(why)

    def why_not(self) -> str:
        """Why a webhook can't be stored; blank if it can."""
        with self._lock:
            if time.monotonic() > self._known_until:
                self._why = why_not_storing(self._engine)
                self._known_until = time.monotonic() + _COUNTS_FOR_S
            return self._why


def why_not_storing(engine: Engine) -> str:
    """Why a webhook can't be stored now; blank if it can. Takes at most a few seconds."""
    try:
        require_file(engine)
        with _fresh(engine) as trial, suppress(_Undo):
            _try(trial)
    except DatabaseAway as away:
        return str(away)
    except DBAPIError as error:
        return f"the database of DATABASE_URL rejects every row: {type(error.orig).__name__}"
    return ""


@contextmanager
def _fresh(engine: Engine) -> Iterator[Engine]:
    """An engine that reads an SQLite file anew: a connection in use would not notice damage to what it has in memory."""
    if not path_of(engine):
        yield engine
        return
    fresh = connect(engine.url.render_as_string(hide_password=False))
    try:
        yield fresh
    finally:
        fresh.dispose()


def _try(engine: Engine) -> None:
    """Write a row as a webhook's, and raise `_Undo`. Its id is its own: a rolled back one would leave a gap in the numbers."""
    row = (-random.randrange(1, 2**31), f"trial {random.random()}")  # noqa: S311 - no secret
    with driver_transaction(engine) as cursor:
        if engine.dialect.name == "postgresql":
            cursor.execute(_INTO_POSTGRESQL, row)
        else:
            cursor.execute(_SMALL_CACHE)
            cursor.execute(_INTO_SQLITE, row)
        raise _Undo
