"""HTTP requests to a store's API: limited in time and size, never to our own network, and credentials never go to another host."""

import math
import queue
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import AuthBase
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter

from adapter import __version__
from adapter.errors import AdapterError
from adapter.process.http_transport import CuttableAdapter, within
from mappings import Rejected, parse

MOST_BYTES = 20_000_000
_MOST_REDIRECTS = 3
_PIECE = 65_536
_LONGEST_WAIT_S = 3600.0
# Reserved names without a host (RFC 2606), as in fixtures and documents. A request to one would only cost time.
_RESERVED = (".example", ".invalid", ".example.com", ".example.net", ".example.org")
_REDIRECTS = (301, 302, 303, 307, 308)


class StoreTrouble(AdapterError):  # noqa: N818
    """A request to a store's API failed; the message says why and names the setting to change.

    `wait_s` is how long the store asks us to wait, if it does.
    """

    def __init__(self, message: str, *, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class AnswerTooLong(StoreTrouble):
    """A response is too long; a smaller page may work."""


class Deadline:
    """A point in time on the monotonic clock after which nothing waits any longer."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, not below 0."""
        return max(0.0, self._until - time.monotonic())


@dataclass(frozen=True, slots=True)
class Reply:
    """A store's response."""

    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """The body as JSON with exact numbers; raises `StoreTrouble` for anything else, such as an HTML page."""
        try:
            return parse(self.content)
        except Rejected:
            raise StoreTrouble(f"{host_of(self.url)} returned {self.status} with a body that isn't JSON") from None

    @property
    def wait_s(self) -> float | None:
        """Retry-After, if it is given in seconds; at most an hour."""
        value = self.headers.get("Retry-After", "").strip()
        try:
            seconds = float(value)
        except ValueError:
            return None
        return None if math.isnan(seconds) else min(max(seconds, 0.0), _LONGEST_WAIT_S)


class BearerToken(AuthBase):
    """A token in a header; as `auth`, so that it can be dropped at a redirect."""

    def __init__(self, token: str, header: str = "Authorization", prefix: str = "Bearer ") -> None:
        self._header, self._value = header, f"{prefix}{token}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request."""
        request.headers[self._header] = self._value
        return request


class Http:
    """Requests to one store's API. Used by one thread.

    `named` are the hosts in the store's own settings, as `host` or `host:port`: only these may be in our own network.
    """

    def __init__(self, named: Collection[str] = (), site: str = "") -> None:
        self._named = frozenset(name.lower() for name in named if name)
        self._agent = f"drip-order-adapter/{__version__} ({site})"
        self._sessions: dict[bool, tuple[requests.Session, tuple[CuttableAdapter, CuttableAdapter]]] = {}

    def get(
        self,
        url: str,
        *,
        deadline: Deadline,
        params: Mapping[str, Any] | None = None,
        auth: AuthBase | None = None,
        headers: Mapping[str, str] | None = None,
        most_bytes: int = MOST_BYTES,
    ) -> Reply:
        """GET. Follows redirects, to another host without credentials. Raises `StoreTrouble` without a response."""
        for _ in range(_MOST_REDIRECTS + 1):
            reply = self.send("GET", url, deadline=deadline, params=params, auth=auth, headers=headers, most_bytes=most_bytes)
            if reply.status not in _REDIRECTS or not reply.headers.get("Location"):
                return reply
            target = _as_asked(reply.headers["Location"], reply.url)
            if urlsplit(target)[:2] != urlsplit(reply.url)[:2]:
                auth, headers = None, None
            url, params = target, None
        raise StoreTrouble(f"{host_of(url)} redirects too many times")

    def send(
        self,
        method: str,
        url: str,
        *,
        deadline: Deadline,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        auth: AuthBase | None = None,
        headers: Mapping[str, str] | None = None,
        most_bytes: int = MOST_BYTES,
    ) -> Reply:
        """Send one request, without following redirects. Raises `StoreTrouble` without a response."""
        url = _as_asked(url)
        host = host_of(url)
        if urlsplit(url).scheme not in ("http", "https") or not host:
            raise StoreTrouble(f"{url[:80]!r} isn't an http(s) address")
        if f".{host.partition(':')[0]}".endswith(_RESERVED):
            raise StoreTrouble(f"{host} is an example name, not a real store")
        seconds = deadline.left
        if seconds <= 0:
            raise StoreTrouble(f"no time left for a request to {host}")
        is_named = host in self._named or host.partition(":")[0] in self._named
        session, adapters = self._session(is_named=is_named)
        request = requests.Request(
            method, url, params=params, json=json, data=form, auth=auth or _no_auth, headers={"User-Agent": self._agent, **(headers or {})}
        )
        try:
            reply = within(seconds, lambda: _exchange(session, request, seconds, most_bytes), "store-request")
        except queue.Empty:
            for adapter in adapters:
                adapter.cut()
            del self._sessions[is_named]
            raise StoreTrouble(f"{host} didn't respond in time") from None
        if isinstance(reply, StoreTrouble):
            raise reply
        return reply

    def _session(self, *, is_named: bool) -> tuple[requests.Session, tuple[CuttableAdapter, CuttableAdapter]]:
        if is_named not in self._sessions:
            session = requests.Session()
            session.trust_env = False  # the machine's proxy and .netrc aren't meant for stores
            plain, secure = (CuttableAdapter(), CuttableAdapter()) if is_named else (_GuardedAdapter(False), _GuardedAdapter(True))
            session.mount("http://", plain)
            session.mount("https://", secure)
            self._sessions[is_named] = session, (plain, secure)
        return self._sessions[is_named]


class _GuardedAdapter(CuttableAdapter, IPFilterAdapter):  # type: ignore[misc]
    """Refuses to connect to our own machine or network, whatever a name resolves to."""

    def __init__(self, is_https: bool) -> None:
        IPFilterAdapter.__init__(self, is_https_proto=is_https)


def host_of(url: str) -> str:
    """`host` or `host:port` of an address, in lower case."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def _as_asked(url: str, base: str = "") -> str:
    """An address as it will be requested.

    Parsers disagree about where a host ends, as in `http://127.0.0.1\\x@shop.example`. Decisions about the host must be about the one that
    gets the request.
    """
    try:
        return requests.Request("GET", urljoin(base, url)).prepare().url or ""
    except (requests.RequestException, ValueError):
        raise StoreTrouble(f"{url[:80]!r} isn't an http(s) address") from None


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _exchange(session: requests.Session, request: requests.Request, seconds: float, most_bytes: int) -> Reply | StoreTrouble:  # noqa: PLR0911 - one for each way to fail
    host = host_of(request.url or "")
    try:
        prepared = session.prepare_request(request)
        with session.send(prepared, timeout=seconds, allow_redirects=False, stream=True) as response:
            content = bytearray()
            for piece in response.iter_content(_PIECE):
                content += piece
                if len(content) > most_bytes:
                    return AnswerTooLong(f"the response of {host} is longer than {most_bytes} bytes")
            return Reply(prepared.url or "", response.status_code, response.headers, bytes(content))
    except InvalidIPAddress:
        return StoreTrouble(f"{host} is in our own network; only the store's own settings may contain such an address")
    except requests.Timeout:
        return StoreTrouble(f"{host} didn't respond in time")
    except requests.exceptions.SSLError:
        return StoreTrouble(f"no secure connection to {host}: its certificate couldn't be verified")
    except requests.RequestException as error:
        return StoreTrouble(
            f"no connection to {host} ({type(error).__name__}): check that it is up and that store_url or api_url is correct"
        )
    except Exception as error:  # noqa: BLE001 - no hostile response may stop the sender
        return StoreTrouble(f"the response of {host} was cut off ({type(error).__name__})")
