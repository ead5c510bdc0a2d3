"""Records what was read of many deliveries at once, in the caller's transaction: webhooks wait for it, so it must be short."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, Row

from adapter.delivery.parts import keep_last_parts
from adapter.inbox import holdups, reading, settling
from adapter.inbox.copies import keep_returned
from adapter.inbox.erasure import await_turn
from adapter.inbox.products import WEBHOOK, keep_products
from adapter.inbox.sending import Lane
from adapter.inbox.versions import trusted
from mappings import HOLDS, Compliance, Identity, Product, Reading, Reason, Rejected, Skip

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Split:
    """A body that holds several orders, or stands for another one."""

    parts: Sequence[Any]
    detail: str
    stored: int = 0
    """How many of the parts are stored already."""
    is_fetched: bool = False
    """Whether it comes from the store's API."""


@dataclass(frozen=True, slots=True)
class ProductUpdate:
    """A product webhook, and the products in it."""

    products: Sequence[Product]


@dataclass(frozen=True, slots=True)
class Unmappable:
    """An order that can't be mapped. What could be read of it is recorded, so that people find it by its number."""

    reading: Reading
    problems: Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Wait:
    """Cannot be read before then: the store's API, which has the complete order, is unavailable, or no key opens the payload."""

    until: datetime
    holdup: str
    """Which of the two: a reason of `adapter.inbox.holdups`."""
    why: str

    def is_over(self, now: datetime) -> bool:
        """Whether it may be read now."""
        return self.until <= now


@dataclass(frozen=True, slots=True)
class WaitForFetch:
    """Cannot be read before the complete order has been fetched from the store's API, or a trial has ended."""

    fetch: "Future[Any]"

    def is_over(self, now: datetime) -> bool:
        """Whether it may be read now."""
        return self.fetch.done()


NoOrder = Split | ProductUpdate | Compliance | Rejected | Skip | Unmappable | Wait | WaitForFetch
Result = Reading | NoOrder


def record(
    connection: Connection, results: Iterable[tuple[Row[Any], Result]], account_of: Callable[[str], str | None], at: datetime
) -> None:
    """Record what was read of these pending deliveries, which the caller has locked. `account_of` returns a store's Drip account."""
    readings: list[tuple[Row[Any], Reading]] = []
    skips: list[tuple[Row[Any], Skip]] = []
    for row, result in results:
        if isinstance(result, Reading):
            readings.append((row, result))
            continue
        if isinstance(result, Unmappable):
            _record_identity(connection, row, result.reading, account_of(row.store), at)
        if (skip := _record(connection, row, result, at)) is not None:
            skips.append((row, skip))
    _skip(connection, [*skips, *_record_readings(connection, readings, account_of, at)], at)


def _record(connection: Connection, row: Row[Any], result: NoOrder, at: datetime) -> Skip | None:
    """Record what is no order; why it is skipped, if it is."""
    if isinstance(result, Rejected | Unmappable):
        settling.kill(connection, row.id, result.problems, at)
        log.warning("cannot be mapped", extra={"action": "dead", "delivery": row.id, "store": row.store})
    elif isinstance(result, Wait):
        settling.postpone(connection, [row.id], result.until)
        holdups.note(connection, row.store, result.holdup, result.why, at=at, until=result.until)
    elif isinstance(result, Skip):
        return result
    elif isinstance(result, Compliance):
        await_turn(connection, row.id, at)
    elif isinstance(result, Split):
        keep_last_parts(connection, row, result.parts, result.stored)
        if row.order_id is not None:  # found when it could not be mapped
            reading.set_no_order(connection, row.id)
        return Skip(Reason.SPLIT, result.detail)
    elif isinstance(result, ProductUpdate):
        keep_products(connection, row.store, result.products, WEBHOOK, at)
        settling.erase_payload(connection, row.id)
        return Skip(Reason.CATALOG, "a product; its page and image address are kept for orders to come")
    return None


def _record_readings(
    connection: Connection, readings: Sequence[tuple[Row[Any], Reading]], account_of: Callable[[str], str | None], at: datetime
) -> Sequence[tuple[Row[Any], Skip]]:
    """Record the orders; those to be skipped, and why. A snapshot of an order that is not placed yet is held back until one is."""
    lanes = {row.id: Lane(row.store, each.identity.order_id) for row, each in readings if each.identity is not None}
    reading.set_read(connection, [_values(row, each, account_of(row.store), at) for row, each in readings if row.id in lanes])
    placed = {lanes[row.id] for row, each in readings if each.placed and row.id in lanes}
    if placed:
        for held, lane in reading.reopen_held(connection, placed, account_of):
            about = {"action": "reopened", "delivery": held, "store": lane.store, "order": lane.order_id}
            log.info("the order has been placed", extra=about)
    if held_back := {lanes[row.id] for row, each in readings if row.id in lanes and _is_held_back(each)} - placed:
        placed |= reading.placed_lanes(connection, held_back)
    for kept in keep_returned(connection, set(lanes.values())):
        log.info("an earlier state of the order came back", extra={"action": "kept", "delivery": kept})
    skips = [(row, each.skip(placed=each.placed or lanes.get(row.id) in placed)) for row, each in readings]
    return [(row, skip) for row, skip in skips if skip is not None]


def _record_identity(connection: Connection, row: Row[Any], each: Reading, account: str | None, at: datetime) -> None:
    """Record the order of a payload that can't be mapped; it places no order."""
    if each.identity is not None:
        reading.set_read(connection, [{**_values(row, each, account, at), "is_placed": False}])
    elif each.number:
        reading.set_number(connection, row.id, each.number)


def _values(row: Row[Any], each: Reading, account: str | None, at: datetime) -> Mapping[str, Any]:
    identity = cast(Identity, each.identity)
    snapshot_at = trusted(identity.updated_at, row.received_at)
    return reading.read_values(row.id, identity, account=account, snapshot_at=snapshot_at, placed=each.placed, at=at)


def _is_held_back(each: Reading) -> bool:
    skip = each.skip(placed=each.placed)
    return skip is not None and skip.reason in HOLDS


def _skip(connection: Connection, chosen: Sequence[tuple[Row[Any], Skip]], at: datetime) -> None:
    settling.skip_all(connection, [(row.id, row.store, skip) for row, skip in chosen], at)
    for row, skip in chosen:
        level = logging.WARNING if skip.reason == Reason.STORE_ERROR else logging.INFO
        log.log(level, skip.detail, extra={"action": "skipped", "delivery": row.id, "store": row.store, "reason": str(skip.reason)})
