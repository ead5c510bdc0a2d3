"""`orders`: an order rather than its deliveries."""

from collections.abc import Mapping
from typing import Any

import click
from rich.console import RenderableType
from rich.text import Text

from adapter.cli import output, times
from adapter.cli.exit_status import explained
from adapter.cli.inbox import open_inbox
from adapter.cli.output import Column
from adapter.cli.parameters import AS_JSON, LIMIT, STORE
from adapter.cli.startup import current_settings
from adapter.cli.text import echo, say
from adapter.cli.times import IN_UTC
from adapter.errors import WorkFailed
from adapter.inbox import views
from adapter.inbox.database import snapshot
from adapter.inbox.views import Choice
from adapter.operations.dead_letters import in_short
from adapter.operations.order_history import document, history
from adapter.operations.order_list import Listed, all_orders, number_of
from adapter.operations.order_list import document as listed_document
from adapter.operations.order_summary import plain
from mappings import encode

_COLUMNS = (
    Column("id", is_number=True),
    Column("received", from_width=60),
    Column("topic", from_width=110),
    Column("state"),
    Column("what happened"),
)
_LIST = (
    Column("order"),
    Column("total", is_number=True),
    Column("items", is_number=True, from_width=72),
    Column("shopper", from_width=100),
    Column("last sent to Drip", from_width=72),
    Column("store", from_width=110),
    Column("state"),
)


@click.group("orders")
def command() -> None:
    """List orders, and show the history of one."""


@command.command("list")
@STORE
@LIMIT
@IN_UTC
@AS_JSON
@explained
def list_(store: str, limit: int, in_utc: bool, as_json: bool) -> None:
    """List orders by their newest delivery, newest first.

    Total, items and shopper are those that Drip was last sent, or else those of the newest payload; they are blank once erased.
    """
    settings = current_settings()
    with open_inbox(settings, store=store) as engine, snapshot(engine) as connection:
        found = list(all_orders(connection, settings, limit, store=store))
    if as_json:
        for each in found:
            echo(encode(listed_document(each)))
    elif found:
        out = output.console()
        out.print(output.table(_LIST, [_line(each, in_utc=in_utc) for each in found], out.width))
    else:
        echo("No orders.")


def _line(each: Listed, *, in_utc: bool) -> tuple[RenderableType, ...]:
    row, summary = each.newest, each.summary
    sent = f"{each.action}, {times.shown(each.acted_at, in_utc=in_utc)}" if each.acted_at else ""
    said = (summary.amount, plain(summary.items), summary.shopper) if summary else ("", "", "")
    why = row.reason or (in_short(row) if row.state == "dead" else "")
    return number_of(row), *said, sent, row.store, output.state(row.state) + Text(f" {why}" if why else "")


@command.command("show")
@click.argument("order")
@STORE
@IN_UTC
@AS_JSON
@explained
def show(order: str, store: str, in_utc: bool, as_json: bool) -> None:
    """Show an order's history and what Drip has of it.

    ORDER is the number that customers see, or the store's own id. If several orders match, all are shown.
    """
    settings = current_settings()
    with open_inbox(settings, store=store) as engine, snapshot(engine) as connection:
        rows = views.page(connection, Choice(text=order, store=store)).rows
        bare = order.removeprefix("#")
        named = {(row.store, row.order_id) for row in rows if row.order_id and bare in (row.order_id, row.order_number)}
        # If its deliveries are purged, what Drip has is still found by the store's own id.
        named = named or {(name, bare) for name in settings.stores if store in ("", name)}
        histories = {each: history(connection, settings, *each) for each in sorted(named)}
        found = [document(known, *each) for each, known in histories.items() if known["deliveries"] or known["at_drip"]]
    if not found:
        raise WorkFailed(f"no order {order!r}: none was received, and none was sent to Drip")
    for each in found:
        echo(encode(each)) if as_json else _print_order(each, in_utc=in_utc)


def _print_order(found: Mapping[str, Any], *, in_utc: bool) -> None:
    out = output.console()
    name = f"#{found['order_number']} (the store's id {found['order_id']})" if found["order_number"] else found["order_id"]
    say(f"order {name} of store {found['store']}")
    for has in found["at_drip"]:
        at = times.with_times(has, in_utc=in_utc)
        changed = f", as it was at {at['snapshot_at']}" if at["snapshot_at"] else ""
        say(f"at Drip since {at['created_at']}{changed} (delivery {has['delivery']})")
    if not found["at_drip"]:
        say("never sent to Drip")
    lines = (
        (
            each["id"],
            times.of_text(each["received_at"], in_utc=in_utc),
            each["topic"],
            output.state(each["state"]),
            each["reason"] or ", ".join(f"{attempt['action']}: {attempt['outcome']}" for attempt in each["tries"]),
        )
        for each in found["deliveries"]
    )
    out.print(output.table(_COLUMNS, lines, out.width))
