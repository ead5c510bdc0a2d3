"""The public keys with which Adobe signs I/O Events, fetched once a day from where Adobe publishes them."""

import threading
import time

from adapter.stores.api import Deadline, StoreTrouble
from adapter.stores.http import Http
from mappings import KeyAway

_PUBLISHED_AT = "https://static.adobeioevents.com"
_KEPT_S = 24 * 3600.0
_AWAY_FOR_S = 10.0
# A webhook must be answered within 4 s.
_PATIENCE_S = 2.0
_MOST_KEYS = 50
_MOST_BYTES = 100_000


class AdobeKeys:
    """Hands out keys by the path that a request names; safe to share between threads. Raises `KeyAway` while Adobe is out of reach."""

    def __init__(self, base: str = _PUBLISHED_AT, named: str = "") -> None:
        self._base = base
        self._named = {named} if named else set[str]()
        self._lock = threading.Lock()
        self._keys: dict[str, tuple[bytes, float]] = {}
        self._away_until = 0.0

    def __call__(self, path: str) -> bytes:
        """The key at a path, as PEM. The path must have been checked: it decides what is fetched."""
        with self._lock:
            pem, until = self._keys.get(path, (b"", 0.0))
            if until > time.monotonic():
                return pem
            if self._away_until > time.monotonic():
                raise KeyAway("Adobe's key server has just been out of reach")
            return self._fetch(path)

    def _fetch(self, path: str) -> bytes:
        try:
            reply = Http(self._named).send("GET", self._base + path, deadline=Deadline(_PATIENCE_S), most_bytes=_MOST_BYTES)
        except StoreTrouble as trouble:
            self._away_until = time.monotonic() + _AWAY_FOR_S
            raise KeyAway(str(trouble)) from trouble
        if reply.status not in (200, 404):
            self._away_until = time.monotonic() + _AWAY_FOR_S
            raise KeyAway(f"Adobe's key server answered {reply.status}")
        if len(self._keys) >= _MOST_KEYS:  # the path is the sender's word: keep no endless number
            self._keys.clear()
        pem = reply.content if reply.status == 200 else b""
        self._keys[path] = pem, time.monotonic() + (_KEPT_S if pem else _AWAY_FOR_S)
        return pem
