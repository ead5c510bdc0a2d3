"""Bundles: what one still holds and what of it still has to ship.

A dynamically priced bundle is a shell around its children, which carry the prices: magento2 skips it as a dummy when it cancels and
invoices (Sales/Model/Order/Item::isDummy), marks all of it refunded with each credit memo (CreditmemoFactory::getQtyToRefund), and
counts each shipment of a part as one of the whole (ShipmentFactory::prepareItems). A fixed-price bundle goes by its own numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from mappings.core.fields import Text
from mappings.core.money import ZERO, share, unit_price
from mappings.core.reading import Loaded
from mappings.magento.amounts import Amounts, Row, ordered_quantity, own_price, row_of
from mappings.magento.payload import unpacked

_PRICED_BY_CHILDREN, _PRICED_BY_PARENT = "0", "1"  # AbstractType::CALCULATE_CHILD, CALCULATE_PARENT
_TOGETHER, _SEPARATELY = "0", "1"  # AbstractType::SHIPMENT_TOGETHER, SHIPMENT_SEPARATELY
_NEVER_SHIPPED = ("virtual", "downloadable")
_text = Text().deserialize


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipping:
    """What of a line went out and what has yet to."""

    shipped: Decimal
    remaining: Decimal
    in_parts: bool = False
    """Whether the parts of a bundle certainly go out one by one."""


def is_priced_by_children(bundle: Loaded, children: Sequence[Loaded]) -> bool:
    calculation = _option(bundle, "product_calculations")
    if calculation in (_PRICED_BY_CHILDREN, _PRICED_BY_PARENT):
        return calculation == _PRICED_BY_CHILDREN and bool(children)
    # REST does not say which kind of bundle it is (magento2 #11957).
    return any(own_price(child) for child in children)


def bundle_price(bundle: Loaded, children: Sequence[Loaded], ordered: Decimal) -> Decimal | None:
    """A bundle's price of a unit; its children's, where the shell has none."""
    price: Decimal | None = bundle["price"]
    if price or not ordered:
        return price
    return unit_price(sum((own_price(child) * (ordered_quantity(child) or ZERO) for child in children), ZERO) / ordered) or price


def completed(row: Row, children: Sequence[Loaded], digits: int) -> Row:
    """A bundle's row with the amounts that only its children have."""
    parts = sum((child_row.at(child_row.ordered, digits) for child_row in map(_row, children)), Amounts())
    return Row(
        ordered=row.ordered,
        price=row.price,
        row_total=row.row_total,
        discounts=row.discounts or parts.discounts,
        taxes=row.taxes or parts.taxes,
        product_tax=row.product_tax or parts.product_tax,
        wrapping=row.wrapping,
    )


def bundles_held(ordered: Decimal, children: Sequence[Loaded]) -> Decimal:
    """Of how many bundles anything is held: of two with one child refunded once, still two."""
    most = max((held_quantity(child) * ordered / of for child in children if (of := ordered_quantity(child) or ZERO) > 0), default=ordered)
    whole = most if ordered % 1 else most.to_integral_value(ROUND_CEILING)
    return min(ordered, whole)


def kept_amounts(row: Row, children: Sequence[Loaded], held: Decimal, digits: int) -> Amounts:
    """The amounts of what is held of a bundle that its children price."""
    rows = [(_row(child), held_quantity(child)) for child in children]
    if all(quantity == part.ordered for part, quantity in rows):
        return row.at(row.ordered, digits)
    kept = sum((part.at(quantity, digits) for part, quantity in rows), Amounts())
    all_parts = sum((part.at(part.ordered, digits) for part, _ in rows), Amounts())

    def amount(of_bundle: Decimal, of_parts: Decimal, of_kept: Decimal) -> Decimal:
        # What only the shell has is spread over the children by value.
        return of_kept if of_parts else share(of_bundle, kept.gross, all_parts.gross, digits)

    return Amounts(
        gross=kept.gross,
        discounts=amount(row.discounts, all_parts.discounts, kept.discounts),
        taxes=amount(row.taxes, all_parts.taxes, kept.taxes),
        product_tax=amount(row.product_tax, all_parts.product_tax, kept.product_tax),
        wrapping=row.at(held, digits).wrapping,
    )


def held_quantity(line: Loaded) -> Decimal:
    """What of a line is neither canceled nor refunded."""
    held: Decimal = (ordered_quantity(line) or ZERO) - line["qty_canceled"] - line["qty_refunded"]
    return max(ZERO, held)


def line_shipping(line: Loaded) -> Shipping:
    """As magento2 counts it: Sales/Model/Order/Item::getSimpleQtyToShip."""
    remaining = max(ZERO, held_quantity(line) - line["qty_shipped"]) if _ships(line) else ZERO
    return Shipping(shipped=line["qty_shipped"], remaining=remaining)


def bundle_shipping(bundle: Loaded, children: Sequence[Loaded], held: Decimal) -> Shipping:
    """A bundle that ships together goes by its own count; one whose parts ship separately, by its parts'."""
    parts = [child for child in children if _ships(child)]
    if children and not parts:
        return Shipping(shipped=ZERO, remaining=ZERO)
    kind, some_shipped = _option(bundle, "shipment_type"), any(part["qty_shipped"] > 0 for part in parts)
    if kind == _TOGETHER or (kind != _SEPARATELY and not some_shipped):
        return Shipping(shipped=bundle["qty_shipped"], remaining=max(ZERO, held - bundle["qty_shipped"]))
    ordered = ordered_quantity(bundle) or ZERO
    # A fixed-price bundle's children keep their quantity when it is canceled.
    due = [min(held_quantity(part), (ordered_quantity(part) or ZERO) * held / ordered) if ordered else ZERO for part in parts]
    left = [max(ZERO, quantity - part["qty_shipped"]) for part, quantity in zip(parts, due, strict=True)]
    # Parts that ship together are counted together: one without a count, beside one with, ships by itself.
    untouched = any(rest and not part["qty_shipped"] for part, rest in zip(parts, left, strict=True))
    shipped = sum((part["qty_shipped"] for part in parts), ZERO)
    return Shipping(shipped=shipped, remaining=sum(left, ZERO), in_parts=some_shipped and (kind == _SEPARATELY or untouched))


def _row(child: Loaded) -> Row:
    return row_of(child, own_price(child), ordered_quantity(child) or ZERO)


def _ships(line: Loaded) -> bool:
    return line["product_type"] not in _NEVER_SHIPPED and not line["is_virtual"]


def _option(bundle: Loaded, name: str) -> str:
    options = unpacked(bundle["product_options"])
    return _text(options.get(name)) if isinstance(options, dict) else ""
