"""How commands print: a table for people, one JSON document a line for programs."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import simplejson
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text
from sqlalchemy import Row

from adapter.settings import Settings
from mappings import encode, parse, timestamp

if TYPE_CHECKING:
    from adapter.operations.check import Finding
    from adapter.process.replay import Posted

_STYLES = {"delivered": "green", "pending": "yellow", "skipped": "dim", "dead": "bold red"}
_MARKS = {True: Text("ok", "green"), False: Text("FAULT", "bold red"), None: Text("note", "yellow")}
# Where there is no terminal a line is for a program such as grep, and must not be broken.
_WIDTH_WITHOUT_TERMINAL = 10_000
_LONGEST_TOPIC_ON_TERMINAL = 32


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; only the last one is ever broken into lines."""

    title: str
    from_width: int = 0
    """The narrowest terminal that it is shown on."""
    is_number: bool = False


def console(width_without_terminal: int = _WIDTH_WITHOUT_TERMINAL) -> Console:
    """Where people look; as wide as the terminal."""
    return Console(width=None if sys.stdout.isatty() else width_without_terminal, highlight=False, markup=False, emoji=False)


def table(columns: Sequence[Column], rows: Iterable[Sequence[RenderableType]], width: int) -> Table:
    """A table that leaves out what a terminal of that width has no room for."""
    shown = [index for index, column in enumerate(columns) if width >= column.from_width]
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=any(column.title for column in columns), header_style="bold")
    for index in shown:
        justify = "right" if columns[index].is_number else "left"
        made.add_column(columns[index].title, justify=justify, no_wrap=index != len(columns) - 1)  # type: ignore[arg-type]
    for row in rows:
        made.add_row(*(row[index] for index in shown))
    return made


def banner(settings: Settings, address: str) -> None:
    """What `serve` says when it starts."""
    target = f"the stand-in at {settings.drip_api_url} (never to Drip)" if settings.sandbox else settings.drip_api_url
    where = target if settings.accounts else "nowhere yet: set DRIP_ACCOUNT_ID and DRIP_API_KEY; until then deliveries are kept and wait"
    click.echo(f"Listening at http://{address}; orders go to {where}")
    base = settings.public_url if settings.public_url_is_set else f"http://{address}"
    for store in settings.stores.values():
        click.echo(f"  {store.provider.title:12} {base}/webhooks/{store.name}")
    if not settings.stores:
        click.echo("  no store yet: set SHOPIFY_WEBHOOK_SECRET, WOOCOMMERCE_WEBHOOK_SECRET or MAGENTO_WEBHOOK_SECRET, or STORES")


_INBOX = (
    Column("id", is_number=True),
    Column("received (UTC)"),
    Column("store"),
    Column("topic", from_width=110),
    Column("order"),
    Column("attempts", from_width=90, is_number=True),
    Column("state"),
    Column("why"),
)


def deliveries(rows: Sequence[Row[Any]], *, as_json: bool) -> None:
    """The inbox."""
    if as_json:
        for row in rows:
            click.echo(json.dumps(summary(row), ensure_ascii=False))
        return
    if not rows:
        click.echo("no such delivery")
        return
    out = console()
    longest = _LONGEST_TOPIC_ON_TERMINAL if sys.stdout.isatty() else len(max((row.topic for row in rows), key=len))
    lines = (
        (
            str(row.id),
            f"{row.received_at:%Y-%m-%d %H:%M:%S}",
            row.store,
            row.topic if len(row.topic) <= longest else f"…{row.topic[-longest + 1 :]}",
            row.order_id or "",
            str(row.attempts),
            state(row.state),
            why(row),
        )
        for row in rows
    )
    out.print(table(_INBOX, lines, out.width))


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


