"""Magento's products: from the endpoint of the storefront's own widgets, and from the REST API with a token.

Facts from AdobeDocs/commerce-webapi (guest and admin schema 2.4.8) and magento/magento2 (Catalog/Model/ProductRenderList.php, its image
and URL collectors, View/Asset/Placeholder.php).
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from adapter.stores.api import ProductSource, Shop
from adapter.stores.http import Deadline, StoreTrouble
from adapter.stores.magento.client import FIRST_VIEW, Client, magento_id
from adapter.stores.magento.pages import PLACEHOLDER, address_of, best_picture, by_view, short_address
from adapter.stores.magento.terms import Terms
from mappings import Product, ProductKey

log = logging.getLogger(__name__)
AT_ONCE = 50
_NEED = "Catalog > Inventory > Products"
# Required, and must be a valid currency. It only affects prices, which aren't used here.
_CURRENCY = "USD"
_FIELDS = (
    "items[id,status,visibility,media_gallery_entries[file,disabled,media_type],"
    "extension_attributes[category_links[category_id]],custom_attributes]"
)
_PICTURES = ("image", "small_image", "thumbnail")
_NO_PICTURE = "no_selection"
_INVISIBLE = "1"
_DISABLED = "2"
_REST_S = 300.0


class RestApi:
    """Requests with an integration's token: all products, with brand and categories."""

    name = "rest"
    at_once = AT_ONCE

    def __init__(self, client: Client, shop: Shop) -> None:
        self._client = client
        self._shop = shop
        self._terms = Terms(client, shop.store.api.brand_attribute)

    def look_up(self, keys: Sequence[ProductKey], deadline: Deadline) -> Sequence[Product]:
        """One request for each store view, and more for the names of new brands and categories."""
        return [product for view, wanted in by_view(keys).items() for product in self._of_view(view, wanted, deadline)]

    def _of_view(self, view: str, wanted: Sequence[ProductKey], deadline: Deadline) -> list[Product]:
        scope = self._client.scope(view)
        rows = _by_id(self._client.by_ids(scope, "products", _ids(wanted), deadline, need=_NEED, params={"fields": _FIELDS}))
        # A child gets its parent's brand and categories.
        own = [rows[key.product_id] for key in wanted if not key.variant_id and key.product_id in rows]
        self._terms.learn(scope, own, deadline)
        known = ((key, rows.get(_id(key))) for key in wanted)
        return [self._product(key, row, scope) for key, row in known if row is not None]

    def _product(self, key: ProductKey, row: Mapping[str, Any], scope: str) -> Product:
        attributes, base = attributes_of(row), address_of(self._shop, key.view)
        product = Product(key=key, url=self._url(row, attributes, base), image_url=self._picture(row, attributes, base))
        if key.variant_id:
            return product
        return replace(product, brand=self._terms.brand(scope, row), categories=self._terms.categories(scope, row))

    def _url(self, row: Mapping[str, Any], attributes: Mapping[str, Any], base: str) -> str:
        slug = attributes.get("url_key")
        # A product that isn't visible individually, such as a configurable product's child, has no page.
        if not isinstance(slug, str) or not slug or str(row.get("visibility")) == _INVISIBLE or str(row.get("status")) == _DISABLED:
            return ""
        return short_address(f"{base}{quote(slug, safe='')}{self._shop.store.api.url_suffix}", base)

    def _picture(self, row: Mapping[str, Any], attributes: Mapping[str, Any], base: str) -> str:
        media = f"{self._shop.store.api.media_url.rstrip('/')}/" if self._shop.store.api.media_url else f"{base}media/"
        listed = row.get("media_gallery_entries")
        gallery = [
            entry.get("file")
            for entry in (listed if isinstance(listed, list) else ())
            if isinstance(entry, dict) and not entry.get("disabled") and entry.get("media_type", "image") == "image"
        ]
        files = [file for file in (*(attributes.get(name) for name in _PICTURES), *gallery) if isinstance(file, str)]
        named = (file.lstrip("/") for file in files if file.strip("/") and file != _NO_PICTURE)
        return best_picture(short_address(f"{media}catalog/product/{file}", base) for file in named)


