"""Lines whose product was deleted.

The store then leaves out the product's ID, so nothing can be looked up; but the page and image that Drip was sent before are still right.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from mappings import Item, Order, Rejected, parse


def may_lack_products(order: Order) -> bool:
    """Whether any line lacks a product ID. Some lines never had one."""
    return any(_is_candidate(item) for item in order.items)


def with_lost_products(order: Order, last_body: bytes | None) -> Order:
    """The order, with product data from the last body that Drip accepted for lines that have lost their product since."""
    try:
        document = parse(last_body or b"{}")
    except Rejected:
        return order
    rows = document.get("items") if isinstance(document, dict) else None
    before = {str(row["line_id"]): row for row in rows or () if isinstance(row, dict) and row.get("line_id")}
    return replace(order, items=tuple(_restored(item, before.get(_line(item))) for item in order.items))


def _is_candidate(item: Item) -> bool:
    return not item.catalog_id and not item.product_url and bool(_line(item))


def _line(item: Item) -> str:
    return str(item.attributes.get("line_id", ""))


def _restored(item: Item, row: Mapping[str, Any] | None) -> Item:
    # A page that is just the shop's address means that the line never had a product.
    if row is None or not _is_candidate(item) or row.get("product_url") == item.built_url:
        return item
    return replace(
        item,
        product_url=str(row.get("product_url", "")),
        image_url=item.image_url or str(row.get("image_url", "")),
        brand=item.brand or str(row.get("brand", "")),
        categories=item.categories or tuple(str(name) for name in row.get("categories") or ()),
    )
