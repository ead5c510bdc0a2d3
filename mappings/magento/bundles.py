"""Bundles: how much of one is left, and how much of that still has to ship.

The children of a dynamically priced bundle carry the prices, and its own line has only placeholders: magento2 doesn't count what is
canceled or invoiced of it (Sales/Model/Order/Item::isDummy), marks all of it as refunded with each credit memo
(CreditmemoFactory::getQtyToRefund), and counts each shipment of a part as a shipment of the bundle (ShipmentFactory::prepareItems).
The counts of a fixed-price bundle are its own.
"""

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal

from msgspec import Struct

from mappings.core.fields import Text
from mappings.core.money import ZERO, share, unit_price
from mappings.core.reading import Loaded
from mappings.magento.amounts import Amounts, Row, ordered_quantity, own_price, row_of
from mappings.magento.payload import unpacked

_PRICED_BY_CHILDREN, _PRICED_BY_PARENT = "0", "1"  # AbstractType::CALCULATE_CHILD, CALCULATE_PARENT
_TOGETHER, _SEPARATELY = "0", "1"  # AbstractType::SHIPMENT_TOGETHER, SHIPMENT_SEPARATELY
_NEVER_SHIPPED = ("virtual", "downloadable")
_text = Text().read


class Shipping(Struct, frozen=True, kw_only=True):
    """How much of a line has shipped, and how much still has to."""

    shipped: Decimal
    remaining: Decimal
    in_parts: bool = False
    """Whether this is a bundle whose parts certainly ship separately, and some of them have shipped."""


def is_priced_by_children(bundle: Loaded, children: Sequence[Loaded]) -> bool:
    """Whether a bundle is dynamically priced."""
    calculation = _option(bundle, "product_calculations")
    if calculation in (_PRICED_BY_CHILDREN, _PRICED_BY_PARENT):
        return calculation == _PRICED_BY_CHILDREN and bool(children)
    # REST doesn't include the kind of bundle (magento2 #11957).
    return any(own_price(child) for child in children)


def bundle_price(bundle: Loaded, children: Sequence[Loaded], ordered: Decimal) -> Decimal | None:
    """The unit price of a bundle; the sum of its children's where its own line has none."""
    price: Decimal | None = bundle["price"]
    if price or not ordered:
        return price
    return unit_price(sum((own_price(child) * (ordered_quantity(child) or ZERO) for child in children), ZERO) / ordered) or price


def completed(row: Row, children: Sequence[Loaded], digits: int) -> Row:
    """A bundle's row, completed with amounts that only its children have."""
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
    """The number of bundles of which anything is left: if one part of one of two bundles is refunded, still two."""
    most = max((held_quantity(child) * ordered / of for child in children if (of := ordered_quantity(child) or ZERO) > 0), default=ordered)
    whole = most if ordered % 1 else most.to_integral_value(ROUND_CEILING)
    return min(ordered, whole)


def kept_amounts(row: Row, children: Sequence[Loaded], held: Decimal, digits: int) -> Amounts:
    """The amounts of what is left of a dynamically priced bundle."""
    rows = [(_row(child), held_quantity(child)) for child in children]
    if all(quantity == part.ordered for part, quantity in rows):
        return row.at(row.ordered, digits)
    kept = sum((part.at(quantity, digits) for part, quantity in rows), Amounts())
    all_parts = sum((part.at(part.ordered, digits) for part, _ in rows), Amounts())

    def amount(of_bundle: Decimal, of_parts: Decimal, of_kept: Decimal) -> Decimal:
        # An amount that only the bundle's own line has is prorated by value.
        return of_kept if of_parts else share(of_bundle, kept.gross, all_parts.gross, digits)

    return Amounts(
        gross=kept.gross,
        discounts=amount(row.discounts, all_parts.discounts, kept.discounts),
        taxes=amount(row.taxes, all_parts.taxes, kept.taxes),
        product_tax=amount(row.product_tax, all_parts.product_tax, kept.product_tax),
        wrapping=row.at(held, digits).wrapping,
    )


def held_quantity(line: Loaded) -> Decimal:
    """The quantity of a line that is neither canceled nor refunded."""
    held: Decimal = (ordered_quantity(line) or ZERO) - line["qty_canceled"] - line["qty_refunded"]
    return max(ZERO, held)


def line_shipping(line: Loaded) -> Shipping:
    """What is left to ship of an ordinary line, as in magento2's Sales/Model/Order/Item::getSimpleQtyToShip."""
    remaining = max(ZERO, held_quantity(line) - line["qty_shipped"]) if _ships(line) else ZERO
    return Shipping(shipped=line["qty_shipped"], remaining=remaining)


def bundle_shipping(bundle: Loaded, children: Sequence[Loaded], held: Decimal) -> Shipping:
    """What is left to ship of a bundle: its own count if it ships together, its parts' counts if they ship separately."""
    parts = [child for child in children if _ships(child)]
    if children and not parts:
        return Shipping(shipped=ZERO, remaining=ZERO)
    kind, some_shipped = _option(bundle, "shipment_type"), any(part["qty_shipped"] > 0 for part in parts)
    if kind == _TOGETHER or (kind != _SEPARATELY and not some_shipped):
        return Shipping(shipped=bundle["qty_shipped"], remaining=max(ZERO, held - bundle["qty_shipped"]))
    ordered = ordered_quantity(bundle) or ZERO
    # Canceling a fixed-price bundle doesn't change its children's counts.
    due = [min(held_quantity(part), (ordered_quantity(part) or ZERO) * held / ordered) if ordered else ZERO for part in parts]
    left = [max(ZERO, quantity - part["qty_shipped"]) for part, quantity in zip(parts, due, strict=True)]
    # If parts ship together, all of them are counted: one that isn't counted while another one is must ship separately.
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
