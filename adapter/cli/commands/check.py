"""`check`: what is wrong with the setup, and how to fix it."""

import sys
from collections.abc import Iterable

import click
from rich.table import Table
from rich.text import Text

from adapter.cli import output, times
from adapter.cli.exit_status import explained
from adapter.cli.inbox import connected
from adapter.cli.parameters import AS_JSON
from adapter.cli.progress import Bar, progress
from adapter.cli.startup import current_settings
from adapter.cli.text import echo
from adapter.cli.times import IN_UTC
from adapter.operations.check import look
from adapter.operations.finding import Finding
from adapter.printable import one_line
from adapter.settings import ApiSettings

_MARKS = {True: Text("ok", "green"), False: Text("ERROR", "bold red"), None: Text("note", "yellow")}


@click.command("check")
@IN_UTC
@AS_JSON
@explained
def command(in_utc: bool, as_json: bool) -> None:
    """Check the setup and say how to fix it.

    Looks at settings, database, Drip's answer to the API key, and the webhooks at each store whose API can be asked.
    """
    settings = current_settings()
    asks_stores = any(store.api != ApiSettings() for store in settings.stores.values())
    with (
        connected(settings) as engine,
        progress("Asking the stores", if_interrupted="run drip-adapter check again", shown=asks_stores and not as_json) as bar,
    ):
        whole = _print_findings(look(settings, engine, bar.update), bar, in_utc=in_utc, as_json=as_json)
    sys.exit(0 if whole else 1)


def _print_findings(findings: Iterable[Finding], bar: Bar, *, in_utc: bool, as_json: bool) -> bool:
    """Print each as soon as it is known; whether none of them is a problem."""
    out = output.console()
    whole = True
    for finding in findings:
        whole = whole and finding.ok is not False
        if as_json:
            output.document({"what": finding.what, "ok": finding.ok, "say": finding.say, "code": finding.code or None})
            continue
        line = one_line(f"{finding.what}: {times.localized(finding.say, in_utc=in_utc)}")
        if not out.is_terminal:  # a thousand stores are three thousand lines
            echo(f"{_MARKS[finding.ok]!s:5}  {line}")
        else:
            row = Table.grid(padding=(0, 2, 0, 0))
            row.add_column(width=5)
            row.add_column()
            row.add_row(_MARKS[finding.ok], line)
            bar.show(row)
    return whole
