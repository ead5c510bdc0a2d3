"""What a Shopify order comes to: its grand total, refunds, shipping and fees, and the check of its sums.

Facts from shopify.dev: the REST references of Order, Refund and Transaction, and the changelog of 2024-10 on refunded shipping lines.
"""

from collections.abc import Mapping
from decimal import Decimal

from mappings.core.money import ZERO, places, rounded
from mappings.core.reading import Loaded
from mappings.shopify.money import Money

_NOT_CAPTURED = ("pending", "authorized", "voided", "expired")


def money_stayed(loaded: Loaded) -> bool:
    """Whether the shop has been paid for the order and hasn't refunded all of it."""
    return loaded.get("financial_status") not in _NOT_CAPTURED and grand_total(loaded, Money(loaded, "shop")) > 0


def grand_total(loaded: Loaded, money: Money) -> Decimal:
    """What the order comes to now, after edits and refunds."""
    # Canceling doesn't set current_total_price to 0; without a capture the shop earned nothing.
    if loaded.get("cancelled_at") and loaded.get("financial_status") in _NOT_CAPTURED:
        return ZERO
    current, total = money.of(loaded, "current_total_price"), money.first(loaded, "total_price")
    refunded = refunded_total(loaded, money)
    if current is None:
        return max(ZERO, total - refunded)
    # A refund without lines doesn't reliably lower current_total_price, and total_price may lack lines that were added later.
    return max(ZERO, min(current, max(current, total) - refunded))


def refunded_total(loaded: Loaded, money: Money) -> Decimal:
    """The money that was paid back: successful refund transactions, rounded once, since a refund of everything may come in parts.

    The lines of a refund don't add up to it: shipping, duties and taxes are missing there or included twice. A sum below 0 counts as 0.
    """
    transactions = (entry for refund in loaded.get("refunds") or () for entry in refund.get("transactions") or ())
    paid_back = [entry for entry in transactions if entry.get("kind") == "refund" and entry.get("status") == "success"]
    return max(ZERO, rounded(sum((money.paid_back(entry) for entry in paid_back), ZERO), places(money.currency)))


def total_shipping(loaded: Loaded, money: Money) -> Decimal:
    """What the order's shipping costs now. Shopify's own total stays as it was before any refund."""
    gross = money.of(loaded, "total_shipping_price")
    if gross is None:
        return money.total((line for line in loaded["shipping_lines"] if not line["is_removed"]), "price")
    lines = {line["id"]: line for line in reversed(loaded["shipping_lines"]) if line["id"]}
    taxed = bool(loaded["taxes_included"])
    refunded = sum((_refunded_shipping(refund, lines, money, taxes_included=taxed) for refund in loaded["refunds"]), ZERO)
    return max(ZERO, gross - refunded)


def _refunded_shipping(refund: Loaded, shipping_lines: Mapping[str, Loaded], money: Money, *, taxes_included: bool) -> Decimal:
    """What a refund returned of the shipping, with its tax where prices include it.

    Since 2024-10 a body may contain one shipping refund twice: as an adjustment and as a line.
    """
    adjustments = [entry for entry in refund["order_adjustments"] if entry["kind"] == "shipping_refund"]
    names = ("amount", "tax_amount") if taxes_included else ("amount",)
    adjusted = abs(sum((money.total(adjustments, name) for name in names), ZERO))
    refunded = refund["refund_shipping_lines"]
    lines = sum((_refunded_line(line, shipping_lines, money, taxes_included=taxes_included) for line in refunded), ZERO)
    return max(adjusted, lines)


def _refunded_line(refunded: Loaded, shipping_lines: Mapping[str, Loaded], money: Money, *, taxes_included: bool) -> Decimal:
    """A refunded shipping line. Its `subtotal_amount_set` excludes the tax, and REST bodies have no field for that tax."""
    amount = money.first(refunded, "subtotal_amount")
    if not taxes_included:
        return amount
    if (tax := money.of(refunded, "tax_amount")) is not None:
        return amount + tax
    line = refunded["shipping_line"]
    if not line["tax_lines"]:
        line = shipping_lines.get(refunded["shipping_line_id"], line)
    price = money.first(line, "price") - money.total(line["discount_allocations"], "amount")
    tax = money.total(line["tax_lines"], "price")
    if not 0 < tax < price:
        return amount
    return min(max(price, amount), amount + rounded(amount * tax / (price - tax), places(money.currency)))


def total_fees(loaded: Loaded, money: Money, tips: Decimal) -> Decimal:
    """Duties, unless prices include them, additional fees, and tips."""
    duties = ZERO if loaded["duties_included"] else money.first(loaded, "current_total_duties", "original_total_duties")
    additional = money.first(loaded, "current_total_additional_fees", "original_total_additional_fees")
    received = None if money.presentment else loaded["total_tip_received"]
    return duties + additional + (received or tips)


def discrepancy(loaded: Loaded, money: Money, original: Decimal) -> Decimal | None:
    """How far lines - discounts + shipping + tax (unless included) + tip + duties + fees are from the total."""
    lines = None if money.presentment else money.of(loaded, "total_line_items_price")
    if lines is None:
        return None
    shipping = money.of(loaded, "total_shipping_price")
    gross = total_shipping(loaded, money) if shipping is None else shipping
    tax = ZERO if loaded["taxes_included"] else money.first(loaded, "total_tax")
    duties = ZERO if loaded["duties_included"] else money.first(loaded, "original_total_duties")
    fees = money.first(loaded, "original_total_additional_fees")
    tip = loaded["total_tip_received"] or ZERO
    return lines - money.first(loaded, "total_discounts") + gross + tax + tip + duties + fees - original
