"""`deliveries`: look into the inbox, and send again what it holds."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy import ColumnElement, Connection, true

from adapter.cli import output
from adapter.cli.delivery_output import print_deliveries, print_delivery, print_event
from adapter.cli.exit_status import explained
from adapter.cli.inbox import open_inbox
from adapter.cli.parameters import AS_JSON, LIMIT, ROW, STORE, TIME, TIME_HELP, WholeNumber, require_period
from adapter.cli.progress import progress
from adapter.cli.startup import current_settings
from adapter.cli.text import echo
from adapter.cli.times import IN_UTC
from adapter.errors import WorkFailed
from adapter.inbox import audit, search, views
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.email_digests import digests_of
from adapter.inbox.following import Follower
from adapter.inbox.packing import LOCKED, is_locked
from adapter.inbox.tables import deliveries
from adapter.operations.dead_letters import hopeless
from adapter.operations.order_summary import summaries
from adapter.operations.preview import document
from adapter.operations.retry import log_reopened, reopen, subject_of
from adapter.operations.wording import counted
from mappings import Reason, first_email

_POLL_S = 1.0
_MOST_AT_ONCE = 1000
_SUMMARIES_S = 10.0


_MOST_PREVIEWED = 20


@click.group("deliveries")
def command() -> None:
    """List, follow, show and retry what was received."""


def _address(value: str) -> str:
    if value and not first_email(value):
        raise click.BadParameter("isn't an e-mail address such as name@shop.example")
    return value


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that choose deliveries; the command gets them together, as `_which` takes them."""
    for option in (
        click.option("--until", type=TIME, metavar="TIME", help="Received before this time."),
        click.option("--since", type=TIME, metavar="TIME", help=f"Received at or after this time: {TIME_HELP}"),
        click.option("--topic", default="", metavar="TOPIC", help="Only this topic, such as orders/create."),
        click.option(
            "--reason",
            type=click.Choice([reason.value for reason in Reason]),
            metavar="REASON",
            help="Only those skipped for this reason, such as no_email.",
        ),
        click.option("--order", "order_id", default="", metavar="ID", help="Only of the order with this id."),
        click.option("--email", default="", type=_address, metavar="ADDRESS", help="Only of the shopper with this e-mail address."),
        click.option("--number", default="", metavar="NUMBER", help="Only of the order with this number, with or without #."),
        STORE,
        click.option("--state", type=click.Choice(["pending", "delivered", "skipped", "dead"]), help="Only in this state."),
    ):
        command = option(command)
    return command


def _which(connection: Connection, chosen: Mapping[str, Any]) -> ColumnElement[bool]:
    """The deliveries that the options choose; all without any."""
    require_period(chosen["since"], chosen["until"])
    times = {name: chosen[name] for name in ("since", "until") if chosen[name] is not None}
    words = {name: value for name, value in chosen.items() if name not in ("since", "until", "email") and value}
    digests = digests_of(connection, chosen["email"]) if chosen["email"] else None
    return search.filtered(**words, **times, email_digests=digests)


@command.command("list")
@_filters
@LIMIT
@click.option("--before", type=ROW, metavar="ID", help="Only deliveries before this one: the next page.")
@IN_UTC
@AS_JSON
@explained
def list_(limit: int, before: int | None, in_utc: bool, as_json: bool, **chosen: Any) -> None:
    """List deliveries, newest first."""
    settings = current_settings()
    with open_inbox(settings, store=chosen["store"]) as engine, snapshot(engine) as connection:
        which = _which(connection, chosen)
        if before is not None:
            which = which & (deliveries.c.id < before)
        rows = search.listed(connection, which, limit)
        totals = {} if as_json else summaries(connection, settings, rows, _SUMMARIES_S)
    print_deliveries(rows, totals, as_json=as_json, in_utc=in_utc)


@command.command("tail")
@_filters
@click.option("--lines", default=10, show_default=True, type=WholeNumber(0, 1000), metavar="N", help="First print the last N.")
@IN_UTC
@AS_JSON
@explained
def tail(lines: int, in_utc: bool, as_json: bool, **chosen: Any) -> None:
    """Print deliveries as they arrive and as their state changes.

    The oldest comes first. Ctrl-C ends it.
    """
    settings = current_settings()
    with open_inbox(settings, store=chosen["store"]) as engine, suppress(KeyboardInterrupt):
        follower, most = Follower(), lines
        while True:
            with snapshot(engine) as connection:
                rows = follower.changed(connection, _which(connection, chosen), most)
                totals = {} if as_json else summaries(connection, settings, rows)
            for row in rows:
                print_event(row, totals.get(row.id), as_json=as_json, in_utc=in_utc)
            most = _MOST_AT_ONCE
            time.sleep(_POLL_S)


