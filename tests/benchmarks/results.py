"""What a measurement yields: rows of named values, with medians and their spread."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

Row = dict[str, Any]
"""A line of a table: column -> value."""


def spread(ratios: Sequence[float]) -> Row:
    """The median of some ratios, the lowest and the highest."""
    if not ratios:
        return {"ratio": None, "lowest": None, "highest": None}
    return {"ratio": round(statistics.median(ratios), 2), "lowest": round(min(ratios), 2), "highest": round(max(ratios), 2)}


def print_rows(rows: Iterable[Row]) -> None:
    """Print rows as they come, each in a line of its own."""
    for row in rows:
        print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    if not rows:
        return "Nothing was measured.\n"
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names), *([_shown(row.get(name)) for name in names] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