def delivery(row: Row[Any], attempts: Sequence[Row[Any]], became: Sequence[int], today: Mapping[str, Any] | None, *, as_json: bool) -> None:
    """One delivery with its attempts, the deliveries it was split into, and what today's code makes of it."""
    document = summary(row) | {
        "order_number": row.order_number,
        "read_at": _time(row.read_at),
        "detail": row.detail,
        "problems": json.loads(row.problems) if row.problems else None,
        "snapshot_at": _time(row.snapshot_at),
        "due_at": _time(row.due_at) if row.state == "pending" else None,
        "parent": str(row.parent_id) if row.parent_id else None,
        "became": [str(part) for part in became],
        "tries": [_attempt(attempt) for attempt in attempts],
        "today": today,
    }
    if as_json:
        click.echo(encode(document))
        return
    out = console()
    tries, _ = document.pop("tries"), document.pop("today")
    problems = why(row) if document.pop("problems") else None
    out.print(_pairs(document | {"problems": problems, "became": ", ".join(map(str, became))}))
    for number, attempt in enumerate(tries, 1):
        body, answer, looked_up = (attempt.pop(name) for name in ("body", "answer", "looked_up"))
        attempt["products"] = ", ".join(f"{product}: {source}" for product, source in (looked_up or {}).items())
        click.echo(f"\nattempt {number} of {len(tries)}")
        out.print(_pairs(attempt))
        if answer:
            click.echo("Drip said\n" + json.dumps(answer, ensure_ascii=False, indent=2))
        if body and number == len(tries):
            click.echo("the body\n" + simplejson.dumps(body, use_decimal=True, ensure_ascii=False, indent=2))
    if today:
        click.echo(f"\ntoday's code\n{_of_today(today, sent=any(attempt.body for attempt in attempts))}")


def _of_today(today: Mapping[str, Any], *, sent: bool) -> str:
    """What today's code makes of a payload, in a line or a few."""
    if today["problems"]:
        return "cannot map it: " + _said(today["problems"])
    if today["skip"]:
        return f"skips it: {today['skip']}"
    if today["orders"] != 1:
        return f"finds {today['orders']} orders in it"
    if not sent:
        return "can map it: --json shows the body"
    return "\n".join(today["difference"]) or "makes the same of it"


def _pairs(document: Mapping[str, Any]) -> Table:
    """Names and values; what is not there is left out."""
    rows = ((name, str(value)) for name, value in document.items() if value not in (None, ""))
    return table((Column(""), Column("")), rows, 0)


def counted(number: int) -> str:
    """So many deliveries, in words."""
    return f"{number} {'delivery' if number == 1 else 'deliveries'}"


def retried(count: int, *, dry_run: bool, as_json: bool) -> None:
    """How many deliveries a retry is of."""
    if as_json:
        document({"retried": count, "dry_run": dry_run})
    else:
        click.echo(f"{counted(count)} {'would' if dry_run else 'will'} be sent again")


_AUDIT = (Column("id", is_number=True), Column("when (UTC)"), Column("who"), Column("did"), Column("to what"))


def audit(rows: Sequence[Row[Any]], *, as_json: bool) -> None:
    """What people did."""
    if as_json:
        for row in rows:
            document({"id": str(row.id), "at": timestamp(row.at), **{name: getattr(row, name) for name in _DONE}})
        return
    if not rows:
        click.echo("nobody has changed anything yet")
        return
    out = console()
    lines = (
        (str(row.id), f"{row.at:%Y-%m-%d %H:%M:%S}", row.actor, row.action, ", ".join(filter(None, (row.subject, row.detail))))
        for row in rows
    )
    out.print(table(_AUDIT, lines, out.width))


_DONE = ("actor", "action", "subject", "detail")


def order(found: Mapping[str, Any]) -> None:
    """One order's history, the oldest first."""
    out = console()
    name = f"#{found['order_number']}, the store's id {found['order_id']}" if found["order_number"] else found["order_id"]
    click.echo(f"order {name}, of store {found['store']}")
    for has in found["at_drip"]:
        click.echo(
            f"Drip has it since {has['created_at']}, as of {has['snapshot_at'] or 'a time that nobody knows'} (delivery {has['delivery']})"
        )
    if not found["at_drip"]:
        click.echo("Drip was never sent it")
    lines = (
        (
            each["id"],
            each["received_at"],
            each["topic"],
            state(each["state"]),
            each["reason"] or ", ".join(f"{attempt['action']}: {attempt['outcome']}" for attempt in each["tries"]),
        )
        for each in found["deliveries"]
    )
    columns = (Column("id", is_number=True), Column("received"), Column("topic", from_width=110), Column("state"), Column("what"))
    out.print(table(columns, lines, out.width))


