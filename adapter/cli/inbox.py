"""The inbox as commands open it: never a new, empty file by mistake."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from adapter.cli.startup import current_settings
from adapter.errors import WorkFailed
from adapter.inbox.database import connect, snapshot
from adapter.inbox.schema_version import require_schema
from adapter.inbox.sqlite_file import why_no_file
from adapter.inbox.views import store_names
from adapter.settings import Settings, unknown_store


@contextmanager
def connected(settings: Settings) -> Iterator[Engine]:
    """The database of the settings, whatever its state."""
    engine = connect(settings.database_url, settings.payload_keys)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def open_inbox(settings: Settings | None = None, *, store: str = "") -> Iterator[Engine]:
    """The database of the settings; raises `WorkFailed` if it has no tables, or the tables of another version."""
    settings = settings or current_settings()
    with connected(settings) as engine:
        require_file(engine)
        require_schema(engine)
        if store:
            _require_store(engine, settings, store)
        yield engine


def _require_store(engine: Engine, settings: Settings, name: str) -> None:
    """Raise `WorkFailed` for a store that is neither in the settings nor has sent anything."""
    with snapshot(engine) as connection:
        known = {*settings.stores, *store_names(connection)}
    if name not in known and settings.store(name) is None:
        raise WorkFailed(unknown_store(name, sorted(known)))


def require_file(engine: Engine) -> None:
    """Raise `WorkFailed` if the file of an SQLite database is missing: connecting would create an empty one."""
    if why := why_no_file(engine):
        raise WorkFailed(why)
