"""What each field of Drip's body was made from, found by trial.

A value of the payload is changed, and whatever changes in the body was made from it. No table has to be kept for any platform, and nothing
here can be wrong about the mapping, for it is the mapping that is asked.
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
PATIENCE_S = 0.8
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:)(\d)(\d)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_MOST_SOURCES = 6
_NOTHING = object()


def trace(document: Any, make: Callable[[Any], Body | None], patience_s: float = PATIENCE_S) -> Traces:
    """Path in the body -> the paths in the payload that it was made from. `make` gives the body of a document, None where it has none.

    Ends after `patience_s`; what was not tried by then is left out. The document is as it was afterwards.
    """
    return _Trial(document, make, time.monotonic() + patience_s).run()


def said(path: Path) -> str:
    """A path as people write it."""
    return ".".join(map(str, path))


class _Trial:
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
        """Change all of a part at once; only where that does something are its own parts looked at."""
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
        """What of the body changes with a part; None if there is no body any more."""
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
        # A line that a quantity of 0 takes out moves all others up: that says nothing of where their fields come from.
        moved = {name for name, value in body.items() if isinstance(value, list) and len(value) != self._lengths.get(name)}
        return {path for path in differing if path[0] not in moved or len(path) < 3}

    def _altered(self, part: Any) -> Any:
        if isinstance(part, dict):
            return {name: self._altered(value) for name, value in part.items()}
        if isinstance(part, list):
            return [self._altered(value) for value in part]
        return self._other(part)

    def _other(self, value: Any) -> Any:
        """Another value of the same kind; numbers each by a step of their own, so that no two changes cancel out."""
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
