"""BigCommerce's orders, by ID: one, or all of them page by page.

An order is spread over several resources. `order` gathers them into the form that `mappings.bigcommerce.payload` describes.

Facts from bigcommerce/docs: reference/orders.v2.oas2.yml and orders.v3.yml.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, TypeVar

from adapter.stores.api import Page, Window, payload_of
from adapter.stores.bigcommerce.client import Client
from adapter.stores.http import Deadline, StoreTrouble

_REQUEST_S = 30.0
# What the v2 API returns at a time without being asked for more.
_PER_PAGE = 50
_MOST_LINES = 2000
_ORDERS, _CUSTOMERS = "Orders: read-only", "Customers: read-only"
_INCOMPLETE = 0
_LONGEST_WAIT_S = 60.0
_MOST_WAITS = 3
_Result = TypeVar("_Result")


class OrderHistory:
    """The orders of a store."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def count(self, window: Window) -> int | None:
        """Unknown: BigCommerce returns no total for a window."""
        return None

    def note(self, window: Window) -> str:
        """Nothing to note: a token sees all orders, however old."""
        return ""

    def order(self, order_id: str, deadline: Deadline) -> bytes | None:
        """An order with all that it consists of; three to six requests."""
        if not order_id.isdecimal():
            return None
        path = f"v2/orders/{order_id}"
        order = self._client.get(path, {"include": "fees"}, deadline, _ORDERS)
        if order is None:
            return None
        if not isinstance(order, dict):
            raise StoreTrouble(f"{self._client.host} returned something other than an order ({path})")
        refunds = self._client.rows(f"v3/orders/{order_id}/payment_actions/refunds", {}, deadline, _ORDERS)
        has_discount = _is_some(order.get("coupon_discount")) or _is_some(order.get("discount_amount"))
        whole = {
            **order,
            "products": self._all(f"{path}/products", deadline),
            "coupons": self._all(f"{path}/coupons", deadline) if has_discount else [],
            "shipments": self._all(f"{path}/shipments", deadline) if _is_some(order.get("items_shipped")) else [],
            "refunds": refunds,
            **self._customer(order, deadline),
        }
        return payload_of(whole, self._client.host)

    def pages(self, window: Window, cursor: str = "") -> Iterator[Page]:
        """All orders by ID, oldest first, without those whose checkout was never finished."""
        last = int(cursor) if cursor.isdecimal() else 0
        while rows := _patiently(partial(self._list, window, last)):
            ids = [row["id"] for row in rows if isinstance(row.get("id"), int)]
            if not ids or max(ids) <= last:
                raise StoreTrouble(f"{self._client.host} returned the same orders again")
            placed = [str(row["id"]) for row in rows if row.get("status_id") != _INCOMPLETE and isinstance(row.get("id"), int)]
            found = [_patiently(partial(self._placed, each)) for each in placed]
            last = max(ids)
            yield Page(orders=[order for order in found if order is not None], cursor=str(last))
            if len(rows) < _PER_PAGE:
                return

    def _all(self, path: str, deadline: Deadline) -> list[dict[str, Any]]:
        """All rows of a collection of the v2 API."""
        rows: list[dict[str, Any]] = []
        for page in range(1, _MOST_LINES // _PER_PAGE + 1):
            found = self._client.rows(path, {"page": page, "limit": _PER_PAGE}, deadline, _ORDERS)
            rows += found
            if len(found) < _PER_PAGE:
                break
        return rows

    def _customer(self, order: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        """The shopper's account, where the order lacks an email address; nothing if the token may not read accounts."""
        billing = order.get("billing_address")
        customer_id = order.get("customer_id")
        if (isinstance(billing, dict) and billing.get("email")) or not isinstance(customer_id, int) or customer_id <= 0:
            return {}
        try:
            rows = self._client.rows("v3/customers", {"id:in": customer_id}, deadline, _CUSTOMERS)
        except StoreTrouble:
            return {}
        return {"customer": {"id": customer_id, "email": rows[0].get("email")}} if rows else {}

    def _list(self, window: Window, last: int) -> list[dict[str, Any]]:
        return self._client.rows("v2/orders", _query(window, last), Deadline(_REQUEST_S), _ORDERS)

    def _placed(self, order_id: str) -> bytes | None:
        return self.order(order_id, Deadline(_REQUEST_S))


def _patiently(ask: Callable[[], _Result]) -> _Result:
    """A response, after waiting as long as the store asks for; it limits the requests of all apps together."""
    for _ in range(_MOST_WAITS):
        try:
            return ask()
        except StoreTrouble as trouble:
            if trouble.wait_s is None or trouble.wait_s > _LONGEST_WAIT_S:
                raise
            time.sleep(trouble.wait_s)
    return ask()


def _query(window: Window, last: int) -> dict[str, Any]:
    limits = {
        "min_date_created": _iso(window.created_since),
        "max_date_created": _iso(window.created_until),
        "min_date_modified": _iso(window.changed_since),
    }
    return {"min_id": last + 1, "sort": "id:asc", "limit": _PER_PAGE, **{name: value for name, value in limits.items() if value}}


def _iso(moment: datetime | None) -> str:
    return moment.isoformat() if moment is not None else ""


def _is_some(amount: Any) -> bool:
    """Whether an amount or a number isn't 0."""
    try:
        return amount is not None and Decimal(str(amount)) != 0
    except InvalidOperation:
        return False
