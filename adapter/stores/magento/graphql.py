"""Products from the storefront's GraphQL, without a token: unlike the render info, it includes brand and categories.

It finds products by SKU only, which order lines contain; each row's `uid` identifies its product. Facts from AdobeDocs/commerce-webapi
(GraphQL schemas 2.4.6 to 2.4.8) and magento/magento2 (#30578, #37405: the SKU of a simple product also finds the configurable product that
contains it, and only that one if the simple product isn't visible).
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from adapter.stores.api import Shop
from adapter.stores.http import Deadline, StoreTrouble
from adapter.stores.magento.client import Client, magento_id
from adapter.stores.magento.pages import PLACEHOLDER, address_of, best_picture, by_view, short_address
from mappings import Product, ProductKey
from mappings.core.text import plain

AT_ONCE = 50
# Each requested product may be accompanied by the configurable product that contains it.
_PAGE = 2 * AT_ONCE
_IMAGES = "image { url } small_image { url }"
_ATTRIBUTES = """custom_attributesV2 { items { code
    ... on AttributeValue { value } ... on AttributeSelectedOptions { selected_options { label } } } }"""
# Exists since 2.4.7; older versions name it in their error.
_NEW_FIELD = "custom_attributesV2"
_QUERY = """query($skus: [String], $size: Int) { products(filter: {sku: {in: $skus}}, pageSize: $size) { items {
  uid sku url_key url_suffix %(images)s categories { name level } %(attributes)s
  ... on ConfigurableProduct { variants { product { uid sku %(images)s } } } } } }"""
# Levels 0 and 1 are the roots of the category tree, which shoppers don't see.
_FIRST_LEVEL = 2
_LONGEST_NAME = 255
_LONGEST_SKU = 64
_MOST_NAMES = 50


class GraphQl:
    """Public requests for visible products. Never sends credentials."""

    name = "graphql"
    at_once = AT_ONCE

    def __init__(self, client: Client, shop: Shop) -> None:
        self._client = client
        self._shop = shop
        self._has_attributes = True

    def look_up(self, keys: Sequence[ProductKey], deadline: Deadline) -> Sequence[Product]:
        """One request for each store view; keys without a SKU are ignored."""
        with_sku = (key for key in keys if 0 < len(key.sku) <= _LONGEST_SKU)
        return [product for view, wanted in by_view(with_sku).items() for product in self._of_view(view, wanted, deadline)]

    def _of_view(self, view: str, wanted: Sequence[ProductKey], deadline: Deadline) -> list[Product]:
        rows = self._ask(view, sorted({key.sku for key in wanted}), deadline)
        parents = {own_id: row for row in rows if (own_id := _id(row))}
        children = {own_id: row for parent in rows for row in _variants(parent) if (own_id := _id(row))}
        base = address_of(self._shop, view)
        found = []
        for key in wanted:
            if key.variant_id:  # it is shown on its parent's page, so only its image is needed
                row = children.get(key.variant_id) or parents.get(key.variant_id)
                found += [Product(key=key, image_url=_picture(row, base))] if row else []
            elif row := parents.get(key.product_id):
                found.append(self._product(key, row, base))
        return found

    def _product(self, key: ProductKey, row: Mapping[str, Any], base: str) -> Product:
        slug, suffix = row.get("url_key"), row.get("url_suffix")
        ending = suffix if isinstance(suffix, str) else self._shop.store.api.url_suffix
        return Product(
            key=key,
            url=short_address(f"{base}{quote(slug, safe='')}{ending}", base) if isinstance(slug, str) and slug else "",
            image_url=_picture(row, base),
            brand=self._brand(row),
            categories=_categories(row),
        )

    def _ask(self, view: str, skus: Sequence[str], deadline: Deadline) -> list[Mapping[str, Any]]:
        variables = {"skus": skus, "size": _PAGE}
        document = self._client.graphql(view, _query(attributes=self._has_attributes), variables, deadline)
        if self._has_attributes and _products(document) is None:
            self._has_attributes = f'field "{_NEW_FIELD}"' not in _message(document)
            # Also in versions that have the field: one failing attribute makes the whole request fail.
            document = self._client.graphql(view, _query(attributes=False), variables, deadline)
        products = _products(document)
        if products is None:
            raise StoreTrouble(f"{self._client.host} answered the GraphQL request with an error: {_message(document)}")
        return products

    def _brand(self, row: Mapping[str, Any]) -> str:
        attributes = _objects(_object(row.get(_NEW_FIELD)).get("items"))
        code = self._shop.store.api.brand_attribute
        brand = next((attribute for attribute in attributes if attribute.get("code") == code), {})
        labels = [option.get("label") for option in _objects(brand.get("selected_options"))] or [brand.get("value")]
        return next((name for label in labels if isinstance(label, str) and (name := _name(label))), "")


def _query(*, attributes: bool) -> str:
    return _QUERY % {"images": _IMAGES, "attributes": _ATTRIBUTES if attributes else ""}


def _products(document: Any) -> list[Mapping[str, Any]] | None:
    """The rows of an answer; None if it has no list of rows."""
    items = _object(_object(_object(document).get("data")).get("products")).get("items")
    return list(_objects(items)) if isinstance(items, list) else None


def _message(document: Any) -> str:
    message = next((error.get("message") for error in _objects(_object(document).get("errors"))), None)
    return "".join(character for character in str(message or "no products") if character.isprintable())[:200]


def _variants(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (_object(variant.get("product")) for variant in _objects(row.get("variants")))


def _id(row: Mapping[str, Any]) -> str:
    """A product's id, decoded from its Base64 `uid`; "" if that isn't possible."""
    uid = row.get("uid")
    try:
        return magento_id(base64.b64decode(uid, validate=True).decode("ascii")) if isinstance(uid, str) else ""
    except (binascii.Error, ValueError):
        return ""


def _picture(row: Mapping[str, Any], base: str) -> str:
    urls = (_object(row.get(name)).get("url") for name in ("image", "small_image"))
    return best_picture(short_address(url, base) for url in urls if isinstance(url, str) and PLACEHOLDER not in url)


def _categories(row: Mapping[str, Any]) -> tuple[str, ...]:
    shown = (one for one in _objects(row.get("categories")) if isinstance(one.get("level"), int) and one["level"] >= _FIRST_LEVEL)
    names = (_name(one["name"]) for one in shown if isinstance(one.get("name"), str))
    return tuple(dict.fromkeys(name for name in names if name))[:_MOST_NAMES]


def _name(text: str) -> str:
    return plain(text)[:_LONGEST_NAME]


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> Iterable[Mapping[str, Any]]:
    return (each for each in value if isinstance(each, dict)) if isinstance(value, list) else ()
