"""Order webhooks for Magento: subscriptions of the Async Events module over its REST API, and instructions for the other ways.

Magento itself has no webhooks. Facts from mage-os/mageos-async-events (etc/webapi.xml, etc/acl.xml, Model/AsyncEventRepository.php,
README), mage-os/mageos-common-async-events (etc/async_events.xml), mage-os/mageos-async-events-admin-ui, and
AdobeDocs/commerce-extensibility (events).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from adapter.stores.api import Webhook
from adapter.stores.http import Deadline, StoreTrouble
from adapter.stores.magento.client import Answer, Client, Filter, criteria, magento_id

TOPICS = tuple(f"sales.order.{verb}" for verb in ("created", "updated", "paid", "shipped", "holded", "unholded", "cancelled"))
_NEED = "Manage Asynchronous Events"
_REQUEST_S = 30.0
_MOST_PAGES = 50
_OVER_HTTP = "http"
_ANY_VIEW = ""


class SubscriptionRegistry:
    """The subscriptions of Async Events.

    The module can only switch a subscription on or off; its address and token can't be changed. So a wrong subscription is switched off and
    a new one created. Subscriptions that are switched off are reported only if no other one has the same topic.
    """

    topics: Sequence[str] = TOPICS
    chooses_secret = True

    def __init__(self, client: Client, secret: str) -> None:
        self._client = client
        self._secret = secret

    def webhooks(self) -> Sequence[Webhook]:
        """The subscriptions over HTTP, for all topics."""
        found = [webhook for row in self._rows() if (webhook := _webhook(row))]
        served = {webhook.topic for webhook in found if webhook.active}
        return [webhook for webhook in found if webhook.active or webhook.topic not in served]

    def create(self, topic: str, address: str) -> None:
        """Create a subscription, with the store's secret as verification token."""
        subscription = {
            "event_name": topic,
            "recipient_url": address,
            "verification_token": self._secret,
            "metadata": _OVER_HTTP,
        }
        answer = self._ask("POST", "async_event", {}, {"asyncEvent": subscription})
        if answer.status not in (200, 201):
            raise self._client.unexpected(answer, f"a new subscription to {topic}")

    def repair(self, webhook: Webhook, address: str) -> None:
        """Create a new subscription and switch the old one off."""
        self.create(webhook.topic, address)
        if webhook.active:
            self.delete(webhook)

    def delete(self, webhook: Webhook) -> None:
        """Switch a subscription off; the module can't delete it."""
        if not magento_id(webhook.id):
            raise StoreTrouble(f"{webhook.id[:80]!r} isn't the id of a subscription")
        subscription = {
            "subscription_id": int(webhook.id),
            "event_name": webhook.topic,
            "recipient_url": webhook.address,
            "status": False,
            "metadata": _OVER_HTTP,
        }
        answer = self._ask("PUT", f"async_event/{webhook.id}", {}, {"asyncEvent": subscription})
        if answer.status != 200:
            raise self._client.unexpected(answer, f"switching off subscription {webhook.id}")

    def _rows(self) -> list[Any]:
        """All subscriptions, in the order of their ids."""
        rows: list[Any] = []
        last = 0
        for _ in range(_MOST_PAGES):
            asked = self._client.most_rows
            query = criteria([Filter("subscription_id", "gt", str(last))], sort="subscription_id", size=asked)
            answer = self._ask("GET", "async_events", query)
            if answer.wants_fewer and self._client.shorten():
                continue
            page = self._client.items(answer, "subscriptions")
            newest = max((int(magento_id(row.get("subscription_id")) or 0) for row in page if isinstance(row, dict)), default=0)
            rows += page
            if len(page) < asked or newest <= last:
                break
            last = newest
        return rows

    def _ask(self, method: str, path: str, params: Mapping[str, str], json: Any = None) -> Answer:
        answer = self._client.ask(_ANY_VIEW, path, params, Deadline(_REQUEST_S), need=_NEED, method=method, json=json)
        if answer.has_no_route:
            raise StoreTrouble(
                f"{self._client.host} doesn't have Async Events (404 for /rest/V1/{path}): install mage-os/mageos-common-async-events and "
                "run this again. docs/stores.md describes other ways to send orders"
            )
        return answer


