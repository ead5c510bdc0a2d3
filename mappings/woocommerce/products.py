"""WooCommerce's products, in the shapes of its product webhooks, its REST API and its Store API.

Facts from woocommerce/woocommerce: the REST products and variations controllers v3, and src/StoreApi/Schemas/V1/ProductSchema.php.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from mappings.core.fields import Part, PayloadSchema, Rows, Text
from mappings.core.product import Product, ProductKey
from mappings.core.text import absolute_url, plain

_ID = re.compile(r"[1-9][0-9]{0,19}")
_NO_CATEGORY = "uncategorized"
# Formats that many mail clients can't show.
_POOR_PICTURES = (".webp", ".avif", ".svg", ".heic")
_LONGEST_NAME = 255
_LONGEST_URL = 2000
_MOST_NAMES = 50


class Term(PayloadSchema):
    """A category, a tag or a brand."""

    name = Text()
    slug = Text()


class Picture(PayloadSchema):
    src = Text()


class ProductDocument(PayloadSchema):
    """A product. Any part may be missing or of the wrong type, which counts as blank."""

    id = Text()
    type = Text()
    parent_id = Text()
    parent = Text()
    permalink = Text()
    images = Rows(Picture)
    image = Part(Picture)
    categories = Rows(Term)
    tags = Rows(Term)
    brands = Rows(Term)


_DOCUMENT = ProductDocument()


def product_id(value: str) -> str:
    """An ID as WordPress assigns it; "" for anything else, because only digits may go into an address."""
    return value if _ID.fullmatch(value) else ""


def product_of(document: Any, base: str, *, parent_id: str = "") -> Product | None:
    """A product or a variation as the store describes it; None for anything else.

    `base` is what relative addresses are joined to. With `parent_id` the document is a variation of that product, and None if it
    belongs to another one.
    """
    if not isinstance(document, dict):
        return None
    loaded = _DOCUMENT.load(document)
    own_id = product_id(loaded["id"])
    stated_parent = product_id(loaded["parent_id"]) or product_id(loaded["parent"])
    # Parts of grouped products used to have a parent; only a variation belongs to another product.
    parent = parent_id or (stated_parent if loaded["type"] == "variation" else "")
    if not own_id or (parent_id and stated_parent not in ("", parent_id)):
        return None
    return Product(
        key=ProductKey(parent, own_id) if parent else ProductKey(own_id),
        url=_address(loaded["permalink"], base),
        image_url=_picture([loaded["image"], *loaded["images"]], base),
        brand=next(iter(_names(loaded["brands"])), ""),
        categories=_names(loaded["categories"]),
        tags=_names(loaded["tags"]),
    )


def gone(document: Any) -> Product | None:
    """The deleted product or variation in `{"id": N}`, which doesn't contain a variation's parent."""
    own_id = product_id(_DOCUMENT.load(document)["id"]) if isinstance(document, dict) else ""
    return Product(key=ProductKey(own_id), gone=True) if own_id else None


def _address(url: str, base: str) -> str:
    address = absolute_url(url, base)
    return address if len(address) <= _LONGEST_URL else ""


def _picture(rows: Iterable[Any], base: str) -> str:
    """The first picture that every mail client can show, else the first; the main picture comes first."""
    pictures = [address for row in rows if (address := _address(row["src"], base))]
    shown = (address for address in pictures if not urlsplit(address).path.lower().endswith(_POOR_PICTURES))
    return next(shown, pictures[0] if pictures else "")


def _names(rows: Sequence[Any]) -> tuple[str, ...]:
    names = (plain(row["name"])[:_LONGEST_NAME] for row in rows[:_MOST_NAMES] if row["slug"].lower() != _NO_CATEGORY)
    return tuple(dict.fromkeys(name for name in names if name))
