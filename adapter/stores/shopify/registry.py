"""Shopify's webhooks: by the Admin API, and by hand.

Facts from shopify.dev: webhookSubscriptions, webhookSubscriptionCreate, -Update and -Delete. The API doesn't list webhooks that were
created by hand or in an app's TOML file.
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
# A webhook needs the scope of its contents.
_SCOPES = "the scopes read_orders and read_products"
_LIST = """query($after: String) { webhookSubscriptions(first: 100, after: $after) {
  nodes { id topic uri } pageInfo { hasNextPage endCursor } } }"""
_CREATE = """mutation($topic: WebhookSubscriptionTopic!, $webhook: WebhookSubscriptionInput!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: $webhook) { webhookSubscription { id } userErrors { field message } } }"""
_UPDATE = """mutation($id: ID!, $webhook: WebhookSubscriptionInput!) {
  webhookSubscriptionUpdate(id: $id, webhookSubscription: $webhook) { webhookSubscription { id } userErrors { field message } } }"""
_DELETE = """mutation($id: ID!) { webhookSubscriptionDelete(id: $id) { deletedWebhookSubscriptionId userErrors { field message } } }"""
# "Address for this topic has already been taken": the webhook exists, which is what was wanted.
_EXISTS = "already been taken"


class WebhookRegistry:
    """The webhooks that this app created. Shopify signs them with the app's client secret, and deletes those that keep failing."""

    topics: Sequence[str] = TOPICS
    chooses_secret = False

    def __init__(self, client: Client) -> None:
        self._client = client

    def webhooks(self) -> Sequence[Webhook]:
        """All of the app's webhooks."""
        found: list[Webhook] = []
        after = None
        for _ in range(_MOST_PAGES):
            page = self._ask(_LIST, {"after": after}).get("webhookSubscriptions")
            nodes = page.get("nodes") if isinstance(page, dict) else None
            if not isinstance(page, dict) or not isinstance(nodes, list):
                raise StoreTrouble(f"{self._client.host} returned no list of webhooks")
            found += [webhook for node in nodes if (webhook := _webhook(node))]
            info = page.get("pageInfo")
            after = info.get("endCursor") if isinstance(info, dict) and info.get("hasNextPage") else None
            if not after:
                break
        return found

    def create(self, topic: str, address: str) -> None:
        """Register a webhook, unless it exists."""
        self._do(_CREATE, {"topic": _enum(topic), "webhook": {"uri": address, "format": "JSON"}}, "webhookSubscriptionCreate")

    def repair(self, webhook: Webhook, address: str) -> None:
        """Change a webhook's address."""
        self._do(_UPDATE, {"id": webhook.id, "webhook": {"uri": address}}, "webhookSubscriptionUpdate")

    def delete(self, webhook: Webhook) -> None:
        """Delete a webhook."""
        self._do(_DELETE, {"id": webhook.id}, "webhookSubscriptionDelete")

    def _do(self, mutation: str, variables: Mapping[str, Any], name: str) -> None:
        result = self._ask(mutation, variables).get(name)
        errors = result.get("userErrors") if isinstance(result, dict) else None
        if not isinstance(errors, list):
            raise StoreTrouble(f"{self._client.host} didn't confirm {name}")
        messages = [str(error.get("message") if isinstance(error, dict) else error) for error in errors]
        if not all(_EXISTS in message for message in messages):
            why = " ".join("; ".join(messages)[:_LONGEST_MESSAGE].split())
            raise StoreTrouble(f"{self._client.host} rejected {name}: {why}")

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        return self._client.admin(query, variables, Deadline(_REQUEST_S), _SCOPES)


def by_hand(address: str, secret: str) -> Sequence[str]:
    """Instructions for the shop's admin; Shopify generates the secret there."""
    return [
        "In the shop's admin:",
        "1. Open Settings > Notifications > Webhooks and click Create webhook.",
        "2. Create one webhook for each of the events Order creation, Order update and Product update, with:",
        "     Format:       JSON",
        f"     URL:          {address}",
        "     API version:  the newest that isn't called unstable",
        "3. Copy the key that Shopify shows below the list into SHOPIFY_WEBHOOK_SECRET (secret in STORES). It signs all of them.",
        "To test a webhook, choose Send test notification in its menu: the delivery is stored and skipped as a test.",
    ]


def _enum(topic: str) -> str:
    return topic.replace("/", "_").upper()


def _webhook(node: Any) -> Webhook | None:
    if not isinstance(node, dict) or not all(isinstance(node.get(name), str) for name in ("id", "topic", "uri")):
        return None
    topics = {_enum(topic): topic for topic in TOPICS}
    return Webhook(id=node["id"], topic=topics.get(node["topic"], node["topic"].lower()), address=node["uri"])
