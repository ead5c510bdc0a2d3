"""What a shop owner knows of an order: its total, its items and the shopper, taken from what Drip was sent, or else from the payload."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row

from adapter.inbox import orders
from adapter.inbox.packing import is_locked
from adapter.inbox.sources import source_of
from adapter.inbox.sql import parts
from adapter.operations import mapping_work
from adapter.operations.masking import masked_email
from adapter.operations.preview import MAPPER
from adapter.process.isolation import CallFailed
from adapter.settings import Settings
from mappings import Order, is_reachable, parse
from mappings.core.money import places

_TIMEOUT_S = 0.3
_AT_ONCE = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of an order; `total` is for the whole line. `image_url` is a public https address, or blank."""

    name: str
    quantity: Decimal
    total: Decimal
    image_url: str
    sku: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """An order in a few words; amounts are in `currency`, an ISO 4217 code or blank. The shopper's address is masked."""

    total: Decimal
    currency: str
    shopper: str
    lines: Sequence[Line]

    @property
    def items(self) -> Decimal:
        """How many items, over all lines."""
        return sum((line.quantity for line in self.lines), Decimal(0))

    @property
    def amount(self) -> str:
        """The total with its currency."""
        return money(self.total, self.currency)


def summaries(connection: Connection, configured: Settings, rows: Sequence[Row[Any]], timeout_s: float = _TIMEOUT_S) -> dict[int, Summary]:
    """Summaries by delivery, for those that contain an order and aren't erased.

    Payloads of which nothing was sent are mapped; what is left after `timeout_s` has no summary this time.
    """
    ends, found = 0.0, dict[int, Summary]()
    for ids in parts([row.id for row in rows if row.order_id], _AT_ONCE):
        found |= {id_: of_body(parse(body)) for id_, body in orders.bodies(connection, ids).items()}
        for row in orders.payloads(connection, [id_ for id_ in ids if id_ not in found]):
            if not ends:
                MAPPER.start()
                ends = time.monotonic() + timeout_s
            left = ends - time.monotonic()
            if left > 0 and (order := mapped(row, configured, left)) is not None:
                found[row.id] = of_order(order)
    return found


def of_body(body: Mapping[str, Any]) -> Summary:
    """The summary of a body as Drip was sent it, which keeps the contract."""
    lines = [
        Line(
            name=str(item.get("name", "")),
            quantity=_number(item.get("quantity")),
            total=_number(item.get("total")),
            image_url=_public(item.get("image_url")),
            sku=str(item.get("sku", "")),
        )
        for item in body.get("items") or ()
    ]
    email = str(body.get("email", ""))
    return Summary(total=_number(body.get("grand_total")), currency=body.get("currency", ""), shopper=masked_email(email), lines=lines)


def of_order(order: Order) -> Summary:
    """The summary of an order that was mapped just now."""
    lines = [
        Line(name=item.name, quantity=item.quantity, total=item.total, image_url=_public(item.image_url), sku=item.sku)
        for item in order.items
    ]
    return Summary(total=order.grand_total, currency=order.currency, shopper=masked_email(order.email), lines=lines)


def mapped(row: Row[Any], configured: Settings, timeout_s: float) -> Order | None:
    """The order in a delivery's payload; None if today's mapping makes none of it, or takes too long."""
    if configured.store(row.store) is None or is_locked(row.payload):
        return None
    source = source_of(row, configured)
    try:
        return MAPPER.call(timeout_s, mapping_work.order_in, source.provider.name, row.payload, source.context)
    except CallFailed:
        return None


def money(amount: Decimal, currency: str) -> str:
    """An amount with its currency: `1,234.50 EUR`, with as many decimals as the currency has."""
    return f"{amount:,.{min(places(currency, [amount]), 6)}f} {currency}".rstrip()


def plain(number: Decimal) -> str:
    """A quantity without trailing zeros: `1,000`, `2.5`."""
    return f"{number.normalize():,f}"


def _number(value: Any) -> Decimal:
    return Decimal(value) if isinstance(value, (int, Decimal)) else Decimal(0)


def _public(url: Any) -> str:
    return url if isinstance(url, str) and url.startswith("https://") and is_reachable(url) else ""
