"""WooCommerce's webhooks: over the REST API with a key that may write, and by hand.

Facts from woocommerce/woocommerce: class-wc-webhook.php, class-wc-webhook-data-store.php, class-wc-rest-webhooks-v1-controller.php and
-v2-controller.php, class-wc-admin-webhooks.php.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from adapter.stores.api import Webhook
from adapter.stores.http import Deadline, StoreTrouble
from adapter.stores.woocommerce.client import Answer, Client
from mappings.core.fields import Time
from mappings.woocommerce.products import product_id

TOPICS = ("order.created", "order.updated", "order.restored", "product.updated")
BIN_TOPIC = "order.deleted"
"""An order was put in the trash. Needed only where that can be sent to Drip as `canceled`."""
# As in the drop-down list on the settings page.
_TOPIC_TITLES = {
    "order.created": "Order created",
    "order.updated": "Order updated",
    "order.restored": "Order restored",
    "product.updated": "Product updated",
    BIN_TOPIC: "Order deleted",
}
# What the names of our webhooks contain, whether they were created here or by hand.
_OUR_NAME = "drip"
# WooCommerce pings the address before it answers.
_REQUEST_S = 30.0
_PER_PAGE = 100
_MOST_PAGES = 50
_PATH = "wc/v3/webhooks"
_time = Time().deserialize


class WebhookRegistry:
    """The webhooks of a store. A webhook belongs to the key's user, and its payloads are created with that user's permissions."""

    chooses_secret = True

    def __init__(self, client: Client, secret: str, *, with_bin: bool = False) -> None:
        self._client = client
        self._secret = secret
        self.topics: Sequence[str] = (*TOPICS, BIN_TOPIC) if with_bin else TOPICS

    def webhooks(self) -> Sequence[Webhook]:
        """The webhooks of every status."""
        found: dict[str, Webhook] = {}
        for page in range(1, _MOST_PAGES + 1):
            query = {"per_page": _PER_PAGE, "page": page, "orderby": "id", "order": "asc", "status": "all"}
            answer = self._ask("GET", _PATH, query, need="read")
            rows = answer.document
            if answer.status != 200 or not isinstance(rows, list):
                raise self._client.unexpected(answer, "a list of webhooks was requested")
            ahead = clock_ahead(answer)
            found |= {webhook.id: webhook for row in rows if (webhook := _webhook(row, ahead))}
            pages = answer.number("X-WP-TotalPages")
            if len(rows) < _PER_PAGE if pages is None else page >= pages:
                break
        return list(found.values())

    def create(self, topic: str, address: str) -> None:
        """Register an active one, signed with the store's secret."""
        body = {
            "name": f"drip-order-adapter: {topic}",
            "topic": topic,
            "status": "active",
            "delivery_url": address,
            "secret": self._secret,
        }
        answer = self._ask("POST", _PATH, {}, body)
        if answer.status not in (200, 201):
            raise self._client.unexpected(answer, f"a webhook for {topic} was to be created")

    def repair(self, webhook: Webhook, address: str) -> None:
        """Replace one.

        Changing it would keep its owner, its API version and its count of failures, with which it would be disabled again at the next
        failure (`failed_delivery`).
        """
        self.create(webhook.topic, address)
        self.delete(webhook)

    def delete(self, webhook: Webhook) -> None:
        """Delete one, unless it is gone already."""
        answer = self._ask("DELETE", self._path_of(webhook), {"force": "true"})  # webhooks can't be put in the trash
        if answer.status not in (200, 404, 410):
            raise self._client.unexpected(answer, f"webhook {webhook.id} was to be deleted")

    def _ask(self, method: str, path: str, params: Mapping[str, Any], json: Any = None, need: str = "read/write") -> Answer:
        return self._client.ask(method, path, params, Deadline(_REQUEST_S), json, need=need)

    def _path_of(self, webhook: Webhook) -> str:
        if not product_id(webhook.id):
            raise StoreTrouble(f"{webhook.id[:80]!r} is not a webhook ID")
        return f"{_PATH}/{webhook.id}"


def by_hand(address: str, secret: str) -> Sequence[str]:
    """What to click and paste in the shop's administration; `secret` is blank where there is none yet."""
    lines = [
        "In the shop's WordPress administration, as an administrator, once for each of the four topics:",
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
        f'   With vocabulary = "lifecycle", add one for the topic {_TOPIC_TITLES[BIN_TOPIC]} as well.',
        "3. Press Save webhook. WooCommerce pings the address at once, so the adapter must be running and reachable on port 80, 443 or "
        "8080; an error shown after saving means that it was not.",
        "A webhook belongs to whoever created it: if that user may no longer read orders, it contains none.",
    ]
    return lines


def _webhook(row: Any, ahead: timedelta) -> Webhook | None:
    """A webhook of the list; None for anything else."""
    if not isinstance(row, dict):
        return None
    own_id, topic, address = str(row.get("id")), row.get("topic"), row.get("delivery_url")
    if not (product_id(own_id) and isinstance(topic, str) and isinstance(address, str)):
        return None
    name, failures = row.get("name"), row.get("failure_count")
    created, used = (_time(row.get(key)) for key in ("date_created_gmt", "date_modified_gmt"))
    return Webhook(
        id=own_id,
        topic=topic,
        address=address,
        active=row.get("status") == "active",
        ours=_OUR_NAME in name.lower() if isinstance(name, str) else None,
        created_at=created - ahead if created else None,
        used_at=used - ahead if used else None,
        failures=failures if isinstance(failures, int) else None,
    )


def clock_ahead(answer: Answer) -> timedelta:
    """By how much the store's clock is ahead of ours, according to the date in its response; 0 without one."""
    try:
        return parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC) - datetime.now(UTC)
    except (TypeError, ValueError, OverflowError):
        return timedelta()
