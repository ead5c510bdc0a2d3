"""What a proxy reports about a request that it passes on: believed only if the proxy is one of TRUSTED_PROXIES.

Anyone can send such headers. They are taken out of every request before anything else sees it: from a trusted proxy, the visitor's address,
scheme and host take their places. The app is never mounted below a path, so `SCRIPT_NAME`, under any name, is always blank.
"""

import logging
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from adapter.settings.addresses import Networks

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)
WAS_FORWARDED = "adapter.was_forwarded"
"""In the environment: whether the request came through a proxy, as far as its headers tell."""
REPORTED_SCHEME = "adapter.reported_scheme"
"""In the environment: the scheme that the visitor used, by a trusted proxy; "" if none reported it."""
_PREFIX = "HTTP_X_FORWARDED"
_NAMES = frozenset(
    [f"{_PREFIX}_{name}" for name in ("FOR", "PROTO", "HOST", "PORT", "PREFIX", "PATH", "URI", "SERVER", "SCHEME", "PROTOCOL", "SSL", "BY")]
    + [
        f"HTTP_{name}"
        for name in (
            "FORWARDED", "VIA", "X_REAL_IP", "X_CLIENT_IP", "X_CLUSTER_CLIENT_IP", "TRUE_CLIENT_IP", "CF_CONNECTING_IP", "CF_VISITOR",
            "FLY_CLIENT_IP", "FASTLY_CLIENT_IP", "X_ORIGINAL_HOST", "X_HOST", "X_ORIGINAL_URL", "X_REWRITE_URL", "X_URL_SCHEME", "X_SCHEME",
            "FRONT_END_HTTPS", "X_SCRIPT_NAME", "SCRIPT_NAME", "PATH_INFO",
        )
    ]
)  # fmt: skip


class TrustedProxies:
    """Stands in front of the whole app."""

    def __init__(self, app: "WSGIApplication", trusted: Networks) -> None:
        self._app = app
        self._trusts = lru_cache(maxsize=1024)(trusted.__contains__)
        self._has_warned = False

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Pass a request on as the visitor made it."""
        self.clean(environ)
        return self._app(environ, start_response)

    def clean(self, environ: "WSGIEnvironment") -> None:
        """Change a request's environment to what the visitor sent."""
        environ["SCRIPT_NAME"] = ""
        sent = {name: environ.pop(name) for name in _NAMES.intersection(environ)}
        environ[WAS_FORWARDED] = bool(sent)
        environ[REPORTED_SCHEME] = ""
        if sent:
            peer = environ.get("REMOTE_ADDR", "")
            if self._trusts(peer):
                self._take_over(environ, sent)
            elif f"{_PREFIX}_FOR" in sent and not self._has_warned:
                self._has_warned = True
                log.warning(
                    "a request from %s has an X-Forwarded-For header, which is ignored; if that is your proxy, add it to TRUSTED_PROXIES",
                    peer,
                    extra={"action": "untrusted_proxy"},
                )

    def _take_over(self, environ: "WSGIEnvironment", sent: dict[str, str]) -> None:
        addresses = [each.strip() for each in sent.get(f"{_PREFIX}_FOR", "").split(",") if each.strip()]
        while addresses:
            environ["REMOTE_ADDR"] = address = addresses.pop()
            if not self._trusts(address):
                break
        if (scheme := _last(sent, "PROTO").lower()) in ("http", "https"):
            environ["wsgi.url_scheme"] = environ[REPORTED_SCHEME] = scheme
        if host := _last(sent, "HOST"):
            environ["HTTP_HOST"] = host


def _last(sent: dict[str, str], name: str) -> str:
    """What the nearest proxy reported: each appends to what it received."""
    return sent.get(f"{_PREFIX}_{name}", "").rpartition(",")[2].strip()
