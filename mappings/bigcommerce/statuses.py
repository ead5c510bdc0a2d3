"""What an order's `status_id` means. The merchant can change the names, but not the numbers (reference/orders.v2.oas2.yml)."""

from decimal import Decimal

from mappings.core.reading import Loaded

INCOMPLETE, PENDING, SHIPPED, PARTIALLY_SHIPPED, REFUNDED, CANCELED, DECLINED, COMPLETED = "0", "1", "2", "3", "4", "5", "6", "10"
_LOST = (CANCELED, DECLINED)
_FULFILLED = (SHIPPED, COMPLETED)
# Awaiting pickup, shipment and fulfillment; shipped in part or as a whole; completed; refunded in part or as a whole.
_PAID = ("8", "9", "11", PARTIALLY_SHIPPED, SHIPPED, COMPLETED, "14", REFUNDED)
_PAID_BY_PAYMENT = ("captured", "paid", "partially refunded", "refunded")
# In the order of an order's life: incomplete, pending, awaiting payment, verification, disputed, awaiting ..., shipped, ...
_LIFE = ("0", "1", "7", "12", "13", "11", "9", "8", "3", "2", "10", "6", "5", "14", "4")
_RANK = {status: Decimal(rank) for rank, status in enumerate(_LIFE)}
# The API and the control panel create orders in the status "Pending", at the checkout it means that the payment page is still open
# (docs/store-operations/orders/index.mdx).
_PLACED_BY_HAND = ("external", "manual", "checkout_api")


def rank(loaded: Loaded) -> Decimal:
    """How far the order has come; an unknown status counts as paid."""
    return _RANK.get(loaded.get("status_id", ""), _RANK["11"])


def is_unfinished(loaded: Loaded) -> bool:
    """Whether the shopper is still at the checkout."""
    return loaded.get("status_id") == PENDING and loaded.get("order_source", "").lower() not in _PLACED_BY_HAND and not is_paid(loaded)


def is_paid(loaded: Loaded) -> bool:
    """Whether the order was ever paid."""
    return loaded.get("status_id") in _PAID or loaded.get("payment_status", "").lower() in _PAID_BY_PAYMENT


def is_fulfilled(loaded: Loaded) -> bool:
    """Whether everything was shipped; deleting a shipment doesn't undo it."""
    return loaded.get("status_id") in _FULFILLED


def is_lost(loaded: Loaded) -> bool:
    """Whether the order was canceled or its payment declined."""
    return loaded.get("status_id") in _LOST
