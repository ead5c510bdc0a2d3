"""The commands that tell how the adapter is, and keep it so."""

import sys
from datetime import UTC, datetime

import click

from adapter import check as checks
from adapter import show
from adapter.cli.common import AS_JSON, connected, explained, inbox, migrate_database, settings_for
from adapter.inbox.database import snapshot
from adapter.overview import overview


@click.command()
@AS_JSON
@explained
def check(as_json: bool) -> None:
    """What is wrong with the set-up, and how to mend it."""
    settings = settings_for()
    with connected(settings) as engine:
        whole = show.findings(checks.look(settings, engine), as_json=as_json)
    sys.exit(0 if whole else 1)


@click.command()
@AS_JSON
@explained
def status(as_json: bool) -> None:
    """Whether orders move, and why not."""
    settings = settings_for()
    with inbox(settings) as engine, snapshot(engine) as connection:
        report = overview(connection, settings, datetime.now(UTC))
    show.status(report, as_json=as_json)
    sys.exit(0 if report["ok"] else 1)


@click.command("migrate")
@explained
def migrate_() -> None:
    """Brings the database's schema up to date.

    Safe to run again, and from two machines at once.
    """
    migrate_database(settings_for())
    click.echo("the database is up to date")


COMMANDS = (check, status, migrate_)
