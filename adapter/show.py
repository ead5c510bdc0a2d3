"""How commands print: a table for people, one JSON document a line for programs."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Row

from adapter.settings import Settings
from mappings import timestamp

if TYPE_CHECKING:
    from adapter.check import Finding
    from adapter.replay import Posted

_STYLES = {"delivered": "green", "pending": "yellow", "skipped": "dim", "dead": "bold red"}
_WIDTH_WITHOUT_TERMINAL = 140


def console() -> Console:
    """Where people look; as wide as the terminal, or wide enough for our tables where there is none."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL, highlight=False)


def banner(settings: Settings, address: str) -> None:
    """What `serve` says when it starts."""
    out = console()
    target = f"the stand-in at {settings.drip_api_url} (never to Drip)" if settings.sandbox else settings.drip_api_url
    where = target if settings.accounts else "nowhere yet: set DRIP_ACCOUNT_ID and DRIP_API_KEY; until then deliveries are kept and wait"
    out.print(f"Listening at http://{address}; orders go to {where}")
    base = settings.public_url if settings.public_url_is_set else f"http://{address}"
    for store in settings.stores.values():
        out.print(f"  {store.provider.title:12} {base}/webhooks/{store.name}")
    if not settings.stores:
        out.print("  no store yet: set SHOPIFY_WEBHOOK_SECRET, WOOCOMMERCE_WEBHOOK_SECRET or MAGENTO_WEBHOOK_SECRET, or STORES")


def deliveries(rows: Sequence[Row[Any]], *, as_json: bool) -> None:
    """The inbox."""
    if as_json:
        for row in rows:
            click.echo(json.dumps(summary(row), ensure_ascii=False))
        return
    table = Table("id", "received", "store", "topic", "order", "state", "why", "attempts", box=None)
    for row in rows:
        table.add_row(
            str(row.id),
            timestamp(row.received_at.replace(microsecond=0)),
            row.store,
            row.topic,
            row.order_id or "",
            state(row.state),
            why(row),
            str(row.attempts),
        )
    console().print(table if rows else "no such delivery")


def summary(row: Row[Any]) -> dict[str, Any]:
    """A delivery as `deliveries list --json` prints it."""
    return {
        "id": str(row.id),
        "store": row.store,
        "topic": row.topic,
        "order_id": row.order_id,
        "state": row.state,
        "reason": row.reason,
        "attempts": row.attempts,
        "received_at": timestamp(row.received_at),
        "settled_at": _time(row.settled_at),
    }


def delivery(row: Row[Any], attempts: Sequence[Row[Any]], *, as_json: bool) -> None:
    """One delivery with its attempts."""
    document = summary(row) | {
        "detail": row.detail,
        "problems": json.loads(row.problems) if row.problems else None,
        "snapshot_at": _time(row.snapshot_at),
        "due_at": _time(row.due_at) if row.state == "pending" else None,
        "parent": str(row.parent_id) if row.parent_id else None,
        "tries": [_attempt(attempt) for attempt in attempts],
    }
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    out = console()
    for name, value in document.items():
        if name != "tries" and value is not None:
            out.print(f"{name:12} ", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), sep="", markup=False)
    for attempt in document["tries"]:
        out.print()
        for name, value in attempt.items():
            out.print(
                f"  {name:16} ",
                json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value),
                sep="",
                markup=False,
            )


def posted(answer: "Posted", *, as_json: bool) -> None:
    """What the adapter answered to one replayed case."""
    case = f"{answer.case.folder.parent.name}/{answer.case.folder.name}"
    if as_json:
        click.echo(json.dumps({"case": case, "status": answer.status, "answer": answer.answer}))
    else:
        click.echo(f"{answer.status} {case} {answer.answer}")


def findings(found: Iterable["Finding"], *, as_json: bool) -> None:
    """What `check` found."""
    for finding in found:
        if as_json:
            click.echo(json.dumps({"what": finding.what, "ok": finding.ok, "say": finding.say}))
        else:
            mark = {True: "ok   ", False: "FAULT", None: "note "}[finding.ok]
            click.echo(f"{mark} {finding.what}: {finding.say}")


def status(report: Mapping[str, Any], *, as_json: bool) -> None:
    """The overview."""
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
        return
    click.echo("orders move" if report["ok"] else "orders do not move")
    for line in report["why"]:
        click.echo(f"  {line}")
    for name, store in report["stores"].items():
        counted = ", ".join(f"{count} {name}" for name, count in sorted(store["deliveries"].items())) or "nothing received yet"
        click.echo(f"store {name}: {counted}")
        for reason, seen in store["refused"].items():
            click.echo(f"  {seen['count']} requests refused, the last at {seen['last_at']}: signature {reason}")


def state(name: str) -> Text:
    """A state in its colour."""
    return Text(name, style=_STYLES.get(name, ""))


def why(row: Row[Any]) -> str:
    """Why a delivery is where it is."""
    if row.problems:
        return "; ".join(f"{path or 'payload'}: {' '.join(reasons)}" for path, reasons in json.loads(row.problems).items())
    return row.reason or ""


def _attempt(row: Row[Any]) -> dict[str, Any]:
    return {
        "at": timestamp(row.begun_at),
        "account": row.account,
        "kind": row.kind,
        "action": row.action,
        "status": row.status,
        "outcome": row.outcome or "in_doubt",
        "drip_request_id": row.drip_request_id,
        "answer": json.loads(row.answer) if row.answer else None,
        "body": json.loads(row.body) if row.body else None,
    }


def _time(moment: datetime | None) -> str | None:
    return timestamp(moment) if moment else None
