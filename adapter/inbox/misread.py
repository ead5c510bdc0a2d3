"""Deliveries that are dead only because an earlier version tried to read them: it takes packed bytes for content that is not JSON.

Happens while an update is rolled out, or after it was rolled back: a new web process stores what an old sender reads.
"""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, Engine, LargeBinary, func, select, type_coerce

from adapter.inbox.database import snapshot, transaction
from adapter.inbox.packing import is_locked
from adapter.inbox.settling import reopen
from adapter.inbox.sql import parts
from adapter.inbox.tables import deliveries
from mappings import Rejected, parse

_NOT_JSON = '{"": ["not JSON: %'
_PIECE = 50
"""Payloads in memory at a time; each may be 5 MB."""


def reopen_misread(engine: Engine, at: datetime) -> int:
    """dead -> pending and unread; how many."""
    with snapshot(engine) as connection:
        found = list(_misread(connection))
    for some in parts(found):
        with transaction(engine) as connection:
            reopen(connection, deliveries.c.id.in_(some), at=at, priority=None)
    return len(found)


def _misread(connection: Connection) -> Iterator[int]:
    """These deliveries, the oldest first."""
    first = func.substr(type_coerce(deliveries.c.payload, LargeBinary), 1, 1, type_=LargeBinary)
    dead = deliveries.c.state == "dead", deliveries.c.problems.like(_NOT_JSON), first == b"\x00"
    after: int | None = 0
    while after is not None:
        some = select(deliveries.c.id, deliveries.c.payload).where(*dead, deliveries.c.id > after).order_by(deliveries.c.id).limit(_PIECE)
        rows = connection.execute(some).all()
        yield from (row.id for row in rows if _is_json(row.payload))
        after = rows[-1].id if len(rows) == _PIECE else None


def _is_json(payload: bytes) -> bool:
    if is_locked(payload):
        return False
    try:
        parse(payload)
    except Rejected:
        return False
    return True
