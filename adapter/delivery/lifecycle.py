"""What Drip is told next of an order: by the contract's two verbs, or by today's events one after the other."""

import json
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import Row

from mappings import Order, Told, course_of, steps


@dataclass(frozen=True, kw_only=True, slots=True)
class Next:
    """The next thing to tell, and what Drip knows of the order's course afterwards."""

    order: Order
    action: str
    refund_amount: Decimal | None = None
    told: Told
    last: bool = True
    """Whether nothing is left to tell after it."""


def next_step(order: Order, has: Row[Any] | None, vocabulary: str) -> Next:
    """What to tell of an order of which Drip has `has`, a row of `orders`; `updated` if nothing but details may have changed."""
    told = _told(order, has)
    if vocabulary != "lifecycle":
        return _by_contract(order, told)
    owed = steps(order, told)
    if not owed:
        return Next(order=order, action="updated", told=told or course_of(order))
    step = owed[0]
    return Next(order=order, action=step.action, refund_amount=step.refund_amount, told=step.told, last=len(owed) == 1)


def remembered(told: Told) -> str:
    """A course as `orders.told` and `attempts.told` keep it."""
    course = {"paid": told.paid, "fulfilled": told.fulfilled, "canceled": told.canceled, "refunded": str(told.refunded)}
    return json.dumps(course)


def _by_contract(order: Order, told: Told | None) -> Next:
    """`created`, then `updated`, with what is left of the total."""
    taken_off = told.refunded if told else Decimal(0)
    if taken_off:  # by events of today's vocabulary, which the store has left since: it must not be taken off twice
        order = replace(order, grand_total=order.grand_total + taken_off)
    return Next(order=order, action="created" if told is None else "updated", told=course_of(order, taken_off))


def _told(order: Order, has: Row[Any] | None) -> Told | None:
    if has is None:
        return None
    if has.told is None:  # from before this was remembered: what has happened by now is taken as told
        return course_of(order)
    course = json.loads(has.told)
    return Told(**course | {"refunded": Decimal(course["refunded"])})
