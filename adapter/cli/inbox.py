"""The inbox as commands open it: never a new, empty file by mistake."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from adapter.cli.database_file import require_file
from adapter.cli.startup import current_settings
from adapter.errors import WorkFailed
from adapter.inbox.database import connect
from adapter.inbox.migration import is_migrated, migrate
from adapter.settings import Settings


@contextmanager
def connected(settings: Settings) -> Iterator[Engine]:
    """The database of the settings, whatever its state."""
    engine = connect(settings.database_url)
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
        if not is_migrated(engine):
            raise WorkFailed("the tables in the database of DATABASE_URL are missing or of another version: run drip-adapter migrate")
        yield engine


def migrate_database(settings: Settings) -> str:
    """Create the tables, or bring them up to date; the file of an SQLite database, blank for PostgreSQL."""
    with connected(settings) as engine:
        migrate(engine)
        return engine.url.database or "" if engine.dialect.name == "sqlite" else ""
