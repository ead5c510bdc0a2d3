"""The overview's chart as shapes: bars of settled deliveries before the bars of received ones, with a baseline and two gridlines.

Across, positions are percentages, and down they are pixels, so that the chart is as wide as its place and its text has one size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from adapter.inbox.charts import Span

KINDS = ("delivered", "skipped", "dead")
"""From the bottom of a bar to its top."""
CEILING, FLOOR = 8, 158
"""Where the upper gridline and the baseline are."""
_LABELS = 6
_SHORTEST = 2.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a column; `x` and `width` are percentages."""

    kind: str
    x: float
    width: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """What happened in one step of the period."""

    x: float
    width: float
    start: datetime
    bars: Sequence[Bar]
    counts: Mapping[str, int]
    label: str
    """`even` or `odd` where its start is printed below it; else blank. A narrow page prints the even ones only."""


@dataclass(frozen=True, slots=True)
class Chart:
    """The columns, and the number at the upper gridline."""

    columns: Sequence[Column]
    top: int
    form: str
    """How the columns' starts are printed: `clock` or `day`."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened in the period."""
        return not any(count for column in self.columns for count in column.counts.values())


def make_chart(counts: Mapping[str, Sequence[int]], starts: Sequence[datetime], span: Span) -> Chart:
    """A chart of counts by kind, in steps that begin at `starts`."""
    settled = [sum(counts[kind][index] for kind in KINDS) for index in range(len(starts))]
    top = round_up(max([*settled, *counts["kept"]], default=0))
    columns = [_column(counts, starts, index, top) for index in range(len(starts))]
    return Chart(columns, top, "day" if span.name == "month" else "clock")


def round_up(number: int) -> int:
    """The next even number that reads well: 2, 4, 6, 8, 10, 20, 40 and so on."""
    size = Decimal(10) ** max(0, len(str(number)) - 1)
    return next(int(step * size) for step in (1, 2, 4, 6, 8, 10) if step * size >= number and int(step * size) % 2 == 0)


def _column(counts: Mapping[str, Sequence[int]], starts: Sequence[datetime], index: int, top: int) -> Column:
    gap = 100 / len(starts)
    left, scale = index * gap, (FLOOR - CEILING) / top
    mine = {kind: counts[kind][index] for kind in ("kept", *KINDS)}
    bars, y = [_bar("kept", left, gap, 0.88, FLOOR, mine["kept"] * scale)] if mine["kept"] else [], float(FLOOR)
    for kind in KINDS:
        if mine[kind]:
            bars.append(_bar(kind, left, gap, 0.56, y, mine[kind] * scale))
            y = bars[-1].y
    every = max(1, len(starts) // _LABELS)
    label = ("odd" if index // every % 2 else "even") if index % every == 0 else ""
    return Column(round(left, 3), round(gap, 3), starts[index], bars, mine, label)


def _bar(kind: str, left: float, gap: float, share: float, bottom: float, height: float) -> Bar:
    height = max(_SHORTEST, height)
    return Bar(kind, round(left + gap * (1 - share) / 2, 3), round(gap * share, 3), round(bottom - height, 1), round(height, 1))
