"""The file of an SQLite database: created on purpose, private, and still the one that connections were opened on.

SQLite goes on using a file that has been deleted or replaced while it was open, and what is written there is lost. Connections are
therefore compared with the path before each use. Another file at the path is opened instead of the old one, once all that the old one's log
contains is in the old one: it may be put back. A file that was overwritten in place isn't used.
"""

import os
import sqlite3
import stat
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from typing import Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

from adapter.errors import DatabaseAway

_Identity = tuple[int, int] | None
_COMPANIONS = ("-wal", "-shm")
_PRIVATE = 0o600
_OPENED = "adapter_file"
# https://www.sqlite.org/fileformat.html#the_database_header
_MAGIC = b"SQLite format 3\0"
_PAGES = slice(28, 32)
_HEADER_BYTES = 32


def path_of(engine: Engine) -> str:
    """The path of the database file; blank unless the database is SQLite."""
    return (engine.url.database or "") if engine.dialect.name == "sqlite" else ""


def missing_file(engine: Engine) -> str:
    """The path of an SQLite file that doesn't exist; blank for every other database."""
    path = path_of(engine)
    return path if path and not os.path.exists(path) else ""


def why_no_file(engine: Engine) -> str:
    """A message for the file of an SQLite database that is missing; blank if there is one, and for every other database."""
    path = missing_file(engine)
    if not path or os.path.isabs(path):
        return path and f"no {path}: check DATABASE_URL; drip-adapter serve and drip-adapter migrate create it"
    return f"no {path} here; is this the right folder ({os.getcwd()})? drip-adapter serve and drip-adapter migrate create the file"


def create_file(engine: Engine) -> None:
    """Create the file of an SQLite database if it is missing, and let only this user read and write it. Raises `DatabaseAway`.

    It gets a write-ahead log here, before it has tables: SQLite remembers that in the file.
    """
    if not (path := path_of(engine)):
        return
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_EXCL, _PRIVATE))
    except FileExistsError:
        for each in (path, *_companions(path).values()):
            with suppress(OSError):  # another user's, who decides
                if stat.S_ISREG(os.stat(each).st_mode):
                    os.chmod(each, _PRIVATE)
    except OSError as error:
        raise not_opened(path, str(error.strerror)) from error
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as connection:  # the engine's connection will say what is wrong
        connection.execute("PRAGMA journal_mode = WAL")


def not_opened(path: str, why: str) -> DatabaseAway:
    """The error for a file that can't be opened or written: with what its name and permissions show, else with `why`."""
    return DatabaseAway(f"the database of DATABASE_URL can't be used: {path}: {_why_unusable(path) or why}")


def _why_unusable(path: str) -> str:
    """Why SQLite can't open or write a file, as far as its name and permissions show; else blank."""
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        return "it is a folder, not a file"
    if not os.path.isdir(folder):
        return f"there is no folder {folder}"
    if os.path.exists(path) and not os.access(path, os.R_OK | os.W_OK):
        return "this user may not read and write it"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"this user may not write in {folder}, where SQLite needs files beside it"
    return ""


def require_file(engine: Engine) -> None:
    """Raise `DatabaseAway` if the file can't be used because of what others did to it, or to the files beside it.

    Connections stay open meanwhile: the file may be put back, and they are all that is left of a deleted one.
    """
    if not (path := path_of(engine)):
        return
    # In this order: the first connection, in another thread, creates the files beside it.
    file = _FILES.get(engine)
    found = _found_at(path)
    if found[""] is None:
        raise _unusable(path, "is missing; put it back, or restart the adapter")
    if file is not None:
        file.require_intact(found)


