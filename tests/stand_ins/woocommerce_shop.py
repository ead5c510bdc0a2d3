"""The data of a stand-in for a WooCommerce shop: orders, products and webhooks in the documented shapes.

Orders are made from their ids when they are asked for, so that any number of them takes little memory.
"""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from tests.stand_ins.server import StandInShop
from tests.stand_ins.woocommerce_webhooks import deliver

KEY, SECRET = "ck_0123456789abcdef", "cs_fedcba9876543210"
FIRST_CREATED = int(datetime(2025, 1, 1, 8, 0, tzinfo=UTC).timestamp())
BETWEEN_ORDERS_S = 600
FIRST_ORDER_ID = 1001
SIMPLE, VARIABLE, HIDDEN, GONE = range(1, 31), range(31, 41), range(41, 43), range(43, 45)
"""Ids of products: with pictures of their own, with two variations each, not published, and deleted."""
_STATUSES = ("processing", "completed", "processing", "on-hold", "refunded")


def variations(product_id: int) -> tuple[int, int]:
    """The ids of a variable product's variations."""
    return product_id * 100 + 1, product_id * 100 + 2


@dataclass(slots=True)
class Sale:
    """An order, without what is derived from its id. Times are Unix seconds."""

    id: int
    created: int
    modified: int
    status: str
    trashed: bool = False


