"""`purge`: what a sender erases every hour, at once."""

from dataclasses import asdict
from datetime import UTC, datetime

import click

from adapter.cli.erasing import flush_erased
from adapter.cli.exit_status import explained
from adapter.cli.inbox import open_inbox
from adapter.cli.startup import current_settings
from adapter.inbox.database import snapshot
from adapter.inbox.retention import Purged, Retention, purgeable

_NOUNS = {
    "payloads": "payloads and bodies of deliveries", "deliveries": "deliveries", "requests": "requests to Drip", "products": "products",
    "backfills": "records of past backfills",
}  # fmt: skip


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
            for purged in Retention(engine, settings).purge(now):  # noqa: B007 - the last one holds the totals
                pass
            flush_erased(engine)
    for name, count in asdict(purged).items():
        click.echo(f"{count} {_NOUNS[name]} {'would be ' if dry_run else ''}{'erased' if name == 'payloads' else 'deleted'}")
