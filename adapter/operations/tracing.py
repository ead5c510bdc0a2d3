"""Which payload fields each field of Drip's body comes from, found by experiment.

One value of the payload is changed at a time; whatever changes in the body depends on it. That needs no table for any platform and can't
disagree with the mapping, because it runs the mapping.
"""

import re
import time
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Any

from adapter.operations.masking import Path, leaves

Body = dict[str, Any]
Traces = dict[Path, list[Path]]
TIMEOUT_S = 0.8
# In ISO 8601 or, at BigCommerce, as in mail.
_TIME = re.compile(r"((?:\d{4}-\d\d-\d\d[T ]|\w{3}, \d\d? \w{3} \d{4} )\d\d:\d\d:)(\d)(\d)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_MOST_SOURCES = 6
_NOTHING = object()


def trace(document: Any, make: Callable[[Any], Body | None], timeout_s: float = TIMEOUT_S) -> Traces:
    """Path in the body -> the paths in the payload it comes from. `make` maps a document to a body, or to None.

    Stops after `timeout_s`, leaving out what wasn't tried by then. The document is unchanged afterwards.
    """
    return _Tracer(document, make, time.monotonic() + timeout_s).run()


def dotted(path: Path) -> str:
    """A path as people write it: `line_items.0.title`."""
    return ".".join(map(str, path))


class _Tracer:
    def __init__(self, document: Any, make: Callable[[Any], Body | None], ends: float) -> None:
        self._root = [document]
        self._make = make
        self._ends = ends
        self._steps = count(1)
        self._found: Traces = {}
        self._plain: dict[Path, Any] = {}
        self._lengths: dict[str, int] = {}

    def run(self) -> Traces:
        body = self._make(self._root[0])
        if body is None:
            return {}
        self._plain = dict(leaves(body))
        self._lengths = {name: len(value) for name, value in body.items() if isinstance(value, list)}
        self._try(self._root, 0, ())
        return {path: sources[:_MOST_SOURCES] for path, sources in self._found.items()}

    def _try(self, holder: Any, key: Any, path: Path) -> None:
        """Change a whole part at once; look at its own parts only if that had an effect."""
        if time.monotonic() > self._ends:
            return
        part = holder[key]
        changed = self._changed_by(holder, key, part)
        if changed is not None and not changed:
            return
        if isinstance(part, dict):
            for name in part:
                self._try(part, name, (*path, name))
        elif isinstance(part, list):
            for index in range(len(part)):
                self._try(part, index, (*path, index))
        else:
            for where in changed or ():
                self._found.setdefault(where, []).append(path)

    def _changed_by(self, holder: Any, key: Any, part: Any) -> set[Path] | None:
        """The paths of the body that change with a part; None if the changed payload has no body."""
        holder[key] = self._altered(part)
        try:
            body = self._make(self._root[0])
        finally:
            holder[key] = part
        if body is None:
            return None
        now = dict(leaves(body))
        differing = {path for path in {*now, *self._plain} if now.get(path, _NOTHING) != self._plain.get(path, _NOTHING)}
        if isinstance(part, (dict, list)):
            return differing
        # A quantity of 0 removes its line and moves the others up, which says nothing about where their fields come from.
        moved = {name for name, value in body.items() if isinstance(value, list) and len(value) != self._lengths.get(name)}
        return {path for path in differing if path[0] not in moved or len(path) < 3}

    def _altered(self, part: Any) -> Any:
        if isinstance(part, dict):
            return {name: self._altered(value) for name, value in part.items()}
        if isinstance(part, list):
            return [self._altered(value) for value in part]
        return self._other(part)

    def _other(self, value: Any) -> Any:
        """A different value of the same kind; each number changes by its own step, so that no two changes cancel out."""
        step = next(self._steps)
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return value + step
        if isinstance(value, Decimal):
            return value + Decimal(step) / 8
        return _other_text(value, step) if isinstance(value, str) and value else value


def _other_text(value: str, step: int) -> str:
    if _NUMBER.fullmatch(value):
        return str(Decimal(value) + step)
    if (moment := _TIME.match(value)) is not None:
        return f"{moment[1]}{(int(moment[2]) + 1) % 6}{value[moment.end(2) :]}"
    return f"x{value}" if "@" in value else f"{value}x"
