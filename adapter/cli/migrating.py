"""The database's tables, for the two commands that create and change them."""

from adapter.cli.inbox import connected
from adapter.cli.waiting import await_database
from adapter.inbox.migration import migrate
from adapter.settings import Settings


def migrate_database(settings: Settings, *, wait: bool = False) -> str:
    """Create the tables, or bring them up to date; the file of an SQLite database, blank for PostgreSQL.

    With `wait`, a server that can't be reached yet is waited for.
    """
    with connected(settings) as engine:
        if wait and engine.dialect.name == "postgresql":
            await_database(engine)
        migrate(engine)
        return engine.url.database or "" if engine.dialect.name == "sqlite" else ""
