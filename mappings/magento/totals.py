"""The totals of a Magento order: each as ordered, less what was canceled and refunded; and whether the payload's amounts add up.

magento2 never lowers an order's amounts. It keeps separate sums of what was canceled (everything that wasn't invoiced:
Sales/Model/Order::registerCancellation) and of what was refunded (Sales/Model/Order/Creditmemo/RefundOperation).
"""

from collections.abc import Sequence
from decimal import Decimal

from mappings.core.money import ZERO, rounded
from mappings.core.reading import Loaded
from mappings.magento.lines import Bought


def grand_total(loaded: Loaded) -> Decimal:
    remaining: Decimal = loaded["grand_total"] - loaded["total_refunded"] - _total_canceled(loaded)
    return max(ZERO, remaining)


def total_taxes(loaded: Loaded) -> Decimal:
    return _left(loaded, "tax")


def total_shipping(loaded: Loaded) -> Decimal:
    return _left(loaded, "shipping")


def total_discounts(loaded: Loaded, digits: int) -> Decimal:
    """Discounts without tax. Where prices include tax, so do discounts; Magento calls that tax the discount's tax compensation."""
    if _is_void(loaded):
        return ZERO
    given = abs(loaded["discount_amount"])
    canceled = _discount_canceled(loaded, given)
    refunded = abs(loaded["discount_refunded"]) - loaded["discount_tax_compensation_refunded"]
    left: Decimal = given - _compensation(loaded) - (canceled - _compensation_canceled(loaded)) - refunded
    return rounded(max(ZERO, left), digits)


def total_fees(loaded: Loaded, bought: Sequence[Bought], digits: int) -> Decimal:
    """Fixed product taxes, gift wrap and custom fees."""
    if _is_void(loaded):
        return ZERO
    product_taxes = sum((line.kept.product_tax for line in bought), ZERO)
    return rounded(product_taxes + _wrapping_left(loaded, bought) + _custom_fees_left(loaded), digits)


def state_of(loaded: Loaded) -> str:
    """The order's state, which merchants can't rename; the status if the payload has no state."""
    state: str = loaded["state"] or loaded["status"]
    return state


def is_canceled(loaded: Loaded) -> bool:
    return state_of(loaded) == "canceled"


def financial_status(loaded: Loaded) -> str:
    if state_of(loaded) == "closed":
        return "refunded"
    # total_due is grand_total - total_paid (Sales/Model/Order::getTotalDue), so it still includes what was canceled.
    owed = loaded["grand_total"] - _total_canceled(loaded) - loaded["total_paid"]
    is_settled = owed <= 0 and not (is_canceled(loaded) and loaded["total_paid"] <= 0)
    return "paid" if is_settled or (loaded["total_due"] is not None and loaded["total_due"] <= 0) else "pending"


def extra(loaded: Loaded, name: str) -> Decimal | None:
    """An amount of the paid edition, which is in different places over REST and in events."""
    value: Decimal | None = loaded["extension_attributes"][name]
    return loaded[name] if value is None else value


def discrepancy(loaded: Loaded, bought: Sequence[Bought]) -> Decimal | None:
    """By how much the amounts as ordered exceed the total as ordered. Cancellations and refunds don't change either."""
    subtotal: Decimal | None = loaded["subtotal"]
    if subtotal is None:
        return None
    product_taxes = sum((line.full.product_tax for line in bought), ZERO)
    fees = sum((row["custom_fee_amount"] for row in loaded["extension_attributes"]["custom_fees"]), ZERO)
    fees += product_taxes + sum(_wrapping(loaded, bought).values(), ZERO)
    tendered = (extra(loaded, name) or ZERO for name in ("gift_cards_amount", "customer_balance_amount", "reward_currency_amount"))
    discount = _compensation(loaded) - abs(loaded["discount_amount"])
    total = subtotal + loaded["tax_amount"] + loaded["shipping_amount"] + discount + fees - sum(tendered, ZERO)
    difference: Decimal = total - loaded["grand_total"]
    # Stores can include fixed product taxes in the subtotal (Weee/Model/Total/Quote/Weee; the setting "Include FPT In Subtotal").
    return min(difference, difference - product_taxes, key=abs)


def _total_canceled(loaded: Loaded) -> Decimal:
    canceled: Decimal = loaded["total_canceled"]
    # All that is left of a canceled order is what was paid.
    return max(canceled, loaded["grand_total"] - loaded["total_paid"]) if is_canceled(loaded) else canceled


