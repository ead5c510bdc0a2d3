"""How payloads and bodies are stored: deflated where that makes them shorter, behind a mark that names the form.

An order of 4 kB shrinks to less than 1 kB, in some 50 µs. The dictionary holds what orders of every platform and Drip's bodies have in
common, which saves a third of that. Bytes stored by versions that packed nothing have no mark and are read as they are. With PAYLOAD_KEYS,
what is stored is encrypted as well.
"""

import json
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sqlalchemy import Dialect, LargeBinary, TypeDecorator

if TYPE_CHECKING:
    from adapter.inbox.encryption import Keyring

# JSON never begins with NUL, so a mark can't be mistaken for content. Other bytes that begin with NUL get the mark of plain ones.
_PLAIN, _DEFLATED_1 = b"\x00p", b"\x00z"
ENCRYPTED = b"\x00e"
"""The mark of encrypted bytes, which contain another stored form."""
PREFIX_BYTES = 6
"""The mark of encrypted bytes and the id of their key."""
LOCKED = "it is encrypted with a key that isn't in PAYLOAD_KEYS; add that key to the end of PAYLOAD_KEYS"
_NOTICE = json.dumps({"unreadable": LOCKED}).encode()
_MARK_BYTES = 2
_RAW_DEFLATE = -zlib.MAX_WBITS
_LEVEL, _MEMORY_LEVEL = 6, 7


class Packed(bytes):
    """Bytes in the form in which they are stored."""

    __slots__ = ()


class Locked(bytes):
    """What takes the place of content that no key opens: JSON that says so, so that every page can show it.

    Writing it back changes nothing.
    """

    stored: Packed

    @classmethod
    def of(cls, stored: bytes) -> "Locked":
        """The notice for these stored bytes."""
        locked = cls(_NOTICE)
        locked.stored = Packed(stored)
        return locked


def is_locked(content: bytes | None) -> bool:
    """Whether a payload or body could not be decrypted."""
    return isinstance(content, Locked)


class Packing:
    """Packs and unpacks with the keys of one database."""

    def __init__(self, keyring: "Keyring | None") -> None:
        self.keyring = keyring

    def pack(self, content: bytes) -> Packed:
        """The form to store; what is packed already stays as it is."""
        if isinstance(content, (Packed, Locked)):
            return content.stored if isinstance(content, Locked) else content
        packed = _deflate(content)
        return Packed(ENCRYPTED + self.keyring.encrypt(packed)) if self.keyring else Packed(packed)

    def locks(self, stored: bytes | None) -> bool:
        """Whether no key opens this stored form."""
        return stored is not None and stored.startswith(ENCRYPTED) and is_locked(self.unpack(stored))

    def unpack(self, stored: bytes) -> bytes:
        """The content of a stored form, or `Locked`."""
        if not stored.startswith(ENCRYPTED):
            return _inflate(stored)
        packed = self.keyring.decrypt(stored[_MARK_BYTES:]) if self.keyring else None
        return Locked.of(stored) if packed is None else _inflate(packed)


_OF_DATABASES: "WeakKeyDictionary[Dialect, Packing]" = WeakKeyDictionary()
_WITHOUT_KEYS = Packing(None)


def use_keys(dialect: Dialect, keyring: "Keyring") -> None:
    """Let a database's engine encrypt and decrypt with these keys."""
    _OF_DATABASES[dialect] = Packing(keyring)


def packing_of(dialect: Dialect) -> Packing:
    """How a database's engine packs."""
    return _OF_DATABASES.get(dialect, _WITHOUT_KEYS)


class PackedBytes(TypeDecorator[bytes]):
    """A column of bytes that are packed when written and unpacked when read."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Any) -> bytes | None:
        return None if value is None else packing_of(dialect).pack(value)

    def process_result_value(self, value: bytes | None, dialect: Any) -> bytes | None:
        return None if value is None else packing_of(dialect).unpack(value)


def _deflate(content: bytes) -> bytes:
    deflater = _deflater().copy()  # with the dictionary in place, which costs as much as compressing an order
    deflated: bytes = _DEFLATED_1 + deflater.compress(content) + deflater.flush()
    if len(deflated) < len(content):
        return deflated
    return _PLAIN + content if content.startswith(b"\x00") else content


def _inflate(packed: bytes) -> bytes:
    mark, rest = packed[:_MARK_BYTES], packed[_MARK_BYTES:]
    if mark == _DEFLATED_1:
        inflater = zlib.decompressobj(_RAW_DEFLATE, zdict=_dictionary())
        return inflater.decompress(rest) + inflater.flush()
    return rest if mark == _PLAIN else packed


@cache
def _dictionary() -> bytes:
    """It never changes: what is stored can only be read with the dictionary that it was packed with. A better one gets another mark."""
    return Path(__file__).with_name("packing_1.dictionary").read_bytes()


@cache
def _deflater() -> Any:
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW_DEFLATE, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, _dictionary())
