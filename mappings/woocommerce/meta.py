"""Meta data: rows with a key and a value, on an order and on each of its lines."""

from typing import Any

from mappings.core.fields import Text

text = Text().deserialize
"""A meta value as text; "" for a list or an object."""


def meta_rows(meta: Any) -> list[dict[str, Any]]:
    """The rows of a list, or of an object that PHP made of one."""
    found = list(meta.values()) if isinstance(meta, dict) else meta
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def meta_by_key(meta: Any) -> dict[str, str]:
    """The values by key. Of equal keys the last counts."""
    return {text(row.get("key")): text(row.get("value")) for row in meta_rows(meta)}
