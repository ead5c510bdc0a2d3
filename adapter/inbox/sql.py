"""What the statements share."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    Connection,
)
from sqlalchemy.dialects import postgresql, sqlite

_IN_ONE_STATEMENT = 500

Value = TypeVar("Value")


def parts(values: Sequence[Value], size: int = _IN_ONE_STATEMENT) -> Iterator[Sequence[Value]]:
    """In parts that fit into one statement's parameters."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def upserting(connection: Connection, table: Any) -> Any:
    """An insert into a table that may say what to do with a row that is there already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)
