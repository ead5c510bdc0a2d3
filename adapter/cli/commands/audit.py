"""`audit`: who did what, on the dashboard and on the command line."""

from collections.abc import Sequence
from typing import Any

import click
from sqlalchemy import Row

from adapter.cli import output, times
from adapter.cli.exit_status import explained
from adapter.cli.inbox import open_inbox
from adapter.cli.output import Column
from adapter.cli.parameters import AS_JSON, LIMIT, ROW
from adapter.cli.text import echo
from adapter.cli.times import IN_UTC
from adapter.inbox import audit
from adapter.inbox.database import snapshot
from adapter.operations.wording import instant

_COLUMNS = (Column("id", is_number=True), Column("when", from_width=60), Column("who", from_width=80), Column("did"), Column("what"))


@click.command("audit")
@LIMIT
@click.option("--before", type=ROW, metavar="ID", help="Only entries before this one.")
@IN_UTC
@AS_JSON
@explained
def command(limit: int, before: int | None, in_utc: bool, as_json: bool) -> None:
    """Show what people changed.

    Newest first. Looking at personal data on the dashboard is on record as well.
    """
    with open_inbox() as engine, snapshot(engine) as connection:
        rows = audit.noted(connection, limit, before)
    if as_json:
        for row in rows:
            output.document({"id": str(row.id), "at": instant(row.at), **_entry(row)})
    elif rows:
        _print_table(rows, in_utc=in_utc)
    else:
        echo("Nothing has been changed yet.")


def _print_table(rows: Sequence[Row[Any]], *, in_utc: bool) -> None:
    out = output.console()
    lines = (
        (str(row.id), times.shown(row.at, in_utc=in_utc), row.actor, row.action, ", ".join(filter(None, (row.subject, row.detail))))
        for row in rows
    )
    out.print(output.table(_COLUMNS, lines, out.width))


def _entry(row: Row[Any]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("actor", "action", "subject", "detail")}
