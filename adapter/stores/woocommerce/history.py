"""WooCommerce's past orders, by the time they were created.

A page number points somewhere else as soon as an earlier order goes to the trash, so each page is found by the end of the last one:

    the list    orders created at `since` or later, oldest first; orders of the same second by ID
    returned    the IDs that were returned already; they are the beginning of the list
    at          the position of the last one returned

Each request begins at `at`, where the first order must be one that was returned already. If it isn't, earlier orders have gone to the
trash, and the position steps back until it is. As the orders get newer, `since` follows a day behind.

Facts from woocommerce/woocommerce: class-wc-rest-crud-controller.php (`date` sorts by date and ID), OrdersTableQuery.php (the same, and
`offset`), class-wc-rest-orders-v2-controller.php; from WordPress's WP_Date_Query: `after` and `before` exclude their own second.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from adapter.stores.api import Page, Window, payload_of
from adapter.stores.http import AnswerTooLong, Deadline, StoreTrouble
from adapter.stores.woocommerce.client import Answer, Client, ServerFailed
from mappings.core.fields import Time
from mappings.woocommerce.products import product_id

REQUEST_S = 30.0
"""A slow server needs long for a page, because it loads the product of each line."""
_PER_PAGE = (50, 20)
# Stores without the newer order tables sort by the site's local time. It goes back an hour each fall, and further if the site's time zone
# is changed.
_BEHIND = timedelta(hours=26)
_SECOND = timedelta(seconds=1)
_BEFORE_ALL_SHOPS = datetime(1971, 1, 1, tzinfo=UTC)
# How far the first step back goes; each further one goes twice as far.
_FIRST_STEP = 5
_LONGEST_WAIT_S = 60.0
_MOST_WAITS = 3
_MOST_FRUITLESS = 20
_time = Time().deserialize


@dataclass(slots=True)
class _Place:
    """The position in the list. A time of creation is None if the store sends none."""

    since: datetime | None
    returned: dict[str, datetime | None] = field(default_factory=dict)
    at: int = 0
    step: int = _FIRST_STEP

    @classmethod
    def read(cls, cursor: str, window: Window) -> "_Place":
        """The position in a cursor; the beginning if it contains none."""
        try:
            saved = json.loads(cursor)
            since = _time(saved["since"])
            returned = {order_id: None if after is None else since + after * _SECOND for order_id, after in saved["returned"].items()}
            return cls(since, returned, int(saved["at"]))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            return cls(_whole(window.created_since) if window.created_since else None)

    def cursor(self) -> str:
        """The position as text: each ID with the seconds from `since` to its creation."""
        since = self.since
        returned = {order_id: (created - since) // _SECOND if created and since else None for order_id, created in self.returned.items()}
        return json.dumps({"since": _naive(since) if since else "", "at": self.at, "returned": returned}, separators=(",", ":"))

    def take(self, rows: Sequence[dict[str, Any]], total: int | None, per_page: int) -> tuple[list[dict[str, Any]], bool]:
        """The rows of a response that were not returned yet, and whether the list ends with them; moves forward, or steps back."""
        if self.at and (not rows or _id(rows[0]) not in self.returned):
            self.at, self.step = max(0, self.at - self.step), self.step * 2
            return [], False
        self.step = _FIRST_STEP
        new = [row for row in rows if self._is_new(row)]
        self.returned |= {_id(row): _created(row) for row in new}
        # A plugin may remove rows from a page, but not from the total.
        is_last = len(rows) < per_page if total is None else self.at + per_page >= total
        self.at += max(0, len(rows) - 1)
        self._follow()
        return new, is_last

    def _is_new(self, row: Mapping[str, Any]) -> bool:
        created = _created(row)
        return _id(row) not in self.returned and not (self.since and created and created < self.since)

    def _follow(self) -> None:
        """Move `since` behind what was returned, and forget what is older."""
        newest = max((created for created in self.returned.values() if created is not None), default=None)
        if newest is None or (self.since is not None and newest - _BEHIND <= self.since):
            return
        self.since = newest - _BEHIND
        kept = {order_id: created for order_id, created in self.returned.items() if created is None or created >= self.since}
        # Whether an order without a time is in the list is unknown: a position too early costs a request, one too late a step back.
        self.returned, self.at = kept, max(0, len(kept) - 1)


class OrderHistory:
    """The orders of a store; the key needs the read permission."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._per_page = _PER_PAGE[0]

    def count(self, window: Window) -> int | None:
        """The window's X-WP-Total."""
        since = _whole(window.created_since) if window.created_since else None
        return self._ask("wc/v3/orders", {**_query(window, since), "per_page": 1, "_fields": "id"}).number("X-WP-Total")

    def note(self, window: Window) -> str:
        """Nothing to note: a key sees all orders, however old."""
        return ""

    def order(self, order_id: str, deadline: Deadline) -> bytes | None:
        """`orders/{id}`."""
        if not product_id(order_id):
            return None
        answer = self._client.ask("GET", f"wc/v3/orders/{order_id}", {}, deadline)
        if answer.status in (404, 410):
            return None
        if answer.status != 200 or not isinstance(answer.document, dict):
            raise self._client.unexpected(answer, f"order {order_id} was requested")
        return payload_of(answer.document, self._client.host)

    def pages(self, window: Window, cursor: str = "") -> Iterator[Page]:
        """Page after page, oldest first."""
        place, fruitless = _Place.read(cursor, window), 0
        while True:
            answer, per_page = self._page(window, place)
            rows = self._rows(answer)
            new, is_last = place.take(rows, answer.number("X-WP-Total"), per_page)
            if orders := [payload_of(row, self._client.host) for row in new if _is_of(row, window)]:
                yield Page(orders=orders, cursor=place.cursor())
            if is_last:
                return
            fruitless = 0 if new else fruitless + 1
            if fruitless > _MOST_FRUITLESS + len(place.returned) // (_PER_PAGE[-1] - 1):
                raise StoreTrouble(f"{self._client.host} does not paginate orders as WooCommerce does: further requests return no new ones")

    def _page(self, window: Window, place: _Place) -> tuple[Answer, int]:
        """The page at a position, and how many orders were requested: fewer once the server has failed to return so many."""
        while True:
            per_page = self._per_page
            try:
                return self._ask("wc/v3/orders", {**_query(window, place.since), "per_page": per_page, "offset": place.at}), per_page
            except (ServerFailed, AnswerTooLong):
                if per_page == _PER_PAGE[-1]:
                    raise
                self._per_page = _PER_PAGE[-1]

    def _rows(self, answer: Answer) -> list[dict[str, Any]]:
        rows = answer.document
        if answer.status != 200 or not isinstance(rows, list):
            raise self._client.unexpected(answer, "a list of orders was requested")
        if not all(isinstance(row, dict) and _id(row) for row in rows):
            raise StoreTrouble(f"{self._client.host} answered with a list that contains something other than orders")
        return rows

    def _ask(self, path: str, params: Mapping[str, Any]) -> Answer:
        """A request, repeated after a pause if the store asks for a short one. A timeout counts as a failure of the server."""
        waits = 0
        while True:
            deadline = Deadline(REQUEST_S)
            try:
                return self._client.ask("GET", path, params, deadline)
            except StoreTrouble as trouble:
                if trouble.wait_s is not None and trouble.wait_s <= _LONGEST_WAIT_S and waits < _MOST_WAITS:
                    waits += 1
                    time.sleep(trouble.wait_s)
                elif deadline.left <= 0:
                    raise ServerFailed(str(trouble)) from trouble
                else:
                    raise


