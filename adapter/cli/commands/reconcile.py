"""`reconcile`: orders whose webhook never arrived."""

import sys
from datetime import UTC, datetime, timedelta

import click

from adapter.cli import completion
from adapter.cli.exit_status import Interrupted, explained
from adapter.cli.inbox import open_inbox
from adapter.cli.parameters import AS_JSON, WholeNumber
from adapter.cli.past_orders import configured_store, print_result, read_orders
from adapter.cli.startup import current_settings
from adapter.cli.text import echo
from adapter.errors import WorkFailed
from adapter.operations.backfill import Backfill
from adapter.stores.api import Window
from adapter.stores.platforms import history_of

_DAYS = 3


@click.command("reconcile")
@click.argument("store", required=False, shell_complete=completion.stores)
@click.option("--days", default=_DAYS, show_default=True, type=WholeNumber(1, 365), metavar="N", help="Orders changed in the last N days.")
@AS_JSON
@explained
def command(store: str | None, days: int, as_json: bool) -> None:
    """Send orders whose webhook never arrived.

    Run it every day. Asks STORE, or every store with credentials for its API, for the orders that changed in the last N days.
    """
    settings = current_settings()
    stores = [configured_store(store, settings)] if store else [each for each in settings.stores.values() if history_of(each, settings)]
    if not stores:
        raise WorkFailed("no store has credentials for its API: see docs/settings.md, Store API options")
    # By whole days, so that an interrupted run is resumed by the next one of the same day.
    since = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)
    failed = False
    with open_inbox(settings) as engine:
        for each in stores:
            try:
                far = read_orders(Backfill(engine, settings, each, Window(changed_since=since)), settings, as_json=as_json)
                print_result(each.name, far, engine, settings, as_json=as_json)
            except Interrupted:
                raise
            except WorkFailed as error:
                echo(f"{each.name}: {error}", err=True)
                failed = True
    sys.exit(1 if failed else 0)
