"""How commands print: tables as wide as the terminal for people, one JSON document per line for programs."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from adapter.cli.text import echo
from adapter.printable import one_line, printable

_STYLES = {"delivered": "green", "pending": "yellow", "skipped": "dim", "dead": "bold red"}
# Without a terminal, a line is for a program such as grep and must stay whole.
_WIDTH_WITHOUT_TERMINAL = 10_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; only the last one is ever broken into lines."""

    title: str
    from_width: int = 0
    """The narrowest terminal that shows it."""
    is_number: bool = False


class _Console(Console):
    """Prints what is data with control characters as escapes."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(printable(each) if isinstance(each, str) else _cell(each) for each in objects), **options)


def console(width_without_terminal: int = _WIDTH_WITHOUT_TERMINAL) -> Console:
    """Standard output, as wide as the terminal."""
    return _Console(width=None if sys.stdout.isatty() else width_without_terminal, highlight=False, markup=False, emoji=False)


def table(columns: Sequence[Column], rows: Iterable[Sequence[RenderableType]], width: int) -> Table:
    """A table without the columns that a terminal of that width has no room for."""
    shown = [index for index, column in enumerate(columns) if width >= column.from_width]
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=any(column.title for column in columns), header_style="bold")
    for index in shown:
        justify = "right" if columns[index].is_number else "left"
        made.add_column(columns[index].title, justify=justify, no_wrap=index != len(columns) - 1)  # type: ignore[arg-type]
    for row in rows:
        made.add_row(*(_cell(row[index]) for index in shown))
    return made


def _cell(content: Any) -> Any:
    """What is shown in one line, with control characters as escapes."""
    if isinstance(content, Text):
        content.plain = one_line(content.plain)
        return content
    return one_line(content) if isinstance(content, str) else content


def pairs(values: Mapping[str, object]) -> Table:
    """Names and values; empty values are left out."""
    rows = ((name, str(value)) for name, value in values.items() if value not in (None, ""))
    return table((Column(""), Column("")), rows, 0)


def document(report: Mapping[str, object]) -> None:
    """One JSON document on a line of its own."""
    echo(json.dumps(report, ensure_ascii=False))


def state(name: str) -> Text:
    """A delivery's state in its colour."""
    return Text(name, style=_STYLES.get(name.strip(), ""))


def shortened(text: str, longest: int) -> str:
    """A text for a cell: on a terminal at most that long, so that a list stays a list."""
    return f"{text[: longest - 1].rstrip()}…" if sys.stdout.isatty() and len(text) > longest else text