def document(report: Mapping[str, Any]) -> None:
    """One JSON document on a line of its own."""
    click.echo(json.dumps(report, ensure_ascii=False))


def posted(answer: "Posted", *, as_json: bool) -> None:
    """What the adapter answered to one replayed case."""
    case = f"{answer.case.folder.parent.name}/{answer.case.folder.name}"
    if as_json:
        click.echo(json.dumps({"case": case, "status": answer.status, "answer": answer.answer}))
    else:
        click.echo(f"{answer.status} {case} {answer.answer}")


def findings(found: Iterable["Finding"], *, as_json: bool) -> bool:
    """What `check` found, each as soon as it is known; whether there was no fault."""
    out = console()
    whole = True
    for finding in found:
        whole = whole and finding.ok is not False
        if as_json:
            click.echo(json.dumps({"what": finding.what, "ok": finding.ok, "say": finding.say}))
        else:
            line = Table.grid(padding=(0, 2, 0, 0))
            line.add_column(width=5)
            line.add_column()
            line.add_row(_MARKS[finding.ok], f"{finding.what}: {finding.say}")
            out.print(line)
    return whole


def status(report: Mapping[str, Any], *, as_json: bool) -> None:
    """The overview."""
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
        return
    click.echo("orders move" if report["ok"] else "orders do not move:")
    for line in report["why"]:
        click.echo(f"  {line}")
    _recent(report)
    for name, store in report["stores"].items():
        counted = ", ".join(f"{count} {state}" for state, count in sorted(store["deliveries"].items())) or "nothing received yet"
        click.echo(f"store {name}: {counted}")
        if store["quiet"]:
            click.echo(f"  silent since {store['last_at']}, longer than it ever was: is its webhook still active?")
        for reason, seen in store["refused"].items():
            click.echo(f"  refused for a signature {_REFUSED[reason]}: {seen['count']}, the last at {seen['last_at']}")


def _recent(report: Mapping[str, Any]) -> None:
    now, later = (sum(each[name] for each in report["waiting"].values()) for name in ("now", "later"))
    since = f", the oldest since {report['oldest_waiting']}" if report["oldest_waiting"] else ""
    click.echo(f"waiting: {now} now{since}; {later} for their next try")
    over = report["over_time"]
    happened = ", ".join(f"{sum(over[kind])} {kind}" for kind in ("kept", "delivered", "skipped", "dead"))
    click.echo(f"the last {over['span']}: {happened}")
    if took := report["to_drip"]:
        click.echo(f"from webhook to Drip: half within {took['median_s']:.1f} s, 95 of 100 within {took['within_95_of_100_s']:.1f} s")
    for account, kinds in report["quotas"].items():
        left = ", ".join(f"{quota['left']} of {quota['limit']} {_REQUESTS[kind]}" for kind, quota in kinds.items())
        click.echo(f"left this hour for account {account}: {left}")


_REQUESTS = {"single": "single requests", "batch": "batches"}
_REFUSED = {"missing": "that is missing", "mismatch": "that does not match"}


def state(name: str) -> Text:
    """A state in its colour."""
    return Text(name, style=_STYLES.get(name, ""))


def why(row: Row[Any]) -> str:
    """Why a delivery is where it is."""
    if row.problems:
        return _said(json.loads(row.problems))
    return row.reason or ""


def _said(problems: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{path or 'payload'}: {' '.join(reasons)}" for path, reasons in problems.items())


def _attempt(row: Row[Any]) -> dict[str, Any]:
    return {
        "at": timestamp(row.begun_at),
        "ended_at": _time(row.ended_at),
        "account": row.account,
        "kind": row.kind,
        "action": row.action,
        "status": row.status,
        "outcome": row.outcome or "unknown",
        "drip_request_id": row.drip_request_id,
        "looked_up": json.loads(row.looked_up) if row.looked_up else None,
        "answer": json.loads(row.answer) if row.answer else None,
        "body": parse(row.body) if row.body else None,
    }


def _time(moment: datetime | None) -> str | None:
    return timestamp(moment) if moment else None
