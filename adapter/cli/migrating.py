"""The database's tables, for the two commands that create and change them."""

from adapter.cli.inbox import connected
from adapter.inbox.migration import migrate
from adapter.settings import Settings


def migrate_database(settings: Settings) -> str:
    """Create the tables, or bring them up to date; the file of an SQLite database, blank for PostgreSQL."""
    with connected(settings) as engine:
        migrate(engine)
        return engine.url.database or "" if engine.dialect.name == "sqlite" else ""
