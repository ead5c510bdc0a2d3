"""Whether the database has the schema of this version. Almost every command asks, so this does without Alembic."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from adapter.errors import WorkFailed
from adapter.inbox.database import OTHER_TABLES, snapshot
from adapter.inbox.sqlite_file import missing_file

_VERSIONS = Path(__file__).parent / "migrations" / "versions"


def is_migrated(engine: Engine) -> bool:
    """Whether the schema is the one that this version needs. Never creates a file."""
    if missing_file(engine):
        return False
    with snapshot(engine) as connection:
        return revision_of(connection) == newest_revision()


def require_schema(engine: Engine) -> None:
    """Raise `WorkFailed` if the database has no tables, or those of another version."""
    with snapshot(engine) as connection:
        refuse_newer(connection)
        if revision_of(connection) != newest_revision():
            raise WorkFailed(OTHER_TABLES)


def refuse_newer(connection: Connection) -> None:
    """Raise `WorkFailed` if a newer version of the adapter has migrated the database."""
    revision = revision_of(connection)
    if revision is not None and revision not in _revisions():
        raise WorkFailed(
            f"the database of DATABASE_URL has the tables of a newer version (schema {revision}, this version needs {newest_revision()}): "
            "install that version again, or restore a backup"
        )


def newest_revision() -> str:
    """The revision that this version needs: migrations are numbered, in the names of their files too."""
    return max(_revisions())


def revision_of(connection: Connection) -> str | None:
    """The revision of the tables in a database; None if there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def _revisions() -> list[str]:
    return [file.name.partition("_")[0] for file in _VERSIONS.glob("[0-9]*.py")]