def sync_file(engine: Engine, info: Mapping[str, Any]) -> None:
    """Sync to disk what was committed by a connection, whose `info` this is. Raises `DatabaseAway`, also for a file that was deleted or
    replaced meanwhile. Other databases sync by themselves.

    The log alone is synced: what SQLite has moved from there to the database file, it has synced before. It locks nothing in the log, so
    closing it releases no lock.
    """
    if not (path := path_of(engine)):
        return
    try:
        log = os.open(_companions(path)["-wal"], os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(log)
        finally:
            os.close(log)
    except OSError as error:
        raise _unusable(path, f"can't be synced to disk: {error.strerror}") from error
    if info[_OPENED] != _found_at(path):
        raise _unusable(path, "was deleted or replaced while it was written")


def watch_file(engine: Engine) -> None:
    """Never create the file by connecting, and leave connections to a file that is no longer at the path."""

    @event.listens_for(engine, "do_connect")
    def open_existing(dialect: Any, record: Any, arguments: list[Any], options: dict[str, Any]) -> None:
        if (file := _FILES.get(engine)) is not None:
            file.leave_if_replaced()
        if not options.get("uri"):
            arguments[0] = f"file:{quote(os.path.abspath(arguments[0]))}?mode=rw"
            options["uri"] = True

    @event.listens_for(engine, "checkout")
    def compare(connection: Any, record: Any, proxy: Any) -> None:
        if record.info[_OPENED][""] != _identity(path_of(engine)):
            raise DisconnectionError("the file has been replaced")

    @event.listens_for(engine, "close")
    def forget(connection: Any, record: Any) -> None:
        if (file := _FILES.get(engine)) is not None:
            file.connections.pop(id(connection), None)
            if not file.connections:  # with the last one, SQLite deletes the files beside it
                del _FILES[engine]


def remember_file(engine: Engine, connection: sqlite3.Connection, info: dict[str, Any]) -> None:
    """Record in a new connection's `info` which files it uses. To be called once SQLite has opened them."""
    path = path_of(engine)
    info[_OPENED] = opened = _found_at(path)
    file = _FILES.get(engine)
    if file is None or file.opened[""] != opened[""]:
        file = _FILES[engine] = _File(path, opened)
    file.connections[id(connection)] = connection


class _File:
    """The files that an engine's connections use."""

    def __init__(self, path: str, opened: Mapping[str, _Identity]) -> None:
        self.opened = opened
        self.connections: dict[int, sqlite3.Connection] = {}
        self._path = path
        self._pages = 0
        self._is_log_moved = False
        self._has_left = False
        self._moving = threading.Lock()

    def require_intact(self, found: Mapping[str, _Identity]) -> None:
        """Raise `DatabaseAway` if the file was overwritten, or lacks a file beside it that is in use."""
        if found[""] != self.opened[""]:
            self.leave_if_replaced()
            return
        header = _header(self._path)
        pages = int.from_bytes(header[_PAGES], "big")
        if (header and not header.startswith(_MAGIC)) or pages < self._pages:  # nothing here makes it smaller
            raise _unusable(self._path, "was overwritten; stop the adapter, put the file back without -wal and -shm beside it, and restart")
        self._pages = pages
        if found != self.opened:
            self._move_log()
            raise _unusable(self._path, "lost its -wal or -shm while in use; restart the adapter")

    def leave_if_replaced(self) -> None:
        """If another file is at the path, put the log aside, which SQLite would mix up with that file, or delete. Raises `DatabaseAway`."""
        found = _found_at(self._path)
        if self._has_left or found[""] in (None, self.opened[""]):
            return
        if not self._move_log():
            raise _unusable(self._path, "was replaced while it was in use")
        for suffix, each in _companions(self._path).items():
            if found[suffix] == self.opened[suffix]:
                with suppress(FileNotFoundError):
                    os.rename(each, f"{each}-replaced")
        self._has_left = True

    def _move_log(self) -> bool:
        """Move what the log contains to the database file, through a connection that still has both; False if all are in use."""
        with self._moving:
            self._is_log_moved = self._is_log_moved or any(_checkpoint(connection) for connection in list(self.connections.values()))
            return self._is_log_moved


def _checkpoint(connection: sqlite3.Connection) -> bool:
    """Move all of the log, without waiting for anybody; whether that was possible."""
    with suppress(sqlite3.Error):
        _, logged, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return bool(logged == moved)
    return False


_FILES: WeakKeyDictionary[Engine, _File] = WeakKeyDictionary()
_DESCRIPTORS: dict[str, tuple[_Identity, int]] = {}
_OPENING = threading.Lock()


def _header(path: str) -> bytes:
    """The start of the file, by a descriptor that stays open until another file is in its place: closing one releases all locks of this
    process on its file. Raises `DatabaseAway`.
    """
    path, found = os.path.abspath(path), _identity(path)
    with _OPENING:
        identity, descriptor = _DESCRIPTORS.get(path, (None, -1))
        if identity != found:
            try:
                opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:  # the descriptor stays: the file may be put back
                raise _unusable(path, f"can't be read: {error.strerror}") from error
            status = os.fstat(opened)
            now = status.st_dev, status.st_ino
            if descriptor >= 0 and now != identity:
                os.close(descriptor)
            _DESCRIPTORS[path], descriptor = (now, opened), opened
        return os.pread(descriptor, _HEADER_BYTES, 0)


def _unusable(path: str, why: str) -> DatabaseAway:
    return DatabaseAway(f"the database of DATABASE_URL can't be used: {path} {why}")


def _found_at(path: str) -> Mapping[str, _Identity]:
    """What tells the files at a path from others that were there before: device and inode, by suffix of the name."""
    return {"": _identity(path)} | {suffix: _identity(each) for suffix, each in _companions(path).items()}


def _companions(path: str) -> dict[str, str]:
    """The files that SQLite keeps beside the database, by suffix; it resolves symbolic links."""
    real = os.path.realpath(path) if os.path.islink(path) else path
    return {suffix: f"{real}{suffix}" for suffix in _COMPANIONS}


def _identity(path: str) -> _Identity:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
