"""Template filters: how the pages show times, durations and numbers, and what a reason or an outcome means."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup

from adapter.operations.dead_letters import in_short
from adapter.operations.order_list import number_of
from adapter.operations.order_summary import money, plain
from adapter.operations.wording import counted
from adapter.web.dashboard.advice import PROBLEMS, advice, meaning, outcome, product_source

_IN_TEXT = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d) UTC")
_NONE = "\N{EN DASH}"
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def duration(length: timedelta | float | None) -> str:
    """A duration in its two largest units: `2 h 5 min`."""
    if length is None:
        return _NONE
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds >= 0.1 else "under 0.1 s"
    left, parts = round(seconds), list[str]()
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
        if parts and (len(parts) == 2 or not left):
            break
    return " ".join(parts)


def ago(moment: datetime | None) -> Markup | str:
    """How long ago, or how far ahead, with the exact time in a tooltip."""
    if moment is None:
        return "never"
    seconds = (datetime.now(UTC) - moment).total_seconds()
    amount = _largest(abs(seconds))
    text = "just now" if -1 < seconds < 2 else (f"{amount} ago" if seconds > 0 else f"in {amount}")
    return _time(moment, text, "ago")


def when(moment: datetime | None) -> Markup | str:
    """A time in UTC, to the second."""
    return _time(moment, f"{moment:%Y-%m-%d %H:%M:%S}", "when") if moment else _NONE


def brief(moment: datetime | None) -> Markup | str:
    """A time in UTC for a narrow column: without its year, to the second."""
    return _time(moment, f"{moment:%d %b %H:%M:%S}", "brief") if moment else _NONE


def moments(words: str) -> Markup:
    """A text in which each time is shown in the reader's zone."""
    parts = _IN_TEXT.split(words)
    shown = [
        _time(datetime.fromisoformat(f"{part}+00:00"), f"{part} UTC", "minute") if index % 2 else part for index, part in enumerate(parts)
    ]
    return Markup("").join(shown)


def number(value: int | float) -> str:
    """A number with thousands separators."""
    return f"{value:,}"


def bounded(value: int, most: int) -> str:
    """A count that stops at `most`: `1,000+`."""
    return f"{most:,}+" if value > most else f"{value:,}"


def _largest(seconds: float) -> str:
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "1 s"


def _time(moment: datetime, text: str, form: str) -> Markup:
    """A time in UTC, which JavaScript shows in the reader's zone, in the same form."""
    tag = Markup('<time datetime="{}" title="{} UTC" data-as="{}">{}</time>')
    return tag.format(moment.isoformat(), f"{moment:%Y-%m-%d %H:%M:%S}", form, text)


FILTERS: dict[str, Callable[..., Any]] = {
    "meaning": meaning, "problem": PROBLEMS.get, "advice": advice, "outcome": outcome, "product_source": product_source,
    "duration": duration, "ago": ago, "when": when, "brief": brief, "moment": datetime.fromisoformat, "moments": moments,
    "number": number, "bounded": bounded,
    "counted": counted, "order_number": number_of, "why_dead": in_short, "money": money, "plain": plain,
}  # fmt: skip
