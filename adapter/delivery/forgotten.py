"""Orders of forgotten shoppers that arrive later: recorded webhooks that are sent again, past orders, late updates.

What decides is when the order was created, by the signed payload: a forgotten shopper who orders again is a customer again, while an order
from before the shopper was forgotten must not come back, however often the store changes it. An order without a creation time, and a
payload that can't be read, count as from before.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from adapter.delivery.recording import Unmappable
from adapter.inbox import settling
from adapter.inbox.erasure import erase
from adapter.inbox.forgotten import forgotten_at, has_forgotten
from adapter.inbox.reading import read_values, set_read
from adapter.settings import Settings
from mappings import Identity, Reading, Reason, Rejected, Skip, addresses_in, parse

log = logging.getLogger(__name__)
_ERASED = Skip(Reason.FORGOTTEN, "the shopper was forgotten, and the order is from before: erased as soon as it was read")


def of_forgotten(connection: Connection, read: Sequence[tuple[Row[Any], Any]], settings: Settings) -> set[int]:
    """The deliveries among those that were read, each with the result, whose payloads must be erased.

    A page is not among them: each of its orders is a delivery of its own. Nor is a request about personal data.
    """
    if not has_forgotten(connection):
        return set()
    return {
        row.id
        for row, result in read
        if isinstance(result, (Reading, Rejected, Skip, Unmappable)) and _is_from_before(connection, row, identity_of(result), settings)
    }


def identity_of(result: Any) -> Identity | None:
    """The order that was read, if it was one."""
    reading = result.reading if isinstance(result, Unmappable) else result
    return reading.identity if isinstance(reading, Reading) else None


def erase_on_arrival(connection: Connection, row: Row[Any], identity: Identity | None, at: datetime) -> None:
    """Record a delivery without what it contained; the page that it was split from is erased with it."""
    if identity is not None:
        erased = replace(identity, email="")
        set_read(connection, [read_values(row.id, erased, account=None, snapshot_at=None, placed=False, at=at)])
    settling.skip(connection, row.id, _ERASED, at)
    erase(connection, [row.id] if row.parent_id is None else [row.id, row.parent_id])
    log.info(_ERASED.detail, extra={"action": "skipped", "delivery": row.id, "store": row.store, "reason": str(_ERASED.reason)})


def _is_from_before(connection: Connection, row: Row[Any], identity: Identity | None, settings: Settings) -> bool:
    addresses = _addresses(row.payload or b"")
    if identity is not None and identity.email:
        addresses.add(identity.email)
    store = settings.store(row.store)
    at = forgotten_at(connection, addresses, store.names if store else (row.store,))
    if at is None:
        return False
    return identity is None or identity.created_at is None or identity.created_at <= at


def _addresses(payload: bytes) -> set[str]:
    document: Any = payload.decode("utf-8", "replace")
    with suppress(Rejected):
        document = parse(payload)
    return addresses_in(document)
