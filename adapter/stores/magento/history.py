"""Magento's past orders, by their ids: each page begins behind the last order of the one before, wherever that stands meanwhile.

An order whose transaction was still open while a newer one was read is passed over; the daily reconciliation, which asks by the time of
change, finds it. Facts from AdobeDocs/commerce-webapi (performing searches) and magento/magento2 (#3787: pages beyond the end).
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
"""A slow server takes long for a page: each order is loaded with its lines, addresses and history."""
_NEED = "Sales > Operations > Orders > Actions > View"
_LONGEST_WAIT_S = 60.0
_MOST_WAITS = 3
_LONGEST_NUMBER = 50


class OrderHistory:
    """The orders of all store views; `by_number` tells that orders are known by their increment_id."""

    def __init__(self, client: Client, *, by_number: bool) -> None:
        self._client = client
        self._by_number = by_number

    def count(self, window: Window) -> int | None:
        """`total_count` of the window."""
        answer = self._search(_filters(window), size=1, fields="total_count")
        total = answer.document.get("total_count") if answer.status == 200 and isinstance(answer.document, dict) else None
        if not isinstance(total, int):
            raise self._client.unexpected(answer, "the number of orders was asked for")
        return total

    def note(self, window: Window) -> str:
        """Nothing needs to be explained: an integration sees all orders, however old."""
        return ""

    def order(self, order_id: str, deadline: Deadline) -> bytes | None:
        """`orders/{id}`, or the order with that number."""
        order = None if self._by_number else self._by_id(order_id, deadline)
        order = order or self._numbered(order_id, deadline)
        return None if order is None else payload_of(order, self._client.host)

    def pages(self, window: Window, cursor: str = "") -> Iterator[Page]:
        """Page after page, the oldest first; the cursor is the last order's id."""
        last = int(magento_id(cursor) or 0)
        while True:
            answer = self._page(window, last)
            rows = self._client.items(answer, "orders were asked for")
            ids = [int(magento_id(row.get("entity_id")) or 0) if isinstance(row, dict) else 0 for row in rows]
            if 0 in ids:
                raise StoreTrouble(f"{self._client.host} answered with a list that holds something else than orders")
            if any(later <= earlier for earlier, later in zip([last, *ids], ids, strict=False)):
                raise StoreTrouble(f"{self._client.host} does not list its orders by id as Magento does, so some would be missed")
            if not rows:
                return
            last = ids[-1]
            yield Page(orders=[payload_of(row, self._client.host) for row in rows], cursor=str(last))
            total = answer.document.get("total_count")  # of this request: what was left before this page
            if isinstance(total, int) and total <= len(rows):
                return

    def _page(self, window: Window, last: int) -> Answer:
        """A page; a shorter one from the first time on that the store allows no longer one, or fails at it."""
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
        # With zeros in front it is a number that shoppers see; Magento would read it as another order's id.
        if not magento_id(order_id):
            return None
        answer = self._client.ask(ALL, f"orders/{order_id}", {}, deadline, need=_NEED)
        if answer.status == 404 and not answer.has_no_route:
            return None
        if answer.status != 200 or not isinstance(answer.document, dict):
            raise self._client.unexpected(answer, f"order {order_id} was asked for")
        return answer.document if magento_id(answer.document.get("entity_id")) == order_id else None

    def _numbered(self, number: str, deadline: Deadline) -> Mapping[str, Any] | None:
        if not number.isprintable() or not 0 < len(number) <= _LONGEST_NUMBER:
            return None
        # Two store views may give the same number: nobody knows then which is meant.
        query = criteria([Filter("increment_id", "eq", number)], size=2)
        answer = self._client.ask(ALL, "orders", query, deadline, need=_NEED)
        rows = self._client.items(answer, f"order {number} was asked for")
        found = [row for row in rows if isinstance(row, dict) and row.get("increment_id") == number]
        return found[0] if len(found) == 1 else None

    def _search(self, filters: list[Filter], *, size: int, sort: str = "", fields: str = "") -> Answer:
        return self._ask("orders", criteria(filters, size=size, sort=sort) | ({"fields": fields} if fields else {}))

    def _ask(self, path: str, params: Mapping[str, str]) -> Answer:
        """A request, again after a pause where the store asks for a short one. A timeout is the server's failure."""
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
    """A time as the database holds it: in UTC, the first whole second that is not before it."""
    return datetime.fromtimestamp(math.ceil(moment.timestamp()), UTC).strftime("%Y-%m-%d %H:%M:%S")
