"""The SQLite file under a running process: what was acknowledged is in the file at the path, or it wasn't acknowledged."""

import os
import resource
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from adapter.cli import main
from adapter.cli.waiting import report_until_ready
from adapter.errors import DatabaseAway, WorkFailed
from adapter.inbox import sqlite_file
from adapter.inbox.database import connect, snapshot, transaction
from adapter.inbox.group_commit import Keeper
from adapter.inbox.migration import migrate
from adapter.inbox.readiness import why_not_storing
from adapter.inbox.receiving import Arrival
from mappings import Key


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "adapter.db"


@pytest.fixture
def engine(file: Path) -> Iterator[Engine]:
    """A database that is in use: as by web or sender, with open connections."""
    engine = connect(f"sqlite:///{file}")
    migrate(engine)
    keep(engine, "first")
    yield engine
    engine.dispose()


def keep(engine: Engine, key: str, payload: bytes = b"{}") -> None:
    arrival = Arrival(store="shopify", key=Key(value=key, expires=False), topic="", headers={}, payload=payload, at=datetime.now(UTC))
    assert Keeper(engine).keep(arrival).new


def keys(file: Path) -> list[str]:
    """What another program finds at the path."""
    with sqlite3.connect(file) as connection:
        found = [key for (key,) in connection.execute("SELECT key FROM deliveries ORDER BY id")]
    connection.close()
    return found


def away(engine: Engine, message: str) -> None:
    not_storing(engine, message)
    for use in (read, write):
        with pytest.raises(DatabaseAway, match=message):
            use(engine)


def not_storing(engine: Engine, message: str) -> None:
    with pytest.raises(DatabaseAway, match=message):
        keep(engine, "lost")
    assert message in why_not_storing(engine)


def read(engine: Engine) -> None:
    with snapshot(engine) as connection:
        connection.execute(text("SELECT 1"))


def write(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(text("DELETE FROM leases"))


def test_only_its_user_can_read_it(file: Path, engine: Engine) -> None:
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in file.parent.glob("adapter.db*")} == dict.fromkeys(
        ("adapter.db", "adapter.db-wal", "adapter.db-shm", "adapter.db-turn"), "0o600"
    )


def test_a_file_that_others_could_read_is_made_private_at_start(file: Path, engine: Engine) -> None:
    for path in file.parent.glob("adapter.db*"):
        path.chmod(0o644)
    migrate(engine)
    assert {path.stat().st_mode & 0o077 for path in file.parent.glob("adapter.db*") if path.suffix != ".db-turn"} == {0}


def test_the_first_connections_may_be_opened_at_once(engine: Engine) -> None:
    """Each look at the file then falls before or after the files beside it are created, by another thread."""
    together = threading.Barrier(8)

    def look() -> int:
        together.wait()
        with snapshot(engine) as connection:
            return int(connection.execute(text("SELECT count(*) FROM deliveries")).scalar_one())

    with ThreadPoolExecutor(8) as threads:
        for _ in range(40):
            engine.dispose()
            assert {look.result() for look in [threads.submit(look) for _ in range(8)]} == {1}


def test_a_moved_file_is_away_until_it_is_back(file: Path, engine: Engine) -> None:
    aside = file.with_name("aside.db")
    file.rename(aside)
    away(engine, "adapter.db is missing")
    assert not file.exists()
    aside.rename(file)
    keep(engine, "second")
    assert keys(file) == ["first", "second"]
    assert why_not_storing(engine) == ""


def delete_all(file: Path) -> None:
    for path in file.parent.glob("adapter.db*"):
        path.unlink()


