"""Keyed digests of shoppers' e-mail addresses, which deliveries are found by.

Earlier versions stored plain SHA-256, from which an address can be guessed. Plain digests are replaced piece by piece, by digests of the
digests, and so are those that an earlier version writes while an update is rolled out. Until none is left, searches look for both.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Text, bindparam, select, update

from adapter.inbox.keys import key_of, keyed_digest, known_key
from adapter.inbox.tables import deliveries
from mappings import first_email, one_form, written_forms

_KEY = "email"
# A letter that sorts after every digit of a plain digest, so that the index finds those that are left.
_MARK, _AFTER_PLAIN = "k", "g"
# 128 bits are enough to find a row by.
_DIGITS = 32


def plain_digest(address: str) -> str | None:
    """SHA-256, in hex, of an address in the form in which addresses are compared; None for an unusable one."""
    usable = first_email(address)
    return _sha256(one_form(usable)) if usable else None


def keyed(connection: Connection, plain: Sequence[str | None]) -> list[str | None]:
    """What to store for these plain digests. Only for writing transactions."""
    key = key_of(connection, _KEY)
    return [_keyed(key, each) if each else None for each in plain]


def digests_of(connection: Connection, address: str) -> list[str]:
    """The digests that a shopper's deliveries may have; none for an unusable address."""
    usable = first_email(address)
    plain = sorted(_sha256(form) for form in written_forms(usable)) if usable else []
    key = known_key(connection, _KEY)
    found = [_keyed(key, each) for each in plain] if key else []
    return found + (plain if has_plain_digests(connection) else [])


def has_plain_digests(connection: Connection) -> bool:
    """Whether any plain digest is left."""
    return bool(_some_plain(connection, 1))


def key_plain_digests(connection: Connection, most: int) -> None:
    """Replace at most so many plain digests."""
    rows = _some_plain(connection, most)
    digests = keyed(connection, [row.email_digest for row in rows])
    # What was erased meanwhile stays erased.
    mine = update(deliveries).where(deliveries.c.id == bindparam("of"), _IS_PLAIN).values(email_digest=bindparam("digest", type_=Text))
    if rows:
        connection.execute(mine, [{"of": row.id, "digest": digest} for row, digest in zip(rows, digests, strict=True)])


_IS_PLAIN: ColumnElement[bool] = deliveries.c.email_digest < _AFTER_PLAIN


def _some_plain(connection: Connection, most: int) -> Sequence[Row[Any, Any]]:
    some = select(deliveries.c.id, deliveries.c.email_digest).where(_IS_PLAIN).order_by(deliveries.c.email_digest).limit(most)
    return connection.execute(some).all()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _keyed(key: bytes, plain: str) -> str:
    return _MARK + keyed_digest(key, plain)[:_DIGITS]
