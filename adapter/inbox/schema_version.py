"""Whether the database has the schema of this version. Almost every command asks, so this does without Alembic."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from adapter.inbox.database import missing_file, snapshot

_VERSIONS = Path(__file__).parent / "migrations" / "versions"


def is_migrated(engine: Engine) -> bool:
    """Whether the schema is the one that this version needs. Never creates a file."""
    if missing_file(engine):
        return False
    with snapshot(engine) as connection:
        return _revision(connection) == newest_revision()


def newest_revision() -> str:
    """The revision that this version needs: migrations are numbered, in the names of their files too."""
    return max(file.name.partition("_")[0] for file in _VERSIONS.glob("[0-9]*.py"))


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision
