"""`purge`: what a sender erases every hour, at once."""

from dataclasses import asdict
from datetime import UTC, datetime

import click

from adapter.cli.erasing import flush_erased
from adapter.cli.exit_status import explained
from adapter.cli.inbox import open_inbox
from adapter.cli.progress import progress
from adapter.cli.startup import current_settings
from adapter.cli.text import echo
from adapter.inbox.database import snapshot
from adapter.inbox.retention import Purged, Retention, purgeable
from adapter.operations.wording import counted

_NOUNS = {
    "payloads": ("payload and body of a delivery", "payloads and bodies of deliveries"),
    "deliveries": ("delivery", "deliveries"),
    "requests": ("request to Drip", "requests to Drip"),
    "products": ("product", "products"),
    "backfills": ("record of a past backfill", "records of past backfills"),
}
"""What is counted -> how one is called, and several."""


@click.command("purge")
@click.option("--dry-run", is_flag=True, help="Only count.")
@explained
def command(dry_run: bool) -> None:
    """Erase what is past its retention period.

    A running sender does this every hour. Deliveries that wait to be sent, and what Drip has of each order, are never touched.
    """
    settings, now, purged = current_settings(), datetime.now(UTC), Purged()
    with open_inbox(settings) as engine:
        if dry_run:
            with snapshot(engine) as connection:
                purged = purgeable(connection, settings, now)
        else:
            with progress("purging", if_interrupted="what was erased stays erased; run drip-adapter purge again for the rest") as bar:
                for purged in Retention(engine, settings).purge(now):
                    bar.update(note=str(purged))
            flush_erased(engine)
    for name, count in asdict(purged).items():
        echo(f"{counted(count, *_NOUNS[name])} {'would be ' if dry_run else ''}{'erased' if name == 'payloads' else 'deleted'}")
