"""`backfill`: a store's past orders."""

from datetime import datetime

import click

from adapter.cli import completion
from adapter.cli.exit_status import explained, interruptible
from adapter.cli.inbox import open_inbox
from adapter.cli.parameters import AS_JSON, TIME, TIME_HELP, require_period
from adapter.cli.past_orders import configured_store, print_result, read_orders, wait_until_sent
from adapter.cli.startup import current_settings
from adapter.cli.text import echo
from adapter.operations.backfill import Backfill
from adapter.stores.api import Window


@click.command("backfill")
@click.argument("store", shell_complete=completion.stores)
@click.option("--since", required=True, type=TIME, metavar="TIME", help=f"Orders placed at or after this time: {TIME_HELP}")
@click.option("--until", type=TIME, metavar="TIME", help="Only orders placed before this time.")
@click.option("--again", is_flag=True, help="Start over, even if an earlier run was interrupted.")
@click.option("--wait", is_flag=True, help="Wait until a running sender has sent them all to Drip.")
@AS_JSON
@explained
def command(store: str, since: datetime, until: datetime | None, again: bool, wait: bool, as_json: bool) -> None:
    """Send a store's past orders to Drip.

    Reads them from the store's API into the inbox, oldest first. A running sender takes them from there when nothing newer is waiting. It
    can be interrupted and resumed with the same command, and no order is sent twice.
    """
    settings = current_settings()
    configured = configured_store(store, settings)
    require_period(since, until)
    window = Window(created_since=since, created_until=until)
    with open_inbox(settings) as engine:
        reading = Backfill(engine, settings, configured, window, again=again)
        resumed = reading.resumed
        print_result(store, read_orders(reading, settings, as_json=as_json), engine, settings, as_json=as_json)
        if resumed and not as_json:
            echo("Those never received by webhook are counted from where this run resumed.")
        if wait:
            with interruptible("the orders are stored, and a sender sends them without this command too"):
                wait_until_sent(store, engine, settings)
