"""The public keys of Adobe I/O Events, fetched from Adobe once a day."""

import threading
import time
from dataclasses import dataclass, replace

from adapter.settings import Settings
from adapter.stores.http import Deadline, Http, StoreTrouble
from mappings import KeyAway

_PUBLISHED_AT = "https://static.adobeioevents.com"
_KEPT_S = 24 * 3600.0
_AWAY_FOR_S = 10.0
# A webhook must be answered within 4 s: the longest wait for requests before ours, and for our own.
_QUEUE_TIMEOUT_S = 1.0
_REQUEST_TIMEOUT_S = 2.0
_MOST_KEYS = 50
_MOST_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class _Known:
    """The key server's answer for a path. `pem` is blank if there is no key, None if the answer doesn't tell."""

    pem: bytes | None
    until: float


class AdobeKeys:
    """Returns the key for the path in a request; thread-safe. Raises `KeyAway` while Adobe can't be reached.

    Anyone can send any path. So paths without a key never displace keys from the cache, and a failure for one path doesn't affect others.
    """

    def __init__(self, base: str = _PUBLISHED_AT, named: str = "") -> None:
        self._base = base
        self._named = {named} if named else set[str]()
        self._fetching = threading.Lock()
        self._keys: dict[str, _Known] = {}
        self._no_keys: dict[str, _Known] = {}
        self._away_until = 0.0

    def __call__(self, path: str) -> bytes:
        """The key at a path, as PEM. The caller must have checked the path, because it determines what is fetched."""
        known = self._known(path)
        if known is None:
            if not self._fetching.acquire(timeout=_QUEUE_TIMEOUT_S):
                raise KeyAway("too many requests to Adobe's key server at once")
            try:
                known = self._known(path) or self._ask(path)
            finally:
                self._fetching.release()
        if known.pem is None:
            raise KeyAway("Adobe's key server didn't return the key")
        return known.pem

    def _known(self, path: str) -> _Known | None:
        now = time.monotonic()
        known = self._keys.get(path) or self._no_keys.get(path)
        if known is not None and known.until > now:
            return known
        return _Known(None, self._away_until) if self._away_until > now else None

    def _ask(self, path: str) -> _Known:
        try:
            reply = Http(self._named).send("GET", self._base + path, deadline=Deadline(_REQUEST_TIMEOUT_S), most_bytes=_MOST_BYTES)
        except StoreTrouble:
            self._away_until = time.monotonic() + _AWAY_FOR_S
            return _Known(None, self._away_until)
        found = reply.status == 200
        pem = reply.content if found else b"" if reply.status == 404 else None
        known, kept = _Known(pem, time.monotonic() + (_KEPT_S if found else _AWAY_FOR_S)), self._keys if found else self._no_keys
        if len(kept) >= _MOST_KEYS:
            kept.clear()
        kept[path] = known
        return known


def with_adobe_keys(settings: Settings) -> Settings:
    """The settings, with a key fetcher for every store that needs Adobe's keys to verify signatures."""
    stores = {
        name: replace(store, credentials=replace(store.credentials, fetch_key=AdobeKeys()))
        if store.auth == "adobe_io" and store.credentials.fetch_key is None
        else store
        for name, store in settings.stores.items()
    }
    return replace(settings, stores=stores)
