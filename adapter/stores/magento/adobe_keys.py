"""The public keys with which Adobe signs I/O Events, fetched once a day from where Adobe publishes them."""

import threading
import time
from dataclasses import dataclass, replace

from adapter.settings import Settings
from adapter.stores.http import Deadline, Http, StoreTrouble
from mappings import KeyAway

_PUBLISHED_AT = "https://static.adobeioevents.com"
_KEPT_S = 24 * 3600.0
_AWAY_FOR_S = 10.0
# A webhook must be answered within 4 s: so long for those before us, and so long for our own request.
_TURN_S = 1.0
_PATIENCE_S = 2.0
_MOST_KEYS = 50
_MOST_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class _Known:
    """What the key server said of a path. `pem` is blank where there is no key, and None where it did not say."""

    pem: bytes | None
    until: float


class AdobeKeys:
    """Hands out keys by the path that a request names; safe to share between threads. Raises `KeyAway` while Adobe is out of reach.

    Anybody can name any path. So those that hold no key never push out one that does, and what the server says of one path is no word
    about another.
    """

    def __init__(self, base: str = _PUBLISHED_AT, named: str = "") -> None:
        self._base = base
        self._named = {named} if named else set[str]()
        self._fetching = threading.Lock()
        self._keys: dict[str, _Known] = {}
        self._no_keys: dict[str, _Known] = {}
        self._away_until = 0.0

    def __call__(self, path: str) -> bytes:
        """The key at a path, as PEM. The path must have been checked: it decides what is fetched."""
        known = self._known(path)
        if known is None:
            if not self._fetching.acquire(timeout=_TURN_S):
                raise KeyAway("Adobe's key server is being asked for too many keys")
            try:
                known = self._known(path) or self._ask(path)
            finally:
                self._fetching.release()
        if known.pem is None:
            raise KeyAway("Adobe's key server did not say what the key is")
        return known.pem

    def _known(self, path: str) -> _Known | None:
        now = time.monotonic()
        known = self._keys.get(path) or self._no_keys.get(path)
        if known is not None and known.until > now:
            return known
        return _Known(None, self._away_until) if self._away_until > now else None

    def _ask(self, path: str) -> _Known:
        try:
            reply = Http(self._named).send("GET", self._base + path, deadline=Deadline(_PATIENCE_S), most_bytes=_MOST_BYTES)
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
    """Settings whose stores fetch Adobe's keys where they need them to judge a signature."""
    stores = {
        name: replace(store, credentials=replace(store.credentials, fetch_key=AdobeKeys()))
        if store.auth == "adobe_io" and store.credentials.fetch_key is None
        else store
        for name, store in settings.stores.items()
    }
    return replace(settings, stores=stores)
