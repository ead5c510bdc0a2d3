"""Builds the items from the lines of a WooCommerce order."""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from mappings.core.errors import Rejected
from mappings.core.line_options import Choice, line_options
from mappings.core.money import ZERO, unit_price
from mappings.core.order import Item
from mappings.core.reading import Loaded
from mappings.core.text import absolute_url, product_name, without_blanks
from mappings.woocommerce.meta import meta_rows, text
from mappings.woocommerce.payload import NO_ID


def items_of(loaded: Loaded, base: str) -> tuple[Item, ...]:
    """One item for each line. Lines with quantity 0 are left out, unless there is no other."""
    lines = list(enumerate(loaded["line_items"]))
    standing = [(index, line) for index, line in lines if line["quantity"] > 0]
    shown = standing or lines
    return tuple(_item(index, line, base, bool(loaded["prices_include_tax"]), len(shown)) for index, line in shown)


def _item(index: int, line: Loaded, base: str, taxes_included: bool, lines: int) -> Item:
    subtotal = line["subtotal"] if line["subtotal"] is not None else line["total"]
    if subtotal is None:
        raise Rejected({f"line_items.{index}.subtotal": ["missing, and so is total"]})
    total = line["total"] if line["total"] is not None else subtotal
    quantity = max(ZERO, line["quantity"])
    units = quantity or Decimal(1)
    # A shop manager may raise `total` above `subtotal`: then it is the price, and there is no discount.
    raised = total > subtotal
    before, tax_before = (total, line["total_tax"]) if raised else (subtotal, line["subtotal_tax"])
    # The line's own `price` is the unit price after discounts, with floating-point noise.
    price, discounts = unit_price(before / units), before - total
    if price < 0:
        price, discounts = ZERO, -total
    # 0 if the product was deleted, and on lines added at a point of sale.
    own_id = "" if line["product_id"] in NO_ID else line["product_id"]
    variant_id = "" if line["variation_id"] in NO_ID else line["variation_id"]
    product_id = own_id or line["sku"] or f"line-{line['id'] or index + 1}"
    options, is_bundled = _choices(line, lines)
    return Item(
        product_id=product_id,
        product_variant_id=variant_id or product_id,
        sku=line["sku"],
        name=product_name(line["name"], line["sku"] or product_id),
        price=price,
        quantity=quantity,
        discounts=discounts,
        taxes=line["total_tax"],
        total=total,
        built_url=_page(base, own_id) if own_id else base,
        image_url=absolute_url(line["image"]["src"], base) if line["image"]["src"] else "",
        catalog_id=own_id,
        catalog_variant_id=variant_id,
        attributes=without_blanks(
            {
                "line_id": line["id"],
                "options": options,
                "is_bundled": is_bundled or None,
                "price_incl_tax": unit_price((before + tax_before) / units) if taxes_included else None,
            }
        ),
    )


@lru_cache(maxsize=1024)
def _page(base: str, product_id: str) -> str:
    return f"{base}?post_type=product&p={quote(product_id, safe='')}"


def _choices(line: Loaded, lines: int) -> tuple[dict[str, str], bool]:
    """What the shopper chose, and whether the line is part of a bundle."""
    rows = meta_rows(line["meta_data"] or line["meta"])
    by_field = line["bundled_by"] not in NO_ID or line["composite_parent"] not in NO_ID
    if not rows:
        return {}, by_field
    by_meta = any(row.get("key") == "_bundled_by" and row.get("value") for row in rows)
    return line_options(map(_choice, rows), lines), by_field or by_meta


def _choice(row: Mapping[str, Any]) -> Choice:
    """A row of a line's meta.

    `display_key` and `display_value` are what WooCommerce shows for `key` and `value` (class-wc-rest-orders-v2-controller.php,
    `merge_meta_item_with_formatted_meta_display_attributes`); v1 and the legacy API have a `label`. The shop's own attributes are `pa_...`.
    """
    key = text(row.get("key"))
    return Choice(
        key=key.removeprefix("attribute_"),
        label=text(row.get("display_key")) or text(row.get("label")) or key,
        value=text(row.get("display_value")) or text(row.get("value")),
        stored=text(row.get("value")),
        is_attribute=key.startswith(("pa_", "attribute_")),
    )
