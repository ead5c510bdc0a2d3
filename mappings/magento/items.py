"""The items of a Magento order."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from mappings.core.fields import Text
from mappings.core.line_options import Choice, line_options
from mappings.core.money import ZERO, needed_decimals, rounded
from mappings.core.order import Item
from mappings.core.text import absolute_url, product_name, slug, without_blanks
from mappings.magento.amounts import Amounts
from mappings.magento.lines import Bought
from mappings.magento.payload import objects, unpacked

_text = Text().read


def items_of(bought: Sequence[Bought], digits: int, base: str) -> tuple[Item, ...]:
    """One item for each product bought, with the quantity that is left."""
    standing = [line for line in bought if line.held > 0]
    if standing:
        return tuple(_item(line, line.held, line.kept_price, line.kept, digits, base, len(standing)) for line in standing)
    # A canceled or fully refunded order still shows what was ordered.
    return tuple(_item(line, line.ordered, line.price, line.full, digits, base, len(bought)) for line in bought)


def _item(bought: Bought, quantity: Decimal, price: Decimal, amounts: Amounts, digits: int, base: str, lines: int) -> Item:
    line, own_id, sku = bought.line, bought.product_id, bought.line["sku"]
    product_id = own_id or sku or f"custom-{slug(line['name']) or line['item_id'] or 'item'}"
    discounts, price_is_ordered = amounts.discounts, price == bought.price
    total = rounded(amounts.gross - discounts, max(digits, needed_decimals(price), needed_decimals(discounts)))
    if price < 0:
        price, discounts = ZERO, discounts - price * quantity
    return Item(
        product_id=product_id,
        product_variant_id=bought.variant_id or product_id,
        sku=sku,
        name=product_name(line["name"], sku or product_id),
        price=price,
        quantity=quantity,
        discounts=discounts,
        taxes=amounts.taxes,
        fees=amounts.product_tax + amounts.wrapping,
        total=total,
        product_url=absolute_url(line["url"], f"{base}/") if line["url"] else "",
        built_url=f"{base}/catalog/product/view/id/{own_id}" if own_id.isdecimal() else f"{base}/",
        image_url=absolute_url(line["image"], f"{base}/") if line["image"] else "",
        catalog_id=own_id,
        catalog_variant_id=bought.variant_id,
        attributes=without_blanks(
            {
                "line_id": line["item_id"],
                "options": _choices(line["product_options"], lines),
                "gift_card": True if line["product_type"] == "giftcard" else None,
                "price_incl_tax": line["price_incl_tax"] if price_is_ordered else None,
            }
        ),
    )


def _choices(product_options: Any, lines: int) -> dict[str, str]:
    """The options that the shopper chose, by label. REST contains only their ids."""
    options = unpacked(product_options)
    if not isinstance(options, dict):
        return {}
    pairs = [(row.get("label"), row.get("value")) for key in ("attributes_info", "options") for row in objects(options.get(key))]
    for row in objects(options.get("bundle_options")):
        pairs += [(row.get("label"), choice.get("title")) for choice in objects(row.get("value"))]
    texts = ((_text(label), _text(value)) for label, value in pairs)
    return line_options((Choice(key=label, label=label, value=value) for label, value in texts), lines)