def by_hand(address: str, secret: str) -> Sequence[str]:
    """Instructions for each of the three ways to send orders; `secret` is blank if there is none yet."""
    lines = ["Magento has no order webhooks of its own. Choose one of these three ways to send orders:", ""]
    lines += _async_events(address, secret)
    lines += ["", *_adobe_io(address)]
    lines += ["", *_mageplaza(address, secret)]
    return lines


def _async_events(address: str, secret: str) -> Sequence[str]:
    values = {"Event name": "each of the events below", "Recipient URL": address, "Verification token": secret, "Metadata": _OVER_HTTP}
    return [
        "A. Mage-OS Async Events (recommended: free, for every Magento 2, signs each request)",
        "1. Install the modules on the store's server:",
        "   composer require mage-os/mageos-common-async-events mage-os/mageos-async-events-admin-ui",
        "   bin/magento setup:upgrade",
        "2. Keep two consumers running on that server:",
        "   bin/magento queue:consumers:start event.trigger.consumer",
        "   bin/magento queue:consumers:start event.retry.consumer",
        "3. In the admin, go to Stores > Asynchronous Events > Subscribers and add a subscription for each event:",
        *(f"     {name + ':':<20}{value}" for name, value in values.items()),
        *(f"       {topic}" for topic in TOPICS),
        "   Use the same token for all of them, and as MAGENTO_WEBHOOK_SECRET (secret in STORES) here.",
    ]


def _adobe_io(address: str) -> Sequence[str]:
    return [
        "B. Adobe I/O Events (Adobe Commerce 2.4.4 and newer; signed by Adobe)",
        "1. Set up I/O Events as described in Adobe's documentation, up to the event provider:",
        '   bin/magento events:create-event-provider --label "Orders"',
        "2. Subscribe to orders with all of their fields:",
        "   bin/magento events:subscribe observer.sales_order_save_commit_after --fields='*'",
        "   If the adapter has credentials for the store's API, fewer fields are enough: it then fetches the complete order.",
        "3. In your project in Adobe's Developer Console, add the event observer.sales_order_save_commit_after of that provider. Choose",
        "   delivery by webhook, with this URL:",
        f"     {address}",
        "   Adobe checks the URL immediately, so the adapter must already be running with the settings of step 4.",
        "4. Here, add this to the store's table in STORES, with the client id from the project's credentials in the console:",
        '     auth = "adobe_io"',
        '     adobe_client_id = "..."',
        "5. Adobe drops events over 64 KB. Fetch the orders in them once a day, with this command where the adapter runs:",
        "   drip-adapter reconcile",
    ]


def _mageplaza(address: str, secret: str) -> Sequence[str]:
    return [
        "C. Mageplaza Webhook (a fixed token instead of signatures; doesn't retry)",
        '1. Here, in the store\'s table in STORES, set auth = "token" and a long random text as secret.',
        "2. In the admin, go to System > Webhook > Manage Hooks > Add New and choose the trigger Order:",
        f"     Payload URL:  {address}",
        "     Method:       POST",
        f"     Header:       Authorization: Bearer {secret}".rstrip(),
        "     Content Type: application/json",
        "     Body:         the template in docs/magento-mageplaza-template.md",
    ]


def _webhook(row: Any) -> Webhook | None:
    """A subscription from the list; None if it isn't sent over HTTP, or isn't a subscription."""
    if not isinstance(row, dict):
        return None
    own_id, topic, address = magento_id(row.get("subscription_id")), row.get("event_name"), row.get("recipient_url")
    if not (own_id and isinstance(topic, str) and isinstance(address, str) and row.get("metadata", _OVER_HTTP) == _OVER_HTTP):
        return None
    return Webhook(id=own_id, topic=topic, address=address, active=row.get("status") in (True, 1, "1"))
