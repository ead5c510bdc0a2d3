"""WooCommerce's webhooks: over the REST API with a key that may write, and by hand.

Facts from woocommerce/woocommerce: class-wc-rest-webhooks-v1-controller.php and -v2-controller.php, class-wc-admin-webhooks.php.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from adapter.stores.api import Webhook
from adapter.stores.http import Deadline, StoreTrouble
from adapter.stores.woocommerce.client import Answer, Client
from mappings.woocommerce.products import product_id

TOPICS = ("order.created", "order.updated", "order.restored", "product.updated")
# As the drop-down list of the settings page words them.
_TOPIC_TITLES = {
    "order.created": "Order created",
    "order.updated": "Order updated",
    "order.restored": "Order restored",
    "product.updated": "Product updated",
}
# What the names of our webhooks hold, whether they were made here or by hand.
_OUR_NAME = "drip"
# WooCommerce greets the address before it answers.
_REQUEST_S = 30.0
_PER_PAGE = 100
_MOST_PAGES = 50
_PATH = "wc/v3/webhooks"


class WebhookRegistry:
    """The webhooks of a store. A webhook belongs to the key's user, with whose rights its payloads are made."""

    topics: Sequence[str] = TOPICS

    def __init__(self, client: Client, secret: str) -> None:
        self._client = client
        self._secret = secret

    def webhooks(self) -> Sequence[Webhook]:
        """Those of every status."""
        found: dict[str, Webhook] = {}
        for page in range(1, _MOST_PAGES + 1):
            answer = self._ask("GET", _PATH, {"per_page": _PER_PAGE, "page": page, "orderby": "id", "order": "asc", "status": "all"})
            rows = answer.document
            if answer.status != 200 or not isinstance(rows, list):
                raise self._unexpected(answer, "a list of webhooks was asked for")
            found |= {webhook.id: webhook for row in rows if (webhook := _webhook(row))}
            pages = answer.number("X-WP-TotalPages")
            if len(rows) < _PER_PAGE if pages is None else page >= pages:
                break
        return list(found.values())

    def create(self, topic: str, address: str) -> None:
        """Register an active one, signed with the store's secret."""
        body = {"name": f"drip-order-adapter: {topic}", "topic": topic, **self._ours(address)}
        answer = self._ask("POST", _PATH, {}, body)
        if answer.status not in (200, 201):
            raise self._unexpected(answer, f"a webhook for {topic} was to be made")

    def repair(self, webhook: Webhook, address: str) -> None:
        """Make one active, at this address, and with the store's secret, which the store never tells."""
        answer = self._ask("PUT", self._path_of(webhook), {}, self._ours(address))
        if answer.status != 200:
            raise self._unexpected(answer, f"webhook {webhook.id} was to be repaired")

    def delete(self, webhook: Webhook) -> None:
        """Take one away; one that is no more is as good."""
        answer = self._ask("DELETE", self._path_of(webhook), {"force": "true"})  # webhooks know no bin
        if answer.status not in (200, 404, 410):
            raise self._unexpected(answer, f"webhook {webhook.id} was to be deleted")

    def _ours(self, address: str) -> dict[str, str]:
        return {"status": "active", "delivery_url": address, "secret": self._secret}

    def _ask(self, method: str, path: str, params: Mapping[str, Any], json: Any = None) -> Answer:
        return self._client.ask(method, path, params, Deadline(_REQUEST_S), json, need="read/write")

    def _path_of(self, webhook: Webhook) -> str:
        if not product_id(webhook.id):
            raise StoreTrouble(f"{webhook.id[:80]!r} is no id of a webhook")
        return f"{_PATH}/{webhook.id}"

    def _unexpected(self, answer: Answer, what: str) -> StoreTrouble:
        return StoreTrouble(f"{self._client.host} answered {answer.status} {answer.code or 'with something else'} where {what}")


def by_hand(address: str, secret: str) -> Sequence[str]:
    """What to click and paste in the shop's administration; `secret` is blank where there is none yet."""
    lines = [
        "In the shop's WordPress administration, once for each of the four topics:",
        "1. Open WooCommerce > Settings > Advanced > Webhooks and press Add webhook.",
        "2. Fill in:",
    ]
    values = {
        "Name": "Drip, and the topic",
        "Status": "Active",
        "Topic": " / ".join(_TOPIC_TITLES[topic] for topic in TOPICS) + " (one webhook each)",
        "Delivery URL": address,
        "Secret": secret,
        "API version": "WP REST API Integration v3",
    }
    lines += [f"     {name + ':':<14}{value}" for name, value in values.items()]
    lines += [
        "   The secret is the same in all four, and the same as WOOCOMMERCE_WEBHOOK_SECRET (secret in STORES) here.",
        "3. Press Save webhook. WooCommerce greets the address at once, so the adapter must be running and reachable by then, on port 80, "
        "443 or 8080; an error shown after saving means that it was not.",
        "Stay logged in as an administrator while you save: payloads are made with the rights of whoever saved the webhook.",
    ]
    return lines


def _webhook(row: Any) -> Webhook | None:
    """A webhook of the list; None for what is none."""
    if not isinstance(row, dict):
        return None
    own_id, topic, address = str(row.get("id")), row.get("topic"), row.get("delivery_url")
    if not (product_id(own_id) and isinstance(topic, str) and isinstance(address, str)):
        return None
    name = row.get("name")
    ours = _OUR_NAME in name.lower() if isinstance(name, str) else None
    return Webhook(id=own_id, topic=topic, address=address, active=row.get("status") == "active", ours=ours)
