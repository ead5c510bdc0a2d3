"""BigCommerce's products, in the shape of `GET /v3/catalog/products?include=images,variants` (reference/catalog/products_catalog)."""

from collections.abc import Mapping, Sequence
from typing import Any

from mappings.core.fields import Flag, Id, Part, PayloadSchema, Rows, Text, Texts
from mappings.core.product import Product, ProductKey
from mappings.core.text import absolute_url, plain

_MOST_CATEGORIES = 50


class Address(PayloadSchema):
    url = Text()


class Image(PayloadSchema):
    is_thumbnail = Flag()
    url_standard = Text()


class Variant(PayloadSchema):
    id = Id()
    image_url = Text()


class ProductDocument(PayloadSchema):
    id = Id()
    custom_url = Part(Address)
    images = Rows(Image)
    variants = Rows(Variant)
    categories = Texts()


_DOCUMENT = ProductDocument()


def category_ids(document: Any) -> Sequence[str]:
    """The IDs of a product's categories."""
    return _DOCUMENT.load(document)["categories"][:_MOST_CATEGORIES] if isinstance(document, dict) else ()


def products_of(document: Any, base: str, category_names: Mapping[str, str]) -> Sequence[Product]:
    """A product and those of its variants that have a picture of their own; nothing for anything else."""
    if not isinstance(document, dict):
        return ()
    loaded = _DOCUMENT.load(document)
    own_id = loaded["id"]
    if not own_id:
        return ()
    url = absolute_url(loaded["custom_url"]["url"], base)
    names = (plain(category_names.get(each, "")) for each in loaded["categories"][:_MOST_CATEGORIES])
    categories = tuple(dict.fromkeys(name for name in names if name))
    product = Product(key=ProductKey(own_id), url=url, image_url=_picture(loaded["images"]), categories=categories)
    pictures = {row["id"]: absolute_url(row["image_url"]) for row in loaded["variants"] if row["id"]}
    return [product, *(Product(key=ProductKey(own_id, own), url=url, image_url=image) for own, image in pictures.items() if image)]


def _picture(images: Sequence[Mapping[str, Any]]) -> str:
    chosen = [row for row in images if row["is_thumbnail"]] or list(images)
    return next((url for row in chosen if (url := absolute_url(row["url_standard"]))), "")
