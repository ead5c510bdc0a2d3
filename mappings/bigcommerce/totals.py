"""The amounts of a BigCommerce order: totals, refunds, discounts and fees, and whether they add up.

An order has each amount with and without tax. One of the two is exact, and the other is an estimate (reference/orders.v2.oas2.yml,
`is_tax_inclusive_pricing`): the exact one is used.
"""

from decimal import Decimal

from mappings.bigcommerce.statuses import is_lost, is_paid
from mappings.core.money import ZERO
from mappings.core.reading import Loaded


def with_tax(loaded: Loaded) -> bool:
    """Whether the amounts with tax are the exact ones."""
    return bool(loaded["is_tax_inclusive_pricing"])


def refunded_total(loaded: Loaded) -> Decimal:
    """The sum of the refunds, without payments that were declined. The order's own `refunded_amount` is always 0."""
    return sum((_refunded(refund) for refund in loaded.get("refunds") or ()), ZERO)


def grand_total(loaded: Loaded) -> Decimal:
    """What the order is worth now: its total less refunds; 0 if it was canceled or declined without a payment."""
    if is_lost(loaded) and not is_paid(loaded):
        return ZERO
    return max(ZERO, (loaded.get("total_inc_tax") or ZERO) - refunded_total(loaded))


def total_discounts(loaded: Loaded) -> Decimal:
    """Discounts and coupons, which are separate amounts."""
    discounts: Decimal = loaded["discount_amount"] + loaded["coupon_discount"]
    return max(ZERO, discounts)


def total_shipping(loaded: Loaded) -> Decimal:
    """Shipping."""
    shipping: Decimal = loaded["shipping_cost_inc_tax" if with_tax(loaded) else "shipping_cost_ex_tax"]
    return shipping


def total_fees(loaded: Loaded) -> Decimal:
    """Handling, gift wrapping and other fees."""
    name = "inc_tax" if with_tax(loaded) else "ex_tax"
    fees: Decimal = loaded[f"handling_cost_{name}"] + loaded[f"wrapping_cost_{name}"] + _fees(loaded, name)
    return fees


def gift_card_total(loaded: Loaded) -> Decimal:
    """What was paid by gift certificate or store credit. These are payments: the total is before them."""
    paid: Decimal = loaded["gift_certificate_amount"] + loaded["store_credit_amount"]
    return paid


def discrepancy(loaded: Loaded) -> Decimal:
    """By how much the payload's parts differ from its total.

    Orders follow one of two formulas, and some not the one of their `is_tax_inclusive_pricing`. Whether `fees` are part of the total is not
    documented. The formula that fits best counts.
    """
    differences = []
    for name, tax in (("inc_tax", ZERO), ("ex_tax", loaded["total_tax"])):
        parts = sum((loaded[f"{part}_{name}"] for part in ("subtotal", "shipping_cost", "handling_cost", "wrapping_cost")), tax)
        difference = parts - loaded["discount_amount"] - loaded["coupon_discount"] - loaded["total_inc_tax"]
        differences += [difference, difference + _fees(loaded, name)]
    least: Decimal = min(differences, key=abs)
    return least


def _refunded(refund: Loaded) -> Decimal:
    payments = refund.get("payments") or ()
    declined = sum((payment.get("amount") or ZERO for payment in payments if payment.get("is_declined")), ZERO)
    left: Decimal = (refund.get("total_amount") or ZERO) - declined
    return max(ZERO, left)


def _fees(loaded: Loaded, name: str) -> Decimal:
    return sum((fee[f"cost_{name}"] for fee in loaded["fees"]), ZERO)
