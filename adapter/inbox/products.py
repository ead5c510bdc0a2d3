"""Statements on the catalog's cache of products. All run in the caller's transaction."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, or_, select

from adapter.inbox.sql import parts, upserting
from adapter.inbox.tables import products
from mappings import Product, ProductKey

FOUND_FOR = timedelta(days=1)
MISSED_FOR = timedelta(hours=1)
WEBHOOK = "webhook"
"""The source of products that a store sent by webhook."""
_LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class Known:
    """A cached product: what the store returned, through which source, and when."""

    product: Product | None
    """None: the store has no such product."""
    source: str
    fetched_at: datetime

    def is_fresh(self, now: datetime) -> bool:
        """Whether it need not be fetched again."""
        return now - self.fetched_at < (FOUND_FOR if self.product else MISSED_FOR)


def known_products(connection: Connection, store: str, keys: Iterable[ProductKey]) -> dict[ProductKey, Known]:
    """The cached entries of these products, however old."""
    wanted = set(keys)
    found = {}
    for part in parts(sorted({key.product_id for key in wanted})):
        for row in connection.execute(_KNOWN, {"store": store, "ids": list(part)}):
            key = ProductKey(row.product_id, row.variant_id, row.view)
            if key in wanted:
                found[key] = Known(_product(key, row) if row.found else None, row.source, row.fetched_at)
    return found


_KNOWN = select(products).where(products.c.store == bindparam("store"), products.c.product_id.in_(bindparam("ids", expanding=True)))


def keep_products(connection: Connection, store: str, found: Iterable[Product], source: str, at: datetime) -> None:
    """Cache products that a store sent or returned. What is known of one stays when it is gone: orders that contain it don't change."""
    _keep(connection, (_row(store, product.key, product, source, at) for product in found))


def keep_misses(connection: Connection, store: str, keys: Iterable[ProductKey], source: str, at: datetime) -> None:
    """Cache that a store does not have these products, unless something is known of them."""
    _keep(connection, (_row(store, key, Product(key=key, gone=True), source, at) for key in keys))


def _keep(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    # Always sorted, so that two transactions that write the same products cannot deadlock.
    unique = {(row["store"], row["view"], row["product_id"], row["variant_id"]): row for row in rows}
    if not unique:
        return
    row = upserting(connection, products)
    moved = {name: row.excluded[name] for name in ("found", "url", "image_url", "brand", "categories", "tags", "source", "fetched_at")}
    knows_more = or_(row.excluded.found, products.c.found.is_(False))
    upsert = row.on_conflict_do_update(index_elements=["store", "view", "product_id", "variant_id"], set_=moved, where=knows_more)
    connection.execute(upsert, [dict(unique[key]) for key in sorted(unique)])


def _row(store: str, key: ProductKey, product: Product, source: str, at: datetime) -> dict[str, Any]:
    return {
        "store": store,
        "view": key.view,
        "product_id": key.product_id,
        "variant_id": key.variant_id,
        "found": not product.gone,
        "url": _bounded(product.url),
        "image_url": _bounded(product.image_url),
        "brand": product.brand[:_LONGEST],
        "categories": json.dumps(_texts(product.categories), ensure_ascii=False),
        "tags": json.dumps(_texts(product.tags), ensure_ascii=False),
        "source": source,
        "fetched_at": at,
    }


def _bounded(url: str) -> str:
    """An address, or nothing in place of one too long for mail clients."""
    return url if len(url) <= _LONGEST else ""


def _texts(texts: Sequence[str]) -> list[str]:
    return [text[:_LONGEST] for text in texts[:100]]


def _product(key: ProductKey, row: Row[Any]) -> Product:
    return Product(
        key=key,
        url=row.url,
        image_url=row.image_url,
        brand=row.brand,
        categories=tuple(json.loads(row.categories)),
        tags=tuple(json.loads(row.tags)),
    )


def fresh_keys(known: Mapping[ProductKey, Known], now: datetime) -> Iterator[ProductKey]:
    """The products that need not be fetched again."""
    return (key for key, entry in known.items() if entry.is_fresh(now))
