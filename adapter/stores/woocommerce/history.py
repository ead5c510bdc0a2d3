"""WooCommerce's past orders, by the time of their creation.

A page number means another place as soon as an order before it goes to the bin, so pages are found by what was on the last one:

    the list    orders created at `since` or later, the oldest first, orders of one second by id
    told        the ids in it that were told already; they are its beginning
    at          the place of the last one that was told

Each request begins at `at`. What comes first there must have been told already: if it was not, orders before it have gone to the bin,
and we step back until it is. As the orders grow newer, `since` follows a day behind.

Facts from woocommerce/woocommerce: class-wc-rest-crud-controller.php (`date` sorts by date and id), OrdersTableQuery.php (the same, and
`offset`), class-wc-rest-orders-v2-controller.php; from WordPress's WP_Date_Query: `after` and `before` do not include their second.
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
"""A slow server takes long for a page: it loads each line's product."""
_PER_PAGE = (50, 20)
# Stores without the newer order tables sort by the site's local time, which goes back an hour each autumn, and by any difference
# between two time zones where the site was moved to another.
_BEHIND = timedelta(hours=26)
_SECOND = timedelta(seconds=1)
_BEFORE_ALL_SHOPS = datetime(1971, 1, 1, tzinfo=UTC)
# How many places the first step back goes; each further one goes twice as far.
_FIRST_STEP = 5
_LONGEST_WAIT_S = 60.0
_MOST_WAITS = 3
_MOST_FRUITLESS = 20
_time = Time().deserialize


@dataclass(slots=True)
class _Place:
    """Where in the list we are. A created time is None where the store prints none."""

    since: datetime | None
    told: dict[str, datetime | None] = field(default_factory=dict)
    at: int = 0
    step: int = _FIRST_STEP

    @classmethod
    def read(cls, cursor: str, window: Window) -> "_Place":
        """The place that a cursor names; the beginning where it names none."""
        try:
            saved = json.loads(cursor)
            since = _time(saved["since"])
            told = {order_id: None if after is None else since + after * _SECOND for order_id, after in saved["told"].items()}
            return cls(since, told, int(saved["at"]))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            return cls(_whole(window.created_since) if window.created_since else None)

    def cursor(self) -> str:
        """The place as text: each id with the seconds from `since` to its creation."""
        since = self.since
        told = {order_id: (created - since) // _SECOND if created and since else None for order_id, created in self.told.items()}
        return json.dumps({"since": _naive(since) if since else "", "at": self.at, "told": told}, separators=(",", ":"))

    def take(self, rows: Sequence[dict[str, Any]], total: int | None, per_page: int) -> tuple[list[dict[str, Any]], bool]:
        """The rows of an answer that nobody was told yet, and whether the list ends with them; moves on, or a step back."""
        if self.at and (not rows or _id(rows[0]) not in self.told):
            self.at, self.step = max(0, self.at - self.step), self.step * 2
            return [], False
        self.step = _FIRST_STEP
        new = [row for row in rows if self._is_new(row)]
        self.told |= {_id(row): _created(row) for row in new}
        # A plugin may leave rows out of a page, which the total still counts.
        is_last = len(rows) < per_page if total is None else self.at + per_page >= total
        self.at += max(0, len(rows) - 1)
        self._follow()
        return new, is_last

    def _is_new(self, row: Mapping[str, Any]) -> bool:
        created = _created(row)
        return _id(row) not in self.told and not (self.since and created and created < self.since)

    def _follow(self) -> None:
        """Let `since` follow what was told, and forget what lies before it."""
        newest = max((created for created in self.told.values() if created is not None), default=None)
        if newest is None or (self.since is not None and newest - _BEHIND <= self.since):
            return
        self.since = newest - _BEHIND
        kept = {order_id: created for order_id, created in self.told.items() if created is None or created >= self.since}
        # An order without a time is in the list or not: too early a place costs a request, too late a one a step back.
        self.told, self.at = kept, max(0, len(kept) - 1)


class OrderHistory:
    """The orders of a store; the key needs the read permission."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._per_page = _PER_PAGE[0]

    def count(self, window: Window) -> int | None:
        """X-WP-Total of the window."""
        since = _whole(window.created_since) if window.created_since else None
        return self._ask("wc/v3/orders", {**_query(window, since), "per_page": 1, "_fields": "id"}).number("X-WP-Total")

    def note(self, window: Window) -> str:
        """Nothing needs to be explained: a key sees all orders, however old."""
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
        """Page after page, the oldest first."""
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
            if fruitless > _MOST_FRUITLESS + len(place.told) // (_PER_PAGE[-1] - 1):
                raise StoreTrouble(f"{self._client.host} does not page its orders as WooCommerce does: no request brings new ones")

    def _page(self, window: Window, place: _Place) -> tuple[Answer, int]:
        """A page from the place on, and how many it was asked for: fewer from the first time on that the server fails at it."""
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
        """A request, again after a pause where the store asks for a short one. A timeout is the server's failure."""
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
    # Printed without a zone: WordPress would turn a `Z` into the site's local time, and compare that with UTC.
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
    """When an order was made; None for a time before there were shops, which only a broken row has."""
    created = _time(row.get("date_created_gmt"))
    return created if created is not None and created >= _BEFORE_ALL_SHOPS else None


def _is_of(row: Mapping[str, Any], window: Window) -> bool:
    """Whether an order is of the window: a store older than WooCommerce 5.8 passes over `modified_after`."""
    changed = _time(row.get("date_modified_gmt"))
    return window.changed_since is None or changed is None or changed >= window.changed_since


def _whole(moment: datetime) -> datetime:
    """The first whole second that is not before a moment; stores know no smaller parts."""
    return datetime.fromtimestamp(math.ceil(moment.timestamp()), UTC)


def _naive(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
