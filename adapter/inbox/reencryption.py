"""Encrypts stored payloads and bodies with the first of PAYLOAD_KEYS: those of before there were keys, and those of an older key.

In pieces, each in a transaction of its own. What is done is recognised by its bytes, so it can be interrupted and run again.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Column, ColumnElement, Connection, Engine, LargeBinary, Row, Table, func, select, type_coerce, union_all, update

from adapter.inbox.database import snapshot, transaction
from adapter.inbox.packing import ENCRYPTED, PREFIX_BYTES, is_locked, packing_of
from adapter.inbox.tables import attempts, deliveries

_PIECE = 200
_SAMPLE = 500
_COLUMNS: tuple[tuple[Table, Column[bytes]], ...] = ((deliveries, deliveries.c.payload), (attempts, attempts.c.body))


@dataclass(slots=True)
class Encrypted:
    """How many payloads and bodies were encrypted anew, and how many no key opens."""

    done: int = 0
    locked: int = 0


def encrypt_all(engine: Engine, most: int) -> Iterator[Encrypted]:
    """Encrypt at most so many payloads and bodies; yields the totals so far after each piece."""
    total = Encrypted()
    for table, content in _COLUMNS:
        after: int | None = 0
        while after is not None and total.done < most:
            with transaction(engine) as connection:
                rows = _others(connection, engine, table, content, after, min(_PIECE, most - total.done))
                opened = [row for row in rows if not is_locked(row.content)]
                for row in opened:
                    connection.execute(update(table).where(table.c.id == row.id).values({content: row.content}))
            total.done += len(opened)
            total.locked += len(rows) - len(opened)
            after = rows[-1].id if rows else None
            yield total


@dataclass(frozen=True, slots=True)
class Sample:
    """Of the oldest and newest payloads: how many aren't encrypted with the first key, and how many no key opens."""

    others: int
    locked: int


def sample(engine: Engine) -> Sample:
    """How the oldest and newest payloads are encrypted."""
    kept = select(deliveries.c.id).where(deliveries.c.payload.is_not(None))
    ends = [kept.order_by(by).limit(_SAMPLE).subquery() for by in (deliveries.c.id, deliveries.c.id.desc())]
    some = union_all(*(select(end.c.id) for end in ends))
    with snapshot(engine) as connection:
        prefixes = connection.execute(select(_prefix(deliveries.c.payload)).where(deliveries.c.id.in_(some))).scalars().all()
    opening = _prefixes(engine)
    locked = [prefix for prefix in prefixes if prefix.startswith(ENCRYPTED) and prefix not in opening]
    return Sample(sum(prefix != opening[0] for prefix in prefixes) if opening else len(locked), len(locked))


def _others(connection: Connection, engine: Engine, table: Table, content: Column[bytes], after: int, most: int) -> list[Row[int, bytes]]:
    """The next rows with content that is not encrypted with the first key."""
    other = _prefix(content) != _prefixes(engine)[0]
    wanted = select(table.c.id, content.label("content")).where(table.c.id > after, content.is_not(None), other)
    return list(connection.execute(wanted.order_by(table.c.id).limit(most).with_for_update()))


def _prefix(content: Column[bytes]) -> ColumnElement[bytes]:
    return func.substr(type_coerce(content, LargeBinary), 1, PREFIX_BYTES, type_=LargeBinary)


def _prefixes(engine: Engine) -> list[bytes]:
    """What is stored with each key begins with one of these, the first key's first."""
    keyring = packing_of(engine.dialect).keyring
    return [ENCRYPTED + id_ for id_ in keyring.ids] if keyring else []
