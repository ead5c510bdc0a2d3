"""Orders whose own amounts don't add up to their total: by how much, and what to do about it.

Usually an extension charges a fee, such as one for cash on delivery, and adds it to the total without a field that the mapping reads.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError
from sqlalchemy import Connection, Row

from adapter.inbox import views
from adapter.inbox.sources import source_of
from adapter.settings import Settings, Store
from mappings import Order, Provider, Rejected
from mappings.core.fields import Number

_LOOKED_AT = 20
_A_LOT = Decimal("0.01")
_NAMED_VALUES = (("meta_data", "key"), ("note_attributes", "name"))


@dataclass(frozen=True, slots=True)
class Difference:
    """An order's amounts against its total; `amount` is negative where they fall short of it."""

    amount: Decimal
    currency: str
    paths: tuple[str, ...] = ()
    """Fields of the payload, not read by the mapping, that hold exactly the missing amount."""
    share: Decimal = Decimal(0)
    """The amount as a part of the total: 0.05 is 5 %; at most 1."""

    def __str__(self) -> str:
        money = f"{abs(self.amount):f} {self.currency}".strip()
        return f"The order's own amounts add up to {money} {'less' if self.amount < 0 else 'more'} than its total."

    @property
    def advice(self) -> str:
        """What to do about it."""
        if self.amount > 0:
            return "Drip gets the total as the store sent it."
        if self.paths:
            holders = f"{' and '.join(self.paths)} {'hold' if len(self.paths) > 1 else 'holds'}"
            return f"{holders} exactly this amount. If it is a fee, add its field to the store's fee_keys."
        return "If an extension charges a fee, add the field that holds it to the store's fee_keys."


@dataclass(frozen=True, slots=True)
class Comparison:
    """The amounts of a store's newest sent orders against their totals."""

    orders: int
    """How many were compared."""
    differences: Sequence[tuple[int, Difference]]
    """Delivery and difference of those that differ, newest first."""

    @property
    def differs_a_lot(self) -> bool:
        """Whether the orders differ by more than 1 % of their totals on average: not just one order with a small fee."""
        return sum(difference.share for _, difference in self.differences) > self.orders * _A_LOT


def difference_of(provider: Provider, payload: Any, order: Order) -> Difference | None:
    """How far an order's amounts are from its total; None if that is no more than rounding."""
    if not order.unexplained:
        return None
    missing = -order.unexplained
    known = set(provider.schema.fields)
    paths = tuple(path for path, value in _unread_values(payload, known) if missing > 0 and _number(value) == missing)
    total = abs(order.grand_total)
    share = min(abs(order.unexplained) / total, Decimal(1)) if total else Decimal(1)
    return Difference(order.unexplained, order.currency, paths, share)


def recent_differences(connection: Connection, store: Store, settings: Settings) -> list[tuple[int, Difference]]:
    """Of a store's newest sent orders, those whose amounts don't add up: delivery and difference, newest first."""
    return list(compare(connection, store, settings).differences)


def compare(connection: Connection, store: Store, settings: Settings) -> Comparison:
    """Compare a store's newest sent orders, as many as can be mapped."""
    rows = views.newest_sent(connection, store.name, _LOOKED_AT)
    found = [(row.id, difference) for row in rows if (difference := _difference(row, settings)) is not None]
    return Comparison(len(rows), found)


def _difference(row: Row[Any], settings: Settings) -> Difference | None:
    source = source_of(row, settings)
    try:
        [reading] = source.provider.readings(row.payload, source.context)
        return difference_of(source.provider, reading.payload, source.provider.map(reading, source.context))
    except (Rejected, ValueError):  # today's mapping refuses it, or finds several orders
        return None


def _unread_values(payload: Any, known: set[str]) -> Iterator[tuple[str, Any]]:
    """Path and value of the fields where extensions put their own amounts."""
    if not isinstance(payload, Mapping):
        return
    yield from ((key, value) for key, value in payload.items() if key not in known and not key.startswith(("base_", "_")))
    extension = payload.get("extension_attributes")
    if isinstance(extension, Mapping):
        yield from ((f"extension_attributes.{key}", value) for key, value in extension.items() if not key.startswith("base_"))
    for place, name in _NAMED_VALUES:
        rows = payload.get(place)
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, Mapping) and isinstance(row.get(name), str):
                yield f"{place}.{row[name]}", row.get("value")


def _number(value: Any) -> Decimal | None:
    try:
        return Number().deserialize(value) if isinstance(value, (str, int, Decimal)) else None
    except ValidationError:
        return None
