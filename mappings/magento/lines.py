"""The products bought with a Magento order, each made from one line and the lines that belong to it.

A configurable product or a bundle is one line, and each of its parts is another one that refers to it as its parent.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError
from msgspec import Struct, field

from mappings.core.errors import Rejected, dotted
from mappings.core.fields import MISSING, Text
from mappings.core.money import unit_price
from mappings.core.reading import Loaded
from mappings.magento.amounts import Amounts, ordered_quantity, row_of
from mappings.magento.bundles import (
    Shipping,
    bundle_price,
    bundle_shipping,
    bundles_held,
    completed,
    held_quantity,
    is_priced_by_children,
    kept_amounts,
    line_shipping,
)
from mappings.magento.payload import Line

_LINE = Line()
_text = Text().read


class Bought(Struct, frozen=True, kw_only=True):
    """A product bought: as ordered, and what is left of it after cancellations and refunds."""

    line: Loaded
    product_id: str
    """Magento's id of the product; blank if the line has none."""
    variant_id: str
    ordered: Decimal
    held: Decimal
    price: Decimal
    kept_price: Decimal
    """The unit price of what is left. It differs from `price` if some parts of a bundle were canceled or refunded."""
    full: Amounts
    kept: Amounts
    shipping: Shipping


class _Family(Struct, frozen=True):
    path: str
    line: Loaded
    children: list[Loaded] = field(default_factory=list)


def bought_lines(loaded: Loaded, digits: int) -> list[Bought]:
    """The products bought, in the store's order. Prorated amounts are rounded to `digits` decimals."""
    name = "items" if loaded["items"] else "line_items"
    return [_bought(family, digits, own_id="product_id" if name == "items" else "id") for family in _families(loaded[name], name)]


def _families(rows: Sequence[Loaded], name: str) -> list[_Family]:
    """Each line without a parent, with its children.

    If the payload lacks a child's parent, the copy inside the child (`parent_item`) is used, or else the child itself.
    """
    listed = {row["item_id"]: index for index, row in enumerate(rows) if row["item_id"]}
    families: dict[str | int, _Family] = {}
    children: list[tuple[str | int, Loaded]] = []
    for index, row in enumerate(rows):
        path, parent_id = f"{name}.{index}", _parent_id(row)
        if not parent_id or parent_id == row["item_id"]:
            families[index] = _Family(path, row)
        elif parent_id in listed:
            children.append((listed[parent_id], row))
        elif row["parent_item"] and isinstance(row["parent_item"], dict):
            if parent_id not in families:
                families[parent_id] = _Family(f"{path}.parent_item", _embedded(row["parent_item"], path))
            children.append((parent_id, row))
        else:
            families[index] = _Family(path, row)
    for key, child in children:
        # Not a grandchild, as of a configurable product in a bundle: its parent has all of the amounts.
        if key in families:
            families[key].children.append(child)
    return list(families.values())


def _parent_id(row: Loaded) -> str:
    embedded = row["parent_item"]
    return row["parent_item_id"] or (_text(embedded.get("item_id")) if isinstance(embedded, dict) else "")


def _embedded(parent: dict[str, Any], path: str) -> Loaded:
    try:
        loaded: Loaded = _LINE.load(parent)
    except ValidationError as error:
        raise Rejected(dotted(error.messages, f"{path}.parent_item")) from None
    return loaded


def _bought(family: _Family, digits: int, *, own_id: str) -> Bought:
    line, children = family.line, family.children
    ordered = ordered_quantity(line)
    if ordered is None:
        raise Rejected({f"{family.path}.qty_ordered": [MISSING]})
    is_bundle = line["product_type"] == "bundle"
    price = bundle_price(line, children, ordered) if is_bundle else line["price"]
    if price is None:
        raise Rejected({f"{family.path}.price": [MISSING]})
    row = row_of(line, price, ordered)
    held = held_quantity(line)
    if is_bundle:
        row = completed(row, children, digits)
    by_children = is_bundle and is_priced_by_children(line, children)
    if by_children:
        held = bundles_held(ordered, children)
    full = row.at(ordered, digits)
    kept = full if held == ordered else row.at(held, digits)
    if by_children:
        kept = kept_amounts(row, children, held, digits)
    is_whole = not by_children or kept.gross == price * held
    is_choice = line["product_type"] in ("configurable", "") and len(children) == 1
    return Bought(
        line=line,
        product_id=line["product_id"] or (line["id"] if own_id == "id" else ""),
        variant_id=children[0]["product_id"] if is_choice else "",
        ordered=ordered,
        held=held,
        price=price,
        kept_price=price if is_whole or not held else unit_price(kept.gross / held),
        full=full,
        kept=kept,
        shipping=bundle_shipping(line, children, held) if is_bundle else line_shipping(line),
    )
