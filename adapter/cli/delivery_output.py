"""How deliveries are printed: the list, and one of them with everything known about it."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text
from sqlalchemy import Row

from adapter.cli import output, times
from adapter.cli.output import Column
from adapter.cli.text import echo
from adapter.inbox.settling import REFUSED
from adapter.operations.dead_letters import advise
from adapter.operations.mapping_work import Preview
from adapter.operations.order_list import number_of
from adapter.operations.order_summary import Summary
from adapter.operations.wording import counted, instant, instant_or_none
from mappings import encode, parse, printed

_LONGEST_TOPIC_ON_TERMINAL = 32
# Why is cut on a terminal: two lines beside the columns that every terminal shows; `deliveries show` has all of it.
_WHY_LINES, _WITHOUT_WHY = 2, 60
_WIDE = 100
_INBOX = (
    Column("order"),
    Column("total", is_number=True),
    Column("id", is_number=True),
    Column("received", from_width=72),
    Column("store", from_width=100),
    Column("topic", from_width=140),
    Column("attempts", from_width=150, is_number=True),
    Column("state"),
    Column("why", from_width=56),
)


def print_deliveries(rows: Sequence[Row[Any]], totals: Mapping[int, Summary], *, as_json: bool, in_utc: bool) -> None:
    """The inbox; `totals` are the summaries of those that contain an order."""
    if as_json:
        for row in rows:
            output.document(_summary(row))
        return
    if not rows:
        echo("No deliveries match.")
        return
    out = output.console()
    longest = _LONGEST_TOPIC_ON_TERMINAL if sys.stdout.isatty() else len(max((row.topic for row in rows), key=len))
    lines = (
        (
            number_of(row),
            totals[row.id].amount if row.id in totals else "",
            str(row.id),
            times.shown(row.received_at, in_utc=in_utc),
            row.store,
            row.topic if len(row.topic) <= longest else f"…{row.topic[-longest + 1 :]}",
            str(row.attempts),
            output.state(row.state),
            output.shortened(why(row), _WHY_LINES * (out.width - _WITHOUT_WHY)),
        )
        for row in rows
    )
    out.print(output.table(_INBOX, lines, out.width))


def print_event(row: Row[Any], total: Summary | None, *, as_json: bool, in_utc: bool) -> None:
    """A delivery as `deliveries tail` prints it, on one line."""
    if as_json:
        output.document(_summary(row))
        return
    out = output.console()
    wide = out.width >= _WIDE
    at = times.shown(row.received_at, in_utc=in_utc) if wide else times.in_short(row.received_at, in_utc=in_utc)
    store = [f"{row.store:<12}"] if wide else []
    before = [at, f"{number_of(row) or '-':<12}", f"{total.amount if total else '-':>14}", *store, f"{row.id:>7}", ""]
    line = Text("  ".join(before)) + output.state(f"{row.state:<9}") + Text(f"  {why(row)}")
    line.rstrip()
    out.print(line, overflow="ellipsis", no_wrap=True)


def print_delivery(
    row: Row[Any], attempts: Sequence[Row[Any]], became: Sequence[int], today: Mapping[str, Any] | None, *, as_json: bool, in_utc: bool
) -> None:
    """One delivery with its attempts, the deliveries it was split into, and what today's mapping makes of it."""
    advice = str(advise(row, attempts, _preview_of(today))) if row.state == "dead" else None
    document = {**delivery_document(row, attempts), "advice": advice, "became": [str(part) for part in became], "today": today}
    if as_json:
        echo(encode(document))
        return
    tries, _ = document.pop("tries"), document.pop("today")
    problems = why(row) if document.pop("problems") else None
    document |= {"problems": problems, "became": ", ".join(map(str, became))}
    output.console().print(output.pairs(times.with_times(document, in_utc=in_utc)))
    for number, attempt in enumerate(tries, 1):
        _print_attempt(times.with_times(attempt, in_utc=in_utc), number, len(tries))
    if today:
        echo(f"\ntoday's mapping\n{_of_today(today, sent=any(attempt.body for attempt in attempts))}")


def delivery_document(row: Row[Any], attempts: Sequence[Row[Any]]) -> dict[str, Any]:
    """Everything stored about a delivery, except for its headers and payload."""
    return _summary(row) | {
        "order_number": row.order_number,
        "read_at": instant_or_none(row.read_at),
        "detail": row.detail,
        "problems": json.loads(row.problems) if row.problems else None,
        "snapshot_at": instant_or_none(row.snapshot_at),
        "due_at": instant_or_none(row.due_at) if row.state == "pending" else None,
        "parent": str(row.parent_id) if row.parent_id else None,
        "tries": [_attempt(attempt) for attempt in attempts],
    }


def why(row: Row[Any]) -> str:
    """Why a delivery is in its state."""
    if row.problems:
        refused = f"{row.detail}: " if row.detail == REFUSED else ""
        return refused + _in_words(json.loads(row.problems))
    return row.reason or ""


def _preview_of(today: Mapping[str, Any] | None) -> Preview | None:
    return Preview(body=today["body"], problems=today["problems"] or {}) if today else None


def _print_attempt(attempt: dict[str, Any], number: int, count: int) -> None:
    body, answer, looked_up = (attempt.pop(name) for name in ("body", "answer", "looked_up"))
    attempt["products"] = ", ".join(f"{product}: {source}" for product, source in (looked_up or {}).items())
    if answer and set(answer) == {"what"}:
        attempt["answer"], answer = answer["what"], None
    echo(f"\nattempt {number} of {count}")
    output.console().print(output.pairs(attempt))
    if answer:
        echo("Drip's answer\n" + json.dumps(answer, ensure_ascii=False, indent=2))
    if body and number == count:
        echo("the body sent to Drip\n" + printed(body))


def _of_today(today: Mapping[str, Any], *, sent: bool) -> str:
    """What today's mapping makes of a payload, in a line or a few."""
    if today["problems"]:
        return "cannot map it: " + _in_words(today["problems"])
    if today["skip"]:
        return f"skips it: {today['skip']}"
    if today["orders"] != 1:
        return f"finds {counted(today['orders'], 'order', 'orders')} in it"
    result = "\n".join(today["difference"]) or "gives the same body" if sent else "maps it; --json prints the body"
    return f"{result}\n{today['sums_differ']}" if today["sums_differ"] else result


def _in_words(problems: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{path or 'payload'}: {' '.join(reasons)}" for path, reasons in problems.items())


def _summary(row: Row[Any]) -> dict[str, Any]:
    """A delivery as `deliveries list --json` prints it."""
    return {
        "id": str(row.id),
        "store": row.store,
        "topic": row.topic,
        "order_id": row.order_id,
        "state": row.state,
        "reason": row.reason,
        "attempts": row.attempts,
        "received_at": instant(row.received_at),
        "settled_at": instant_or_none(row.settled_at),
    }


def _attempt(row: Row[Any]) -> dict[str, Any]:
    return {
        "at": instant(row.begun_at),
        "ended_at": instant_or_none(row.ended_at),
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
