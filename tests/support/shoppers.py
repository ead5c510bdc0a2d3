"""A shopper whose traces can be looked for: in every table, in SQLite's files, in a log."""

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from adapter.inbox.database import snapshot
from adapter.inbox.erasure import flush
from adapter.inbox.tables import metadata
from tests.support.adapter_under_test import shopify_order

EMAIL, NAME = "Grace.Hopper@navy.example", "Hopperton"


def order_of(order_id: int, *, email: str = EMAIL, name: str = NAME, **more: Any) -> dict[str, Any]:
    """An order of that shopper, with the name and the address in several places."""
    person = {"id": 115310627314723954, "email": email, "first_name": "Grace", "last_name": name}
    long_note = {"name": "gift_message", "value": f"for {name} " * 400}  # more than a page of the database
    return shopify_order(order_id, **{"email": email, "customer": person, "note_attributes": [long_note], **more})


def traces(engine: Engine, *words: str) -> list[str]:
    """Where any of the words still stands: in a column of a table, or in one of SQLite's files."""
    wanted = [word.lower() for word in words or (EMAIL, NAME)]
    found = set()
    with snapshot(engine) as connection:
        for table in metadata.sorted_tables:
            for row in connection.execute(select(table)).mappings():
                for column, value in row.items():
                    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
                    found |= {f"{table.name}.{column}" for word in wanted if word in text.lower()}
    return sorted(found | set(_in_files(engine, wanted)))


def _in_files(engine: Engine, wanted: list[str]) -> list[str]:
    if engine.dialect.name != "sqlite":
        return []
    file = Path(engine.url.database or "")
    return [path.name for path in file.parent.glob(f"{file.name}*") for word in wanted if word.encode() in path.read_bytes().lower()]


def flushed_traces(engine: Engine, *words: str) -> list[str]:
    """The same once the write-ahead log is empty."""
    assert flush(engine)
    return traces(engine, *words)
