"""A Shopify store's own APIs, over real HTTP on loopback, from the documented request and answer shapes."""

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

TOKEN, CLIENT_ID, CLIENT_SECRET = "shpat_0123456789", "client-0123", "shpss_fedcba98"
FIRST_ORDER_ID = 6_011_000_000_001
PRODUCTS = range(701, 741)
"""All with two variants each, 10 times their id and the next; the last two were deleted, the two before are not published."""
UNPUBLISHED, GONE = PRODUCTS[-4:-2], PRODUCTS[-2:]
_MOST_COST = 1000


@dataclass
class Shop:
    """All that the store has, and how it behaves."""

    url: str = ""
    orders: int = 0
    first_at: datetime = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)
    apart: timedelta = timedelta(minutes=10)
    scopes: frozenset[str] = frozenset({"read_orders", "read_products", "read_all_orders"})
    bucket: int = 40
    tokens: dict[str, float] = field(default_factory=lambda: {TOKEN: float("inf")})
    token_life_s: float = 86399
    webhooks: dict[str, dict[str, str]] = field(default_factory=dict)
    seen: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)
    """Path, headers and body of each request."""
    told: list[Response] = field(default_factory=list)
    """Answers to the next requests instead of the truth."""
    changed: dict[int, datetime] = field(default_factory=dict)

    def id_of(self, index: int) -> int:
        """Ids grow, with gaps."""
        return FIRST_ORDER_ID + index * 3

    def order(self, index: int) -> dict[str, Any]:
        """An order as REST and webhooks print it."""
        own_id, created = self.id_of(index), self.first_at + index * self.apart
        product = PRODUCTS[index % len(PRODUCTS)]
        price = f"{10 + index % 90}.90"
        return {
            "id": own_id,
            "name": f"#{1001 + index}",
            "email": f"shopper{index}@example.com",
            "created_at": created.isoformat(),
            "updated_at": self.changed.get(own_id, created).isoformat(),
            "currency": "EUR",
            "financial_status": "paid",
            "total_price": price,
            "current_total_price": price,
            "order_status_url": f"{self.url}/orders/{own_id}/authenticate?key=k{own_id}",
            "line_items": [
                {
                    "id": own_id + 1,
                    "product_id": product,
                    "variant_id": product * 10,
                    "title": "Thing",
                    "price": price,
                    "quantity": 1,
                }
            ],
        }

    def node(self, gid: str, *, published_only: bool) -> dict[str, Any] | None:
        """A product or a variant as GraphQL prints it."""
        kind, number = gid.rsplit("/", 2)[-2:]
        own_id = int(number) // 10 if kind == "ProductVariant" else int(number)
        if own_id not in PRODUCTS or own_id in GONE or (published_only and own_id in UNPUBLISHED):
            return None
        picture = {"url": f"https://cdn.shop.example/{own_id}.jpg"}
        product: dict[str, Any] = {
            "handle": f"thing-{own_id}",
            "onlineStoreUrl": None if own_id in UNPUBLISHED else f"{self.url}/products/thing-{own_id}",
            "vendor": "Maker",
            "productType": "" if own_id % 2 else "Things",
        }
        if published_only:
            product["featuredImage"] = picture
        else:
            still = {"preview": {"image": picture}}
            product |= {"category": {"fullName": "Home > Odd Things"}, "tags": ["new", "blue"], "featuredMedia": still}
        if kind == "Product":
            return {"id": gid, **product}
        own = None if int(number) % 10 else {"url": f"https://cdn.shop.example/{number}.jpg"}
        pictures = {"image": own} if published_only else {"media": {"nodes": [{"preview": {"image": own}}] if own else []}}
        return {"id": gid, **pictures, "product": product}


