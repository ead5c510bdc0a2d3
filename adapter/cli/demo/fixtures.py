"""`demo --all`: every fixture, and what the adapter made of it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text
from sqlalchemy import Row, func, select

from adapter.cli import output
from adapter.cli.delivery_output import why
from adapter.cli.demo.running import DemoAdapter, running_adapter, store_name, wait_until
from adapter.errors import WorkFailed
from adapter.inbox import search
from adapter.inbox.database import snapshot
from adapter.inbox.tables import deliveries
from adapter.operations.wording import counted
from adapter.process.replay import Case, Posted, find_cases
from mappings import PROVIDERS

_FIXTURES = Path(__file__).parents[3] / "fixtures"
_WIDTH_WITHOUT_TERMINAL = 140
_COLUMNS = (
    output.Column("case"),
    output.Column("order", from_width=96),
    output.Column("total", is_number=True),
    output.Column("discounts", from_width=120, is_number=True),
    output.Column("taxes", from_width=120, is_number=True),
    output.Column("shipping", from_width=120, is_number=True),
    output.Column("result"),
)


def show_all_fixtures() -> int:
    """Post every fixture and show what Drip got; the exit status."""
    if not _FIXTURES.is_dir():
        raise WorkFailed("there are no fixtures here: demo --all needs a checkout of the project; demo alone doesn't")
    cases = find_cases([_FIXTURES])
    out = output.console(_WIDTH_WITHOUT_TERMINAL)
    with running_adapter(cases) as adapter:
        out.print(
            f"Posting {counted(len(cases), 'webhook', 'webhooks')}, signed as their stores sign them, to the adapter at {adapter.url} ..."
        )
        posted = [adapter.post(case) for case in cases]
        wait_until(lambda: not _pending(adapter), "the adapter did not send everything")
        received = adapter.received()
        with snapshot(adapter.engine) as connection:
            rows = list(reversed(search.listed(connection, search.filtered(), 100_000)))
            sent = {row.id: search.attempts_of(connection, row.id) for row in rows if row.state == "delivered"}
    came_from = _cases_of(rows, posted)
    for provider in PROVIDERS.values():
        out.print(f"\n{provider.title}\n", style="bold")
        mine = [row for row in sorted(rows, key=lambda row: row.parent_id or row.id) if came_from[row.id].provider == provider]
        out.print(output.table(_COLUMNS, [_line(came_from[row.id], row, sent.get(row.id, ())) for row in mine], out.width))
    _print_one_body(out, received)
    delivered = sum(row.state == "delivered" for row in rows)
    # With the lifecycle vocabulary one order may be several events at Drip.
    events = sum(attempt.outcome == "delivered" for attempts in sent.values() for attempt in attempts)
    out.print(
        f"\n{len(rows)} deliveries received, {delivered} orders delivered, {len(received)} events received by the sandbox. The others were "
        "skipped or are dead on purpose, for the reason beside them."
    )
    return 0 if delivered and events == len(received) else 1


def _pending(adapter: DemoAdapter) -> int:
    with snapshot(adapter.engine) as connection:
        count: int = connection.execute(select(func.count()).select_from(deliveries).where(deliveries.c.state == "pending")).scalar_one()
        return count


def _cases_of(rows: Sequence[Row[Any]], posted: Sequence[Posted]) -> dict[int, Case]:
    """The case of each delivery, by its id; the parts of a body with several orders belong to its case."""
    # Not every platform is sent the delivery's id, and not every payload is still there.
    by_id = {json.loads(answer.answer).get("delivery"): answer.case for answer in posted}
    by_payload = {(store_name(answer.case), answer.case.payload): answer.case for answer in posted}
    found: dict[int, Case] = {}
    for row in rows:
        found[row.id] = by_id.get(str(row.id)) or by_payload.get((row.store, row.payload)) or found[row.parent_id]
    return found


def _line(case: Case, row: Row[Any], attempts: Sequence[Row[Any]]) -> list[str | Text]:
    """A delivery as a row of the table; amounts with the digits that Drip got."""
    body = json.loads(attempts[-1].body, parse_float=str) if attempts else {}
    title = case.folder.name if row.parent_id is None else "  part of it"
    total = f"{body['grand_total']} {body.get('currency', '   ')}" if body else ""
    amounts = [str(body.get(name, "")) for name in ("total_discounts", "total_taxes", "total_shipping")]
    result = Text.assemble(output.state(row.state), " " * (11 - len(row.state)), body.get("action") or why(row))
    return [title, row.order_id or "", total, *amounts, result]


def _print_one_body(out: Console, received: Sequence[Mapping[str, Any]]) -> None:
    """The order with the most fields, as Drip got it."""
    fullest = max(received, key=lambda entry: len(json.dumps(entry["order"])), default=None)
    if fullest is not None:
        out.print("\nOne of them, as Drip got it:\n")
        out.print_json(data=fullest["order"])
