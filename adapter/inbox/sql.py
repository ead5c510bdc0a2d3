"""Helpers shared by the modules of statements."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, TypeVar, TypeVarTuple

from sqlalchemy import JSON, Connection, FromClause, Select, Text, bindparam, cast, func, select

_IN_ONE_STATEMENT = 500

Value = TypeVar("Value")
Columns = TypeVarTuple("Columns")


def parts(values: Sequence[Value], size: int = _IN_ONE_STATEMENT) -> Iterator[Sequence[Value]]:
    """Values in parts small enough for one statement."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def upserting(connection: Connection, table: Any) -> Any:
    """An insert that supports ON CONFLICT, for the connection's database."""
    return inserting(connection.dialect.name, table)


def inserting(dialect: str, table: Any) -> Any:
    """The same for a database by its name; the support of the other one, which takes memory, is not loaded."""
    return import_module(f"sqlalchemy.dialects.{dialect}").insert(table)


def using(statement: Select[*Columns], table: Any, index: str) -> Select[*Columns]:
    """A statement that reads a table by an index. SQLite, which nobody has told what is in the table, would often choose another one."""
    return statement.with_hint(table, f"INDEXED BY {index}", "sqlite")


def lanes_of(dialect: str) -> FromClause:
    """A table of two columns, `store` and `order_id`, from the JSON text in the parameter `lanes`: see `as_lanes`.

    With it a statement stays the same for any number of orders. Given a list of pairs, SQLite would read the whole table.
    """
    if dialect == "postgresql":
        each: Any = func.json_array_elements(cast(bindparam("lanes", type_=Text), JSON)).table_valued("value", name="each")
        columns = (each.c.value.op("->>")(index) for index in (0, 1))
    else:
        each = func.json_each(bindparam("lanes", type_=Text)).table_valued("value", name="each")
        columns = (func.json_extract(each.c.value, f"$[{index}]") for index in (0, 1))
    store, order_id = columns
    return select(store.label("store"), order_id.label("order_id")).select_from(each).subquery("wanted")


def as_lanes(lanes: Iterable[tuple[str, str]]) -> str:
    """The parameter `lanes` of such a statement."""
    return json.dumps([list(lane) for lane in lanes])


def first_since(connection: Connection, ids: Any, times: Any, moment: datetime) -> int:
    """The first id of a table whose time is `moment` or later.

    Found by bisection, without an index on the times: ids follow them.
    """
    newest = connection.execute(select(func.max(ids))).scalar() or 0
    low, high = 1, newest + 1
    while low < high:
        middle = (low + high) // 2
        found = connection.execute(select(ids, times).where(ids >= middle).order_by(ids).limit(1)).one_or_none()
        if found is None or found[1] >= moment:
            high = middle
        else:
            low = found[0] + 1
    return low
