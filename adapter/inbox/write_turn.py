"""The turn to write to an SQLite database, which allows one writer at a time.

SQLite's own waiters poll, so an unlucky one waits for a long time. All writers on a machine therefore queue for a file lock first: the
kernel hands it over in turn, and releases it if a process dies. While one process has the turn, webhooks wait, so a turn must be short.
"""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from adapter.errors import DatabaseAway
from adapter.inbox.sql import parts
from adapter.inbox.sqlite_file import not_opened, path_of, require_file

Value = TypeVar("Value")
_LOOK_MS = 10
_GIVE_WAY_S = 0.002


@contextmanager
def turn_to_write(engine: Engine, patience_s: float | None) -> Iterator[None]:
    """Wait for the turn to write, at most so many seconds; None: without a limit, which takes less. Other databases need no turn.

    Raises `DatabaseAway`.
    """
    if not (path := path_of(engine)):
        yield
        return
    require_file(engine)
    try:
        turn = os.open(f"{path}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise not_opened(path, str(error.strerror)) from error
    try:
        if patience_s is None:
            fcntl.flock(turn, fcntl.LOCK_EX)
        else:
            _await_turn(turn, patience_s)
        require_file(engine)
        yield
    finally:
        os.close(turn)


def in_turns(engine: Engine, values: Sequence[Value], most: int) -> Iterator[Sequence[Value]]:
    """Values in parts, each to be written in a transaction of its own, so that webhooks are stored in between.

    Whoever passes the turn on and asks for it again at once gets it, before the next in the queue has woken up; hence the pause.
    """
    for place, part in enumerate(parts(values, most)):
        if place and path_of(engine):
            time.sleep(_GIVE_WAY_S)
        yield part


def begin_writing(execute: Callable[[str], Any], patience_s: float, *, synced: bool) -> None:
    """Begin a writing transaction as soon as no other is open. It is written to the log in any case, and synced to disk if it should be.

    This process has the turn, but another program may be using the file. SQLite itself would check only every 100 ms.
    """
    until = time.monotonic() + patience_s
    execute(f"PRAGMA busy_timeout = {_LOOK_MS}")
    execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
    try:
        while True:
            try:
                execute("BEGIN IMMEDIATE")
                return
            except (OperationalError, sqlite3.OperationalError) as error:
                code = getattr(getattr(error, "orig", error), "sqlite_errorcode", 0)
                if code & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                    raise
    finally:
        execute(f"PRAGMA busy_timeout = {round(patience_s * 1000)}")


def _await_turn(turn: int, patience_s: float) -> None:
    """Wait in the kernel's queue, but not forever: the process whose turn it is may have been stopped."""
    with suppress(BlockingIOError):
        fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    # flock has no timeout. A thread that is still waiting when the file is closed ends as soon as it gets the turn, and releases it.
    waiting = threading.Thread(target=fcntl.flock, args=(turn, fcntl.LOCK_EX), daemon=True)
    waiting.start()
    waiting.join(patience_s)
    if waiting.is_alive():
        raise DatabaseAway(f"the database of DATABASE_URL can't be used: another process has been writing for {patience_s} s")
