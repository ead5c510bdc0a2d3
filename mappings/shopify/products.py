"""Shopify's products, as its product webhooks contain them: REST bodies of any API version.

Facts from shopify.dev: the REST Product resource; newer versions have `media` instead of `images`; `products/delete` only has an ID.
"""

from collections.abc import Mapping
from typing import Any

from mappings.core.fields import Id, Part, PayloadSchema, Rows, Text
from mappings.core.product import Product, ProductKey
from mappings.core.text import absolute_url, plain


class Picture(PayloadSchema):
    id = Text()
    src = Text()


class Medium(PayloadSchema):
    preview_image = Part(Picture)


class Variant(PayloadSchema):
    id = Text()
    image_id = Text()


class Category(PayloadSchema):
    full_name = Text()


class ProductDocument(PayloadSchema):
    id = Id()
    handle = Text()
    vendor = Text()
    product_type = Text()
    tags = Text()
    image = Part(Picture)
    images = Rows(Picture)
    media = Rows(Medium)
    variants = Rows(Variant)
    category = Part(Category)


_DOCUMENT = ProductDocument()


def products_of(document: Any, base: str) -> list[Product]:
    """The product of a document and each of its variants; a document with nothing but an ID is a deleted product.

    `base` is the shop's address without a trailing slash; without it no page is known.
    """
    if not isinstance(document, dict) or not str(document.get("id")).isdecimal():
        return []
    if set(document) <= {"id", "admin_graphql_api_id"}:
        return [Product(key=ProductKey(str(document["id"])), gone=True)]
    loaded = _DOCUMENT.load(document)
    page = absolute_url(f"{base}/products/{loaded['handle']}") if base and loaded["handle"] else ""
    pictures = {picture["id"]: absolute_url(picture["src"]) for picture in loaded["images"]}
    product = Product(
        key=ProductKey(loaded["id"]),
        url=page,
        image_url=_main_picture(loaded),
        brand=plain(loaded["vendor"]),
        categories=_categories(loaded),
        tags=tuple(tag for part in loaded["tags"].split(",") if (tag := plain(part))),
    )
    variants = (
        Product(
            key=ProductKey(loaded["id"], variant["id"]),
            url=f"{page}?variant={variant['id']}" if page else "",
            image_url=pictures.get(variant["image_id"], ""),
        )
        for variant in loaded["variants"]
        if variant["id"].isdecimal()
    )
    return [product, *variants]


def _main_picture(loaded: Mapping[str, Any]) -> str:
    sources = [loaded["image"]["src"], *(picture["src"] for picture in loaded["images"])]
    sources += [medium["preview_image"]["src"] for medium in loaded["media"]]
    return next((url for source in sources if (url := absolute_url(source))), "")


def _categories(loaded: Mapping[str, Any]) -> tuple[str, ...]:
    name = plain(loaded["product_type"]) or plain(loaded["category"]["full_name"].rpartition(">")[2])
    return (name,) if name else ()
