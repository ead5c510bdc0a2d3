"""BigCommerce's webhooks. Only the API account that created them can see them (bigcommerce/docs, reference/webhooks.v3.yml)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from adapter.stores.api import Webhook
from adapter.stores.bigcommerce.client import Client
from adapter.stores.http import Deadline, StoreTrouble
from mappings.bigcommerce.provider import SCOPE_HEADER, TOKEN_HEADER

TOPICS = ("store/order/created", "store/order/updated", "store/order/refund/created")
_REQUEST_S = 30.0
_SCOPE = "none for webhooks"
_PER_PAGE = 250
_MOST_PAGES = 20


class WebhookRegistry:
    """The webhooks of a store. `token` is sent in a header of each webhook, if the store is not verified by its signature."""

    topics: Sequence[str] = TOPICS

    def __init__(self, client: Client, token: str = "") -> None:
        self._client = client
        self._token = token

    @property
    def chooses_secret(self) -> bool:
        """Only a token is ours; signatures are made with the API account's client secret."""
        return bool(self._token)

    def webhooks(self) -> Sequence[Webhook]:
        """All of this API account."""
        found: list[Webhook] = []
        for page in range(1, _MOST_PAGES + 1):
            rows = self._client.rows("v3/hooks", {"page": page, "limit": _PER_PAGE}, Deadline(_REQUEST_S), _SCOPE)
            found += [webhook for row in rows if (webhook := _webhook(row))]
            if len(rows) < _PER_PAGE:
                break
        return found

    def create(self, topic: str, address: str) -> None:
        """Register an active one."""
        self._client.send("POST", "v3/hooks", Deadline(_REQUEST_S), _SCOPE, json={"scope": topic, **self._body(topic, address)})

    def repair(self, webhook: Webhook, address: str) -> None:
        """Activate one; BigCommerce deactivates a webhook after two days of failures, and after 90 days without an event."""
        body = self._body(webhook.topic, address)
        reply = self._client.send("PUT", self._path_of(webhook), Deadline(_REQUEST_S), _SCOPE, json={"scope": webhook.topic, **body})
        if reply.status == 404:
            self.create(webhook.topic, address)

    def delete(self, webhook: Webhook) -> None:
        """Delete one, unless it is gone already."""
        self._client.send("DELETE", self._path_of(webhook), Deadline(_REQUEST_S), _SCOPE)

    def _body(self, topic: str, address: str) -> Mapping[str, Any]:
        token = {TOKEN_HEADER: self._token} if self._token else {}
        return {"destination": address, "is_active": True, "headers": {SCOPE_HEADER: topic, **token}}

    def _path_of(self, webhook: Webhook) -> str:
        if not webhook.id.isdecimal():
            raise StoreTrouble(f"{webhook.id[:80]!r} is not a webhook ID")
        return f"v3/hooks/{webhook.id}"


def by_hand(address: str, secret: str) -> Sequence[str]:
    """BigCommerce's control panel has no page for webhooks: an API account, and the rest is done by a command."""
    return [
        "BigCommerce has no page for webhooks; the adapter registers them through the API:",
        "1. In the control panel open Settings > Store-level API accounts and press Create API account.",
        "2. Choose the OAuth scopes Orders, Products and Customers, each read-only, and save.",
        "3. Copy what is shown now, and only now, into these settings:",
        "     API path       BIGCOMMERCE_API_URL (api_url in STORES)",
        "     Access token   BIGCOMMERCE_ACCESS_TOKEN (access_token in STORES)",
        "     Client secret  BIGCOMMERCE_WEBHOOK_SECRET (secret in STORES), which BigCommerce signs its webhooks with",
        "4. Restart the adapter. Then register the webhooks with this command, where the adapter runs:",
        "   drip-adapter connect bigcommerce",
        f"   It registers {', '.join(TOPICS)} for {address}.",
    ]


def _webhook(row: Mapping[str, Any]) -> Webhook | None:
    """A webhook of the list; None for anything else."""
    own_id, topic, address = row.get("id"), row.get("scope"), row.get("destination")
    if not (isinstance(own_id, int) and isinstance(topic, str) and isinstance(address, str)):
        return None
    created = row.get("created_at")
    at = datetime.fromtimestamp(created, UTC) if isinstance(created, int) and 0 <= created < 2**35 else None
    return Webhook(id=str(own_id), topic=topic, address=address, active=row.get("is_active") is True, created_at=at)
