"""Shopify's products by GraphQL: from the Storefront API without a token, and from the Admin API with one.

Facts from shopify.dev: `nodes`, `ProductVariant.media`, `Product.featuredMedia`, image transforms; the Storefront API's tokenless access.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from adapter.stores.http import Deadline, StoreTrouble
from adapter.stores.shopify.client import Client
from mappings import Product, ProductKey, absolute_url

_ID = re.compile(r"[1-9][0-9]{0,19}")
# Email clients want JPEG, and no image wider than an email.
_STOREFRONT = """query($ids: [ID!]!) { nodes(ids: $ids) { id
  ... on Product { handle onlineStoreUrl vendor productType
    featuredImage { url(transform: {maxWidth: 600, preferredContentType: JPG}) } }
  ... on ProductVariant { image { url(transform: {maxWidth: 600, preferredContentType: JPG}) }
    product { handle onlineStoreUrl vendor productType
      featuredImage { url(transform: {maxWidth: 600, preferredContentType: JPG}) } } } } }"""
_PRODUCT = """handle onlineStoreUrl vendor productType tags category { fullName }
    featuredMedia { preview { image { url(transform: {maxWidth: 600, preferredContentType: JPG}) } } }"""
_ADMIN = f"""query($ids: [ID!]!) {{ nodes(ids: $ids) {{ id
  ... on Product {{ {_PRODUCT} }}
  ... on ProductVariant {{ media(first: 1) {{ nodes {{ preview {{ image {{
      url(transform: {{maxWidth: 600, preferredContentType: JPG}}) }} }} }} }} product {{ {_PRODUCT} }} }} }} }}"""


class Storefront:
    """The public Storefront API: products that are published to the online store.

    A query without a token can cost 1,000 points, one for each object in it. A variant costs 4 (variant, image, product, product's image),
    a product 2. So 200 keys cost 800 points at most.
    """

    name = "storefront"
    at_once = 200

    def __init__(self, client: Client) -> None:
        self._client = client

    def look_up(self, keys: Sequence[ProductKey], deadline: Deadline) -> Sequence[Product]:
        """Look up all keys with one request."""
        wanted = _by_gid(keys)
        answer = self._client.storefront(_STOREFRONT, {"ids": list(wanted)}, deadline) if wanted else {}
        return _products(answer, wanted, self._client)


class Admin:
    """The Admin API, with the scope read_products: all products, with their tags.

    A query can cost 1,000 points, one for each object in it and two for each connection. A variant costs 11: the variant, its media (2,
    plus medium, preview and image), its product, the product's medium, preview and image, and its category. So 80 keys cost 880 points.
    """

    name = "admin"
    at_once = 80

    def __init__(self, client: Client) -> None:
        self._client = client

    def look_up(self, keys: Sequence[ProductKey], deadline: Deadline) -> Sequence[Product]:
        """Look up all keys with one request."""
        wanted = _by_gid(keys)
        answer = self._client.admin(_ADMIN, {"ids": list(wanted)}, deadline, "the scope read_products") if wanted else {}
        return _products(answer, wanted, self._client)


def _by_gid(keys: Sequence[ProductKey]) -> dict[str, list[ProductKey]]:
    """The keys of each global ID; Shopify has no store views."""
    wanted: dict[str, list[ProductKey]] = {}
    for key in keys:
        if gid := _gid(key):
            wanted.setdefault(gid, []).append(key)
    return wanted


def _products(answer: Mapping[str, Any], wanted: Mapping[str, Sequence[ProductKey]], client: Client) -> list[Product]:
    """The products of the nodes, in the order of the IDs; null is a product that was deleted or that this API doesn't show."""
    nodes = answer.get("nodes", [])
    if not isinstance(nodes, list) or len(nodes) != len(wanted):
        raise StoreTrouble(f"{client.host} didn't return the products")
    rows = [node for node in nodes if isinstance(node, dict)]
    return [_product(key, node, client.address) for node in rows for key in wanted.get(_text(node.get("id")), ())]


def _gid(key: ProductKey) -> str:
    """The global ID; "" for an ID that can't be Shopify's."""
    kind, number = ("ProductVariant", key.variant_id) if key.variant_id else ("Product", key.product_id)
    return f"gid://shopify/{kind}/{number}" if _ID.fullmatch(number) else ""


def _product(key: ProductKey, node: Mapping[str, Any], address: str) -> Product:
    product = _object(node.get("product")) if key.variant_id else node
    own_image = _image(node.get("image")) or _image(_first(_object(node.get("media")).get("nodes")))
    product_image = _image(product.get("featuredImage")) or _image(product.get("featuredMedia"))
    url = _page(product, address)
    return Product(
        key=key,
        url=f"{url}{'&' if '?' in url else '?'}variant={key.variant_id}" if key.variant_id and url else url,
        image_url=own_image if key.variant_id else product_image,
        brand=_text(product.get("vendor")),
        categories=_categories(product),
        tags=tuple(tag for tag in _list(product.get("tags")) if isinstance(tag, str) and tag),
    )


def _page(product: Mapping[str, Any], address: str) -> str:
    """A product's page; by its handle if the online store doesn't publish it."""
    handle = _text(product.get("handle"))
    return absolute_url(_text(product.get("onlineStoreUrl"))) or (absolute_url(f"{address}/products/{handle}") if handle else "")


def _categories(product: Mapping[str, Any]) -> tuple[str, ...]:
    full_name = _text(_object(product.get("category")).get("fullName"))
    name = _text(product.get("productType")) or full_name.rpartition(">")[2].strip()
    return (name,) if name else ()


def _image(node: Any) -> str:
    """The address of an image, or of a medium's preview image."""
    image = _object(node)
    still = _object(_object(image.get("preview")).get("image"))
    return absolute_url(_text(image.get("url")) or _text(still.get("url")))


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
