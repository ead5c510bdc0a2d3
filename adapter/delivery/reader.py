"""Reads what is new, also while no Drip account is configured: finds each delivery's order and version, splits bodies that hold several
orders, and settles at once what needs no order.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row

from adapter.delivery import contexts
from adapter.delivery.versions import trusted
from adapter.inbox import statements
from adapter.inbox.database import Clock, snapshot, transaction
from adapter.inbox.statements import Lane
from adapter.settings import Settings
from mappings import HOLDS, Reading, Reason, Rejected, Skip, encode, parse

log = logging.getLogger(__name__)
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class _Split:
    parts: Sequence[Any]


class Reader:
    """Reads new deliveries; one reader at a time, which the caller sees to by the lease `READER`."""

    def __init__(self, engine: Engine, settings: Settings, clock: Clock) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._stores = [name for store in settings.stores.values() for name in store.names]
        self._begun: list[int] = []

    def step(self) -> int:
        """Read the next few; how many there were."""
        with snapshot(self._engine) as connection:
            self._clock.sync(connection)
            if not statements.unread(connection, self._stores, 1):  # an idle reader takes no write lock
                return 0
        with transaction(self._engine) as connection:
            if self._begun:  # the database broke these off, and not their payloads: they were not begun in vain
                statements.forgive(connection, self._begun)
            rows = _chosen(statements.unread(connection, self._stores, _AT_ONCE))
            statements.begin(connection, [row.id for row in rows])
        self._begun = [row.id for row in rows]
        results = [(row, self._read(row)) for row in rows]
        if results:
            with transaction(self._engine) as connection:
                for row, result in results:
                    self._write(connection, row, result)
        self._begun = []
        return len(rows)

    def _read(self, row: Row[Any]) -> Reading | _Split | Rejected:
        if row.begun >= contexts.BEGUN_TOO_OFTEN:
            return Rejected(contexts.too_often())
        try:
            source = contexts.source_of(row, self._settings)
            document = parse(row.payload)
            parts = source.provider.split(document) if row.parent_id is None else None
            if parts is not None:
                return _Split(parts)
            reading = source.provider.read(document, source.context)
            if reading.problems and reading.skip(placed=reading.placed) is None:
                return Rejected(reading.problems)
            return reading
        except Rejected as rejected:
            return rejected
        except Exception as error:  # noqa: BLE001 - whatever a payload sets off in the mapping must not stop the others
            return Rejected(contexts.crash(error))

    def _write(self, connection: Connection, row: Row[Any], result: Reading | _Split | Rejected) -> None:
        at = self._clock()
        if isinstance(result, Rejected):
            statements.kill(connection, row.id, result.problems, at)
            log.warning("cannot be mapped", extra={"action": "dead", "delivery": row.id, "store": row.store})
        elif isinstance(result, _Split):
            for index, part in enumerate(result.parts):
                statements.keep_part(connection, row, index, encode(part))
            statements.skip(connection, row.id, Skip(Reason.SPLIT, f"held {len(result.parts)} orders, now deliveries of their own"), at)
        else:
            self._write_reading(connection, row, result, at)

    def _write_reading(self, connection: Connection, row: Row[Any], reading: Reading, at: datetime) -> None:
        skip = reading.skip(placed=reading.placed)
        if reading.identity is not None:
            lane = Lane(row.store, reading.identity.order_id)
            snapshot_at = trusted(reading.identity.updated_at, row.received_at)
            statements.set_read(connection, row.id, reading.identity, snapshot_at=snapshot_at, placed=reading.placed, at=at)
            if reading.placed:
                statements.weigh_again(connection, lane)
            elif skip is not None and skip.reason in HOLDS and statements.is_placed(connection, lane):
                skip = reading.skip(placed=True)
        if skip is None:
            return
        statements.skip(connection, row.id, skip, at)
        if skip.reason == Reason.CATALOG:
            statements.erase_payload(connection, row.id)
        level = logging.WARNING if skip.reason == Reason.STORE_ERROR else logging.INFO
        log.log(level, skip.detail, extra={"action": "skipped", "delivery": row.id, "store": row.store, "reason": str(skip.reason)})


def _chosen(rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """Rows never begun together; one that was begun before by itself, so that it takes no other down with it."""
    fresh = [row for row in rows if row.begun == 0]
    return fresh or rows[:1]
