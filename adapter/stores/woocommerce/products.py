"""WooCommerce's products: from the public Store API, and from the REST API with a key.

Facts from woocommerce/woocommerce: src/StoreApi/Utilities/ProductQuery.php, the REST products and product variations controllers v3.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from adapter.stores.http import Deadline, StoreTrouble
from adapter.stores.woocommerce.client import Answer, Client
from mappings import Product, ProductKey
from mappings.woocommerce.products import product_id, product_of

AT_ONCE = 100
_PUBLIC_FIELDS = "id,type,parent,permalink,images,categories,tags,brands"
_FIELDS = "id,type,parent_id,permalink,images,image,categories,tags,brands"
_MOST_PARENTS = 10
_PER_PAGE = {"per_page": AT_ONCE}


class StoreApi:
    """Published products, which are public. Never sends credentials."""

    name = "store_api"
    at_once = AT_ONCE

    def __init__(self, client: Client) -> None:
        self._client = client

    def look_up(self, keys: Sequence[ProductKey], deadline: Deadline) -> Sequence[Product]:
        """At most two requests: one for the products, one for all variations."""
        wanted = _wanted(keys)
        parents = sorted({key.product_id for key in wanted if not key.variant_id}, key=int)
        found = [product_of(row, self._client.base) for row in self._rows({"include": _list(parents)}, deadline)] if parents else []
        parent_of = {key.variant_id: key.product_id for key in wanted if key.variant_id}
        if parent_of:
            found += _beside(found, lambda: self._variations(parent_of, deadline))
        return _echoed(wanted, found)

    def _variations(self, parent_of: Mapping[str, str], deadline: Deadline) -> list[Product | None]:
        # Variations are listed only if their type is requested.
        rows = self._rows({"include": _list(sorted(parent_of, key=int)), "type": "variation"}, deadline)
        return [_variation(row, parent_of, self._client.base) for row in rows]

    def _rows(self, params: Mapping[str, Any], deadline: Deadline) -> list[Any]:
        answer = self._client.public("wc/store/v1/products", {**params, **_PER_PAGE, "_fields": _PUBLIC_FIELDS}, deadline)
        if answer.status in (401, 403):
            raise StoreTrouble(
                f"{self._client.host} rejects requests to the public Store API ({answer.error}): a security plugin may block it; "
                "allow /wp-json/wc/store/v1/products there, or set WOOCOMMERCE_CONSUMER_KEY and WOOCOMMERCE_CONSUMER_SECRET"
            )
        return _list_of(answer, self._client)


class RestApi:
    """All products, for a key with the read permission."""

    name = "rest"
    at_once = AT_ONCE

    def __init__(self, client: Client) -> None:
        self._client = client

    def look_up(self, keys: Sequence[ProductKey], deadline: Deadline) -> Sequence[Product]:
        """One request for the products, and one for each product's variations while half of the time is left."""
        wanted = _wanted(keys)
        parents = sorted({key.product_id for key in wanted if not key.variant_id}, key=int)
        found: list[Product | None] = []
        if parents:
            rows = self._rows("wc/v3/products", {"include": _list(parents), "status": "any"}, deadline)
            found += [product_of(row, self._client.base) for row in rows]
        variants: dict[str, list[str]] = {}
        for key in wanted:
            if key.variant_id:
                variants.setdefault(key.product_id, []).append(key.variant_id)
        enough = deadline.left / 2
        for parent in list(variants)[:_MOST_PARENTS]:
            if deadline.left <= enough:
                break
            found += _beside(found, partial(self._variations, parent, variants[parent], deadline))
        return _echoed(wanted, found)

    def _variations(self, parent: str, ids: Sequence[str], deadline: Deadline) -> list[Product | None]:
        answer = self._ask(f"wc/v3/products/{parent}/variations", {"include": _list(ids)}, deadline)
        if answer.status == 404:  # the product was deleted
            return []
        return [product_of(row, self._client.base, parent_id=parent) for row in _list_of(answer, self._client)]

    def _rows(self, path: str, params: Mapping[str, Any], deadline: Deadline) -> list[Any]:
        return _list_of(self._ask(path, params, deadline), self._client)

    def _ask(self, path: str, params: Mapping[str, Any], deadline: Deadline) -> Answer:
        return self._client.ask("GET", path, {**params, **_PER_PAGE, "_fields": _FIELDS}, deadline)


def _beside(found: Sequence[object], ask: Callable[[], list[Product | None]]) -> list[Product | None]:
    """The variations. If they can't be fetched, the data of their products is good enough; without any, the trouble is raised."""
    try:
        return ask()
    except StoreTrouble:
        if found:
            return []
        raise


def _wanted(keys: Iterable[ProductKey]) -> list[ProductKey]:
    """The keys that can exist in a store: a payload may contain any text as an ID."""
    return [key for key in keys if product_id(key.product_id) and (not key.variant_id or product_id(key.variant_id))]


def _list(ids: Sequence[str]) -> str:
    return ",".join(ids)


def _list_of(answer: Answer, client: Client) -> list[Any]:
    if answer.status != 200 or not isinstance(answer.document, list):
        raise client.unexpected(answer, "a list of products was requested")
    return answer.document


def _variation(row: Any, parent_of: Mapping[str, str], base: str) -> Product | None:
    own_id = str(row.get("id")) if isinstance(row, dict) else ""
    return product_of(row, base, parent_id=parent_of[own_id]) if own_id in parent_of else None


def _echoed(wanted: Iterable[ProductKey], found: Iterable[Product | None]) -> list[Product]:
    """The requested products that were found, each under the key by which it was requested."""
    by_ids = {(product.key.product_id, product.key.variant_id): product for product in found if product is not None}
    known = ((key, by_ids.get((key.product_id, key.variant_id))) for key in wanted)
    return [replace(product, key=key) for key, product in known if product is not None]
