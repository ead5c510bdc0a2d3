"""The lifecycle vocabulary: which of Drip's current order events an order still owes.

Source: Drip's current Order Activity page. `placed` dates the order. Drip subtracts each `refund_amount`, of `refunded` and of `canceled`
alike, from the shopper's value. Once every event of a snapshot has been sent, Drip counts what the order still holds: the total as ordered,
less all refunds sent.
"""

from collections.abc import Iterator
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from mappings.core.money import ZERO
from mappings.core.order import Order


class LifecycleState(Struct, frozen=True, kw_only=True):
    """The lifecycle events of an order that Drip has received."""

    paid: bool = False
    fulfilled: bool = False
    canceled: bool = False
    refunded: Decimal = ZERO
    """The sum of every `refund_amount` sent to Drip; 0 in the contract's own vocabulary, which has no such field."""


class LifecycleEvent(Struct, frozen=True, kw_only=True):
    """One event to send: its action, the amount it refunds, and the state of the order at Drip after it."""

    action: str
    refund_amount: Decimal | None = None
    after: LifecycleState


def lifecycle_of(order: Order, refunded: Decimal = ZERO) -> LifecycleState:
    """The state that the order itself has reached; `refunded` is the sum of refunds already sent to Drip."""
    return LifecycleState(paid=order.paid, fulfilled=order.fulfilled, canceled=order.canceled, refunded=refunded)


def unsent_events(order: Order, sent: LifecycleState | None) -> list[LifecycleEvent]:
    """The events that Drip lacks, in the order in which they happened; empty if at most details have changed.

    `sent` is None for an order that Drip does not have.
    """
    return list(_unsent_events(order, sent))


def as_sent(order: Order, sent: LifecycleState | None) -> Order:
    """The order with every refund that Drip will have received once the events of this snapshot are sent.

    Drip can't take a refund back. If the store did (a deleted refund, a reopened order), the total rises by it instead, so that Drip
    still counts what the order holds.
    """
    return replace(order, refunded_total=max(order.lost_total, sent.refunded if sent else ZERO))


def _unsent_events(order: Order, sent: LifecycleState | None) -> Iterator[LifecycleEvent]:
    if sent is None:
        sent = LifecycleState()
        yield LifecycleEvent(action="placed", after=sent)
    if order.paid and not sent.paid:
        sent = replace(sent, paid=True)
        yield LifecycleEvent(action="paid", after=sent)
    if order.fulfilled and not sent.fulfilled:
        sent = replace(sent, fulfilled=True)
        yield LifecycleEvent(action="fulfilled", after=sent)
    # `canceled` may have subtracted part of a later refund already, so from then on the whole loss is compared.
    lost = order.lost_total if sent.canceled else order.refunded_total
    if lost > sent.refunded:
        amount = lost - sent.refunded
        sent = replace(sent, refunded=lost)
        yield LifecycleEvent(action="refunded", refund_amount=amount, after=sent)
    if order.canceled and not sent.canceled:
        # Whatever Drip counts beyond what the order still holds is subtracted, whether or not money was ever moved.
        left = max(ZERO, order.lost_total - sent.refunded)
        after = replace(sent, canceled=True, refunded=sent.refunded + left)
        yield LifecycleEvent(action="canceled", refund_amount=left or None, after=after)
