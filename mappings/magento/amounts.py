"""The amounts of one order line, for the quantity ordered or for part of it."""

from decimal import Decimal

from msgspec import Struct

from mappings.core.money import ZERO, share
from mappings.core.reading import Loaded

# The most that rounding to cents can change a unit price.
_HALF_A_CENT = Decimal("0.005")


class Amounts(Struct, frozen=True, kw_only=True):
    """The amounts of some quantity of a line; `gross` is before discounts."""

    gross: Decimal = ZERO
    discounts: Decimal = ZERO
    taxes: Decimal = ZERO
    product_tax: Decimal = ZERO
    wrapping: Decimal = ZERO

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(
            gross=self.gross + other.gross,
            discounts=self.discounts + other.discounts,
            taxes=self.taxes + other.taxes,
            product_tax=self.product_tax + other.product_tax,
            wrapping=self.wrapping + other.wrapping,
        )


class Row(Struct, frozen=True, kw_only=True):
    """A line as ordered."""

    ordered: Decimal
    price: Decimal
    row_total: Decimal | None
    """The store's own total before discounts, where it is more exact than price x quantity; else None."""
    discounts: Decimal
    taxes: Decimal
    product_tax: Decimal
    wrapping: Decimal

    def at(self, quantity: Decimal, digits: int) -> Amounts:
        """The amounts of `quantity` units. Amounts for the whole line are prorated and rounded to `digits` decimals."""
        ordered = self.ordered
        return Amounts(
            gross=self.price * quantity if self.row_total is None else share(self.row_total, quantity, ordered, digits),
            discounts=share(self.discounts, quantity, ordered, digits),
            taxes=share(self.taxes, quantity, ordered, digits),
            product_tax=share(self.product_tax, quantity, ordered, digits),
            wrapping=share(self.wrapping, quantity, ordered, digits),
        )


def ordered_quantity(line: Loaded) -> Decimal | None:
    """The quantity ordered, which Order Notifier calls `qty`."""
    quantity: Decimal | None = line["qty"] if line["qty_ordered"] is None else line["qty_ordered"]
    return quantity


def row_of(line: Loaded, price: Decimal, ordered: Decimal) -> Row:
    discounts = line["discount_amount"] - line["discount_tax_compensation_amount"]
    if not line["discount_amount"] and line["price_with_discount"] is not None:
        discounts = (price - line["price_with_discount"]) * ordered
    return Row(
        ordered=ordered,
        price=price,
        row_total=_exact_row_total(line, price * ordered, ordered),
        discounts=discounts,
        taxes=line["tax_amount"],
        product_tax=line["weee_tax_applied_row_amount"],
        wrapping=(line["extension_attributes"]["gw_price"] or line["gw_price"] or ZERO) * ordered,
    )


def own_price(line: Loaded) -> Decimal:
    """A child's own unit price.

    REST copies a bundle's price to children whose price is 0 (magento2, Sales/Model/Order/Webapi/ChangeOutputArray), but leaves their
    `base_price` and `row_total` at 0.
    """
    price: Decimal = line["price"] or ZERO
    free_row = line["row_total"] is not None and not line["row_total"] and not line["discount_amount"]
    return ZERO if line["base_price"] == 0 or free_row else price


def _exact_row_total(line: Loaded, product: Decimal, ordered: Decimal) -> Decimal | None:
    """The row's total before discounts, if it differs from price x quantity only because the unit price is rounded.

    A larger difference means that `row_total` is something else: without the quantity in 2.4.8 (magento2 #39984), or with tax. In events
    and dumps it is before discounts, over REST after them (ChangeOutputArray again).
    """
    given = line["row_total"]
    if given is None:
        return None
    if given == product:
        return None
    tolerance = _HALF_A_CENT * abs(ordered)
    candidates = (given, given + line["discount_amount"])
    exact = next((total for total in candidates if abs(total - product) <= tolerance), product)
    return None if exact == product else exact