@contextmanager
def running_shopify(orders: int = 0, **settings: Any) -> Iterator[Shop]:
    """A store with so many orders."""
    shop = Shop(orders=orders, **settings)
    server = make_server("127.0.0.1", 0, _App(shop), threaded=True, request_handler=_QuietHandler)
    shop.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="shopify", daemon=True)
    thread.start()
    try:
        yield shop
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Say nothing: `seen` tells."""


class _App:
    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        return self._answer(request)(environ, start_response)

    def _answer(self, request: Request) -> Response:
        shop = self._shop
        body: Any = request.get_json() if request.is_json else request.form.to_dict()
        shop.seen.append((request.full_path.rstrip("?"), dict(request.headers), body))
        if shop.told:
            return shop.told.pop(0)
        if request.path == "/admin/oauth/access_token":
            return self._token(body)
        return self._api(request, body)

    def _api(self, request: Request, body: Any) -> Response:
        shop = self._shop
        if re.fullmatch(r"/api/\d{4}-\d{2}/graphql\.json", request.path):
            return _json({"data": {"nodes": [shop.node(gid, published_only=True) for gid in body["variables"]["ids"]]}})
        found = re.fullmatch(r"/admin/api/\d{4}-\d{2}/(.+)\.json", request.path)
        if not found:
            return _json({"errors": "Not Found"}, 404)
        if shop.tokens.get(request.headers.get("X-Shopify-Access-Token", ""), 0) < time.monotonic():
            return _json({"errors": "[API] Invalid API key or access token (unrecognized login or wrong password)"}, 401)
        if found[1] == "graphql":
            return self._graphql(body["query"], body["variables"])
        return self._rest(found[1], request.args)

    def _token(self, form: Mapping[str, str]) -> Response:
        if (form.get("grant_type"), form.get("client_id"), form.get("client_secret")) != ("client_credentials", CLIENT_ID, CLIENT_SECRET):
            return _json({"error": "invalid_client"}, 401)
        token = f"shpat_bought_{len(self._shop.tokens)}"
        self._shop.tokens[token] = time.monotonic() + self._shop.token_life_s
        return _json({"access_token": token, "scope": ",".join(sorted(self._shop.scopes)), "expires_in": int(self._shop.token_life_s)})

    def _rest(self, path: str, args: Mapping[str, str]) -> Response:
        shop = self._shop
        if "read_orders" not in shop.scopes:
            return _json({"errors": "[API] This action requires merchant approval for read_orders scope."}, 403)
        rows = [shop.order(index) for index in range(shop.orders)] if "ids" in args or path == "orders/count" else None
        indices = range(shop.orders)
        if rows is None:
            since = int(args.get("since_id", 0))
            indices = range(max(0, -(-(since + 1 - FIRST_ORDER_ID) // 3)), shop.orders)
            rows = [shop.order(index) for index in indices]
        assert args.get("status") == "any", "the default shows open orders only"
        rows = [row for row in rows if self._fits(row, args)]
        if path == "orders/count":
            return _json({"count": len(rows)}, headers={"X-Shopify-Shop-Api-Call-Limit": f"1/{shop.bucket}"})
        assert path == "orders"
        if "ids" in args:
            rows = [row for row in rows if str(row["id"]) in args["ids"].split(",")]
        limit = min(int(args.get("limit", 50)), 250)
        return _json({"orders": rows[:limit]}, headers={"X-Shopify-Shop-Api-Call-Limit": f"1/{shop.bucket}"})

    def _fits(self, row: Mapping[str, Any], args: Mapping[str, str]) -> bool:
        created, updated = (datetime.fromisoformat(row[name]) for name in ("created_at", "updated_at"))
        if "read_all_orders" not in self._shop.scopes and datetime.now(UTC) - created > timedelta(days=60):
            return False
        bounds = (("created_at_min", created, 1), ("created_at_max", created, -1), ("updated_at_min", updated, 1))
        return all(
            (moment - datetime.fromisoformat(args[name])).total_seconds() * sign >= 0 for name, moment, sign in bounds if name in args
        )

    def _graphql(self, query: str, variables: Mapping[str, Any]) -> Response:
        hooks = self._shop.webhooks
        if "nodes(ids:" in query:
            assert len(variables["ids"]) <= 250
            return _json({"data": {"nodes": [self._shop.node(gid, published_only=False) for gid in variables["ids"]]}})
        if "webhookSubscriptions(" in query:
            names = sorted(hooks)
            start = names.index(variables["after"]) + 1 if variables.get("after") else 0
            page = names[start : start + 2]
            info = {"hasNextPage": start + 2 < len(names), "endCursor": page[-1] if page else None}
            return _json({"data": {"webhookSubscriptions": {"nodes": [hooks[name] for name in page], "pageInfo": info}}})
        return self._change(query, variables, hooks)

    def _change(self, query: str, variables: Mapping[str, Any], hooks: dict[str, dict[str, str]]) -> Response:
        errors: list[dict[str, Any]] = []
        if "webhookSubscriptionCreate" in query:
            topic, uri = variables["topic"], variables["webhook"]["uri"]
            if any((hook["topic"], hook["uri"]) == (topic, uri) for hook in hooks.values()):
                errors = [{"field": ["webhookSubscription", "callbackUrl"], "message": "Address for this topic has already been taken"}]
            elif not uri.startswith("https://"):
                errors = [{"field": ["webhookSubscription", "callbackUrl"], "message": "Address protocol http:// is not supported"}]
            else:
                gid = f"gid://shopify/WebhookSubscription/{len(hooks) + 1:04}"
                hooks[gid] = {"id": gid, "topic": topic, "uri": uri}
            return _json({"data": {"webhookSubscriptionCreate": {"webhookSubscription": None, "userErrors": errors}}})
        if "webhookSubscriptionUpdate" in query:
            hooks[variables["id"]]["uri"] = variables["webhook"]["uri"]
            return _json({"data": {"webhookSubscriptionUpdate": {"webhookSubscription": {}, "userErrors": errors}}})
        del hooks[variables["id"]]
        return _json({"data": {"webhookSubscriptionDelete": {"deletedWebhookSubscriptionId": variables["id"], "userErrors": errors}}})


def _json(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(document), status, headers=dict(headers or {}), mimetype="application/json")