def _is_void(loaded: Loaded) -> bool:
    """Whether an order is canceled and nothing is left of its total."""
    return is_canceled(loaded) and not grand_total(loaded)


def _left(loaded: Loaded, name: str) -> Decimal:
    if _is_void(loaded):
        return ZERO
    amount, canceled = loaded[f"{name}_amount"], loaded[f"{name}_canceled"]
    if canceled is None:
        canceled = amount - (loaded[f"{name}_invoiced"] or ZERO) if is_canceled(loaded) else ZERO
    left: Decimal = amount - loaded[f"{name}_refunded"] - canceled
    return max(ZERO, left)


def _discount_canceled(loaded: Loaded, given: Decimal) -> Decimal:
    canceled: Decimal | None = loaded["discount_canceled"]
    if canceled is None:
        return given - abs(loaded["discount_invoiced"] or ZERO) if is_canceled(loaded) else ZERO
    # registerCancellation subtracts discount_invoiced, which is negative: if 4 of 10 were invoiced, it stores 14 instead of 6.
    return abs(canceled) if abs(canceled) <= given else max(ZERO, given + given - abs(canceled))


def _compensation(loaded: Loaded) -> Decimal:
    total: Decimal = loaded["discount_tax_compensation_amount"] + loaded["shipping_discount_tax_compensation_amount"]
    return total


def _compensation_canceled(loaded: Loaded) -> Decimal:
    """The canceled part. Magento stores it for lines only; that of shipping is prorated."""
    of_lines = sum((row["discount_tax_compensation_canceled"] or ZERO for row in loaded["items"]), ZERO)
    shipping, canceled = loaded["shipping_amount"], loaded["shipping_canceled"] or ZERO
    of_shipping = loaded["shipping_discount_tax_compensation_amount"] * canceled / shipping if shipping else ZERO
    total: Decimal = of_lines + of_shipping
    return total


def _fee_left(amount: Decimal, invoiced: Decimal | None, refunded: Decimal, *, part_canceled: bool) -> Decimal:
    """The part of a fee that wasn't refunded or, if the order was partly canceled, the invoiced part of it."""
    charged = amount if invoiced is None or not part_canceled else min(amount, invoiced)
    return max(ZERO, charged - refunded)


def _custom_fees_left(loaded: Loaded) -> Decimal:
    part_canceled = _total_canceled(loaded) > 0
    fees = (
        _fee_left(
            row["custom_fee_amount"], row["custom_fee_amount_invoiced"], row["custom_fee_amount_refunded"], part_canceled=part_canceled
        )
        for row in loaded["extension_attributes"]["custom_fees"]
    )
    return sum(fees, ZERO)


def _wrapping(loaded: Loaded, bought: Sequence[Bought]) -> dict[str, Decimal]:
    """Gift wrap of the order and of its lines, and of the printed card, as ordered."""
    of_lines = extra(loaded, "gw_items_price")
    return {
        "gw_price": extra(loaded, "gw_price") or ZERO,
        "gw_items_price": sum((line.full.wrapping for line in bought), ZERO) if of_lines is None else of_lines,
        "gw_card_price": extra(loaded, "gw_card_price") or ZERO,
    }


def _wrapping_left(loaded: Loaded, bought: Sequence[Bought]) -> Decimal:
    part_canceled, total = _total_canceled(loaded) > 0, ZERO
    for name, amount in _wrapping(loaded, bought).items():
        invoiced, refunded = extra(loaded, f"{name}_invoiced"), extra(loaded, f"{name}_refunded")
        left = _fee_left(amount, invoiced, refunded or ZERO, part_canceled=part_canceled)
        if name == "gw_items_price" and invoiced is None:
            left -= _uncounted_wrapping(bought, refunded)
        total += max(ZERO, left)
    return total


def _uncounted_wrapping(bought: Sequence[Bought], refunded: Decimal | None) -> Decimal:
    """Gift wrap of canceled or refunded lines, as far as the order itself has no sums for it. Magento has none for cancellations."""
    if refunded is None:
        return sum((line.full.wrapping - line.kept.wrapping for line in bought), ZERO)
    canceled = ((line.full.wrapping, min(line.line["qty_canceled"], line.ordered), line.ordered) for line in bought)
    return sum((wrapping * part / ordered for wrapping, part, ordered in canceled if ordered), ZERO)
