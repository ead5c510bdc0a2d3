"""BigCommerce's products, from the catalog API with a token."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapter.stores.bigcommerce.client import Client
from adapter.stores.http import Deadline, StoreTrouble
from mappings import Product, ProductKey
from mappings.bigcommerce.products import category_ids, products_of

_AT_ONCE = 50
_MOST = 250
_SCOPE = "Products: read-only"


class CatalogApi:
    """All products."""

    name = "catalog_api"
    at_once = _AT_ONCE

    def __init__(self, client: Client, address: str) -> None:
        self._client = client
        self._base = f"{address}/"

    def look_up(self, keys: Sequence[ProductKey], deadline: Deadline) -> Sequence[Product]:
        """One request for the products with their variants, one for the names of their categories."""
        ids = sorted({key.product_id for key in keys if key.product_id.isdecimal()}, key=int)
        if not ids:
            return ()
        query = {"id:in": ",".join(ids), "include": "images,variants", "limit": _MOST}
        rows = self._client.rows("v3/catalog/products", query, deadline, _SCOPE)
        names = self._category_names(rows, deadline)
        found = {product.key: product for row in rows for product in products_of(row, self._base, names)}
        return [replace(found[key], key=key) for key in keys if key in found]

    def _category_names(self, rows: Iterable[Any], deadline: Deadline) -> Mapping[str, str]:
        """The names by ID; none if they can't be read, since page and picture matter more."""
        ids = sorted({each for row in rows for each in category_ids(row) if each.isdecimal()}, key=int)[:_MOST]
        if not ids:
            return {}
        try:
            query = {"category_id:in": ",".join(ids), "limit": _MOST}
            categories = self._client.rows("v3/catalog/trees/categories", query, deadline, _SCOPE)
        except StoreTrouble:
            return {}
        return {str(row.get("category_id")): row["name"] for row in categories if isinstance(row.get("name"), str)}
