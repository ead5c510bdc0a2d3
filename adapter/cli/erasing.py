"""The commands that erase."""

import sys
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from sqlalchemy import Engine

from adapter.cli import output
from adapter.cli.common import explained, inbox, settings_for
from adapter.delivery.lease import Lease
from adapter.delivery.reader import Reader
from adapter.inbox import audit
from adapter.inbox.accounts import READER
from adapter.inbox.database import DatabaseClock, snapshot, transaction
from adapter.inbox.erasure import FORGOTTEN, flush
from adapter.inbox.retention import Purged, Retention, purgeable
from adapter.operations.forget import Search, Shopper, erase_found
from adapter.settings import Settings
from mappings import first_email

_WORDS = {
    "payloads": "deliveries' payloads and bodies", "deliveries": "deliveries", "requests": "entries of the ledger",
    "products": "products", "backfills": "records of past backfills",
}  # fmt: skip


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say how much.")
@explained
def purge(dry_run: bool) -> None:
    """Erases what is kept longer than the settings say.

    A running sender does so by itself, once an hour. What waits to be sent, and what Drip has of each order, is never touched.
    """
    settings, now, purged = settings_for(), datetime.now(UTC), Purged()
    with inbox(settings) as engine:
        if dry_run:
            with snapshot(engine) as connection:
                purged = purgeable(connection, settings, now)
        else:
            for purged in Retention(engine, settings).purge(now):  # noqa: B007 - the last one is told
                pass
            _flush(engine)
    for name, count in asdict(purged).items():
        click.echo(f"{count} {_WORDS[name]} {'would be ' if dry_run else ''}{'erased' if name == 'payloads' else 'deleted'}")


@click.command()
@click.argument("email", type=str)
@click.option("--dry-run", is_flag=True, help="Only say how much is kept.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@explained
def forget(email: str, dry_run: bool, yes: bool) -> None:
    """Erases what is kept of a shopper.

    Payloads, what was sent to Drip and what Drip said: of all orders that hold the address anywhere. That the orders were sent stays known.
    Drip itself is not told.
    """
    address = first_email(email)
    if not address:
        raise click.UsageError("EMAIL is no e-mail address such as name@shop.example")
    settings = settings_for()
    with inbox(settings) as engine:
        _read_first(engine, settings)
        search = Search(engine, Shopper(address=address))
        _watched("looking", search.run(), search)
        found = f"{output.counted(len(search.found))} of {search.orders} {'order' if search.orders == 1 else 'orders'}"
        if not search.found:
            click.echo("nothing is kept of this address")
            return
        if dry_run:
            click.echo(f"{found} would be erased")
            return
        if not yes:
            click.confirm(f"Erase what is kept of {address}: {found}?", abort=True, err=True)
        _watched("erasing", erase_found(engine, search.found, FORGOTTEN, datetime.now(UTC)), None)
        with transaction(engine) as connection:
            audit.note(connection, "forgot a shopper", found, "", datetime.now(UTC), audit.COMMAND)
        _flush(engine)
    click.echo(f"{found} erased; in Drip, delete the person there")


def _read_first(engine: Engine, settings: Settings) -> None:
    """Read what is new, unless a sender does: a body that holds other shoppers' orders too is taken apart before it is erased."""
    lease = Lease(engine, READER)
    if lease.acquire():
        reader = Reader(engine, settings, DatabaseClock())
        while reader.step() and lease.acquire():
            pass
        lease.release()


def _watched(what: str, pieces: Iterable[Any], search: Search | None) -> None:
    """Go through all pieces, with a bar where somebody looks."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=output.console(), disable=not sys.stdout.isatty(), transient=True) as bar:
        task = bar.add_task(what, total=None)
        for _ in pieces:
            if search is not None:
                bar.update(task, total=search.total, completed=search.seen)


def _flush(engine: Engine) -> None:
    if not flush(engine):
        click.echo(
            "note: the database's write-ahead log is in use; what was erased leaves it when this is run again in a quiet time", err=True
        )


COMMANDS = (purge, forget)
