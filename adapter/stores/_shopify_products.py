"""Shopify's products by GraphQL: from the Storefront API without a token, and from the Admin API with one.

Facts from shopify.dev: `nodes`, `ProductVariant.media`, `Product.featuredMedia`, image transforms; the Storefront API's tokenless access.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapter.stores._shopify_client import Client
from adapter.stores.api import Deadline
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
Ask = Callable[[str, Mapping[str, Any], Deadline], dict[str, Any]]


class Storefront:
    """What any visitor may know: what is published to the online store.

    A query may cost 1,000 points without a token, and a variant costs itself, its product and two pictures: 4 each.
    """

    name = "storefront"
    at_once = 200

    def __init__(self, client: Client) -> None:
        self._client = client

    def look_up(self, keys: Sequence[ProductKey], deadline: Deadline) -> Sequence[Product]:
        """One request for all of them."""
        return _look_up(self._client, self._client.storefront, _STOREFRONT, keys, deadline)


class Admin:
    """What a token with the scope read_products may know: all products, and their tags.

    A query may cost 1,000 points; a variant costs itself, its media (1 + 1 picture), its product and that one's picture and category.
    """

    name = "admin"
    at_once = 100

    def __init__(self, client: Client) -> None:
        self._client = client

    def look_up(self, keys: Sequence[ProductKey], deadline: Deadline) -> Sequence[Product]:
        """One request for all of them."""
        return _look_up(self._client, self._client.admin, _ADMIN, keys, deadline)


def _look_up(client: Client, ask: Ask, query: str, keys: Sequence[ProductKey], deadline: Deadline) -> list[Product]:
    """Every key by its global id; a node that is null is a product that is no more, or that this way does not show."""
    wanted = {gid: key for key in keys if (gid := _gid(key))}
    if not wanted:
        return []
    nodes = ask(query, {"ids": list(wanted)}, deadline).get("nodes")
    rows = [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
    return [_product(wanted[node["id"]], node, client.address) for node in rows if node.get("id") in wanted]


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
