"""Magento's past orders, by id: each page starts after the last order of the previous one, so changes in between move nothing.

An order whose transaction is still open while a newer order is read is missed; the daily reconciliation finds it, because it searches by
time of change. Facts from AdobeDocs/commerce-webapi (performing searches) and magento/magento2 (#3787: pages beyond the end).
"""

import math
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from adapter.stores.api import Page, Window, payload_of
from adapter.stores.http import AnswerTooLong, Deadline, StoreTrouble
from adapter.stores.magento.client import ALL, Answer, Client, Filter, ServerFailed, criteria, magento_id

REQUEST_S = 30.0
"""Slow servers need long for a page, because each order is loaded with its lines, addresses and history."""
_NEED = "Sales > Operations > Orders > Actions > View"
_LONGEST_WAIT_S = 60.0
_MOST_WAITS = 3
_LONGEST_NUMBER = 50


class OrderHistory:
    """The orders of all store views; `by_number` if `increment_id` is used as order id."""

    def __init__(self, client: Client, *, by_number: bool) -> None:
        self._client = client
        self._by_number = by_number

    def count(self, window: Window) -> int | None:
        """The number of orders in the window."""
        answer = self._search(_filters(window), size=1, fields="total_count")
        total = answer.document.get("total_count") if answer.status == 200 and isinstance(answer.document, dict) else None
        if not isinstance(total, int):
            raise self._client.unexpected(answer, "the number of orders")
        return total

    def note(self, window: Window) -> str:
        """Nothing to note: an integration can read all orders, of any age."""
        return ""

    def order(self, order_id: str, deadline: Deadline) -> bytes | None:
        """The order with this id, or else with this number."""
        order = None if self._by_number else self._by_id(order_id, deadline)
        order = order or self._numbered(order_id, deadline)
        return None if order is None else payload_of(order, self._client.host)

    def pages(self, window: Window, cursor: str = "") -> Iterator[Page]:
        """The pages of orders, oldest first; the cursor is the id of the last order."""
        last = int(magento_id(cursor) or 0)
        while True:
            answer = self._page(window, last)
            rows = self._client.items(answer, "orders")
            ids = [int(magento_id(row.get("entity_id")) or 0) if isinstance(row, dict) else 0 for row in rows]
            if 0 in ids:
                raise StoreTrouble(f"{self._client.host} returned a list that contains something other than orders")
            if any(later <= earlier for earlier, later in zip([last, *ids], ids, strict=False)):
                raise StoreTrouble(f"{self._client.host} doesn't sort its orders by id, so some would be missed")
            if not rows:
                return
            last = ids[-1]
            yield Page(orders=[payload_of(row, self._client.host) for row in rows], cursor=str(last))
            total = answer.document.get("total_count")  # counts this page and all later ones
            if isinstance(total, int) and total <= len(rows):
                return

    def _page(self, window: Window, last: int) -> Answer:
        """The next page. If the store allows only shorter pages, or fails, this and all later pages are shorter."""
        filters = [Filter("entity_id", "gt", str(last)), *_filters(window)]
        while True:
            try:
                answer = self._search(filters, size=self._client.most_rows, sort="entity_id")
            except (ServerFailed, AnswerTooLong):
                if self._client.shorten():
                    continue
                raise
            if answer.wants_fewer and self._client.shorten():
                continue
            return answer

    def _by_id(self, order_id: str, deadline: Deadline) -> Mapping[str, Any] | None:
        # With leading zeros it is an order number, which Magento would treat as another order's id.
        if not magento_id(order_id):
            return None
        answer = self._client.ask(ALL, f"orders/{order_id}", {}, deadline, need=_NEED)
        if answer.status == 404 and not answer.has_no_route:
            return None
        if answer.status != 200 or not isinstance(answer.document, dict):
            raise self._client.unexpected(answer, f"order {order_id}")
        return answer.document if magento_id(answer.document.get("entity_id")) == order_id else None

    def _numbered(self, number: str, deadline: Deadline) -> Mapping[str, Any] | None:
        if not number.isprintable() or not 0 < len(number) <= _LONGEST_NUMBER:
            return None
        # Two store views can have orders with the same number; then the right one is unknown.
        query = criteria([Filter("increment_id", "eq", number)], size=2)
        answer = self._client.ask(ALL, "orders", query, deadline, need=_NEED)
        rows = self._client.items(answer, f"order {number}")
        found = [row for row in rows if isinstance(row, dict) and row.get("increment_id") == number]
        return found[0] if len(found) == 1 else None

    def _search(self, filters: list[Filter], *, size: int, sort: str = "", fields: str = "") -> Answer:
        return self._ask("orders", criteria(filters, size=size, sort=sort) | ({"fields": fields} if fields else {}))

    def _ask(self, path: str, params: Mapping[str, str]) -> Answer:
        """A request, repeated if the store asks for a short wait. A timeout counts as a failure of the server."""
        waits = 0
        while True:
            deadline = Deadline(REQUEST_S)
            try:
                return self._client.ask(ALL, path, params, deadline, need=_NEED)
            except StoreTrouble as trouble:
                if trouble.wait_s is not None and trouble.wait_s <= _LONGEST_WAIT_S and waits < _MOST_WAITS:
                    waits += 1
                    time.sleep(trouble.wait_s)
                elif deadline.left <= 0:
                    raise ServerFailed(str(trouble)) from trouble
                else:
                    raise


def _filters(window: Window) -> list[Filter]:
    bounds = (
        ("created_at", "gteq", window.created_since),
        ("created_at", "lt", window.created_until),
        ("updated_at", "gteq", window.changed_since),
    )
    return [Filter(name, condition, _printed(moment)) for name, condition, moment in bounds if moment is not None]


def _printed(moment: datetime) -> str:
    """A time in the database's format: UTC, rounded up to whole seconds."""
    return datetime.fromtimestamp(math.ceil(moment.timestamp()), UTC).strftime("%Y-%m-%d %H:%M:%S")
