"""Statements on what comparing a store's newest orders with their totals found. All run in the caller's transaction."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from adapter.inbox.sql import upserting
from adapter.inbox.tables import comparisons


def known(connection: Connection) -> dict[str, Row[Any]]:
    """Store -> its last comparison."""
    return {row.store: row for row in connection.execute(select(comparisons))}


def note(connection: Connection, store: str, *, at: datetime, differs_since: datetime | None, **found: Any) -> None:
    """Record a comparison in place of the last one; `found` are the columns that it fills."""
    values = {"compared_at": at, "since": differs_since, **found}
    row = upserting(connection, comparisons).values(store=store, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["store"], set_=values))
