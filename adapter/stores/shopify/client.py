"""Access to a Shopify store: its public Storefront API (GraphQL) and its Admin API (REST and GraphQL).

Facts from shopify.dev: API authentication (client credentials grant, token life), GraphQL limits (`THROTTLED` inside a 200), REST limits
(`X-Shopify-Shop-Api-Call-Limit`, 429 with `Retry-After`).
"""

import math
import time
from collections.abc import Mapping
from typing import Any

from adapter.stores.api import Shop
from adapter.stores.http import BearerToken, Deadline, Reply, StoreTrouble, host_of

_TOKEN_HEADER = "X-Shopify-Access-Token"  # noqa: S105 - the header's name
# A token is valid for 24 h; it is renewed early, so that it doesn't expire in the middle of a task.
_RENEW_BEFORE_S = 600.0
_TOKEN_LIFE_S = 24 * 3600.0
# Too many requests, from the API and from the bot protection.
_TOO_MANY = (429, 430)
_REDIRECTS = (301, 302, 303, 307, 308)
_LEAST_WAIT_S = 1.0
_USUAL_WAIT_S = 2.0
_LONGEST_WAIT_S = 60.0
_MOST_WAITS = 5
# Calls in the bucket that are left to other software of the same app.
_CALLS_LEFT_ALONE = 4
_LONGEST_MESSAGE = 200
_CLIENT_SETTINGS = "SHOPIFY_CLIENT_ID and SHOPIFY_CLIENT_SECRET (client_id and client_secret in STORES)"
CREDENTIALS = f"SHOPIFY_ACCESS_TOKEN (access_token in STORES), or {_CLIENT_SETTINGS}"
ADDRESS = "SHOPIFY_API_URL (api_url in STORES)"


