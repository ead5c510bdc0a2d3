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
# Mail clients want JPEG, and no picture larger than a mail is wide.
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
    """What any visitor may know: what is published to the online store.

    A query without a token may cost 1,000 points, one for each object in it. A variant costs 4: itself, its picture, its product, and
    that one's picture. A product costs 2. So 200 keys cost 800 points at most.
    """

    name = "storefront"
    at_once = 200

    def __init__(self, client: Client) -> None:
        self._client = client

    def look_up(self, keys: Sequence[ProductKey], deadline: Deadline) -> Sequence[Product]:
        """One request for all of them."""
        wanted = _by_gid(keys)
        answer = self._client.storefront(_STOREFRONT, {"ids": list(wanted)}, deadline) if wanted else {}
        return _products(answer, wanted, self._client)


class Admin:
    """What a token with the scope read_products may know: all products, and their tags.

    A query may cost 1,000 points: one for each object in it, and two for each connection. A variant costs 11: itself, its media (2, and
    medium, preview and image), its product, that one's medium, preview and image, and its category. So 80 keys cost 880 points at most.
    """

    name = "admin"
    at_once = 80

    def __init__(self, client: Client) -> None:
        self._client = client

    def look_up(self, keys: Sequence[ProductKey], deadline: Deadline) -> Sequence[Product]:
        """One request for all of them."""
        wanted = _by_gid(keys)
        answer = self._client.admin(_ADMIN, {"ids": list(wanted)}, deadline, "the scope read_products") if wanted else {}
        return _products(answer, wanted, self._client)


def _by_gid(keys: Sequence[ProductKey]) -> dict[str, list[ProductKey]]:
    """The keys of each global id, which takes no note of store views."""
    wanted: dict[str, list[ProductKey]] = {}
    for key in keys:
        if gid := _gid(key):
            wanted.setdefault(gid, []).append(key)
    return wanted


def _products(answer: Mapping[str, Any], wanted: Mapping[str, Sequence[ProductKey]], client: Client) -> list[Product]:
    """What the nodes tell, in the ids' places; a null is a product that is no more, or that this way does not show."""
    nodes = answer.get("nodes", [])
    if not isinstance(nodes, list) or len(nodes) != len(wanted):
        raise StoreTrouble(f"{client.host} answered without the products")
    rows = [node for node in nodes if isinstance(node, dict)]
    return [_product(key, node, client.address) for node in rows for key in wanted.get(_text(node.get("id")), ())]


def _gid(key: ProductKey) -> str:
    """The global id; "" for an id that Shopify cannot have given."""
    kind, number = ("ProductVariant", key.variant_id) if key.variant_id else ("Product", key.product_id)
    return f"gid://shopify/{kind}/{number}" if _ID.fullmatch(number) else ""


def _product(key: ProductKey, node: Mapping[str, Any], address: str) -> Product:
    product = _object(node.get("product")) if key.variant_id else node
    own_picture = _picture(node.get("image")) or _picture(_first(_object(node.get("media")).get("nodes")))
    products_picture = _picture(product.get("featuredImage")) or _picture(product.get("featuredMedia"))
    url = _page(product, address)
    return Product(
        key=key,
        url=f"{url}{'&' if '?' in url else '?'}variant={key.variant_id}" if key.variant_id and url else url,
        image_url=own_picture if key.variant_id else products_picture,
        brand=_text(product.get("vendor")),
        categories=_categories(product),
        tags=tuple(tag for tag in _list(product.get("tags")) if isinstance(tag, str) and tag),
    )


def _page(product: Mapping[str, Any], address: str) -> str:
    """Its page; a product that the online store does not publish has one by its handle where it is shown at all."""
    handle = _text(product.get("handle"))
    return absolute_url(_text(product.get("onlineStoreUrl"))) or (absolute_url(f"{address}/products/{handle}") if handle else "")


def _categories(product: Mapping[str, Any]) -> tuple[str, ...]:
    full_name = _text(_object(product.get("category")).get("fullName"))
    name = _text(product.get("productType")) or full_name.rpartition(">")[2].strip()
    return (name,) if name else ()


def _picture(node: Any) -> str:
    """The address of an image, or of a medium's still."""
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
