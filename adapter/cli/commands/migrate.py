"""`migrate`: the tables of this version."""

import click

from adapter.cli.exit_status import explained
from adapter.cli.migrating import migrate_database
from adapter.cli.progress import progress
from adapter.cli.startup import settings_for
from adapter.cli.text import echo


@click.command("migrate")
@explained
def command() -> None:
    """Bring the database schema up to date.

    Creates the tables where there are none. Safe to run again, and from two machines at once.
    """
    settings = settings_for()
    with progress("migrating the database", if_interrupted="run drip-adapter migrate again"):
        file = migrate_database(settings)
    echo(f"The database is up to date: {file}" if file else "The database is up to date.")
