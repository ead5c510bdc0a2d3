"""Shopify's past orders: by REST, whose orders are those of its webhooks.

Facts from shopify.dev: REST Order resource (`since_id`, `status=any`, at most 250 a page), access to orders older than 60 days.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from adapter.stores._shopify_client import Client
from adapter.stores.api import Page, StoreTrouble, Window
from mappings import encode

_PER_PAGE = 250
_REQUEST_S = 60.0
_SHOWN_TO_ALL = timedelta(days=60)
# The oldest order may be a little younger than the rule.
_TOLERANCE = timedelta(days=2)


class OrderHistory:
    """The orders of a store, by id, which is the order in which they were made."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._oldest: datetime | None = None

    def count(self, window: Window) -> int | None:
        """How many there are."""
        answer = self._client.rest("orders/count.json", _filters(window), _REQUEST_S).json()
        count = answer.get("count") if isinstance(answer, dict) else None
        return count if isinstance(count, int) else None

    def pages(self, window: Window, cursor: str = "") -> Iterator[Page]:
        """All of them, from the id `cursor` on: whatever changes meanwhile, an id is passed once."""
        last = int(cursor) if cursor.isdecimal() else 0
        while True:
            answer = self._client.rest("orders.json", {**_filters(window), "limit": _PER_PAGE, "since_id": last}, _REQUEST_S).json()
            rows = answer.get("orders") if isinstance(answer, dict) else None
            if not isinstance(rows, list):
                raise StoreTrouble(f"{self._client.host} answered without orders")
            orders = [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), int) and row["id"] > last]
            if not orders:
                return
            orders.sort(key=lambda order: int(order["id"]))
            last = int(orders[-1]["id"])
            self._note_age(orders[0])
            yield Page(orders=[encode(order) for order in orders], cursor=str(last))

    def order(self, order_id: str) -> bytes | None:
        """One order; None if there is none."""
        if not order_id.isdecimal():
            return None
        answer = self._client.rest("orders.json", {"status": "any", "ids": order_id}, _REQUEST_S).json()
        rows = answer.get("orders") if isinstance(answer, dict) else None
        return encode(rows[0]) if isinstance(rows, list) and rows else None

    def note(self, window: Window) -> str:
        """That Shopify shows the last 60 days only, where older orders were asked for and none came."""
        since = window.created_since
        now = datetime.now(UTC)
        if since is None or now - since <= _SHOWN_TO_ALL or self._oldest is None or now - self._oldest > _SHOWN_TO_ALL + _TOLERANCE:
            return ""
        return (
            "Shopify shows an app the orders of the last 60 days only, and no older one came. For all of them the app needs the scope "
            "read_all_orders beside read_orders: ask for it in the Dev Dashboard under API access, install the app anew, and run this "
            "with --again"
        )

    def _note_age(self, order: Mapping[str, Any]) -> None:
        try:
            created = datetime.fromisoformat(str(order.get("created_at"))).astimezone(UTC)
        except ValueError:
            return
        self._oldest = min(created, self._oldest or created)


def _filters(window: Window) -> dict[str, Any]:
    moments = {
        "created_at_min": window.created_since,
        "created_at_max": window.created_until - timedelta(seconds=1) if window.created_until else None,  # which Shopify includes
        "updated_at_min": window.changed_since,
    }
    return {"status": "any"} | {name: moment.isoformat() for name, moment in moments.items() if moment is not None}
