"""Meta data: rows with a key and a value, on an order and on each of its lines."""

from typing import Any

from mappings.core.fields import Text

text = Text().read
"""Reads a meta value as text; "" for a list or an object."""


def meta_rows(meta: Any) -> list[dict[str, Any]]:
    """The rows of a list, or of the object that PHP turned one into."""
    found = list(meta.values()) if isinstance(meta, dict) else meta
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def meta_by_key(meta: Any) -> dict[str, str]:
    """The values by key. The last of several with the same key counts."""
    return {text(row.get("key")): text(row.get("value")) for row in meta_rows(meta)}
