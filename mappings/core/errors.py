"""The error of a payload that can't become an order."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

MOST_PROBLEMS = 20
"""More problems than these are only counted: nobody reads them, and a payload could have a million."""


class Rejected(Exception):  # noqa: N818 - the word that every table and page uses
    """An authentic payload that can't be mapped.

    `problems` maps a dotted path in the order's payload to the reasons, as in `{"line_items.0.price": ["Not a valid number."]}`; the path
    `""` is the payload as a whole.
    """

    def __init__(self, problems: Mapping[str, list[str]]) -> None:
        self.problems = first(problems)
        super().__init__("; ".join(f"{path or 'payload'}: {', '.join(why)}" for path, why in self.problems.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return Rejected, (self.problems,)


def first(problems: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The first problems, and how many more there are."""
    kept = dict(islice(problems.items(), MOST_PROBLEMS))
    if (more := len(problems) - len(kept)) > 0:
        kept[""] = [*kept.get("", []), f"and {more:,} more problems"]
    return kept


def dotted(messages: Any, path: str = "") -> dict[str, list[str]]:
    """Marshmallow's nested messages as `{dotted path: [why]}`."""
    if isinstance(messages, dict):
        problems: dict[str, list[str]] = {}
        for key, inner in messages.items():
            step = "" if key == "_schema" else str(key)
            problems |= dotted(inner, ".".join(part for part in (path, step) if part))
        return problems
    return {path: [str(message) for message in messages]}
