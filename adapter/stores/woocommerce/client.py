"""Requests to one WooCommerce store's REST APIs: the form of its addresses, and the way to present the key.

Facts from woocommerce/woocommerce-rest-api-docs (_authentication.md) and woocommerce/woocommerce (class-wc-rest-authentication.php).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any
from urllib.parse import urlsplit

from requests.auth import AuthBase, HTTPBasicAuth
from requests_oauthlib import OAuth1

from adapter.stores.api import Shop
from adapter.stores.http import Deadline, Reply, StoreTrouble, host_of
from mappings import Rejected, parse

_CODE = re.compile(r"[a-z0-9_-]{1,80}")
_REDIRECTS = (301, 302, 303, 307, 308)
KEY_SETTINGS = "WOOCOMMERCE_CONSUMER_KEY and WOOCOMMERCE_CONSUMER_SECRET (consumer_key and consumer_secret in STORES)"
ADDRESS_SETTING = "WOOCOMMERCE_STORE_URL (store_url in STORES)"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a store answered, as JSON."""

    status: int
    headers: Mapping[str, str]
    document: Any

    @property
    def code(self) -> str:
        """The code of WordPress's error object; "" for anything else."""
        code = self.document.get("code") if isinstance(self.document, dict) else None
        return code if isinstance(code, str) and _CODE.fullmatch(code) else ""

    @property
    def key_not_seen(self) -> bool:
        """Whether the store took us for a visitor: the host keeps the Authorization header from PHP."""
        message = self.document.get("message") if isinstance(self.document, dict) else None
        return self.status == 401 and (self.code.startswith("woocommerce_rest_cannot_") or "key is missing" in str(message).lower())

    def number(self, header: str) -> int | None:
        """A count that a header gives, such as X-WP-Total; None without one."""
        value = self.headers.get(header, "").strip()
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None


class ServerFailed(StoreTrouble):
    """The server broke down over a request, or its gateway lost patience: a smaller one may do."""


class _Form(Enum):
    """How the store's REST addresses are written, which its permalinks setting decides."""

    UNKNOWN = auto()
    PRETTY = auto()
    PLAIN = auto()


class Client:
    """Asks one store. Remembers which form of address answers, and whether the key must travel in the query."""

    def __init__(self, shop: Shop) -> None:
        self._http = shop.http
        self._key, self._secret = shop.store.api.consumer_key, shop.store.api.consumer_secret
        self.base = f"{(shop.store.api.url or shop.address).rstrip('/')}/"
        # An address may come from a payload; a key goes only where the settings say that the shop is.
        self.has_key = bool(self._key and self._secret) and host_of(self.base) in shop.store.named_hosts
        self.host = host_of(self.base)
        self._form = _Form.UNKNOWN
        self._key_in_query = False

    def public(self, path: str, params: Mapping[str, Any], deadline: Deadline) -> Answer:
        """GET an address that anybody may ask, without any credentials."""
        return self._in_right_form(
            path, params, lambda url, query: self._http.get(url, deadline=deadline, params=query, headers={"Accept": "application/json"})
        )

    def ask(self, method: str, path: str, params: Mapping[str, Any], deadline: Deadline, json: Any = None, need: str = "read") -> Answer:
        """A request with the key, which needs the permission `need`. Raises `StoreTrouble` for all but 2xx, 400, 404 and 410."""
        answer = self._with_key(method, path, params, deadline, json)
        if answer.key_not_seen and urlsplit(self.base).scheme == "https" and not self._key_in_query:
            # The documents' own remedy for such hosts, and only over HTTPS.
            self._key_in_query = True
            answer = self._with_key(method, path, params, deadline, json)
            self._key_in_query = not answer.key_not_seen
        if answer.status in (401, 403):
            why = f"{answer.status} {answer.code}".strip()
            raise StoreTrouble(
                f"{self.host} refuses the REST key ({why}): check {KEY_SETTINGS}; the key needs the {need} permission, "
                "and its user must be a shop manager or an administrator"
            )
        if answer.status >= 500:
            raise ServerFailed(f"{self.host} answered {answer.status} {answer.code}".rstrip())
        if not 200 <= answer.status < 300 and answer.status not in (400, 404, 410):
            raise StoreTrouble(f"{self.host} answered {answer.status} {answer.code}".rstrip())
        return answer

    def _with_key(self, method: str, path: str, params: Mapping[str, Any], deadline: Deadline, json: Any) -> Answer:
        def send(url: str, query: Mapping[str, Any]) -> Reply:
            auth: AuthBase | None = None
            if self._key_in_query:
                query = {**query, "consumer_key": self._key, "consumer_secret": self._secret}
            elif urlsplit(url).scheme == "https":
                auth = HTTPBasicAuth(self._key, self._secret)
            else:  # over plain HTTP WooCommerce takes signatures only
                auth = OAuth1(self._key, self._secret, signature_method="HMAC-SHA256", signature_type="query")
            reply = self._http.send(method, url, deadline=deadline, params=query, json=json, auth=auth)
            if reply.status in _REDIRECTS:  # which would take the key elsewhere
                raise StoreTrouble(f"{self.host} redirects{_target(reply)}: set {ADDRESS_SETTING} to the address that answers")
            return reply

        return self._in_right_form(path, params, send)

    def _in_right_form(self, path: str, params: Mapping[str, Any], send: Callable[[str, Mapping[str, Any]], Reply]) -> Answer:
        """Ask in the form that is known to answer; while none is, in the pretty one and then in the plain one."""
        if self._form is not _Form.PLAIN:
            reply = send(f"{self.base}wp-json/{path}", dict(params))
            answer = _read(reply)
            if answer is not None:
                self._form = _Form.PRETTY
                return answer
            # With plain permalinks nothing answers there: the web server's own 404, or the shop's front page.
            if self._form is _Form.PRETTY or reply.status not in (200, 404):
                raise _not_json(reply)
        reply = send(f"{self.base}index.php", {"rest_route": f"/{path}", **params})
        answer = _read(reply)
        if answer is None:
            raise _not_json(reply)
        self._form = _Form.PLAIN
        return answer


def _read(reply: Reply) -> Answer | None:
    """A reply as JSON; None if it is something else. Raises `StoreTrouble` for a store that wants to be left alone."""
    if reply.status in (429, 503):
        raise StoreTrouble(f"{host_of(reply.url)} answered {reply.status}: too many requests, or under maintenance", wait_s=reply.wait_s)
    try:
        document = parse(reply.content)
    except Rejected:
        return None
    # A firewall's or a server's error may be JSON as well: only an object or a list is WordPress's.
    return Answer(reply.status, reply.headers, document) if isinstance(document, (dict, list)) else None


def _not_json(reply: Reply) -> StoreTrouble:
    host = host_of(reply.url)
    if reply.status in (401, 403):
        return StoreTrouble(
            f"{host} answered {reply.status} with a page: a firewall or a security plugin keeps us out; allow /wp-json/wc/ there"
        )
    if reply.status >= 500:
        return ServerFailed(f"{host} answered {reply.status}")
    return StoreTrouble(f"{host} answered {reply.status} with something that is no JSON; is {ADDRESS_SETTING} the shop's own address?")


def _target(reply: Reply) -> str:
    """Where a redirect leads, without its path and query."""
    try:
        parts = urlsplit(reply.headers.get("Location", ""))
    except ValueError:
        return ""
    return f" to {parts.scheme}://{parts.netloc.rpartition('@')[2][:100]}" if parts.netloc else ""
