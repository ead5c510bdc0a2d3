"""The commands that tell how the adapter is, and keep it so."""

import sys
from datetime import UTC, datetime

import click

from adapter.cli import output
from adapter.cli.common import AS_JSON, MOST, connected, explained, inbox, migrate_database, settings_for
from adapter.inbox import audit
from adapter.inbox.charts import SPANS
from adapter.inbox.database import snapshot
from adapter.operations import check as checks
from adapter.operations.activity import document, recent
from adapter.operations.health import overview


@click.command()
@AS_JSON
@explained
def check(as_json: bool) -> None:
    """What is wrong with the set-up, and how to mend it."""
    settings = settings_for()
    with connected(settings) as engine:
        whole = output.findings(checks.look(settings, engine), as_json=as_json)
    sys.exit(0 if whole else 1)


@click.command()
@click.option("--span", default="day", show_default=True, type=click.Choice(list(SPANS)), help="Of which time the figures are.")
@AS_JSON
@explained
def status(span: str, as_json: bool) -> None:
    """Whether orders move, and why not; what waits."""
    settings, now = settings_for(), datetime.now(UTC)
    with inbox(settings) as engine, snapshot(engine) as connection:
        report = overview(connection, settings, now)
        report |= document(recent(connection, settings, list(report["stores"]), SPANS[span], now), SPANS[span])
    output.status(report, as_json=as_json)
    sys.exit(0 if report["ok"] else 1)


@click.command("audit")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000), metavar="N", help="At most so many.")
@click.option("--before", type=click.IntRange(0, MOST), metavar="ID", help="Only older than this entry.")
@AS_JSON
@explained
def audit_(limit: int, before: int | None, as_json: bool) -> None:
    """What people changed, and which personal data they saw."""
    with inbox() as engine, snapshot(engine) as connection:
        rows = audit.noted(connection, limit, before)
    output.audit(rows, as_json=as_json)


@click.command("migrate")
@explained
def migrate_() -> None:
    """Brings the database's schema up to date.

    Safe to run again, and from two machines at once.
    """
    migrate_database(settings_for())
    click.echo("the database is up to date")


COMMANDS = (check, status, audit_, migrate_)
