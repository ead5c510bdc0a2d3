"""The next event to send for an order, in the contract's vocabulary (`created`, `updated`) or in the lifecycle vocabulary."""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Row

from mappings import LifecycleState, Order, as_sent, lifecycle_of, unsent_events


@dataclass(frozen=True, kw_only=True, slots=True)
class NextEvent:
    """The next event to send, and the lifecycle state of the order at Drip after it."""

    order: Order
    action: str
    refund_amount: Decimal | None = None
    after: LifecycleState
    last: bool = True
    """Whether this snapshot of the order has no further event to send."""


def next_event(order: Order, has: Row[Any] | None, vocabulary: str) -> NextEvent:
    """The next event of an order of which Drip has `has`, a row of `orders`; `updated` if at most details have changed."""
    sent = _sent(order, has)
    if vocabulary != "lifecycle":
        return _by_contract(order, sent)
    unsent = unsent_events(order, sent)
    order = as_sent(order, sent)
    if not unsent:
        return NextEvent(order=order, action="updated", after=sent or lifecycle_of(order))
    event = unsent[0]
    return NextEvent(order=order, action=event.action, refund_amount=event.refund_amount, after=event.after, last=len(unsent) == 1)


def stored(state: LifecycleState) -> str:
    """A lifecycle state as the columns `orders.lifecycle` and `attempts.lifecycle` keep it."""
    values = {"paid": state.paid, "fulfilled": state.fulfilled, "canceled": state.canceled, "refunded": str(state.refunded)}
    return json.dumps(values)


def _by_contract(order: Order, sent: LifecycleState | None) -> NextEvent:
    """`created`, then `updated`, with the total that is left after refunds."""
    refunded = sent.refunded if sent else Decimal(0)
    if refunded:  # sent while the store used the lifecycle vocabulary: it must not be subtracted twice
        order = replace(order, grand_total=order.grand_total + refunded)
    return NextEvent(order=order, action="created" if sent is None else "updated", after=lifecycle_of(order, refunded))


def _sent(order: Order, has: Row[Any] | None) -> LifecycleState | None:
    if has is None:
        return None
    if has.lifecycle is None:  # sent by a version that did not record this: assume that Drip has all events so far
        return lifecycle_of(order)
    values = json.loads(has.lifecycle)
    return LifecycleState(**values | {"refunded": Decimal(values["refunded"])})
