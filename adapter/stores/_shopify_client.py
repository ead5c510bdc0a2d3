"""The way to a Shopify store: its public Storefront GraphQL, and its Admin API by REST and GraphQL.

Facts from shopify.dev: API authentication (client credentials grant, token life), GraphQL limits (`THROTTLED` inside a 200), REST limits
(`X-Shopify-Shop-Api-Call-Limit`, 429 with `Retry-After`).
"""

import math
import time
from collections.abc import Mapping
from typing import Any

from adapter.stores.api import Deadline, Shop, StoreTrouble
from adapter.stores.http import BearerToken, Reply, host_of

_TOKEN_HEADER = "X-Shopify-Access-Token"  # noqa: S105 - the header's name
# A token lives for 24 h; it is renewed before it can run out in the middle of something.
_RENEW_BEFORE_S = 600.0
_TOKEN_LIFE_S = 24 * 3600.0
_LEAST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0
_MOST_WAITS = 5
# So much of the bucket is left to other software of the same app.
_CALLS_LEFT_ALONE = 4
_LONGEST_MESSAGE = 200
CREDENTIALS = "SHOPIFY_ACCESS_TOKEN, or SHOPIFY_CLIENT_ID and SHOPIFY_CLIENT_SECRET"


class Client:
    """Asks one store. Credentials go nowhere but to the host of `api_url`, which the settings name."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._api = shop.store.api
        self._token = self._api.access_token
        self._renew_at = float("inf")

    @property
    def has_credentials(self) -> bool:
        """Whether the Admin API can be asked."""
        return bool(self._api.url and (self._api.access_token or self._api.client_id))

    @property
    def address(self) -> str:
        """The shop's public address, without a trailing slash."""
        return self._shop.address

    @property
    def host(self) -> str:
        """The host of its API, for messages."""
        return host_of(self._api.url or self._shop.address)

    def storefront(self, query: str, variables: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        """What any visitor may ask; never sends credentials."""
        url = f"{self._api.url or self._shop.address}/api/{self._api.version}/graphql.json"
        return self._graphql(self._shop.http.send("POST", url, deadline=deadline, json={"query": query, "variables": variables}))

    def admin(self, query: str, variables: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        """The Admin API's GraphQL."""
        return self._graphql(self._signed("POST", "graphql.json", deadline, json={"query": query, "variables": variables}))

    def rest(self, path: str, params: Mapping[str, Any], seconds: float) -> Reply:
        """The Admin API's REST, at the pace that the store allows; waits where it says so."""
        for _ in range(_MOST_WAITS):
            reply = self._signed("GET", path, Deadline(seconds), params=params)
            if reply.status == 429:
                time.sleep(min(reply.wait_s or 2.0, _LONGEST_WAIT_S))
                continue
            self._refuse(reply, "read_orders")
            _keep_pace(reply)
            return reply
        raise StoreTrouble(f"{self.host} lets nobody ask it any more just now (429)")

    def _signed(self, method: str, path: str, deadline: Deadline, **content: Any) -> Reply:
        url = f"{self._api.url}/admin/api/{self._api.version}/{path}"
        reply = self._shop.http.send(method, url, deadline=deadline, auth=self._auth(deadline), **content)
        if reply.status == 401 and self._api.client_id:  # taken back before its time
            self._renew_at = 0.0
            reply = self._shop.http.send(method, url, deadline=deadline, auth=self._auth(deadline), **content)
        return reply

    def _auth(self, deadline: Deadline) -> BearerToken:
        if self._api.client_id and (not self._token or time.monotonic() >= self._renew_at):
            self._token = self._buy_token(deadline)
        return BearerToken(self._token, _TOKEN_HEADER, prefix="")

    def _buy_token(self, deadline: Deadline) -> str:
        form = {"grant_type": "client_credentials", "client_id": self._api.client_id, "client_secret": self._api.client_secret}
        reply = self._shop.http.send("POST", f"{self._api.url}/admin/oauth/access_token", deadline=deadline, form=form)
        if reply.status != 200:
            raise StoreTrouble(
                f"{self.host} gives no token ({reply.status}): check SHOPIFY_CLIENT_ID and SHOPIFY_CLIENT_SECRET, "
                "and that the app is installed in this shop"
            )
        answer = reply.json()
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise StoreTrouble(f"{self.host} answered without a token")
        life = answer.get("expires_in")
        seconds = float(life) if isinstance(life, int) and life > 0 else _TOKEN_LIFE_S
        self._renew_at = time.monotonic() + max(0.0, seconds - _RENEW_BEFORE_S)
        return token

    def _graphql(self, reply: Reply) -> dict[str, Any]:
        if reply.status in (429, 430):
            raise StoreTrouble(f"{self.host} asks to be left alone ({reply.status})", wait_s=max(reply.wait_s or 0.0, _LEAST_WAIT_S))
        self._refuse(reply, "read_products")
        document = reply.json()
        errors = document.get("errors") if isinstance(document, dict) else None
        data = document.get("data") if isinstance(document, dict) else None
        if _is_throttled(errors):
            raise StoreTrouble(f"{self.host} asks to be left alone (THROTTLED)", wait_s=_wait_s(document.get("extensions")))
        if errors or not isinstance(data, dict):
            raise StoreTrouble(f"{self.host} answered with an error: {_message(errors)}")
        return data

    def _refuse(self, reply: Reply, scope: str) -> None:
        if reply.status in (401, 403):
            raise StoreTrouble(f"{self.host} refuses ({reply.status}): check {CREDENTIALS}, and that the app has the scope {scope}")
        if reply.status == 404:
            raise StoreTrouble(f"{self.host} knows no such address: check SHOPIFY_API_URL (https://SHOP.myshopify.com) and api_version")
        if reply.status != 200:
            raise StoreTrouble(f"{self.host} answered {reply.status}", wait_s=reply.wait_s)


def _keep_pace(reply: Reply) -> None:
    """Wait a moment where the bucket of calls is nearly full: it leaks two a second, or more."""
    used, _, size = reply.headers.get("X-Shopify-Shop-Api-Call-Limit", "").partition("/")
    if used.isdecimal() and size.isdecimal() and int(size) - int(used) <= _CALLS_LEFT_ALONE:
        time.sleep(_LEAST_WAIT_S)


def _is_throttled(errors: Any) -> bool:
    rows = errors if isinstance(errors, list) else []
    codes = (row.get("extensions", {}).get("code") for row in rows if isinstance(row, dict) and isinstance(row.get("extensions"), dict))
    return "THROTTLED" in codes


def _wait_s(extensions: Any) -> float:
    """How long until the bucket of points holds what the query costs."""
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
    return str(text)[:_LONGEST_MESSAGE] if text else "no data"
