"""The lines of a Magento order, in which parents and children complete each other, and the items that they become."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError

from mappings.core.errors import Rejected, dotted
from mappings.core.fields import MISSING, Text
from mappings.core.money import ZERO, places, rounded, share, unit_price
from mappings.core.order import Item
from mappings.core.reading import Loaded
from mappings.core.text import absolute_url, plain, product_name, slug, without_blanks
from mappings.magento.payload import Line

_LINE = Line()
_text = Text().deserialize


@dataclass(frozen=True, slots=True)
class Bought:
    """A line that stands for a product bought, completed from its children; its amounts are for the quantity ordered."""

    line: Loaded
    variant_id: str
    ordered: Decimal
    held: Decimal
    price: Decimal
    discounts: Decimal
    taxes: Decimal
    product_tax: Decimal
    wrapping: Decimal

    def share(self, amount: Decimal, digits: int) -> Decimal:
        return share(amount, self.held, self.ordered, digits)


def bought_lines(loaded: Loaded) -> list[Bought]:
    """The lines that stand for products bought, in the store's order."""
    name = "items" if loaded["items"] else "line_items"
    return [_completed(path, line, children) for path, line, children in _families(loaded[name], name)]


def _families(rows: Sequence[Loaded], name: str) -> list[tuple[str, Loaded, list[Loaded]]]:
    """Each line without a parent, with its children; children whose parent was left out bring it, or stand for themselves."""
    parents = {row["item_id"]: index for index, row in enumerate(rows) if row["item_id"] and not _parent_id(row)}
    families: dict[str | int, tuple[str, Loaded, list[Loaded]]] = {}
    children: list[tuple[str | int, Loaded]] = []
    for index, row in enumerate(rows):
        path, parent_id = f"{name}.{index}", _parent_id(row)
        if not parent_id:
            families[index] = (path, row, [])
        elif parent_id in parents:
            children.append((parents[parent_id], row))
        elif row["parent_item"] and isinstance(row["parent_item"], dict):
            if parent_id not in families:
                families[parent_id] = (f"{path}.parent_item", _embedded(row["parent_item"], path), [])
            children.append((parent_id, row))
        else:
            families[index] = (path, row, [])
    for key, child in children:
        families[key][2].append(child)
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


def _completed(path: str, line: Loaded, children: Sequence[Loaded]) -> Bought:
    ordered = line["qty"] if line["qty_ordered"] is None else line["qty_ordered"]
    if ordered is None:
        raise Rejected({f"{path}.qty_ordered": [MISSING]})
    # A bundle of dynamic price may hold its amounts in its children alone. A configurable's child may repeat its parent's.
    parts = children if line["product_type"] == "bundle" else ()
    price = line["price"]
    if not price and parts and ordered:
        price = unit_price(sum(((part["price"] or ZERO) * (part["qty_ordered"] or ZERO) for part in parts), ZERO) / ordered) or price
    if price is None:
        raise Rejected({f"{path}.price": [MISSING]})
    amounts = {
        name: line[name] or sum((part[name] for part in parts), ZERO)
        for name in ("discount_amount", "discount_tax_compensation_amount", "tax_amount", "weee_tax_applied_row_amount")
    }
    discounts = amounts["discount_amount"] - amounts["discount_tax_compensation_amount"]
    if not amounts["discount_amount"] and line["price_with_discount"] is not None:
        discounts = (price - line["price_with_discount"]) * ordered
    wrapping = line["extension_attributes"]["gw_price"] or line["gw_price"] or ZERO
    is_choice = line["product_type"] in ("configurable", "") and len(children) == 1
    return Bought(
        line=line,
        variant_id=children[0]["product_id"] if is_choice else "",
        ordered=ordered,
        held=max(ZERO, ordered - line["qty_canceled"] - line["qty_refunded"]),
        price=price,
        discounts=discounts,
        taxes=amounts["tax_amount"],
        product_tax=amounts["weee_tax_applied_row_amount"],
        wrapping=wrapping * ordered,
    )


def items_of(bought: Sequence[Bought], digits: int, currency: str, base: str) -> tuple[Item, ...]:
    """The items that lines become, at the quantity that the order still holds."""
    standing = [line for line in bought if line.held > 0]
    # A canceled or fully refunded order still shows what it was of.
    return tuple(_item(line, line.held if standing else line.ordered, digits, currency, base) for line in standing or bought)


def _item(bought: Bought, quantity: Decimal, digits: int, currency: str, base: str) -> Item:
    line, price = bought.line, bought.price
    discounts, taxes, product_tax, wrapping = (
        share(amount, quantity, bought.ordered, digits) for amount in (bought.discounts, bought.taxes, bought.product_tax, bought.wrapping)
    )
    if price < 0:
        price, discounts = ZERO, discounts - price * quantity
    own_id, sku = line["product_id"], line["sku"]
    product_id = own_id or sku or f"custom-{slug(line['name']) or line['item_id'] or 'item'}"
    return Item(
        product_id=product_id,
        product_variant_id=bought.variant_id or product_id,
        sku=sku,
        name=product_name(line["name"], sku or product_id),
        price=price,
        quantity=quantity,
        discounts=discounts,
        taxes=taxes,
        fees=product_tax + wrapping,
        # Never row_total: gross in events, net of discounts over REST, without the quantity in 2.4.8 (magento2 #39984).
        total=rounded(price * quantity - discounts, max(digits, places(currency, (price, discounts)))),
        product_url=absolute_url(line["url"], f"{base}/") if line["url"] else "",
        built_url=f"{base}/catalog/product/view/id/{own_id}" if own_id.isdecimal() else f"{base}/",
        image_url=absolute_url(line["image"], f"{base}/") if line["image"] else "",
        catalog_id=own_id,
        catalog_variant_id=bought.variant_id,
        attributes=without_blanks(
            {
                "line_id": line["item_id"],
                "options": _choices(line["product_options"]),
                "gift_card": True if line["product_type"] == "giftcard" else None,
                "price_incl_tax": line["price_incl_tax"],
            }
        ),
    )


def _choices(product_options: Any) -> dict[str, str]:
    """What the shopper chose, in words; REST has only numbers for it."""
    lists = [product_options.get(key) for key in ("attributes_info", "options")] if isinstance(product_options, dict) else []
    pairs = [(plain(_text(row.get("label"))), plain(_text(row.get("value")))) for rows in lists for row in objects(rows)]
    return {label: value for label, value in pairs if label and value}


def objects(rows: Any) -> list[dict[str, Any]]:
    """The objects of a list, or of an object that PHP made of one."""
    entries: Iterable[Any] = rows.values() if isinstance(rows, dict) else rows if isinstance(rows, list) else ()
    return [row for row in entries if isinstance(row, dict)]
