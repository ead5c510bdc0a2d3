"""Builds the items from the lines of a BigCommerce order."""

from collections.abc import Iterator
from urllib.parse import quote

from mappings.bigcommerce.payload import NO_ID
from mappings.bigcommerce.totals import with_tax
from mappings.core.errors import Rejected
from mappings.core.line_options import Choice, line_options
from mappings.core.money import ZERO, places, share
from mappings.core.order import Item
from mappings.core.reading import Loaded
from mappings.core.text import plain, product_name, without_blanks

# The types of options into which a shopper types or uploads something.
_TYPED_IN = ("text", "file", "upload")


def items_of(loaded: Loaded, base: str) -> tuple[Item, ...]:
    """One item for each line that still stands. If none does, all lines as they were ordered."""
    lines = list(enumerate(loaded["products"]))
    standing = [(index, line) for index, line in lines if line["quantity"] > line["quantity_refunded"]]
    shown = standing or lines
    return tuple(_item(index, line, loaded, base, len(shown), as_ordered=not standing) for index, line in shown)


def _item(index: int, line: Loaded, loaded: Loaded, base: str, lines: int, *, as_ordered: bool) -> Item:
    name = "price_inc_tax" if with_tax(loaded) else "price_ex_tax"
    price = line[name]
    if price is None:
        raise Rejected({f"products.{index}.{name}": ["Missing data for required field."]})
    ordered = max(ZERO, line["quantity"])
    quantity = ordered if as_ordered else max(ZERO, ordered - line["quantity_refunded"])
    digits = places(loaded["default_currency_code"], (price,))
    discounts = share(max(ZERO, sum((each["amount"] for each in line["applied_discounts"]), ZERO)), quantity, ordered, digits)
    if price < 0:
        price, discounts = ZERO, discounts - price * quantity
    # 0 on lines that were added by hand.
    own_id = "" if line["product_id"] in NO_ID else line["product_id"]
    variant_id = "" if line["variant_id"] in NO_ID else line["variant_id"]
    product_id = own_id or line["sku"] or f"line-{line['id'] or index + 1}"
    return Item(
        product_id=product_id,
        product_variant_id=variant_id or product_id,
        sku=line["sku"],
        name=product_name(line["name"], line["sku"] or product_id),
        brand=plain(line["brand"]),
        price=price,
        quantity=quantity,
        discounts=discounts,
        taxes=share(line["total_tax"], quantity, ordered, digits),
        total=price * quantity - discounts,
        # As in stencil-utils (bigcommerce/stencil-utils, src/api/product.js), the storefront's own library.
        built_url=f"{base}products.php?productId={quote(own_id, safe='')}" if own_id else base,
        catalog_id=own_id,
        catalog_variant_id=variant_id,
        attributes=without_blanks(
            {
                "line_id": line["id"],
                "options": line_options(_choices(line), lines),
                "is_bundled": _is_bundled(line) or None,
            }
        ),
    )


def _choices(line: Loaded) -> Iterator[Choice]:
    for row in line["product_options"]:
        if not any(word in row["type"].lower() for word in _TYPED_IN):
            yield Choice(key=row["display_name"], label=row["display_name"], value=row["display_value"])


def _is_bundled(line: Loaded) -> bool:
    """Whether the line is a product that was picked from another one's list; it costs nothing itself."""
    return bool(line["is_bundled_product"]) and line["parent_order_product_id"] not in NO_ID
