"""What a mapping says when a payload cannot become an order."""

from collections.abc import Mapping
from typing import Any


class Rejected(Exception):  # noqa: N818 - the word that every table and page uses
    """An authentic payload that cannot be mapped.

    `problems` maps a dotted path inside the order's payload to the reasons, as in `{"line_items.0.price": ["not a number"]}`;
    the path `""` stands for the payload as a whole.
    """

    def __init__(self, problems: Mapping[str, list[str]]) -> None:
        super().__init__("; ".join(f"{path or 'payload'}: {', '.join(why)}" for path, why in problems.items()))
        self.problems = dict(problems)


def dotted(messages: Any, path: str = "") -> dict[str, list[str]]:
    """Marshmallow's nested messages as `{dotted path: [why]}`."""
    if isinstance(messages, dict):
        problems: dict[str, list[str]] = {}
        for key, inner in messages.items():
            step = "" if key == "_schema" else str(key)
            problems |= dotted(inner, ".".join(part for part in (path, step) if part))
        return problems
    return {path: [str(message) for message in messages]}
