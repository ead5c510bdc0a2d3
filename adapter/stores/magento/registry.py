"""Order events of Magento: subscriptions of the module Async Events over its REST API, and what to do by hand.

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

    The module lets a subscription be switched on and off and nothing else: its address and its token stay. So one that is not as it should
    be is switched off and another one made, and those that are switched off are told of only where nothing else is subscribed.
    """

    topics: Sequence[str] = TOPICS

    def __init__(self, client: Client, secret: str) -> None:
        self._client = client
        self._secret = secret

    def webhooks(self) -> Sequence[Webhook]:
        """Those over HTTP, of all topics."""
        found = [webhook for row in self._rows() if (webhook := _webhook(row))]
        served = {webhook.topic for webhook in found if webhook.active}
        return [webhook for webhook in found if webhook.active or webhook.topic not in served]

    def create(self, topic: str, address: str) -> None:
        """Subscribe, with the store's secret as verification token."""
        subscription = {
            "event_name": topic,
            "recipient_url": address,
            "verification_token": self._secret,
            "metadata": _OVER_HTTP,
        }
        answer = self._ask("POST", "async_event", {}, {"asyncEvent": subscription})
        if answer.status not in (200, 201):
            raise self._client.unexpected(answer, f"a subscription to {topic} was to be made")

    def repair(self, webhook: Webhook, address: str) -> None:
        """Subscribe anew, and switch the old one off."""
        self.create(webhook.topic, address)
        if webhook.active:
            self.delete(webhook)

    def delete(self, webhook: Webhook) -> None:
        """Switch one off; the module deletes none."""
        if not magento_id(webhook.id):
            raise StoreTrouble(f"{webhook.id[:80]!r} is no id of a subscription")
        subscription = {
            "subscription_id": int(webhook.id),
            "event_name": webhook.topic,
            "recipient_url": webhook.address,
            "status": False,
            "metadata": _OVER_HTTP,
        }
        answer = self._ask("PUT", f"async_event/{webhook.id}", {}, {"asyncEvent": subscription})
        if answer.status != 200:
            raise self._client.unexpected(answer, f"subscription {webhook.id} was to be switched off")

    def _rows(self) -> list[Any]:
        """All subscriptions, by their ids."""
        rows: list[Any] = []
        last = 0
        for _ in range(_MOST_PAGES):
            asked = self._client.most_rows
            query = criteria([Filter("subscription_id", "gt", str(last))], sort="subscription_id", size=asked)
            answer = self._ask("GET", "async_events", query)
            if answer.wants_fewer and self._client.shorten():
                continue
            page = self._client.items(answer, "subscriptions were asked for")
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
                f"{self._client.host} has no Async Events (404 for /rest/V1/{path}): install mage-os/mageos-common-async-events, and run "
                "this again; README.md, Magento, tells the other ways to send orders"
            )
        return answer


def by_hand(address: str, secret: str) -> Sequence[str]:
    """What to click and paste for each of the three ways; `secret` is blank where there is none yet."""
    lines = ["Magento has no order webhooks of its own. Choose one of three ways.", ""]
    lines += _async_events(address, secret)
    lines += ["", *_adobe_io(address)]
    lines += ["", *_mageplaza(address, secret)]
    return lines


def _async_events(address: str, secret: str) -> Sequence[str]:
    values = {"Event name": "one of those below", "Recipient URL": address, "Verification token": secret, "Metadata": _OVER_HTTP}
    return [
        "A. Mage-OS Async Events (free, for every Magento 2; signs each request; recommended)",
        "1. On the server: composer require mage-os/mageos-common-async-events mage-os/mageos-async-events-admin-ui, then",
        "   bin/magento setup:upgrade",
        "2. Keep the consumers event.trigger.consumer and event.retry.consumer running (bin/magento queue:consumers:start NAME).",
        "3. In the admin: Stores > Asynchronous Events > Subscribers, a new subscription for each event:",
        *(f"     {name + ':':<20}{value}" for name, value in values.items()),
        *(f"       {topic}" for topic in TOPICS),
        "   The token is the same in all, and the same as MAGENTO_WEBHOOK_SECRET (secret in STORES) here.",
    ]


def _adobe_io(address: str) -> Sequence[str]:
    return [
        "B. Adobe I/O Events (Adobe Commerce 2.4.4 and newer; signed by Adobe)",
        "1. Set up I/O Events as Adobe's documentation tells, up to the event provider:",
        '   bin/magento events:create-event-provider --label "Orders"',
        "2. Subscribe to the order with all of its fields:",
        "   bin/magento events:subscribe observer.sales_order_save_commit_after --fields='*'",
        "   Fewer fields do as well where this adapter has credentials for the store's API: it then fetches each order whole.",
        "3. In Adobe's Developer Console, in your project: add the event observer.sales_order_save_commit_after of that provider, choose",
        "   Webhook as the way to receive it, and as its URL:",
        f"     {address}",
        "   Adobe asks that address at once, so the adapter must be running, with the settings of step 4.",
        "4. Here, in the store's table of STORES, with the client id that the console shows under the project's credentials:",
        '     auth = "adobe_io"',
        '     adobe_client_id = "..."',
        "Adobe drops events over 64 KB: run drip-adapter reconcile every day.",
    ]


def _mageplaza(address: str, secret: str) -> Sequence[str]:
    return [
        "C. Mageplaza Webhook (sends a fixed token; no signature, and nothing is sent again)",
        '1. Here, in the store\'s table of STORES: auth = "token", and as secret a long random text.',
        "2. In the admin: System > Webhook > Manage Hooks > Add New, trigger Order:",
        f"     Payload URL:  {address}",
        "     Method:       POST",
        f"     Header:       Authorization: Bearer {secret}".rstrip(),
        "     Content Type: application/json",
        "     Body:         the template in docs/magento-mageplaza-template.md",
    ]


def _webhook(row: Any) -> Webhook | None:
    """A subscription of the list; None for one that is not sent over HTTP, or is none."""
    if not isinstance(row, dict):
        return None
    own_id, topic, address = magento_id(row.get("subscription_id")), row.get("event_name"), row.get("recipient_url")
    if not (own_id and isinstance(topic, str) and isinstance(address, str) and row.get("metadata", _OVER_HTTP) == _OVER_HTTP):
        return None
    return Webhook(id=own_id, topic=topic, address=address, active=row.get("status") in (True, 1, "1"))
