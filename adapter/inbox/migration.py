"""The schema's version. Apart from `database`, since only commands that check or change the schema load Alembic; web and sender don't."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from adapter.inbox.database import missing_file, reaching_database, snapshot

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 7_301_946


def is_migrated(engine: Engine) -> bool:
    """Whether the schema is the one that this version needs. Never creates a file."""
    if missing_file(engine):
        return False
    wanted = ScriptDirectory.from_config(alembic_config()).get_current_head()
    with snapshot(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision() == wanted


def migrate(engine: Engine) -> None:
    """Bring the schema up to date; safe to run twice, and from two machines at once."""
    with reaching_database(), engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def alembic_config() -> Config:
    """Where the migrations are."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config
