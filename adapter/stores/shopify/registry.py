"""Shopify's webhooks: by the Admin API, and by hand.

Facts from shopify.dev: webhookSubscriptions, webhookSubscriptionCreate, -Update and -Delete. Webhooks that were made by hand, or that an
app's TOML file declares, are not among them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from adapter.stores.api import Webhook
from adapter.stores.http import Deadline, StoreTrouble
from adapter.stores.shopify.client import Client

TOPICS = ("orders/create", "orders/updated", "products/update")
_REQUEST_S = 30.0
_MOST_PAGES = 20
_LONGEST_MESSAGE = 300
# A webhook may be made and seen with the scope of what it tells.
_SCOPES = "the scopes read_orders and read_products"
_LIST = """query($after: String) { webhookSubscriptions(first: 100, after: $after) {
  nodes { id topic uri } pageInfo { hasNextPage endCursor } } }"""
_CREATE = """mutation($topic: WebhookSubscriptionTopic!, $webhook: WebhookSubscriptionInput!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: $webhook) { webhookSubscription { id } userErrors { field message } } }"""
_UPDATE = """mutation($id: ID!, $webhook: WebhookSubscriptionInput!) {
  webhookSubscriptionUpdate(id: $id, webhookSubscription: $webhook) { webhookSubscription { id } userErrors { field message } } }"""
_DELETE = """mutation($id: ID!) { webhookSubscriptionDelete(id: $id) { deletedWebhookSubscriptionId userErrors { field message } } }"""
# "Address for this topic has already been taken": it is there, which is what was asked for.
_THERE_ALREADY = "already been taken"


class WebhookRegistry:
    """The webhooks that this app made. Shopify signs them with the app's client secret, and takes away those that keep failing."""

    topics: Sequence[str] = TOPICS

    def __init__(self, client: Client) -> None:
        self._client = client

    def webhooks(self) -> Sequence[Webhook]:
        """All of the app's."""
        found: list[Webhook] = []
        after = None
        for _ in range(_MOST_PAGES):
            page = self._ask(_LIST, {"after": after}).get("webhookSubscriptions")
            nodes = page.get("nodes") if isinstance(page, dict) else None
            if not isinstance(page, dict) or not isinstance(nodes, list):
                raise StoreTrouble(f"{self._client.host} answered without its webhooks")
            found += [webhook for node in nodes if (webhook := _webhook(node))]
            info = page.get("pageInfo")
            after = info.get("endCursor") if isinstance(info, dict) and info.get("hasNextPage") else None
            if not after:
                break
        return found

    def create(self, topic: str, address: str) -> None:
        """Register one; one that is there already is as good."""
        self._do(_CREATE, {"topic": _enum(topic), "webhook": {"uri": address, "format": "JSON"}}, "webhookSubscriptionCreate")

    def repair(self, webhook: Webhook, address: str) -> None:
        """Let one point here."""
        self._do(_UPDATE, {"id": webhook.id, "webhook": {"uri": address}}, "webhookSubscriptionUpdate")

    def delete(self, webhook: Webhook) -> None:
        """Take one away."""
        self._do(_DELETE, {"id": webhook.id}, "webhookSubscriptionDelete")

    def _do(self, mutation: str, variables: Mapping[str, Any], name: str) -> None:
        result = self._ask(mutation, variables).get(name)
        errors = result.get("userErrors") if isinstance(result, dict) else None
        if not isinstance(errors, list):
            raise StoreTrouble(f"{self._client.host} did not say whether it did {name}")
        messages = [str(error.get("message") if isinstance(error, dict) else error) for error in errors]
        if not all(_THERE_ALREADY in message for message in messages):
            why = " ".join("; ".join(messages)[:_LONGEST_MESSAGE].split())
            raise StoreTrouble(f"{self._client.host} refuses {name}: {why}")

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        return self._client.admin(query, variables, Deadline(_REQUEST_S), _SCOPES)


def by_hand(address: str, secret: str) -> Sequence[str]:
    """What to click and paste in the shop's administration; the secret is Shopify's own there."""
    return [
        "In the shop's administration:",
        "1. Open Settings > Notifications > Webhooks and press Create webhook.",
        "2. Fill in, once for each of the events Order creation, Order update and Product update:",
        "     Format:       JSON",
        f"     URL:          {address}",
        "     API version:  the newest that is not called unstable",
        "3. Below the list Shopify shows the key that signs all of them: copy it into SHOPIFY_WEBHOOK_SECRET (secret in STORES) here.",
        "Send test notification, in the menu of a webhook, shows at once whether it arrives: it is kept, and skipped as a test.",
    ]


def _enum(topic: str) -> str:
    return topic.replace("/", "_").upper()


def _webhook(node: Any) -> Webhook | None:
    if not isinstance(node, dict) or not all(isinstance(node.get(name), str) for name in ("id", "topic", "uri")):
        return None
    topics = {_enum(topic): topic for topic in TOPICS}
    return Webhook(id=node["id"], topic=topics.get(node["topic"], node["topic"].lower()), address=node["uri"])
