"""What a Shopify order comes to: its grand total, refunds, shipping and fees, and the check of its sums.

Facts from shopify.dev: REST Order, Refund and Transaction references.
"""

from decimal import Decimal

from mappings.core.money import ZERO
from mappings.core.reading import Loaded
from mappings.shopify.money import Money
from mappings.shopify.payload import MoneySet

_NOT_CAPTURED = ("pending", "authorized", "voided", "expired")


def money_stayed(loaded: Loaded) -> bool:
    return loaded.get("financial_status") not in _NOT_CAPTURED and grand_total(loaded, Money(loaded, "shop")) > 0


def grand_total(loaded: Loaded, money: Money) -> Decimal:
    # Cancelling does not zero current_total_price; nothing captured means that nothing was earned.
    if loaded.get("cancelled_at") and loaded.get("financial_status") in _NOT_CAPTURED:
        return ZERO
    current = money.of(loaded, "current_total_price")
    if current is not None:
        return current
    return max(ZERO, money.first(loaded, "total_price") - refunded_total(loaded, money))


def refunded_total(loaded: Loaded, money: Money) -> Decimal:
    return sum((_refund(refund, money) for refund in loaded.get("refunds") or ()), ZERO)


def _refund(refund: Loaded, money: Money) -> Decimal:
    """Money given back by one refund: its successful transactions, whose bare amounts may be in either currency."""
    paid_back = [entry for entry in refund.get("transactions") or () if entry.get("kind") == "refund" and entry.get("status") == "success"]
    if all(entry.get("currency") in ("", None, money.currency) for entry in paid_back):
        return sum((entry.get("amount") or ZERO for entry in paid_back), ZERO)
    if all(entry.get("amount_set") != MoneySet.default for entry in paid_back):
        return money.total(paid_back, "amount")
    lines = refund.get("refund_line_items") or ()
    # Adjustments are negative where money was given back.
    adjustments = refund.get("order_adjustments") or ()
    given = money.total(lines, "subtotal") + money.total(lines, "total_tax")
    return given - money.total(adjustments, "amount") - money.total(adjustments, "tax_amount")


def total_shipping(loaded: Loaded, money: Money) -> Decimal:
    gross = money.of(loaded, "total_shipping_price")
    if gross is None:
        return money.total((line for line in loaded["shipping_lines"] if not line["is_removed"]), "price")
    refunded = ZERO
    for refund in loaded["refunds"]:
        # Since 2024-10 a body may tell one shipping refund twice: as an adjustment, which has the tax too, and as a line.
        adjustments = [entry for entry in refund["order_adjustments"] if entry["kind"] == "shipping_refund"]
        if adjustments:
            refunded += abs(sum((_adjusted(entry, money, loaded["taxes_included"]) for entry in adjustments), ZERO))
        else:
            refunded += money.total(refund["refund_shipping_lines"], "subtotal_amount")
    return max(ZERO, gross - refunded)


def _adjusted(adjustment: Loaded, money: Money, taxes_included: bool | None) -> Decimal:
    # An adjustment's amount is without its tax, even where prices include it.
    return money.first(adjustment, "amount") + (money.first(adjustment, "tax_amount") if taxes_included else ZERO)


def total_fees(loaded: Loaded, money: Money, tips: Decimal) -> Decimal:
    duties = ZERO if loaded["duties_included"] else money.first(loaded, "current_total_duties", "original_total_duties")
    additional = money.first(loaded, "current_total_additional_fees", "original_total_additional_fees")
    received = None if money.presentment else loaded["total_tip_received"]
    return duties + additional + (received or tips)


def discrepancy(loaded: Loaded, money: Money, original: Decimal) -> Decimal:
    """Shopify's identity: lines - discounts + shipping + tax unless included + tip + duties + fees is the total."""
    lines = money.of(loaded, "total_line_items_price")
    if lines is None or money.presentment:
        return ZERO
    gross = (
        money.first(loaded, "total_shipping_price") if loaded["total_shipping_price_set"][0] is not None else total_shipping(loaded, money)
    )
    tax = ZERO if loaded["taxes_included"] else money.first(loaded, "total_tax")
    duties = ZERO if loaded["duties_included"] else money.first(loaded, "original_total_duties")
    fees = money.first(loaded, "original_total_additional_fees")
    tip = loaded["total_tip_received"] or ZERO
    return lines - money.first(loaded, "total_discounts") + gross + tax + tip + duties + fees - original
