"""The data of a simulated Magento store: orders, products, categories and subscriptions in the documented formats.

Orders are generated from their ids on request, so any number of them needs little memory.
"""

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.stand_ins.server import StandInShop

TOKEN, TOKEN_SECRET = "integration-access-token", "integration-token-secret"
CONSUMER_KEY, CONSUMER_SECRET = "integration-consumer-key", "integration-consumer-secret"
FIRST_CREATED = int(datetime(2025, 1, 1, 8, 0, tzinfo=UTC).timestamp())
BETWEEN_ORDERS_S = 600
FIRST_ORDER_ID = 1001
SIMPLE, CONFIGURABLE, HIDDEN, DISABLED, GONE = range(1, 31), range(31, 37), range(41, 43), range(43, 44), range(44, 46)
"""Ids of products: with a page, with two children, not visible individually, disabled, and deleted."""
PICTURELESS = 7
VIEWS = {1: "default", 2: "german"}
BRANDS = {"11": "O'Leaf & Sons", "12": "Steep"}
CATEGORIES = [
    (1, 0, "Root Catalog"), (2, 1, "Default Category"), (15, 2, "Tea &amp; <b>Herbs</b>"), (16, 3, "Loose Leaf"),
    *((number, 2, f"Shelf {number}") for number in range(100, 130)),
]  # fmt: skip
HIDDEN_CATEGORY = 17
_STATES = ("processing", "complete", "new", "closed", "holded")


def children(product_id: int) -> tuple[int, int]:
    """The ids of a configurable product's children."""
    return product_id * 100 + 1, product_id * 100 + 2


@dataclass(slots=True)
class Sale:
    """The parts of an order that don't follow from its id. Times are Unix seconds."""

    id: int
    created: int
    updated: int
    state: str


