"""`status`: the dashboard's overview, as text."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from adapter.cli import output, times
from adapter.cli.exit_status import explained
from adapter.cli.inbox import open_inbox
from adapter.cli.parameters import AS_JSON
from adapter.cli.startup import current_settings
from adapter.cli.text import say
from adapter.cli.times import IN_UTC
from adapter.errors import DatabaseAway, WorkFailed
from adapter.inbox.charts import SPANS
from adapter.inbox.database import snapshot
from adapter.inbox.readiness import why_not_storing
from adapter.operations.activity import document, read_activity
from adapter.operations.health import document as health_document
from adapter.operations.health import read_health, without_database
from adapter.operations.verdict import Status, headline
from adapter.operations.wording import counted
from adapter.settings import Settings

_REQUESTS = {"single": "single", "batch": "batch requests"}
_REFUSED = {"missing": "without a signature", "mismatch": "with a signature that doesn't match", "other_shop": "from another shop"}


@click.command("status")
@click.option("--span", default="day", show_default=True, type=click.Choice(list(SPANS)), help="The period to count.")
@IN_UTC
@AS_JSON
@explained
def command(span: str, in_utc: bool, as_json: bool) -> None:
    """Show whether orders are reaching Drip.

    If they are not, or if something needs attention, it says what to do, and exits with 1. It also shows what is waiting, what happened
    lately, and what is left of Drip's quota.
    """
    settings = current_settings()
    try:
        report = _read(settings, span)
    except DatabaseAway as error:
        report = without_database(str(error))
    except WorkFailed as error:
        if not as_json:
            raise
        report = {"error": str(error), **without_database(str(error))}
    if as_json:
        output.document(report)
    elif "stores" not in report:
        say("\n  ".join((headline(Status.STUCK, ["database"], any_received=False, sandbox=settings.sandbox), *report["why"])), err=True)
    else:
        _print_status(report, in_utc=in_utc)
    sys.exit(0 if report["ok"] else 1)


def _read(settings: Settings, span: str) -> dict[str, Any]:
    with open_inbox(settings) as engine, snapshot(engine) as connection:
        health = read_health(connection, settings, datetime.now(UTC), not_storing=why_not_storing(engine))
        report = health_document(connection, settings, health)
        return report | document(read_activity(connection, settings, health.facts, SPANS[span]), SPANS[span])


def _print_status(report: Mapping[str, Any], *, in_utc: bool) -> None:
    any_received = any(store["deliveries"] for store in report["stores"].values())
    codes = [finding["code"] for finding in report["findings"]]
    say(headline(Status(report["verdict"]), codes, any_received=any_received, sandbox=report["sandbox"]))
    for finding in report["findings"]:
        say(times.localized(f"  {finding['text']} {finding['do']}", in_utc=in_utc))
        moments = (("since", finding["since"]), ("next try", finding["until"]))
        if known := ", ".join(f"{name} {times.of_text(moment, in_utc=in_utc)}" for name, moment in moments if moment):
            say(f"    {known}")
    _print_activity(report, in_utc=in_utc)
    for name, store in report["stores"].items():
        states = ", ".join(f"{count} {state}" for state, count in sorted(store["deliveries"].items())) or "nothing received yet"
        say(f"store {name}: {states}")
        for reason, seen in store["refused"].items():
            refused = counted(seen["count"], "request", "requests")
            say(f"  refused {refused} {_REFUSED[reason]}, the last one at {times.of_text(seen['last_at'], in_utc=in_utc)}")


def _print_activity(report: Mapping[str, Any], *, in_utc: bool) -> None:
    now, later = (sum(each[name] for each in report["waiting"].values()) for name in ("now", "later"))
    since = f", the oldest since {times.of_text(report['oldest_waiting'], in_utc=in_utc)}" if report["oldest_waiting"] else ""
    say(f"waiting: {now} to be sent now{since}; {later} for a later attempt")
    over = report["over_time"]
    counts = ", ".join(f"{sum(over[kind])} {kind}" for kind in ("kept", "delivered", "skipped", "dead"))
    say(f"last {over['span']}: {counts}")
    if took := report["to_drip"]:
        say(f"from webhook to Drip: median {took['median_s']:.1f} s, 95th percentile {took['within_95_of_100_s']:.1f} s")
    for account, kinds in report["quotas"].items():
        left = ", ".join(f"{quota['left']} of {quota['limit']} {_REQUESTS[kind]}" for kind, quota in kinds.items())
        say(f"quota left for account {account}: {left}")