@dataclass
class Shop(StandInShop):
    """The shop's data, and how it behaves."""

    permission: str = "read_write"
    key_user: str = "admin"
    readers: set[str] = field(default_factory=lambda: {"admin"})
    """The users who may read orders."""
    order_tables: bool = True
    """Orders are in WooCommerce's own tables, where API v1 finds none."""
    permalinks: str = "pretty"
    """Or `index`, with /index.php/ in every address, or `plain`."""
    version: tuple[int, int] = (11, 0)
    strips_authorization: bool = False
    store_api_status: int = 200
    knows_modified_after: bool = True
    totals: bool = True
    zone: tzinfo | None = None
    """The site's time zone, by which its orders are sorted; None: by UTC, as in the newer order tables."""
    most_per_page: int = 100
    """Longer pages time out at the shop's gateway."""
    orders: dict[int, Sale] = field(default_factory=dict)
    webhooks: dict[int, dict[str, Any]] = field(default_factory=dict)

    def add(self, created: int | None = None, *, status: str = "") -> int:
        """Add an order, the newest unless another time is given; returns its id."""
        with self.lock:
            new = max(self.orders, default=FIRST_ORDER_ID - 1) + 1
            moment = FIRST_CREATED + (new - FIRST_ORDER_ID) * BETWEEN_ORDERS_S if created is None else created
            self.orders[new] = Sale(new, moment, moment + 5, status or _STATUSES[new % len(_STATUSES)])
            return new

    def trash(self, order_id: int) -> None:
        """Put an order in the trash, which lists don't include."""
        with self.lock:
            self.orders[order_id].trashed = True

    def change(self, order_id: int, *, status: str, at: int) -> None:
        """Give an order another status."""
        with self.lock:
            self.orders[order_id].status, self.orders[order_id].modified = status, at

    def listed(self) -> list[Sale]:
        """The orders of a list, as the database sorts them."""
        with self.lock:
            sales = [sale for sale in self.orders.values() if not sale.trashed and sale.status != "checkout-draft"]
        if self.zone is None:
            return sorted(sales, key=lambda sale: (sale.created, sale.id))
        return sorted(sales, key=lambda sale: (self.local(sale.created), sale.id))

    def local(self, moment: int) -> str:
        """A time by the site's clock."""
        return datetime.fromtimestamp(moment, self.zone or UTC).replace(tzinfo=None).strftime("%Y-%m-%dT%H:%M:%S")

    def deliver(self, order_id: int, topic: str = "order.created") -> list[int]:
        """Post an order to the active webhooks of a topic as WooCommerce does; the statuses of the answers, 0 for none."""
        statuses = []
        for hook in [each for each in self.webhooks.values() if each["topic"] == topic and each["status"] == "active"]:
            body = webhook_bytes(self._payload(order_id, hook))
            headers = webhook_headers(topic, body, hook["secret"]) | {"X-WC-Webhook-ID": str(hook["id"])}
            statuses.append(deliver(hook, body, headers))
        return statuses

    def _payload(self, order_id: int, hook: Mapping[str, Any]) -> dict[str, Any]:
        """The order as the webhook's owner sees it through the webhook's version of the API."""
        if hook["topic"].endswith(".deleted"):
            return {"id": order_id}
        if hook.get("user", "admin") not in self.readers:
            return error("woocommerce_rest_cannot_view", 403, "Sorry, you cannot view this resource.")
        if hook.get("api_version", 3) == 1 and self.order_tables:
            return error("woocommerce_rest_invalid_shop_order_id", 404, "Invalid ID.")
        if order_id not in self.orders:
            return error("woocommerce_rest_shop_order_invalid_id", 404, "Invalid ID.")
        return self.order(self.orders[order_id])

    def order(self, sale: Sale) -> dict[str, Any]:
        """An order as the REST API returns it."""
        lines = [self._line(sale.id, index) for index in range(1 + sale.id % 3)]
        total = sum(int(line["total"].replace(".", "")) for line in lines)
        paid = _gmt(sale.created + 2) if sale.status in ("processing", "completed", "refunded") else None
        return {
            "id": sale.id, "parent_id": 0, "status": sale.status, "currency": "EUR", "prices_include_tax": False,
            "date_created": self.local(sale.created), "date_modified": self.local(sale.modified),
            "date_created_gmt": _gmt(sale.created), "date_modified_gmt": _gmt(sale.modified), "date_paid_gmt": paid,
            "discount_total": "0.00", "discount_tax": "0.00", "shipping_total": "4.90", "shipping_tax": "0.00", "total_tax": "0.00",
            "total": _money(total + 490), "customer_id": 0, "order_key": f"wc_order_k{sale.id}", "number": str(sale.id),
            "billing": {"first_name": "Zoë", "email": f"shopper{sale.id}@example.com", "country": "DE"}, "shipping": {"country": "DE"},
            "payment_method_title": "Karte & Co.", "created_via": "checkout", "meta_data": [], "line_items": lines, "tax_lines": [],
            "shipping_lines": [{"id": 9, "method_title": "Paket", "total": "4.90"}], "fee_lines": [], "coupon_lines": [],
            "refunds": [{"id": 5, "reason": "", "total": f"-{_money(total + 490)}"}] if sale.status == "refunded" else [],
            "_links": {"self": [{"href": f"{self.url}/wp-json/wc/v3/orders/{sale.id}"}]},
        }  # fmt: skip

    def _line(self, order_id: int, index: int) -> dict[str, Any]:
        product_id = 1 + (order_id * 7 + index * 11) % GONE[-1]
        variation_id = variations(product_id)[order_id % 2] if product_id in VARIABLE else 0
        amount = 990 + 10 * product_id
        # WooCommerce has a line's picture, but for a deleted one: then `false`, and 0 for the product.
        source = f"{self.url}/wp-content/uploads/{product_id}.jpg" if product_id % 2 else False
        return {
            "id": order_id * 10 + index, "name": f"Tea N&deg; {product_id}", "quantity": 2, "sku": f"TEA-{product_id}",
            "price": amount / 100, "product_id": 0 if product_id in GONE else product_id, "variation_id": variation_id,
            "subtotal": _money(2 * amount), "subtotal_tax": "0.00", "total": _money(2 * amount), "total_tax": "0.00",
            "image": {"id": product_id, "src": source}, "meta_data": [], "taxes": [],
        }  # fmt: skip

    def product(self, product_id: int, *, store_api: bool = False) -> dict[str, Any] | None:
        """A product or a variation as one of the APIs returns it; None if that API doesn't."""
        parent = product_id // 100
        is_variation = parent in VARIABLE and product_id in variations(parent)
        if not is_variation and product_id not in SIMPLE and product_id not in VARIABLE and (store_api or product_id not in HIDDEN):
            return None
        sources = [f"{self.url}/wp-content/uploads/{product_id}-{name}" for name in ("main.webp", "side.jpg")]
        pictures = [{"id": number, "src": source, "alt": ""} for number, source in enumerate(sources, 1)]
        terms: dict[str, Any] = {"categories": [], "tags": [], "brands": []} if is_variation else {
            "categories": [{"id": 15, "name": "Uncategorized", "slug": "uncategorized"}] * (not store_api)
            + [{"id": 16, "name": "Tea &amp; <b>Herbs</b>", "slug": "tea"}],
            "tags": [{"id": 17, "name": "loose leaf", "slug": "loose-leaf"}],
            "brands": [{"id": 18, "name": "O&#8217;Leaf", "slug": "oleaf"}],
        }  # fmt: skip
        return {
            "id": product_id, "name": f"Tea N&deg; {product_id}", "type": "variation" if is_variation else "simple",
            ("parent" if store_api else "parent_id"): parent if is_variation else 0, "images": pictures,
            "permalink": f"{self.url}/product/tea-{parent}/?attribute_size={product_id % 100}" if is_variation
            else f"{self.url}/product/tea-{product_id}/", "catalog_visibility": "visible", **terms,
        }  # fmt: skip


def error(code: str, status: int, message: str) -> dict[str, Any]:
    """WordPress's error object."""
    return {"code": code, "message": message, "data": {"status": status}}


def webhook_bytes(document: Any) -> bytes:
    """JSON as PHP prints it by default."""
    return json.dumps(document, separators=(",", ":")).replace("/", "\\/").encode()


def webhook_headers(topic: str, body: bytes, secret: str) -> dict[str, str]:
    """The headers of a delivery, with its signature."""
    signature = base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()
    return {"Content-Type": "application/json", "X-WC-Webhook-Topic": topic, "X-WC-Webhook-Signature": signature}


def _gmt(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
