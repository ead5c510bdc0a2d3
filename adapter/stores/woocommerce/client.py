"""Requests to one WooCommerce store's REST APIs: the form of its addresses, and how the key is sent.

Facts from woocommerce/woocommerce-rest-api-docs (_authentication.md) and woocommerce/woocommerce (class-wc-rest-authentication.php).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from requests.auth import AuthBase, HTTPBasicAuth
from requests_oauthlib import OAuth1

from adapter.stores.api import Shop
from adapter.stores.http import Deadline, Reply, StoreTrouble, host_of
from mappings import Rejected, parse
from mappings.core.text import plain

_CODE = re.compile(r"[a-z0-9_-]{1,80}")
_LONGEST_MESSAGE = 200
_REDIRECTS = (301, 302, 303, 307, 308)
KEY_SETTINGS = "WOOCOMMERCE_CONSUMER_KEY and WOOCOMMERCE_CONSUMER_SECRET (consumer_key and consumer_secret in STORES)"
ADDRESS_SETTING = "WOOCOMMERCE_STORE_URL (store_url in STORES)"


@dataclass(frozen=True, slots=True)
class Answer:
    """A store's response, as JSON."""

    status: int
    headers: Mapping[str, str]
    document: Any

    @property
    def code(self) -> str:
        """The code of WordPress's error object; "" for anything else."""
        code = self.document.get("code") if isinstance(self.document, dict) else None
        return code if isinstance(code, str) and _CODE.fullmatch(code) else ""

    @property
    def message(self) -> str:
        """The message of WordPress's error object."""
        message = self.document.get("message") if isinstance(self.document, dict) else None
        return plain(message)[:_LONGEST_MESSAGE] if isinstance(message, str) else ""

    @property
    def error(self) -> str:
        """Status, code and message as WooCommerce sent them: `401 woocommerce_rest_cannot_view: Sorry, ...`."""
        said = ": ".join(part for part in (self.code, self.message) if part)
        return f"{self.status} {said}".rstrip()

    @property
    def key_not_seen(self) -> bool:
        """Whether the store treated us as a visitor, as where the host removes the Authorization header."""
        return self.status == 401 and (self.code.startswith("woocommerce_rest_cannot_") or "key is missing" in self.message.lower())

    def number(self, header: str) -> int | None:
        """A count in a header such as X-WP-Total; None without one."""
        value = self.headers.get(header, "").strip()
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None


class ServerFailed(StoreTrouble):
    """The server failed over a request, or its gateway timed out: a smaller request may succeed."""


class _Form(Enum):
    """How the store's REST addresses are written, which depends on its permalinks; in the order in which they are tried."""

    PRETTY = "wp-json/"
    INDEX = "index.php/wp-json/"
    PLAIN = "index.php"


