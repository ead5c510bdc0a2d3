"""Encryption of payloads and bodies in the database, with the keys of PAYLOAD_KEYS: AES-256-GCM, from the library `cryptography`.

The first key encrypts, all of them decrypt, so a new key is put in front and the old one leaves once everything is encrypted anew.
"""

import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_ID_BYTES = 4
_NONCE_BYTES = 12


class Keyring:
    """Encrypts with the first of its keys and decrypts with whichever fits. A key is 32 bytes."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = {_id(key): AESGCM(key) for key in keys}
        self.ids = tuple(self._ciphers)
        """What bytes encrypted with each key begin with."""

    def encrypt(self, content: bytes) -> bytes:
        """The key's id, a random nonce, and the encrypted content with its authentication tag."""
        first, nonce = self.ids[0], os.urandom(_NONCE_BYTES)
        return first + nonce + self._ciphers[first].encrypt(nonce, content, first)

    def decrypt(self, encrypted: bytes) -> bytes | None:
        """The content; None if none of the keys fits, or the bytes were changed."""
        key, rest = encrypted[:_ID_BYTES], encrypted[_ID_BYTES:]
        try:
            return self._ciphers[key].decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], key)
        except (KeyError, InvalidTag, ValueError):
            return None


def _id(key: bytes) -> bytes:
    return hashlib.sha256(b"drip-adapter payload key " + key).digest()[:_ID_BYTES]
