"""Brings the schema up to date, with Alembic. Only `migrate` and `serve` import this module."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

from adapter.inbox.database import reaching_database
from adapter.inbox.schema_version import refuse_newer
from adapter.inbox.sqlite_file import create_file

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 7_301_946


def migrate(engine: Engine) -> None:
    """Bring the schema up to date; safe to run twice, and from two machines at once. Creates the file of an SQLite database.

    Raises `DatabaseAway`, and `WorkFailed` for the tables of a newer version.
    """
    create_file(engine)
    with reaching_database(engine), engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        refuse_newer(connection)
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def alembic_config() -> Config:
    """Where the migrations are."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config
