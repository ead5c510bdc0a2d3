"""Shopify's past orders, by REST: its orders have the same form as those of webhooks.

Facts from shopify.dev: REST Order resource (`since_id`, `status=any`, at most 250 a page), access to orders older than 60 days.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from adapter.stores.api import Page, Window, payload_of
from adapter.stores.http import AnswerTooLong, Deadline, StoreTrouble
from adapter.stores.shopify.client import Client

# Wholesale orders have hundreds of lines; a page of them that is too long is read in smaller pages.
_PER_PAGE = (250, 50, 10, 1)
_REQUEST_S = 60.0
_SCOPES = "the scope read_orders (and read_all_orders for orders older than 60 days)"
_VISIBLE_FOR = timedelta(days=60)
# The oldest visible order may be a little younger than 60 days.
_TOLERANCE = timedelta(days=2)


class OrderHistory:
    """The orders of a store by ID, which is also the order in which they were created."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._per_page = list(_PER_PAGE)
        self._oldest: datetime | None = None
        self._has_none = False

    def count(self, window: Window) -> int | None:
        """How many there are."""
        answer = self._client.rest("orders/count.json", _filters(window), _REQUEST_S, _SCOPES)
        count = answer.get("count") if isinstance(answer, dict) else None
        return count if isinstance(count, int) else None

    def pages(self, window: Window, cursor: str = "") -> Iterator[Page]:
        """All of them from the ID `cursor` on: whatever changes meanwhile, each ID is passed once."""
        last = int(cursor) if cursor.isdecimal() else 0
        if last:  # an earlier run has read the oldest
            self._note_ages(self._ask({**_filters(window), "limit": 1, "since_id": 0}))
        while rows := self._page(window, last):
            orders = sorted((row for row in rows if row["id"] > last), key=lambda order: int(order["id"]))
            if not orders:
                raise StoreTrouble(f"{self._client.host} returned the same orders again")
            self._note_ages(orders)
            last = int(orders[-1]["id"])
            yield Page(orders=[payload_of(order, self._client.host) for order in orders], cursor=str(last))
        self._has_none = not last

    def order(self, order_id: str, deadline: Deadline) -> bytes | None:
        """One order; None if there is none."""
        if not order_id.isdecimal():
            return None
        # Not by orders/ID.json, whose 404 can mean an unknown order or a wrong address.
        rows = self._orders(self._client.rest_at_once("orders.json", {"status": "any", "ids": order_id}, deadline, _SCOPES))
        return next((payload_of(row, self._client.host) for row in rows if str(row["id"]) == order_id), None)

    def note(self, window: Window) -> str:
        """A remark that Shopify only shows the last 60 days, if older orders were requested and none came."""
        since = window.created_since
        now = datetime.now(UTC)
        if "read_all_orders" in self._client.scopes:
            return ""
        oldest = self._oldest or (now if self._has_none else None)  # all there are may be older
        if since is None or now - since <= _VISIBLE_FOR or oldest is None or now - oldest > _VISIBLE_FOR + _TOLERANCE:
            return ""
        return (
            "Shopify only shows an app the orders of the last 60 days, and no older ones were returned. To read them all, the app needs "
            "the scope read_all_orders in addition to read_orders: request it in the Dev Dashboard under API access, reinstall the app, "
            "and run this command with --again"
        )

    def _page(self, window: Window, last: int) -> list[dict[str, Any]]:
        """The orders after an ID; fewer once a response has been too long."""
        while True:
            try:
                return self._ask({**_filters(window), "limit": self._per_page[0], "since_id": last})
            except AnswerTooLong:
                if len(self._per_page) == 1:
                    raise
                del self._per_page[0]

    def _ask(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Orders by REST, each with an ID. Raises `StoreTrouble` if even one isn't an order: nobody would notice that it is missing."""
        return self._orders(self._client.rest("orders.json", params, _REQUEST_S, _SCOPES))

    def _orders(self, answer: Any) -> list[dict[str, Any]]:
        rows = answer.get("orders") if isinstance(answer, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) and type(row.get("id")) is int for row in rows):
            raise StoreTrouble(f"{self._client.host} returned no list of orders")
        return rows

    def _note_ages(self, orders: Sequence[Mapping[str, Any]]) -> None:
        for order in orders:
            try:
                created = datetime.fromisoformat(str(order.get("created_at"))).astimezone(UTC)
            except (ValueError, OverflowError):  # not a time, or one out of range
                continue
            self._oldest = min(created, self._oldest or created)


def _filters(window: Window) -> dict[str, Any]:
    moments = {
        "created_at_min": window.created_since,
        "created_at_max": window.created_until - timedelta(seconds=1) if window.created_until else None,  # Shopify includes the end
        "updated_at_min": window.changed_since,
    }
    return {"status": "any"} | {name: moment.isoformat() for name, moment in moments.items() if moment is not None}
