"""`orders`: an order rather than its deliveries."""

from collections.abc import Mapping
from typing import Any

import click

from adapter.cli import output
from adapter.cli.exit_status import explained
from adapter.cli.inbox import open_inbox
from adapter.cli.output import Column
from adapter.cli.parameters import AS_JSON, STORE
from adapter.cli.startup import current_settings
from adapter.inbox import views
from adapter.inbox.database import snapshot
from adapter.inbox.views import Choice
from adapter.operations.order_history import document, history
from mappings import encode

_COLUMNS = (Column("id", is_number=True), Column("received"), Column("topic", from_width=110), Column("state"), Column("what happened"))


@click.group("orders")
def command() -> None:
    """Show the history of an order."""


@command.command("show")
@click.argument("order")
@STORE
@AS_JSON
@explained
def show(order: str, store: str, as_json: bool) -> None:
    """Show an order's history and what Drip has of it.

    ORDER is the number that customers see, or the store's own id. If several orders match, all are shown.
    """
    settings = current_settings()
    with open_inbox(settings) as engine, snapshot(engine) as connection:
        rows = views.page(connection, Choice(text=order, store=store)).rows
        bare = order.removeprefix("#")
        named = {(row.store, row.order_id) for row in rows if row.order_id and bare in (row.order_id, row.order_number)}
        # If its deliveries are purged, what Drip has is still found by the store's own id.
        named = named or {(name, bare) for name in settings.stores if store in ("", name)}
        histories = {each: history(connection, settings, *each) for each in sorted(named)}
        found = [document(known, *each) for each, known in histories.items() if known["deliveries"] or known["at_drip"]]
    if not found:
        raise click.ClickException(f"no order {order!r}: none was received, and none was sent to Drip")
    for each in found:
        click.echo(encode(each)) if as_json else _print_order(each)


def _print_order(found: Mapping[str, Any]) -> None:
    out = output.console()
    name = f"#{found['order_number']} (the store's id {found['order_id']})" if found["order_number"] else found["order_id"]
    click.echo(f"order {name} of store {found['store']}")
    for has in found["at_drip"]:
        changed = f", as it was at {has['snapshot_at']}" if has["snapshot_at"] else ""
        click.echo(f"at Drip since {has['created_at']}{changed} (delivery {has['delivery']})")
    if not found["at_drip"]:
        click.echo("never sent to Drip")
    lines = (
        (
            each["id"],
            each["received_at"],
            each["topic"],
            output.state(each["state"]),
            each["reason"] or ", ".join(f"{attempt['action']}: {attempt['outcome']}" for attempt in each["tries"]),
        )
        for each in found["deliveries"]
    )
    out.print(output.table(_COLUMNS, lines, out.width))
