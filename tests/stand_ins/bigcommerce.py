"""A stand-in for a BigCommerce store's REST APIs, over real HTTP: orders of v2, refunds, catalog and webhooks of v3.

Written from bigcommerce/docs (reference/orders.v2.oas2.yml, orders.v3.yml, webhooks.v3.yml): collections of v2 are bare lists, 50 rows a
page, and 204 without a body where they are empty; those of v3 are in `data`.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from werkzeug.wrappers import Request, Response

from tests.stand_ins.server import ShopServer, StandInShop, json_response

TOKEN = "bc-token-7f3a"
_BEGUN = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


@dataclass
class Shop(StandInShop):
    orders: dict[int, dict[str, Any]] = field(default_factory=dict)
    raw: dict[int, bytes] = field(default_factory=dict)
    """Further orders, as the API answers them byte for byte; without lines."""
    lines: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    refunds: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    hooks: dict[int, dict[str, Any]] = field(default_factory=dict)
    customers: dict[int, str] = field(default_factory=dict)
    may_read_customers: bool = True

    def add(self, status_id: int = 11, lines: int = 1, **more: Any) -> int:
        """A placed order; its ID."""
        number = 100 + len(self.orders)
        created = format_datetime(_BEGUN + timedelta(minutes=number))
        total = f"{20 * lines}.0000"
        self.orders[number] = {
            "id": number, "customer_id": 12, "date_created": created, "date_modified": created, "status_id": status_id, "status": "Some",
            "payment_status": "captured", "order_source": "www", "channel_id": 1, "is_tax_inclusive_pricing": False,
            "subtotal_ex_tax": total, "subtotal_inc_tax": total, "total_ex_tax": total, "total_inc_tax": total, "total_tax": "0.0000",
            "items_shipped": 0, "coupon_discount": "0.0000", "discount_amount": "0.0000", "default_currency_code": "USD",
            "billing_address": {"email": "mara.quill@example.com", "country_iso2": "US"},
            "products": {"url": "https://store.example/products", "resource": f"/orders/{number}/products"},
            "coupons": {"url": "https://store.example/coupons", "resource": f"/orders/{number}/coupons"}, **more,
        }  # fmt: skip
        self.lines[number] = [_line(number, index) for index in range(lines)]
        return number


@contextmanager
def running_bigcommerce(orders: int = 0, **settings: Any) -> Iterator[Shop]:
    """A store with this many orders. Its API's address is `url`."""
    with _Server(Shop(**settings), "/stores/q7hexample").serving() as shop:
        for _ in range(orders):
            shop.add()
        yield shop


class _Server(ShopServer[Shop]):
    def credentials(self, request: Request) -> str:
        return "token" if request.headers.get("X-Auth-Token") else ""

    def answer(self, request: Request) -> Response:  # noqa: PLR0911 - one for each route
        if request.headers.get("X-Auth-Token") != TOKEN:
            return _json({"title": "X-Auth-Token header is required"}, 401)
        match request.path.removeprefix(self.path).strip("/").split("/"):
            case ["v2", "orders"]:
                return self._orders(request)
            case ["v2", "orders", number] if int(number) in self.shop.raw:
                return json_response(self.shop.raw[int(number)])
            case ["v2", "orders", number, *rest] if int(number) in self.shop.orders:
                return self._order(request, int(number), *rest)
            case ["v3", "orders", number, "payment_actions", "refunds"]:
                return _v3(self.shop.refunds.get(int(number), []))
            case ["v3", "customers"]:
                return self._customers(int(request.args["id:in"]))
            case ["v3", "catalog", "products"]:
                return _v3([_product(int(each)) for each in request.args["id:in"].split(",") if int(each) < 100])
            case ["v3", "catalog", "trees", "categories"]:
                return _v3([{"category_id": 23, "name": "Mugs &amp; cups"}])
            case ["v3", "hooks", *rest]:
                return self._hooks(request, rest)
        return _json({"title": "Not found"}, 404)

    def _order(self, request: Request, number: int, part: str = "") -> Response:
        if not part:
            return _json(self.shop.orders[number])
        return _page(request, self.shop.lines[number] if part == "products" else self.shop.orders[number].get(f"{part}_rows", []))

    def _customers(self, wanted: int) -> Response:
        if not self.shop.may_read_customers:
            return _json({"title": "You don't have a required scope to access the endpoint"}, 403)
        return _v3([{"id": wanted, "email": self.shop.customers[wanted]}] if wanted in self.shop.customers else [])

    def _orders(self, request: Request) -> Response:
        least, most = int(request.args.get("min_id", 0)), int(request.args.get("limit", 50))
        since = datetime.fromisoformat(request.args.get("min_date_created", "2000-01-01T00:00:00+00:00"))
        found = [row for number, row in sorted(self.shop.orders.items()) if number >= least and _created(number) >= since]
        answer = _json(found[:most]) if found else Response(status=204)
        self.shop.after_page()
        return answer

    def _hooks(self, request: Request, rest: Sequence[str]) -> Response:
        hooks = self.shop.hooks
        if request.method == "GET":
            return _v3(list(hooks.values()))
        number = int(rest[0]) if rest else 20 + len(hooks)
        if rest and number not in hooks:
            return _json({"title": "Not found"}, 404)
        if request.method == "DELETE":
            return _v3(hooks.pop(number))
        hooks[number] = {"id": number, "created_at": 1772528400, **hooks.get(number, {}), **request.get_json()}
        return _v3(hooks[number])


def _line(order: int, index: int) -> dict[str, Any]:
    price = {"price_ex_tax": "20.0000", "price_inc_tax": "20.0000", "total_tax": "0.0000"}
    product = {"product_id": 70 + index, "variant_id": 0, "name": f"Mug {index}", "sku": f"M{index}"}
    return {"id": 1000 * order + index, "quantity": 1, "quantity_refunded": 0, **product, **price}


def _v3(data: Any) -> Response:
    return _json({"data": data, "meta": {}})


def _created(number: int) -> datetime:
    return _BEGUN + timedelta(minutes=number)


def _product(number: int) -> dict[str, Any]:
    images = [
        {"is_thumbnail": False, "url_standard": "https://cdn.example/other.jpg"},
        {"is_thumbnail": True, "url_standard": f"https://cdn.example/{number}.jpg"},
    ]
    variants = [{"id": 500 + number, "image_url": f"https://cdn.example/{number}-blue.jpg"}, {"id": 600 + number, "image_url": ""}]
    return {"id": number, "custom_url": {"url": f"/mug-{number}/"}, "images": images, "variants": variants, "categories": [23]}


def _page(request: Request, rows: Sequence[Any]) -> Response:
    page, most = int(request.args.get("page", 1)), int(request.args.get("limit", 50))
    found = rows[(page - 1) * most : page * most]
    return _json(found) if found else Response(status=204)


def _json(document: Any, status: int = 200) -> Response:
    return json_response(json.dumps(document).encode(), status)
