"""The commands that look at orders rather than at deliveries."""

import click

from adapter.cli import output
from adapter.cli.common import AS_JSON, explained, inbox, settings_for
from adapter.inbox import views
from adapter.inbox.database import snapshot
from adapter.inbox.views import Choice
from adapter.operations.order_history import document, history
from mappings import encode


@click.group("orders")
def orders_() -> None:
    """An order: its history, and what Drip has of it."""


@orders_.command("show")
@click.argument("order")
@click.option("--store", default="", help="Only of this store.")
@AS_JSON
@explained
def orders_show(order: str, store: str, as_json: bool) -> None:
    """The history of an order, by its number or the store's id.

    Where several orders are called so, all are shown, each on a line of its own with --json.
    """
    settings = settings_for()
    with inbox(settings) as engine, snapshot(engine) as connection:
        rows = views.page(connection, Choice(text=order, store=store)).rows
        bare = order.removeprefix("#")
        named = {(row.store, row.order_id) for row in rows if row.order_id and bare in (row.order_id, row.order_number)}
        # Its deliveries may be purged: what Drip has of it is remembered by the store's id.
        named = named or {(name, bare) for name in settings.stores if store in ("", name)}
        histories = {each: history(connection, settings, *each) for each in sorted(named)}
        found = [document(known, *each) for each, known in histories.items() if known["deliveries"] or known["at_drip"]]
    if not found:
        raise click.ClickException(f"no delivery is of an order {order!r}, and Drip was never sent it")
    for each in found:
        click.echo(encode(each)) if as_json else output.order(each)


COMMANDS = (orders_,)
