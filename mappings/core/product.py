"""Product data that orders lack: page, image, brand and categories."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from mappings.core.order import Item, Order


@dataclass(frozen=True, order=True, slots=True)
class ProductKey:
    """A product of a store, or one of its variants, by the platform's IDs."""

    product_id: str
    variant_id: str = ""
    """Blank for the product itself."""
    view: str = ""
    """Magento: the store view, since each has its own product pages."""
    sku: str = field(default="", compare=False)
    """From the order's line. Not part of the key, but some lookups only work by SKU."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """A product or variant as its store describes it; blank where it has no data. Addresses are absolute."""

    key: ProductKey
    url: str = ""
    image_url: str = ""
    brand: str = ""
    categories: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    gone: bool = False
    """The store deleted it."""


_UNKNOWN = Product(key=ProductKey(""))


def wanted(order: Order) -> set[ProductKey]:
    """The products whose data an order's items lack."""
    keys: set[ProductKey] = set()
    for item in order.items:
        if item.catalog_id:
            keys.add(ProductKey(item.catalog_id, view=order.view, sku=item.sku))
            if item.catalog_variant_id and not item.image_url:
                keys.add(ProductKey(item.catalog_id, item.catalog_variant_id, order.view, item.sku))
    return keys


def complete(order: Order, known: Mapping[ProductKey, Product]) -> Order:
    """The order with the product data that its payload lacks; what the payload has stays."""
    return order if not known else replace(order, items=tuple(_completed(item, order.view, known) for item in order.items))


def _completed(item: Item, view: str, known: Mapping[ProductKey, Product]) -> Item:
    product = known.get(ProductKey(item.catalog_id, view=view), _UNKNOWN)
    variant = known.get(ProductKey(item.catalog_id, item.catalog_variant_id, view), _UNKNOWN)
    if product is variant is _UNKNOWN:
        return item
    tags = variant.tags or product.tags
    labels = {"tags": list(tags), "product_tag": tags[0]} if tags else {}
    return replace(
        item,
        product_url=item.product_url or variant.url or product.url,
        image_url=item.image_url or variant.image_url or product.image_url,
        brand=item.brand or product.brand,
        categories=item.categories or product.categories,
        attributes={**labels, **item.attributes},
    )
