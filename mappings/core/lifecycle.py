"""Today's vocabulary of Drip's orders: what has happened to an order since Drip was last told.

Source: Drip's current Order Activity page. `placed` dates the order, and each `refund_amount`, of `refunded` or of `canceled`, is taken off
the shopper's value. After all steps of a snapshot Drip counts what the order still holds: the total as ordered, less all refunds told.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from mappings.core.money import ZERO
from mappings.core.order import Order


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What Drip knows of an order's course."""

    paid: bool = False
    fulfilled: bool = False
    canceled: bool = False
    refunded: Decimal = ZERO
    """The sum of all the `refund_amount` that Drip was sent; 0 in the contract's own vocabulary, which has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One event to tell of: its action, the sum it gives back, and what Drip knows afterwards."""

    action: str
    refund_amount: Decimal | None = None
    told: Told


def course_of(order: Order, refunded: Decimal = ZERO) -> Told:
    """How far an order has come by itself; `refunded` is what Drip was told of refunds."""
    return Told(paid=order.paid, fulfilled=order.fulfilled, canceled=order.canceled, refunded=refunded)


def steps(order: Order, told: Told | None) -> list[Step]:
    """What Drip is still to be told, in the order in which it happens; empty if nothing but details may have changed.

    `told` is None for an order that Drip does not have.
    """
    return list(_steps(order, told))


def _steps(order: Order, told: Told | None) -> Iterator[Step]:
    if told is None:
        told = Told()
        yield Step(action="placed", told=told)
    if order.paid and not told.paid:
        told = replace(told, paid=True)
        yield Step(action="paid", told=told)
    if order.fulfilled and not told.fulfilled:
        told = replace(told, fulfilled=True)
        yield Step(action="fulfilled", told=told)
    # Once it is told as canceled, part of what is given back may have been taken off with that already: the whole loss is compared.
    lost = order.lost_total if told.canceled else order.refunded_total
    if lost > told.refunded:
        amount = lost - told.refunded
        told = replace(told, refunded=lost)
        yield Step(action="refunded", refund_amount=amount, told=told)
    if order.canceled and not told.canceled:
        # What Drip still counts beyond what the order holds is taken back, whether or not money ever moved.
        left = max(ZERO, order.lost_total - told.refunded)
        yield Step(action="canceled", refund_amount=left or None, told=replace(told, canceled=True, refunded=told.refunded + left))