@command.command("show")
@click.argument("delivery", type=ROW)
@click.option("--payload", is_flag=True, help="Print the payload as received, and nothing else.")
@IN_UTC
@AS_JSON
@explained
def show(delivery: int, payload: bool, in_utc: bool, as_json: bool) -> None:
    """Show one delivery with everything known about it.

    That is its state and why, every attempt with Drip's answer, the body sent to Drip, and what today's mapping makes of the payload. It
    shows personal data, which is noted in the audit log.
    """
    settings = current_settings()
    with open_inbox(settings) as engine:
        with snapshot(engine) as connection:
            row = views.one(connection, delivery)
            if row is None:
                raise WorkFailed(_unknown([delivery]))
            if payload and is_locked(row.payload):
                raise WorkFailed(f"the payload of delivery {delivery} can't be read: {LOCKED}")
            attempts = search.attempts_of(connection, delivery)
            became = views.parts_of(connection, row) if row.reason == Reason.SPLIT else []
            today = None if payload else document(connection, row, attempts, settings)
        if row.payload is not None or any(attempt.body is not None for attempt in attempts):
            with transaction(engine) as connection:
                audit.note(connection, audit.VIEWED, f"delivery {delivery}", "", datetime.now(UTC), audit.COMMAND)
    if not payload:
        print_delivery(row, attempts, became, today, as_json=as_json, in_utc=in_utc)
    elif sys.stdout.isatty():
        echo((row.payload or b"").decode(errors="replace"))
    else:  # exactly as it was received
        click.echo(row.payload or b"", nl=False)


@command.command("retry")
@click.argument("ids", nargs=-1, type=ROW)
@_filters
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--force", is_flag=True, help="Send even if nothing changed: for what Drip accepted and lost.")
@AS_JSON
@explained
def retry(ids: tuple[int, ...], dry_run: bool, force: bool, as_json: bool, **chosen: Any) -> None:
    """Send deliveries again, with today's mapping.

    Choose them by id, by options, or by both: then only those that match both.
    """
    if not ids and not any(chosen.values()):
        raise click.UsageError("Name deliveries by id, or choose some with an option such as --state dead or --order ID.")
    settings = current_settings()
    with open_inbox(settings, store=chosen["store"]) as engine:
        with snapshot(engine) as connection:
            if missing := [delivery for delivery in dict.fromkeys(ids) if views.one(connection, delivery) is None]:
                raise WorkFailed(_unknown(missing))
            which = _which(connection, chosen) & (deliveries.c.id.in_(ids) if ids else true())
            if dry_run:
                _print_count(search.retriable(connection, which), dry_run=True, as_json=as_json)
                return
            doubtful = hopeless(connection, ids[:_MOST_PREVIEWED], settings)
        for delivery, advice in doubtful.items():
            echo(f"note: delivery {delivery} will end the same way. {advice}", err=True)
        subject = subject_of(ids, is_search=bool(chosen["email"]), order=chosen["order_id"], **chosen)
        with (
            progress("queuing", if_interrupted="none is sent again; run the same command again", shown=not as_json),
            transaction(engine) as connection,
        ):
            reopened = reopen(connection, which, at=datetime.now(UTC), forced=force, subject=subject, actor=audit.COMMAND)
    log_reopened(reopened)
    count = len(reopened)
    _print_count(count, dry_run=False, as_json=as_json)
    if ids and (missed := len(set(ids)) - count):
        raise WorkFailed(f"{missed} of these can't be retried: not matching the options, or its payload is erased")


def _unknown(ids: Sequence[int]) -> str:
    return f"there is no delivery {', '.join(map(str, ids))}; drip-adapter deliveries list shows those there are"


def _print_count(count: int, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        output.document({"retried": count, "dry_run": dry_run})
    else:
        echo(f"{counted(count)} {'would' if dry_run else 'will'} be sent again")
