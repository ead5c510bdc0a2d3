"""The amounts of a WooCommerce order: totals, refunds, discounts and fees, and whether they add up."""

from decimal import Decimal

from mappings.core.money import ZERO
from mappings.core.reading import Loaded

LOST = ("cancelled", "failed")
"""The statuses of an order whose payment failed or that was cancelled."""
TRASH = "trash"
_ROUNDING = Decimal("0.05")


def is_paid(loaded: Loaded) -> bool:
    """Whether the order was ever paid. The date stays when the order is cancelled or refunded later."""
    return bool(loaded.get("date_paid") or loaded.get("date_paid_gmt") or (loaded.get("payment_details") or {}).get("paid"))


def refunded_total(loaded: Loaded) -> Decimal:
    """The sum of the refunds, including tax. WooCommerce sends them as negative amounts and never lowers the order's own total."""
    return sum((abs(row.get("total") or ZERO) for row in loaded.get("refunds") or ()), ZERO)


def grand_total(loaded: Loaded) -> Decimal:
    """What the order is worth now: its total less refunds; 0 where it was lost without a payment, or is in the trash."""
    status = loaded.get("status")
    if status == TRASH or (status in LOST and not is_paid(loaded)):
        return ZERO
    return max(ZERO, (loaded.get("total") or ZERO) - refunded_total(loaded))


def total_discounts(loaded: Loaded) -> Decimal:
    """The discounts, and the negative fees that plugins use as discounts.

    WooCommerce's `discount_total` is the lines' subtotals less their totals (abstract-wc-order.php, `calculate_totals`), so that a line
    whose total was raised by hand lowers it, even below 0.
    """
    stated = _first(loaded, "discount_total", "total_discount")
    off = [line["subtotal"] - line["total"] for line in loaded["line_items"] if line["subtotal"] is not None and line["total"] is not None]
    raised = -sum((amount for amount in off if amount < 0), ZERO)
    discounts = stated + raised if abs(sum(off, ZERO) - stated) < _ROUNDING else stated
    return max(ZERO, discounts) - sum((fee for fee in _fees(loaded) if fee < 0), ZERO)


def total_fees(loaded: Loaded) -> Decimal:
    """The fees that are not discounts."""
    return sum((fee for fee in _fees(loaded) if fee > 0), ZERO)


def total_shipping(loaded: Loaded) -> Decimal:
    """Shipping without tax."""
    return _first(loaded, "shipping_total", "total_shipping")


def gift_card_total(loaded: Loaded) -> Decimal:
    """What was paid by gift card. WooCommerce subtracts it from the order's total."""
    return sum((row["amount"] for row in loaded["gift_cards"]), ZERO)


def discrepancy(loaded: Loaded) -> Decimal:
    """By how much the payload's parts differ from its total: lines + shipping + tax + fees - gift cards should equal it."""
    lines = sum((line["total"] or ZERO for line in loaded["line_items"]), ZERO)
    parts = lines + total_shipping(loaded) + loaded["total_tax"] + sum(_fees(loaded), ZERO) - gift_card_total(loaded)
    difference: Decimal = parts - loaded["total"]
    return difference


def _first(loaded: Loaded, *names: str) -> Decimal:
    return next((loaded[name] for name in names if loaded[name] is not None), ZERO)


def _fees(loaded: Loaded) -> list[Decimal]:
    return [row["total"] for row in loaded["fee_lines"]]
