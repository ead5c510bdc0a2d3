"""Fees that a platform has no field for: the ones that the store's `fee_keys` name."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError
from msgspec.structs import replace

from mappings.core.errors import Rejected
from mappings.core.fields import Amount
from mappings.core.money import ZERO
from mappings.core.order import Order
from mappings.core.text import lookup


def with_named_fees(order: Order, payload: Any, keys: Sequence[str]) -> Order:
    """The order with these fields of its payload among its fees.

    Extensions count what they refunded of a fee in a field of the same name with `_refunded` added: that is taken off. An order that
    was cancelled and comes to nothing has no fees. Raises `Rejected` for a fee that is no number.
    """
    if not keys:
        return order
    ordered = {key: _amount(payload, key) for key in keys}
    is_void = order.canceled and not order.grand_total
    left = ZERO if is_void else sum((_left(payload, key, amount) for key, amount in ordered.items()), ZERO)
    total = None if order.discrepancy is None else order.discrepancy + sum(ordered.values(), ZERO)
    return replace(order, total_fees=order.total_fees + left, discrepancy=total)


def _left(payload: Any, key: str, amount: Decimal) -> Decimal:
    if amount <= 0:
        return amount
    try:
        refunded = _amount(payload, f"{key}_refunded")
    except Rejected:
        return amount
    return max(ZERO, amount - abs(refunded))


def _amount(payload: Any, key: str) -> Decimal:
    try:
        amount: Decimal = Amount().deserialize(lookup(payload, key))
    except ValidationError as error:
        raise Rejected({key: [str(message) for message in error.messages]}) from None
    return amount
