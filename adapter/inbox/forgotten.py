"""Forgotten shoppers: who must not come back with an order from before. Kept as keyed digests, so that nobody can be read from them."""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import Connection, func, select

from adapter.inbox.keys import key_of, keyed_digest
from adapter.inbox.sql import parts, upserting
from adapter.inbox.tables import forgotten
from mappings import first_email, one_form, written_forms

_KEY = "forgotten"


def remember_forgotten(connection: Connection, address: str, at: datetime, store: str = "") -> None:
    """Remember that a shopper was forgotten: by one store, or by all."""
    usable = first_email(address)
    if not usable:
        return
    row = upserting(connection, forgotten).values(digest=keyed_digest(key_of(connection, _KEY), f"{store}\0{one_form(usable)}"), at=at)
    connection.execute(row.on_conflict_do_update(index_elements=["digest"], set_={"at": row.excluded.at}))


def has_forgotten(connection: Connection) -> bool:
    """Whether any shopper was ever forgotten."""
    return connection.execute(select(forgotten.c.digest).limit(1)).first() is not None


def forgotten_at(connection: Connection, addresses: Collection[str], stores: Iterable[str]) -> datetime | None:
    """When the last of these addresses was forgotten, by all stores or by one of the given; None if none was."""
    key, scopes = key_of(connection, _KEY), ("", *stores)
    digests = [keyed_digest(key, f"{store}\0{form}") for address in addresses for form in written_forms(address) for store in scopes]
    found = [connection.execute(select(func.max(forgotten.c.at)).where(forgotten.c.digest.in_(some))).scalar() for some in parts(digests)]
    return max((at for at in found if at is not None), default=None)
