"""Stores the orders of a body that contains several, each as a delivery of its own.

A part's key is the body's delivery and the part's place in it. If the process dies between two transactions, the body is still unread: it
is split again, and the parts that are stored already stay as they are.
"""

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row

from adapter.inbox.database import transaction
from adapter.inbox.erasure import still_pending
from adapter.inbox.receiving import keep_part
from mappings import encode

log = logging.getLogger(__name__)
_AT_ONCE = 100


def keep_first_parts(engine: Engine, row: Row[Any], parts: Sequence[Any]) -> int:
    """Store all but the last parts, in transactions short enough for others to use the database in between; how many were stored."""
    done = 0
    while len(parts) - done > _AT_ONCE:
        with transaction(engine) as connection:
            if not still_pending(connection, [row.id]):  # a shopper's data was erased in the meantime
                return done
            _keep(connection, row, parts, done, done + _AT_ONCE)
        done += _AT_ONCE
    return done


def keep_last_parts(connection: Connection, row: Row[Any], parts: Sequence[Any], done: int) -> None:
    """Store the remaining parts, in the transaction that records that the body has been split."""
    _keep(connection, row, parts, done, len(parts))


def _keep(connection: Connection, row: Row[Any], parts: Sequence[Any], start: int, end: int) -> None:
    for index in range(start, end):
        kept = keep_part(connection, row, index, encode(parts[index]))
        if kept is not None:
            log.info("part of delivery %s", row.id, extra={"action": "kept", "delivery": kept, "store": row.store})
