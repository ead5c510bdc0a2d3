"""The inbox as commands open it: never a new, empty file by mistake."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from adapter.cli.startup import current_settings
from adapter.errors import WorkFailed
from adapter.inbox.database import connect
from adapter.inbox.schema_version import require_schema
from adapter.inbox.sqlite_file import missing_file
from adapter.settings import Settings


@contextmanager
def connected(settings: Settings) -> Iterator[Engine]:
    """The database of the settings, whatever its state."""
    engine = connect(settings.database_url, settings.payload_keys)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def open_inbox(settings: Settings | None = None) -> Iterator[Engine]:
    """The database of the settings; raises `WorkFailed` if it has no tables, or the tables of another version."""
    settings = settings or current_settings()
    with connected(settings) as engine:
        require_file(engine)
        require_schema(engine)
        yield engine


def require_file(engine: Engine) -> None:
    """Raise `WorkFailed` if the file of an SQLite database is missing: connecting would create an empty one."""
    path = missing_file(engine)
    if path and Path(path).is_absolute():
        raise WorkFailed(f"no {path}: check DATABASE_URL; drip-adapter serve and drip-adapter migrate create it")
    if path:
        raise WorkFailed(
            f"no {path} here; is this the right folder ({Path.cwd()})? drip-adapter serve and drip-adapter migrate create the file"
        )
