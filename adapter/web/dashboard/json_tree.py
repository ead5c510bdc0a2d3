"""A JSON document as lines of a page: personal values hidden, each Drip field with the payload fields it comes from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from adapter.operations.masking import Path, personal
from adapter.operations.tracing import dotted
from mappings import encode

MOST_LINES = 2500
_DEEPEST = 5
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `anchor` is its id in the page."""

    anchor: str
    depth: int
    name: str
    value: str
    is_masked: bool = False
    sources: Sequence[tuple[str, str]] = ()
    """(anchor, path) of the payload fields it comes from."""


def lines(
    document: Any,
    prefix: str,
    *,
    shown: bool,
    sources: Mapping[Path, Sequence[Path]] | None = None,
    anchors: Mapping[Path, str] | None = None,
) -> list[Line]:
    """A document as at most `MOST_LINES` lines; with `shown`, nothing is hidden."""
    hidden = {} if shown else personal(document)
    made: list[Line] = []
    for number, (path, value) in enumerate(_walk(document)):
        if number >= MOST_LINES:
            made.append(Line(f"{prefix}{number}", 0, "", "… and more. Download it as a fixture to see everything."))
            break
        come_from = [((anchors or {}).get(source, ""), dotted(source)) for source in (sources or {}).get(path, ())]
        name = str(path[-1]) if path else ""
        text = hidden.get(path, "") or _text(value)
        made.append(Line(f"{prefix}{number}", min(len(path), _DEEPEST), name, text, path in hidden, come_from))
    return made


def anchors_of(document: Any, prefix: str) -> dict[Path, str]:
    """Path -> the anchor `lines` gives it."""
    return {path: f"{prefix}{number}" for number, (path, _) in zip(range(MOST_LINES), _walk(document), strict=False)}


def _walk(document: Any) -> Iterator[tuple[Path, Any]]:
    waiting: list[tuple[Path, Any]] = [((), document)]
    while waiting:
        path, node = waiting.pop()
        if path or not isinstance(node, (dict, list)):
            yield path, node
        if isinstance(node, dict):
            waiting.extend(((*path, key), value) for key, value in reversed(node.items()))
        elif isinstance(node, list):
            waiting.extend(((*path, index), value) for index, value in reversed(list(enumerate(node))))


def _text(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return ("{}" if isinstance(value, dict) else "[]") if not value else ""
    text = str(value) if isinstance(value, Decimal) else encode(value).decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
