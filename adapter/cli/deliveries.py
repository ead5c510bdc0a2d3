"""The commands that look into the inbox, and send again what it holds."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy import ColumnElement

from adapter.cli import output
from adapter.cli.common import AS_JSON, MOST, explained, inbox, settings_for
from adapter.inbox import audit, search, views
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.erasure import email_digest
from adapter.inbox.tables import deliveries
from adapter.operations.preview import document
from adapter.operations.retry import reopen, tell
from mappings import Reason


@click.group("deliveries")
def deliveries_() -> None:
    """The inbox: what was received and what became of it."""


def _address(value: str) -> str:
    if value and email_digest(value) is None:
        raise click.BadParameter("is no e-mail address such as name@shop.example")
    return value


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that choose deliveries; the command gets them together, as `_which` takes them."""
    time = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
    for option in (
        click.option("--until", type=time, metavar="TIME", help="Only received before then (UTC)."),
        click.option("--since", type=time, metavar="TIME", help="Only received then or later (UTC): 2026-01-31 or 2026-01-31T12:00."),
        click.option("--topic", default="", help="Only this topic."),
        click.option("--reason", default="", help="Only skipped for this reason."),
        click.option("--order", "order_id", default="", help="Only of this order id."),
        click.option("--email", default="", type=_address, metavar="ADDRESS", help="Only of the shopper with this e-mail address."),
        click.option("--number", default="", help="Only of this order number, with or without #."),
        click.option("--store", default="", help="Only of this store."),
        click.option("--state", type=click.Choice(["pending", "delivered", "skipped", "dead"]), help="Only in this state."),
    ):
        command = option(command)
    return command


def _which(chosen: Mapping[str, Any]) -> ColumnElement[bool]:
    """The deliveries that the options choose; all without any."""
    times = {name: chosen[name].replace(tzinfo=UTC) for name in ("since", "until") if chosen[name] is not None}
    words = {name: value for name, value in chosen.items() if name not in ("since", "until", "email") and value}
    return search.filtered(**words, **times, email_digest=email_digest(chosen["email"]) or "")


def _said(ids: Sequence[int], chosen: Mapping[str, Any]) -> str:
    """A choice in words, for the audit; an address is not quoted."""
    if len(ids) == 1:
        return f"delivery {ids[0]}"
    words = [f"{len(ids)} deliveries named"] if ids else []
    words += [f"{name.removesuffix('_id')} {value}" for name, value in chosen.items() if value and name != "email"]
    words += ["found by an address"] if chosen.get("email") else []
    return f"deliveries: {', '.join(words)}"


@deliveries_.command("list")
@_filters
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000), metavar="N", help="At most so many.")
@click.option("--before", type=click.IntRange(0, MOST), metavar="ID", help="Only older than this delivery: to go on from the last one.")
@AS_JSON
@explained
def deliveries_list(limit: int, before: int | None, as_json: bool, **chosen: Any) -> None:
    """Deliveries, the newest first."""
    which = _which(chosen)
    if before is not None:
        which = which & (deliveries.c.id < before)
    with inbox() as engine, snapshot(engine) as connection:
        rows = search.listed(connection, which, limit)
    output.deliveries(rows, as_json=as_json)


@deliveries_.command("show")
@click.argument("delivery", type=click.IntRange(0, MOST))
@click.option("--payload", is_flag=True, help="Print the payload as received, and nothing else.")
@AS_JSON
@explained
def deliveries_show(delivery: int, payload: bool, as_json: bool) -> None:
    """One delivery: what became of it, each attempt, the body that Drip was sent, and what today's code makes of it."""
    settings = settings_for()
    with inbox(settings) as engine, snapshot(engine) as connection:
        row = views.one(connection, delivery)
        if row is None:
            raise click.ClickException(f"there is no delivery {delivery}")
        if payload:
            click.echo(row.payload or b"", nl=False)
            return
        attempts = search.attempts_of(connection, delivery)
        became = views.parts_of(connection, row) if row.reason == Reason.SPLIT else []
        today = document(connection, row, attempts, settings)
    output.delivery(row, attempts, became, today, as_json=as_json)


@deliveries_.command("retry")
@click.argument("ids", nargs=-1, type=click.IntRange(0, MOST))
@_filters
@click.option("--dry-run", is_flag=True, help="Only say how many.")
@click.option("--force", is_flag=True, help="Send also what is unchanged: for what Drip took and lost.")
@AS_JSON
@explained
def deliveries_retry(ids: tuple[int, ...], dry_run: bool, force: bool, as_json: bool, **chosen: Any) -> None:
    """Sends kept deliveries again, with today's mapping.

    Name them by id, or choose them with the options; with both, those of the named that the options fit.
    """
    if not ids and not any(chosen.values()):
        raise click.UsageError("name deliveries, or choose some with --state, --store, --order, --reason, --topic, --since or --until")
    which = _which(chosen)
    if ids:
        which = which & deliveries.c.id.in_(ids)
    with inbox() as engine:
        if dry_run:
            with snapshot(engine) as connection:
                output.retried(search.retriable(connection, which), dry_run=True, as_json=as_json)
            return
        with transaction(engine) as connection:
            reopened = reopen(connection, which, at=datetime.now(UTC), forced=force, subject=_said(ids, chosen), actor=audit.COMMAND)
    tell(reopened)
    count = len(reopened)
    output.retried(count, dry_run=False, as_json=as_json)
    if ids and (missed := len(set(ids)) - count):
        raise click.ClickException(f"{missed} of those named will not: unknown, not what the options ask for, or the payload is erased")


COMMANDS = (deliveries_,)