def _query(window: Window, since: datetime | None) -> dict[str, str]:
    query = {"orderby": "date", "order": "asc", "status": "any", "dates_are_gmt": "true"}
    # Without a zone: WordPress would convert a `Z` to the site's local time, and compare that with UTC.
    if since is not None:
        query["after"] = _naive(since - _SECOND)
    if window.created_until is not None:
        query["before"] = _naive(_whole(window.created_until))
    if window.changed_since is not None:
        query["modified_after"] = _naive(_whole(window.changed_since) - _SECOND)
    return query


def _id(row: Mapping[str, Any]) -> str:
    value = row.get("id")
    return product_id(str(value)) if isinstance(value, (int, str)) else ""


def _created(row: Mapping[str, Any]) -> datetime | None:
    """When an order was created; None for a time before online shops existed, which only a broken row has."""
    created = _time(row.get("date_created_gmt"))
    return created if created is not None and created >= _BEFORE_ALL_SHOPS else None


def _is_of(row: Mapping[str, Any], window: Window) -> bool:
    """Whether an order is in the window: WooCommerce before 5.8 ignores `modified_after`."""
    changed = _time(row.get("date_modified_gmt"))
    return window.changed_since is None or changed is None or changed >= window.changed_since


def _whole(moment: datetime) -> datetime:
    """A moment rounded up to whole seconds; stores store nothing smaller."""
    return datetime.fromtimestamp(math.ceil(moment.timestamp()), UTC)


def _naive(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
