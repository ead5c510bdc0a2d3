"""`forget`: a shopper's right to erasure."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy import Engine

from adapter.cli.erasing import flush_erased
from adapter.cli.exit_status import confirmed, explained, interruptible
from adapter.cli.inbox import open_inbox
from adapter.cli.progress import progress
from adapter.cli.startup import current_settings
from adapter.cli.text import echo
from adapter.delivery.lease import Lease
from adapter.delivery.reader import Reader
from adapter.errors import WorkFailed
from adapter.inbox import audit
from adapter.inbox.accounts import READER
from adapter.inbox.database import DatabaseClock, transaction
from adapter.inbox.erasure import FORGOTTEN
from adapter.inbox.forgotten import remember_forgotten
from adapter.inbox.packing import LOCKED
from adapter.operations.forget import Search, Shopper, erase_found
from adapter.operations.wording import counted
from adapter.settings import Settings
from mappings import first_email

_AGAIN = "run the same command again to erase all of it"


@click.command("forget")
@click.argument("email", type=str)
@click.option("--dry-run", is_flag=True, help="Only count what is stored.")
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@explained
def command(email: str, dry_run: bool, yes: bool) -> None:
    """Erase what is stored about a shopper.

    Erases the payloads, the bodies sent to Drip and Drip's answers of every order that contains the address anywhere. That the orders
    were sent stays on record, so nothing is sent twice. What arrives later of orders placed before now is erased as well. Drip is not
    notified: delete the person there too.
    """
    address = first_email(email)
    if not address:
        raise click.UsageError("EMAIL isn't an e-mail address such as name@shop.example")
    settings = current_settings()
    with open_inbox(settings) as engine, interruptible(_AGAIN):
        _read_first(engine, settings)
        if yes and not dry_run:  # before the search, so that nothing slips through
            _remember(engine, address)
        search = Search(engine, Shopper(address=address))
        _watched("searching", search.run(), search)
        found = f"{counted(len(search.found))} of {counted(search.orders, 'order', 'orders')}"
        if not search.found:
            if not dry_run:
                _remember(engine, address)
            _fail_if_locked(search)
            echo("Nothing is stored about this address.")
            return
        if dry_run:
            echo(f"{found} would be erased")
            return
        if not (yes or confirmed(f"Erase what is stored about {address}: {found}?", err=True)):
            raise WorkFailed("nothing was erased")
        _remember(engine, address)
        _watched("erasing", erase_found(engine, search.found, FORGOTTEN, datetime.now(UTC)), None)
        with transaction(engine) as connection:
            audit.note(connection, "forgot a shopper", found, "", datetime.now(UTC), audit.COMMAND)
        flush_erased(engine)
    echo(f"{found} erased; delete the person at Drip as well")
    _fail_if_locked(search)


def _fail_if_locked(search: Search) -> None:
    if search.locked:
        raise WorkFailed(f"{counted(search.locked)} could not be searched: {LOCKED}, and run this again")


def _remember(engine: Engine, address: str) -> None:
    """From now on, erase what arrives of this shopper's earlier orders."""
    with transaction(engine) as connection:
        remember_forgotten(connection, address, datetime.now(UTC))


def _read_first(engine: Engine, settings: Settings) -> None:
    """Read what is new, unless a sender does: a body with other shoppers' orders in it must be split before one of them is erased."""
    lease = Lease(engine, READER)
    if lease.acquire():
        reader = Reader(engine, settings, DatabaseClock())
        while reader.step() and lease.acquire():
            pass
        lease.release()


def _watched(what: str, pieces: Iterable[Any], search: Search | None) -> None:
    """Go through all pieces, with a progress bar on a terminal."""
    with progress(what, if_interrupted=_AGAIN) as bar:
        for _ in pieces:
            if search is not None:
                bar.update(search.seen, search.total)
