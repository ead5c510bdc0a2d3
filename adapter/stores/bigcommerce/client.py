"""Requests to one BigCommerce store's REST APIs, v2 and v3, with an API account's token.

Facts from bigcommerce/docs: docs/start/authentication/api-accounts.mdx, docs/api-docs/getting-started/api-rate-limits.mdx. That v2 answers
204 without a body where a collection is empty is from singer-io/tap-bigcommerce (bigcommerce.py).
"""

import re
from collections.abc import Mapping
from typing import Any

from adapter.stores.api import Shop
from adapter.stores.http import BearerToken, Deadline, Reply, StoreTrouble, host_of

TOKEN_SETTING = "BIGCOMMERCE_ACCESS_TOKEN (access_token in STORES)"  # noqa: S105 - the name of a setting
ADDRESS_SETTING = "BIGCOMMERCE_API_URL (api_url in STORES)"
# The control panel shows the address with a version at its end.
_VERSION = re.compile(r"/v[23]/?$")
_LONGEST_WAIT_S = 60.0


class Client:
    """Asks one store."""

    def __init__(self, shop: Shop) -> None:
        self._http = shop.http
        self._token = shop.store.api.access_token
        self._base = _VERSION.sub("", shop.store.api.url.rstrip("/"))
        self.host = host_of(self._base)
        self.has_token = bool(self._token and self._base)

    def get(self, path: str, params: Mapping[str, Any], deadline: Deadline, need: str) -> Any:
        """The document at a path; [] for an empty collection, None if there is nothing. `need` is the scope that the token needs."""
        reply = self.send("GET", path, deadline, need, params=params)
        if reply.status == 404:
            return None
        return [] if reply.status == 204 or not reply.content.strip() else reply.json()

    def rows(self, path: str, params: Mapping[str, Any], deadline: Deadline, need: str) -> list[dict[str, Any]]:
        """The objects of a collection, which v3 has in an envelope."""
        document = self.get(path, params, deadline, need)
        rows = document.get("data") if isinstance(document, dict) else document
        if rows is not None and not isinstance(rows, list):
            raise StoreTrouble(f"{self.host} returned something else where a list was requested ({path})")
        return [row for row in rows or () if isinstance(row, dict)]

    def send(
        self, method: str, path: str, deadline: Deadline, need: str, *, params: Mapping[str, Any] | None = None, json: Any = None
    ) -> Reply:
        """A request. Raises `StoreTrouble` for all but 2xx and 404."""
        reply = self._http.send(
            method,
            f"{self._base}/{path}",
            deadline=deadline,
            params=params,
            json=json,
            auth=BearerToken(self._token, "X-Auth-Token", ""),
            headers={"Accept": "application/json"},
        )
        if reply.status in (401, 403):
            raise StoreTrouble(f"{self.host} rejects the token ({reply.status}): check {TOKEN_SETTING}; it needs the scope {need}")
        if reply.status == 429:
            raise StoreTrouble(f"{self.host} answered 429: too many requests by all apps of the store together", wait_s=_reset_s(reply))
        if 300 <= reply.status < 400:
            raise StoreTrouble(f"{self.host} redirects: set {ADDRESS_SETTING} to the API path of the API account")
        if not (200 <= reply.status < 300 or reply.status == 404):
            raise StoreTrouble(f"{self.host} answered {reply.status} to a request for {path}", wait_s=reply.wait_s)
        return reply


def _reset_s(reply: Reply) -> float | None:
    """The seconds until the store accepts requests again; a 429 without them means that the platform is overloaded."""
    value = reply.headers.get("X-Rate-Limit-Time-Reset-Ms", "").strip()
    return min(int(value) / 1000, _LONGEST_WAIT_S) if value.isascii() and value.isdigit() and len(value) < 10 else reply.wait_s