class Client:
    """The client of one store. Credentials are only sent to the host of `api_url`, which is set in the settings."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._api = shop.store.api
        self._token = self._api.access_token
        self._renew_at = float("inf")
        self.scopes: frozenset[str] = frozenset()
        """The scopes of a token that was requested; unknown for a token from the settings."""

    @property
    def has_credentials(self) -> bool:
        """Whether the settings contain credentials for the Admin API."""
        return bool(self._api.access_token or self._api.client_id)

    @property
    def address(self) -> str:
        """The shop's public address, without a trailing slash."""
        return self._shop.address

    @property
    def host(self) -> str:
        """The host of its API, for messages."""
        return host_of(self._api.url or self._shop.address)

    def storefront(self, query: str, variables: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        """Query the public Storefront API; never sends credentials."""
        url = f"{self._api.url or self._shop.address}/api/{self._api.version}/graphql.json"
        return self._graphql(self._shop.http.send("POST", url, deadline=deadline, json={"query": query, "variables": variables}), "")

    def admin(self, query: str, variables: Mapping[str, Any], deadline: Deadline, scopes: str) -> dict[str, Any]:
        """Query the Admin API by GraphQL; `scopes` are those that the query needs, for messages."""
        return self._graphql(self._signed("POST", "graphql.json", deadline, json={"query": query, "variables": variables}), scopes)

    def rest(self, path: str, params: Mapping[str, Any], seconds: float, scopes: str) -> Any:
        """GET a document of the Admin API's REST interface, at the store's pace: waits if it asks for that or fails temporarily."""
        reply = self._signed("GET", path, Deadline(seconds), params=params)
        for _ in range(_MOST_WAITS):
            if reply.status not in _TOO_MANY and reply.status < 500:
                break
            time.sleep(min(reply.wait_s or _USUAL_WAIT_S, _LONGEST_WAIT_S))
            reply = self._signed("GET", path, Deadline(seconds), params=params)
        self._refuse(reply, scopes)
        _keep_pace(reply)
        return reply.json()

    def rest_at_once(self, path: str, params: Mapping[str, Any], deadline: Deadline, scopes: str) -> Any:
        """The same without waiting."""
        reply = self._signed("GET", path, deadline, params=params)
        self._refuse(reply, scopes)
        return reply.json()

    def _signed(self, method: str, path: str, deadline: Deadline, **content: Any) -> Reply:
        if not self._api.url:  # a token is never sent to an address from a payload
            raise StoreTrouble(f"the Admin API needs the shop's permanent domain: set {ADDRESS} to https://SHOP.myshopify.com")
        url = f"{self._api.url}/admin/api/{self._api.version}/{path}"
        reply = self._shop.http.send(method, url, deadline=deadline, auth=self._auth(deadline), **content)
        if reply.status == 401 and self._api.client_id:  # the token was revoked early
            self._renew_at = 0.0
            reply = self._shop.http.send(method, url, deadline=deadline, auth=self._auth(deadline), **content)
        return reply

    def _auth(self, deadline: Deadline) -> BearerToken:
        if self._api.client_id and (not self._token or time.monotonic() >= self._renew_at):
            self._token = self._request_token(deadline)
        return BearerToken(self._token, _TOKEN_HEADER, prefix="")

    def _request_token(self, deadline: Deadline) -> str:
        form = {"grant_type": "client_credentials", "client_id": self._api.client_id, "client_secret": self._api.client_secret}
        reply = self._shop.http.send("POST", f"{self._api.url}/admin/oauth/access_token", deadline=deadline, form=form)
        if reply.status in _TOO_MANY or reply.status >= 500:  # the settings may be fine
            what = f"{self.host} returned {reply.status} to the request for a token; try again later"
            raise StoreTrouble(what, wait_s=reply.wait_s)
        if reply.status != 200:
            raise StoreTrouble(
                f"{self.host} didn't issue a token ({reply.status}): check {_CLIENT_SETTINGS}, and that the app is installed in this shop",
                wait_s=reply.wait_s,
            )
        document = reply.json()
        token = document.get("access_token") if isinstance(document, dict) else None
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise StoreTrouble(f"{self.host} returned no token")
        self.scopes = frozenset(scope.strip() for scope in str(document.get("scope")).split(","))
        life = document.get("expires_in")
        seconds = float(life) if isinstance(life, int) and life > 0 else _TOKEN_LIFE_S
        self._renew_at = time.monotonic() + max(0.0, seconds - _RENEW_BEFORE_S)
        return token

    def _graphql(self, reply: Reply, scopes: str) -> dict[str, Any]:
        self._refuse(reply, scopes)
        document = reply.json()
        errors = document.get("errors") if isinstance(document, dict) else None
        data = document.get("data") if isinstance(document, dict) else None
        if _is_throttled(errors):
            raise StoreTrouble(f"{self.host} is rate limiting (THROTTLED)", wait_s=_wait_s(document.get("extensions")))
        if errors or not isinstance(data, dict):
            raise StoreTrouble(f"{self.host} returned an error: {_message(errors)}")
        return data

    def _refuse(self, reply: Reply, scopes: str) -> None:
        """Raise `StoreTrouble` unless the status is 200. Without `scopes` no credentials were sent."""
        status = reply.status
        if status in _TOO_MANY:
            raise StoreTrouble(f"{self.host} is rate limiting ({status})", wait_s=max(_LEAST_WAIT_S, reply.wait_s or 0.0))
        if status in (401, 403) and scopes:
            raise StoreTrouble(f"{self.host} denied access ({status}): check {CREDENTIALS}, and that the app has {scopes}")
        if status == 404:
            raise StoreTrouble(f"{self.host} returned 404: check {ADDRESS} (https://SHOP.myshopify.com) and api_version")
        if status in _REDIRECTS:
            raise StoreTrouble(f"{self.host} redirects to another address ({status}): set {ADDRESS} to https://SHOP.myshopify.com")
        if status != 200:
            raise StoreTrouble(f"{self.host} returned {status}", wait_s=reply.wait_s)


def _keep_pace(reply: Reply) -> None:
    """Wait a moment if the bucket of calls is nearly full: it leaks two or more per second."""
    used, _, size = reply.headers.get("X-Shopify-Shop-Api-Call-Limit", "").partition("/")
    if used.isdecimal() and size.isdecimal() and int(size) - int(used) <= _CALLS_LEFT_ALONE:
        time.sleep(_LEAST_WAIT_S)


def _is_throttled(errors: Any) -> bool:
    rows = errors if isinstance(errors, list) else []
    codes = (row.get("extensions", {}).get("code") for row in rows if isinstance(row, dict) and isinstance(row.get("extensions"), dict))
    return "THROTTLED" in codes


def _wait_s(extensions: Any) -> float:
    """The seconds until the bucket has enough points for the query."""
    cost = extensions.get("cost") if isinstance(extensions, dict) else None
    status = cost.get("throttleStatus") if isinstance(cost, dict) else None
    try:
        missing = float(cost["requestedQueryCost"]) - float(status["currentlyAvailable"])  # type: ignore[index]
        seconds = missing / float(status["restoreRate"])  # type: ignore[index]
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        return _LEAST_WAIT_S
    return min(max(seconds, _LEAST_WAIT_S), _LONGEST_WAIT_S) if math.isfinite(seconds) else _LEAST_WAIT_S


def _message(errors: Any) -> str:
    first = errors[0] if isinstance(errors, list) and errors else errors
    text = first.get("message") if isinstance(first, dict) else first
    return " ".join(str(text)[:_LONGEST_MESSAGE].split()) if text else "no data"
