"""Random keys of this database, for digests of what must not be readable or comparable elsewhere.

They are kept beside the digests and not in the settings: a digest is only of use as long as its key stays the same, and settings are
changed. Whoever has a copy of the whole database can therefore test a guess, such as an e-mail address.
"""

import hmac
import secrets
from hashlib import sha256

from sqlalchemy import Connection, select

from adapter.inbox.sql import upserting
from adapter.inbox.tables import keys

_LENGTH = 32


def key_of(connection: Connection, name: str) -> bytes:
    """The key with this name, made if there is none: only for writing transactions."""
    if (value := known_key(connection, name)) is not None:
        return value
    new = upserting(connection, keys).values(name=name, value=secrets.token_bytes(_LENGTH))
    connection.execute(new.on_conflict_do_nothing(index_elements=["name"]))
    made: bytes = connection.execute(select(keys.c.value).where(keys.c.name == name)).scalar_one()
    return made


def known_key(connection: Connection, name: str) -> bytes | None:
    """The key with this name; None if it has never been needed."""
    value: bytes | None = connection.execute(select(keys.c.value).where(keys.c.name == name)).scalar()
    return value


def keyed_digest(key: bytes, text: str) -> str:
    """HMAC-SHA256, in hex."""
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), sha256).hexdigest()