@dataclass
class Shop(StandInShop):
    """The store's data and behavior."""

    bearer_allowed: bool = True
    """Whether an access token alone is accepted, which is off by default since 2.4.4."""
    most_per_page: int = 0
    """The merchant's page limit; 0: none."""
    most_per_gateway: int = 0
    """The number of orders beyond which a page times out at the gateway; 0: none."""
    views: dict[int, str] = field(default_factory=lambda: dict(VIEWS))
    has_graphql: bool = True
    has_attributes_in_graphql: bool = True
    """Whether GraphQL has custom_attributesV2, as since 2.4.7."""
    has_async_events: bool = True
    has_brand_options: bool = True
    denied: str = ""
    """Part of the paths that the integration can't access."""
    orders: dict[int, Sale] = field(default_factory=dict)
    subscriptions: dict[int, dict[str, Any]] = field(default_factory=dict)

    def add(self, *, state: str = "") -> int:
        """Add an order; returns its id."""
        with self.lock:
            new = max(self.orders, default=FIRST_ORDER_ID - 1) + 1
            moment = FIRST_CREATED + (new - FIRST_ORDER_ID) * BETWEEN_ORDERS_S
            self.orders[new] = Sale(new, moment, moment + 5, state or _STATES[new % len(_STATES)])
            return new

    def delete(self, order_id: int) -> None:
        """Delete an order, as some extensions do."""
        with self.lock:
            del self.orders[order_id]

    def change(self, order_id: int, *, state: str, at: int) -> None:
        """Change an order's state."""
        with self.lock:
            self.orders[order_id].state, self.orders[order_id].updated = state, at

    def listed(self) -> list[Sale]:
        """All orders, by id."""
        with self.lock:
            return [self.orders[order_id] for order_id in sorted(self.orders)]

    def order(self, sale: Sale) -> dict[str, Any]:
        """An order as the REST API returns it: without null values, with whole numbers as ints."""
        lines = [line for index in range(1 + sale.id % 3) for line in self._lines(sale.id, index)]
        subtotal = sum(line["price"] * line["qty_ordered"] for line in lines if "parent_item_id" not in line)
        total, paid = round(subtotal + 4.9, 2), sale.state in ("processing", "complete", "closed")
        address = {"address_type": "billing", "city": "K\u00f6ln", "country_id": "DE", "email": f"shopper{sale.id}@example.com",
                   "entity_id": sale.id * 2, "firstname": "Zo\u00eb", "parent_id": sale.id, "street": ["Teeweg 1"]}  # fmt: skip
        return {
            "base_currency_code": "EUR", "base_grand_total": total, "created_at": printed(sale.created), "customer_email": address["email"],
            "customer_is_guest": 1, "discount_amount": 0, "entity_id": sale.id, "grand_total": total, "increment_id": number(sale.id),
            "is_virtual": 0, "order_currency_code": "EUR", "shipping_amount": 4.9, "state": sale.state, "status": sale.state,
            "store_id": 1 + sale.id % 2, "store_name": "Tea\nTea Shop\nDefault", "subtotal": round(subtotal, 2), "tax_amount": 0,
            "total_due": 0 if paid else total, "total_item_count": len(lines), "updated_at": printed(sale.updated),
            **({"total_paid": total} if paid else {}), **({"total_refunded": total} if sale.state == "closed" else {}),
            "items": lines, "billing_address": address, "payment": {"method": "checkmo", "parent_id": sale.id, "account_status": None},
            "status_histories": [],
            "extension_attributes": {"shipping_assignments": [{"shipping": {"address": {**address, "address_type": "shipping"}}}]},
        }  # fmt: skip

    def _lines(self, order_id: int, index: int) -> list[dict[str, Any]]:
        """The line of a product; for a configurable product, also its child's line."""
        product_id = 1 + (order_id * 7 + index * 11) % GONE[-1]
        own_id, price = order_id * 10 + 2 * index, 19.99 + product_id
        line = {
            "item_id": own_id, "order_id": order_id, "product_id": product_id, "product_type": "simple", "sku": f"TEA-{product_id}",
            "name": f"Tea N\u00b0 {product_id}", "price": price, "original_price": price, "qty_ordered": 2, "qty_canceled": 0,
            "qty_refunded": 0, "qty_shipped": 0, "discount_amount": 0, "tax_amount": 0, "row_total": 2 * price, "store_id": 1,
        }  # fmt: skip
        if product_id not in CONFIGURABLE:
            return [line]
        child_id = children(product_id)[order_id % 2]
        parent = {**line, "product_type": "configurable", "sku": f"TEA-{child_id}"}
        child = {**line, "item_id": own_id + 1, "parent_item_id": own_id, "product_id": child_id, "sku": f"TEA-{child_id}", "price": 0}
        return [parent, {**child, "row_total": 0, "parent_item": parent}]

    def product(self, product_id: int) -> dict[str, Any] | None:
        """A product as the REST API returns it; None if there is none."""
        is_child = product_id // 100 in CONFIGURABLE and product_id in children(product_id // 100)
        if not is_child and not any(product_id in kind for kind in (SIMPLE, CONFIGURABLE, HIDDEN, DISABLED)):
            return None
        files = [f"/t/e/{product_id}-{name}" for name in ("main.webp", "side.jpg")]
        picture = "no_selection" if product_id == PICTURELESS else files[0]
        brand = "11" if self.has_brand_options else "Grandmother's"
        shelves = [100 + product_id % 30, 16, HIDDEN_CATEGORY, 15, 2]
        values = {"image": picture, "small_image": picture, "url_key": f"tea-{product_id}", "manufacturer": brand, "tax_class_id": "2"}
        gallery = [{"id": place, "media_type": "image", "disabled": False, "types": [], "file": file} for place, file in enumerate(files)]
        links = {"category_links": [{"position": 0, "category_id": str(shelf)} for shelf in shelves]}
        return {
            "id": product_id, "sku": f"TEA-{product_id}", "name": f"Tea N\u00b0 {product_id}", "price": 9.9,
            "status": 2 if product_id in DISABLED else 1, "visibility": 1 if is_child or product_id in HIDDEN else 4,
            "type_id": "configurable" if product_id in CONFIGURABLE else "simple",
            "extension_attributes": {} if is_child else links,
            "media_gallery_entries": [] if product_id == PICTURELESS else gallery,
            "custom_attributes": [{"attribute_code": code, "value": value} for code, value in values.items()],
        }  # fmt: skip

    def render_info(self, product_id: int, view: int) -> dict[str, Any] | None:
        """A product as the storefront's widgets get it; None if it isn't visible."""
        if self.product(product_id) is None or product_id in HIDDEN or product_id in DISABLED:
            return None
        media = f"{self.url}/media/catalog/product/cache/0f"
        pictures = [("recently_viewed_products_list_content_widget", 78), ("recently_viewed_products_grid_content_widget", 270)]
        images = [
            {"url": f"{media}/t/e/{product_id}-{width}.jpg", "code": code, "width": width, "height": width, "label": ""}
            for code, width in pictures
        ]
        if product_id == PICTURELESS:
            images = [{**image, "url": f"{self.url}/static/Magento_Catalog/images/product/placeholder/image.jpg"} for image in images]
        return {
            "id": product_id, "name": f"Tea N\u00b0 {product_id}", "type": "simple",
            "url": f"{self.url}/{self.views[view]}-tea-{product_id}.html",
            "images": images, "store_id": view, "currency_code": "USD", "is_salable": "1", "price_info": {"final_price": 9.9},
        }  # fmt: skip

    def in_graphql(self, product_id: int, *, attributes: bool) -> dict[str, Any] | None:
        """A product as the storefront's GraphQL returns it; None if it isn't visible."""
        row = self.product(product_id)
        if row is None or product_id in HIDDEN or product_id in DISABLED:
            return None
        levels = {category: (name, level) for category, level, name in CATEGORIES}
        shelves = [int(link["category_id"]) for link in row["extension_attributes"].get("category_links", ())]
        brand = {"code": "manufacturer", "selected_options": [{"label": BRANDS["11"]}]}
        told = {
            **self._in_graphql(product_id), "url_key": f"tea-{product_id}", "url_suffix": ".html",
            "categories": [{"name": levels[shelf][0], "level": levels[shelf][1]} for shelf in shelves if shelf in levels],
        }  # fmt: skip
        if attributes:
            plain = {"code": "manufacturer", "value": "Grandmother's"}
            told["custom_attributesV2"] = {"items": [{"code": "color"}, brand if self.has_brand_options else plain]}
        if product_id in CONFIGURABLE:
            told["variants"] = [{"product": self._in_graphql(child)} for child in children(product_id)]
        return told

    def _in_graphql(self, product_id: int) -> dict[str, Any]:
        url = f"{self.url}/media/catalog/product/cache/0f/t/e/{product_id}-main.jpg"
        if product_id == PICTURELESS:
            url = f"{self.url}/static/Magento_Catalog/images/product/placeholder/image.jpg"
        uid = base64.b64encode(str(product_id).encode()).decode()
        return {"uid": uid, "sku": f"TEA-{product_id}", "image": {"url": url}, "small_image": {"url": url}}


def number(order_id: int) -> str:
    """The order number that shoppers see."""
    return f"{order_id:09}"


def printed(moment: int) -> str:
    """A time in Magento's format: UTC without a time zone."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")


def as_bytes(document: Any) -> bytes:
    """JSON in PHP's default format."""
    return json.dumps(document, separators=(",", ":")).replace("/", "\\/").encode()