class Client:
    """Asks one store. Remembers which form of address works, and whether the key must be sent in the query."""

    def __init__(self, shop: Shop) -> None:
        self._http = shop.http
        self._key, self._secret = shop.store.api.consumer_key, shop.store.api.consumer_secret
        self.base = f"{(shop.store.api.url or shop.address).rstrip('/')}/"
        # An address may come from a payload; the key is only sent to the host in the settings.
        self.has_key = bool(self._key and self._secret) and host_of(self.base) in shop.store.named_hosts
        self.host = host_of(self.base)
        self._form: _Form | None = None
        self._key_in_query = False

    def public(self, path: str, params: Mapping[str, Any], deadline: Deadline) -> Answer:
        """GET an address that is public, without any credentials."""
        return self._in_right_form(
            path, params, lambda url, query: self._http.get(url, deadline=deadline, params=query, headers={"Accept": "application/json"})
        )

    def ask(self, method: str, path: str, params: Mapping[str, Any], deadline: Deadline, json: Any = None, need: str = "read") -> Answer:
        """A request with the key, which needs the permission `need`. Raises `StoreTrouble` for all but 2xx, 400, 404 and 410."""
        answer = self._with_key(method, path, params, deadline, json)
        if answer.key_not_seen and urlsplit(self.base).scheme == "https" and not self._key_in_query:
            # What WooCommerce's documentation recommends for such hosts, and only over HTTPS.
            self._key_in_query = True
            answer = self._with_key(method, path, params, deadline, json)
            self._key_in_query = not answer.key_not_seen
        if answer.status in (401, 403):
            raise StoreTrouble(f"{self.host} rejects the REST key ({answer.error}): {self._advice(answer, need)}")
        if answer.status >= 500:
            raise ServerFailed(f"{self.host} answered {answer.error}")
        if not 200 <= answer.status < 300 and answer.status not in (400, 404, 410):
            raise StoreTrouble(f"{self.host} answered {answer.error}")
        return answer

    def unexpected(self, answer: Answer, what: str) -> StoreTrouble:
        """The error for a response that is not the expected one."""
        error = answer.error if answer.code or answer.message else f"{answer.status} with something else"
        return StoreTrouble(f"{self.host} answered {error} where {what}")

    def _advice(self, answer: Answer, need: str) -> str:
        if self._form is _Form.PLAIN and answer.key_not_seen:
            # Before WooCommerce 11.1 a key counts only where the path contains `wp-json/wc/` (`is_request_to_rest_api`).
            return (
                "the shop's permalinks are plain, with which WooCommerce ignores REST keys; choose another setting in Settings > Permalinks"
            )
        return f"check {KEY_SETTINGS}; the key needs the {need} permission, and its user must be a shop manager or an administrator"

    def _with_key(self, method: str, path: str, params: Mapping[str, Any], deadline: Deadline, json: Any) -> Answer:
        def send(url: str, query: Mapping[str, Any]) -> Reply:
            auth: AuthBase | None = None
            if self._key_in_query:
                query = {**query, "consumer_key": self._key, "consumer_secret": self._secret}
            elif urlsplit(url).scheme == "https":
                auth = HTTPBasicAuth(self._key, self._secret)
            else:  # over plain HTTP WooCommerce accepts signatures only
                auth = OAuth1(self._key, self._secret, signature_method="HMAC-SHA256", signature_type="query")
            reply = self._http.send(method, url, deadline=deadline, params=query, json=json, auth=auth)
            if reply.status in _REDIRECTS:  # which would take the key elsewhere
                raise StoreTrouble(f"{self.host} redirects{_target(reply)}: set {ADDRESS_SETTING} to the address that answers")
            return reply

        return self._in_right_form(path, params, send)

    def _in_right_form(self, path: str, params: Mapping[str, Any], send: Callable[[str, Mapping[str, Any]], Reply]) -> Answer:
        """Ask in the form that is known to work; until one is, in each of them."""
        for form in _Form if self._form is None else (self._form,):
            if form is _Form.PLAIN:
                reply = send(f"{self.base}{form.value}", {"rest_route": f"/{path}", **params})
            else:
                reply = send(f"{self.base}{form.value}{path}", dict(params))
            answer = _read(reply)
            if answer is not None:
                self._form = form
                return answer
            # With other permalinks the address leads to the web server's own 404, or to the shop's front page.
            if reply.status not in (200, 404):
                break
        raise _not_json(reply)


def _read(reply: Reply) -> Answer | None:
    """A reply as JSON; None if it is something else. Raises `StoreTrouble` if the store asks us to wait."""
    if reply.status in (429, 503):
        raise StoreTrouble(f"{host_of(reply.url)} answered {reply.status}: too many requests, or under maintenance", wait_s=reply.wait_s)
    try:
        document = parse(reply.content)
    except Rejected:
        return None
    # A firewall's or a server's error may be JSON too; WordPress sends only objects and lists.
    return Answer(reply.status, reply.headers, document) if isinstance(document, (dict, list)) else None


def _not_json(reply: Reply) -> StoreTrouble:
    host = host_of(reply.url)
    if reply.status in (401, 403):
        return StoreTrouble(
            f"{host} answered {reply.status} with a page: a firewall or a security plugin blocks the adapter; allow /wp-json/wc/ there"
        )
    if reply.status >= 500:
        return ServerFailed(f"{host} answered {reply.status}")
    return StoreTrouble(f"{host} answered {reply.status} with something that isn't JSON; is {ADDRESS_SETTING} the shop's address?")


def _target(reply: Reply) -> str:
    """Where a redirect leads, without its path and query."""
    try:
        parts = urlsplit(reply.headers.get("Location", ""))
    except ValueError:
        return ""
    return f" to {parts.scheme}://{parts.netloc.rpartition('@')[2][:100]}" if parts.netloc else ""