class RenderInfo:
    """Public requests for visible products, by the numeric ids in orders. Never sends credentials.

    Brand and categories are missing here. They come from another source: the REST API if there is a token, or else GraphQL.
    """

    name = "render_info"
    at_once = AT_ONCE

    def __init__(self, client: Client, shop: Shop, terms: ProductSource) -> None:
        self._client = client
        self._shop = shop
        self._terms = terms
        self._rests_until = 0.0

    def look_up(self, keys: Sequence[ProductKey], deadline: Deadline) -> Sequence[Product]:
        """One request for each store view, and more for brands and categories."""
        found = [product for view, wanted in by_view(keys).items() for product in self._of_view(view, wanted, deadline)]
        return self._with_terms(found, deadline)

    def _of_view(self, view: str, wanted: Sequence[ProductKey], deadline: Deadline) -> list[Product]:
        params = {"storeId": view or FIRST_VIEW, "currencyCode": _CURRENCY}
        rows = _by_id(self._client.by_ids(self._client.scope(view), "products-render-info", _ids(wanted), deadline, params=params))
        known = ((key, rows.get(_id(key))) for key in wanted)
        return [self._product(key, row) for key, row in known if row is not None]

    def _product(self, key: ProductKey, row: Mapping[str, Any]) -> Product:
        base, url, listed = address_of(self._shop, key.view), row.get("url"), row.get("images")
        images = [image for image in (listed if isinstance(listed, list) else ()) if isinstance(image, dict)]
        urls = (image.get("url") for image in sorted(images, key=_width, reverse=True))
        sources = [short_address(source, base) for source in urls if isinstance(source, str)]
        # The answer doesn't show whether a child is visible individually; its parent's page always shows it.
        page = short_address(url, base) if isinstance(url, str) and not key.variant_id else ""
        return Product(key=key, url=page, image_url=best_picture(source for source in sources if PLACEHOLDER not in source))

    def _with_terms(self, found: list[Product], deadline: Deadline) -> list[Product]:
        """The products with brand and categories; without them if the other source fails, which is then not used for a while."""
        wanted = [product.key for product in found if not product.key.variant_id]
        if not wanted or self._rests_until > time.monotonic():
            return found
        try:
            known = {product.key: product for product in self._terms.look_up(wanted, deadline)}
        except StoreTrouble as trouble:
            self._rests_until = time.monotonic() + max(_REST_S, trouble.wait_s or 0.0)
            about = {"action": "look_up_failed", "store": self._shop.store.name, "source": self._terms.name, "seconds": _REST_S}
            log.warning("brands and categories could not be looked up: %s", trouble, extra=about)
            return found
        return [_merged(product, known.get(product.key)) for product in found]


def _merged(product: Product, other: Product | None) -> Product:
    if other is None:
        return product
    return replace(
        product,
        url=product.url or other.url,
        image_url=product.image_url or other.image_url,
        brand=other.brand,
        categories=other.categories,
    )


def attributes_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A product's custom attributes, by code."""
    listed = row.get("custom_attributes")
    pairs = [each for each in (listed if isinstance(listed, list) else ()) if isinstance(each, dict)]
    return {each["attribute_code"]: each.get("value") for each in pairs if isinstance(each.get("attribute_code"), str)}


def _id(key: ProductKey) -> str:
    """The id of the product to request: in Magento, variants are products too."""
    return key.variant_id or key.product_id


def _ids(keys: Iterable[ProductKey]) -> list[str]:
    return sorted({_id(key) for key in keys}, key=int)


def _by_id(rows: Iterable[Any]) -> dict[str, Mapping[str, Any]]:
    return {own_id: row for row in rows if isinstance(row, dict) and (own_id := magento_id(row.get("id")))}


def _width(image: Mapping[str, Any]) -> int:
    width = image.get("width")
    return width if isinstance(width, int) else 0