def delete_database_only(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("delete", [delete_all, delete_database_only])
def test_a_deleted_file_is_away_until_a_copy_is_in_its_place(file: Path, engine: Engine, delete: Callable[[Path], None]) -> None:
    copy = file.with_name("copy")
    with sqlite3.connect(file) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.close()
    keep(engine, "after the copy")
    delete(file)
    away(engine, "adapter.db is missing")
    assert not file.exists()
    shutil.copy(copy, file)
    keep(engine, "second")
    assert keys(file) == ["first", "second"]


def replace_by_another(file: Path) -> None:
    """Put a database with the one delivery `other` in the place of the file."""
    other = connect(f"sqlite:///{file}-other")
    migrate(other)
    keep(other, "other")
    other.dispose()
    os.replace(f"{file}-other", file)


def require_sound(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_what_follows_goes_to_the_file_that_replaced_it(file: Path, engine: Engine) -> None:
    replace_by_another(file)
    keep(engine, "second")
    assert keys(file) == ["other", "second"]
    require_sound(file)


def test_a_process_that_has_stored_nothing_does_not_take_the_log_for_that_of_another_file(file: Path, engine: Engine) -> None:
    """As the web process that no webhook has reached yet."""
    idle = connect(f"sqlite:///{file}")
    report_until_ready(idle)
    keep(engine, "second", os.urandom(100_000))
    replace_by_another(file)
    keep(idle, "third")
    keep(engine, "fourth")
    assert keys(file) == ["other", "third", "fourth"]
    idle.dispose()
    require_sound(file)


@pytest.mark.parametrize("other", [b"", b"no database" * 1000], ids=["empty", "something else"])
def test_a_replaced_file_has_all_that_was_acknowledged_when_it_is_put_back(file: Path, engine: Engine, other: bytes) -> None:
    """SQLite deletes the log of a file that is empty, and takes it for the log of any other."""
    keep(engine, "second")
    aside = file.with_name("aside.db")
    file.rename(aside)
    file.write_bytes(other)
    not_storing(engine, "the database of DATABASE_URL")
    aside.replace(file)
    keep(engine, "third")
    assert keys(file) == ["first", "second", "third"]


def test_a_look_while_the_file_is_away_leaves_it_usable_once_it_is_back(file: Path, engine: Engine) -> None:
    """Between two looks of one check it may be moved away, and back before the next check."""
    write(engine)
    file.rename(file.with_name("aside.db"))
    with pytest.raises(DatabaseAway, match="can't be read: No such file"):
        sqlite_file._header(str(file))
    file.with_name("aside.db").rename(file)
    write(engine)
    assert sqlite_file._header(str(file)).startswith(b"SQLite format 3")


def test_nothing_is_opened_in_place_of_a_file_whose_log_is_in_use(file: Path, engine: Engine) -> None:
    keep(engine, "second")
    aside = file.with_name("aside.db")
    with ExitStack() as in_use:
        in_use.enter_context(transaction(engine))
        file.rename(aside)
        file.write_bytes(b"")
        away(engine, "was replaced while it was in use")
        assert Path(f"{file}-wal").stat().st_size > 0
        with pytest.raises(DatabaseAway, match="replaced while it was written"):
            in_use.close()
    not_storing(engine, "tables")
    aside.replace(file)
    assert keys(file) == ["first", "second"]


def test_a_deleted_log_loses_nothing_and_is_away_until_the_restart(file: Path, engine: Engine) -> None:
    """What the log contained was acknowledged, and wasn't in the database file yet."""
    keep(engine, "second")
    for suffix in ("-wal", "-shm"):
        Path(f"{file}{suffix}").unlink()
    away(engine, "restart the adapter")
    assert keys(file) == ["first", "second"]
    engine.dispose()
    restarted = connect(f"sqlite:///{file}")
    keep(restarted, "third")
    restarted.dispose()
    assert keys(file) == ["first", "second", "third"]


def test_a_file_that_was_overwritten_with_an_older_copy_is_away(file: Path, engine: Engine) -> None:
    copy = file.with_name("copy")
    checkpoint(engine)
    shutil.copy(file, copy)
    keep(engine, "second", payload=os.urandom(100_000))
    checkpoint(engine)
    keep(engine, "third")
    newest = file.read_bytes()
    file.write_bytes(copy.read_bytes())
    away(engine, "was overwritten")
    file.write_bytes(newest)
    keep(engine, "fourth")
    assert keys(file) == ["first", "second", "third", "fourth"]


def checkpoint(engine: Engine) -> None:
    connection = engine.raw_connection()
    connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def test_a_file_that_disappears_during_a_commit_is_not_acknowledged(file: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = engine.raw_connection()
    driver: Any = connection.driver_connection
    driver.create_function("unlink_it", 0, file.unlink)
    driver.execute("CREATE TEMP TRIGGER leave AFTER INSERT ON deliveries BEGIN SELECT unlink_it(); END")
    connection.close()
    with pytest.raises(DatabaseAway, match="deleted or replaced"):
        keep(engine, "second")


@pytest.mark.parametrize("damage", [b"", b"no database at all, but a long text" * 1000], ids=["emptied", "overwritten"])
def test_a_damaged_file_is_away(file: Path, engine: Engine, damage: bytes) -> None:
    file.write_bytes(damage)
    away(engine, "was overwritten")


def test_a_full_disk_is_noticed_and_trying_leaves_nothing(file: Path, engine: Engine) -> None:
    """As far as the system is concerned: it no longer lets a file grow."""
    before = keys(file)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{file}-wal").stat().st_size, unlimited[1]))
    try:
        assert str(file) in why_not_storing(engine)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert why_not_storing(engine) == ""
    assert keys(file) == before


def test_a_locked_file_is_noticed(file: Path, engine: Engine) -> None:
    with sqlite3.connect(file, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "database is locked" in why_not_storing(engine)
        other.execute("ROLLBACK")
    other.close()
    assert why_not_storing(engine) == ""


def test_a_newer_database_is_refused_in_one_sentence(file: Path, engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(WorkFailed, match=r"DATABASE_URL has the tables of a newer version \(schema 9999"):
        migrate(engine)


@pytest.mark.parametrize(
    ("path", "why"), [("", "it is a folder"), ("no/such/adapter.db", "there is no folder"), ("file/adapter.db", "there is no folder")]
)
def test_a_path_that_cannot_be_a_database_is_named_with_the_reason(tmp_path: Path, path: str, why: str) -> None:
    (tmp_path / "file").write_text("")
    engine = connect(f"sqlite:///{tmp_path / path}")
    with pytest.raises(DatabaseAway, match=f"DATABASE_URL.*{tmp_path}.*{why}"):
        migrate(engine)


def test_reading_commands_change_nothing_in_another_programs_database(tmp_path: Path) -> None:
    file, empty = tmp_path / "other.db", tmp_path / "empty.db"
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE guests (name TEXT)")
    empty.touch()
    before = {each: each.read_bytes() for each in (file, empty)}
    for each in before:
        for command in ("status", "check", "deliveries list", "orders list", "audit", "purge"):
            result = CliRunner().invoke(
                main, command.split(), env={"DATABASE_URL": f"sqlite:///{each}", "SHOPIFY_WEBHOOK_SECRET": "s" * 20}
            )
            assert (result.exit_code, "drip-adapter migrate" in " ".join(result.output.split())) == (1, True), (command, result.output)
    assert {each: each.read_bytes() for each in sorted(tmp_path.iterdir())} == before
