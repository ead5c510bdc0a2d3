"""Helpers shared by the modules of statements."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    Connection,
)
from sqlalchemy.dialects import postgresql, sqlite

_IN_ONE_STATEMENT = 500

Value = TypeVar("Value")


def parts(values: Sequence[Value], size: int = _IN_ONE_STATEMENT) -> Iterator[Sequence[Value]]:
    """Values in parts small enough for one statement."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def upserting(connection: Connection, table: Any) -> Any:
    """An insert that supports ON CONFLICT, for the connection's database."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)
