"""A stand-in for a WooCommerce shop's APIs, over real HTTP: Store API, REST API v3, webhooks.

Orders can be added and put in the trash while a test pages through them, and the shop can be made to misbehave.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from werkzeug.wrappers import Request, Response

from tests.stand_ins.server import ShopServer, json_response
from tests.stand_ins.woocommerce_shop import KEY, SECRET, Shop, error, variations, webhook_bytes
from tests.stand_ins.woocommerce_webhooks import created, shown, update

_ERRORS = {
    "woocommerce_rest_cannot_view": "Sorry, you cannot list resources.",
    "woocommerce_rest_authentication_error": "Consumer secret is invalid.",
    "rest_no_route": "No route was found matching the URL and request method.",
    "rest_invalid_param": "Invalid parameter(s): per_page",
}


@contextmanager
def running_woocommerce(
    orders: int = 0, *, path: str = "", tls: tuple[str, str] | None = None, host: str = "127.0.0.1", port: int = 0, **settings: Any
) -> Iterator[Shop]:
    """A shop with this many orders, at `path` of a free port; over HTTPS with `tls`, the paths of a certificate and its key."""
    with _Server(Shop(**settings), path).serving(host, port, tls=tls) as shop:
        for _ in range(orders):
            shop.add()
        yield shop


class _Server(ShopServer[Shop]):
    """The shop's web server and WordPress behind it."""

    def credentials(self, request: Request) -> str:
        return _shown(request)

    def answer(self, request: Request) -> Response:
        path = request.path.removeprefix(self.path)
        prefix = {"pretty": "/wp-json", "index": "/index.php/wp-json"}.get(self.shop.permalinks)
        if prefix and path.startswith(f"{prefix}/"):
            return self._route(request, path.removeprefix(prefix))
        if path in ("/", "/index.php") and "rest_route" in request.args:
            return self._route(request, request.args["rest_route"], sees_keys=self.shop.version >= (11, 1))
        if path.startswith("/index.php"):
            return Response("<!DOCTYPE html><title>The shop's front page</title>", 200, mimetype="text/html")
        return Response("<!DOCTYPE html><title>Page not found</title>", 404, mimetype="text/html")

    def _route(self, request: Request, route: str, *, sees_keys: bool = True) -> Response:  # noqa: PLR0911 - one for each route
        steps = route.strip("/").split("/")
        if steps[:4] == ["wc", "store", "v1", "products"] and request.method == "GET":
            return self._store_api(request)
        if steps[:2] != ["wc", "v3"]:
            return _error("rest_no_route", 404)
        if not sees_keys:  # before 11.1 a key counts only where the path contains wp-json/wc/ (`is_request_to_rest_api`)
            return _error("woocommerce_rest_cannot_view", 401)
        if refusal := self._refusal(request):
            return refusal
        match request.method, steps[2:]:
            case "GET", ["orders"]:
                return self._orders(request)
            case "GET", ["orders", number]:
                sale = self.shop.orders.get(int(number))
                return _json(self.shop.order(sale)) if sale else _error("woocommerce_rest_shop_order_invalid_id", 404)
            case "GET", ["products"]:
                found = (self.shop.product(number) for number in _include(request) if number < 100)
                return self._page(request, [product for product in found if product])
            case "GET", ["products", parent, "variations"]:
                ids = [number for number in _include(request) if number in variations(int(parent))]
                rows = [product for number in ids if (product := self.shop.product(number))]
                return self._page(request, [{**row, "image": row.pop("images")[1]} for row in rows])
            case method, ["webhooks", *rest]:
                return self._webhooks(request, method, rest)
        return _error("rest_no_route", 404)

    def _refusal(self, request: Request) -> Response | None:
        shown = _shown(request)
        if shown == "basic" and self.shop.strips_authorization:
            shown = ""
        if not shown or (shown != "oauth" and not request.is_secure):
            return _error("woocommerce_rest_cannot_view", 401)
        authorization = request.authorization
        if shown == "basic" and authorization:
            given = (authorization.username, authorization.password)
        elif shown == "query":
            given = (request.args.get("consumer_key"), request.args.get("consumer_secret"))
        else:
            given = (KEY, SECRET) if self._signed(request) else ("", "")
        if given != (KEY, SECRET):
            return _error("woocommerce_rest_authentication_error", 401)
        if request.method != "GET" and self.shop.permission == "read":
            return _json(error("woocommerce_rest_authentication_error", 401, "The API key provided does not have write permissions."), 401)
        return None

    def _signed(self, request: Request) -> bool:
        """OAuth 1.0a as in RFC 5849, without a token; a nonce counts once."""
        parameters = {name: value for name, value in request.args.items() if name != "oauth_signature"}
        pairs = sorted((_escaped(name), _escaped(value)) for name, value in parameters.items())
        base = "&".join(_escaped(part) for part in (request.method, request.base_url, "&".join("=".join(pair) for pair in pairs)))
        digest = hmac.new(f"{SECRET}&".encode(), base.encode(), hashlib.sha256).digest()
        is_fresh = self.shop.is_fresh(parameters.get("oauth_nonce", ""))
        right_way = parameters.get("oauth_consumer_key") == KEY and parameters.get("oauth_signature_method") == "HMAC-SHA256"
        return right_way and is_fresh and request.args.get("oauth_signature") == base64.b64encode(digest).decode()

    def _orders(self, request: Request) -> Response:
        per_page = int(request.args.get("per_page", 10))
        if not 1 <= per_page <= 100:
            return _error("rest_invalid_param", 400)
        if per_page > self.shop.most_per_page:
            return Response("<html>504 Gateway Time-out</html>", 504, mimetype="text/html")
        after, before = (_moment(request.args.get(name)) for name in ("after", "before"))
        changed = _moment(request.args.get("modified_after")) if self.shop.knows_modified_after else None
        found = [
            sale
            for sale in self.shop.listed()
            if (after is None or sale.created > after)
            and (before is None or sale.created < before)
            and (changed is None or sale.modified > changed)
        ]
        answer = self._page(request, found, self.shop.order)
        self.shop.after_page()
        return answer

    def _page(self, request: Request, rows: Sequence[Any], show: Callable[[Any], Any] = lambda row: row) -> Response:
        per_page = int(request.args.get("per_page", 10))
        start = int(request.args.get("offset", (int(request.args.get("page", 1)) - 1) * per_page))
        fields = request.args.get("_fields", "")
        page = [show(row) for row in rows[start : start + per_page]]
        if fields:
            page = [{name: row[name] for name in fields.split(",") if name in row} for row in page]
        totals = {"X-WP-Total": str(len(rows)), "X-WP-TotalPages": str(-(-len(rows) // per_page))} if self.shop.totals else {}
        return _json(page, headers=totals)

    def _store_api(self, request: Request) -> Response:
        if self.shop.store_api_status != 200:
            return _error("rest_forbidden", self.shop.store_api_status)
        is_variation = request.args.get("type") == "variation"
        found = (self.shop.product(number, store_api=True) for number in _include(request) if (number > 100) == is_variation)
        return self._page(request, [product for product in found if product])

    def _webhooks(self, request: Request, method: str, rest: list[str]) -> Response:
        hooks = self.shop.webhooks
        if method == "GET" and not rest:
            return self._page(request, sorted(hooks.values(), key=lambda hook: int(hook["id"])), shown)
        if method == "POST" and not rest:
            new = max([*hooks, 60]) + 1
            hooks[new] = created(new, request.get_json(), self.shop.key_user)
            return _json(shown(hooks[new]), 201)
        hook = hooks.get(int(rest[0])) if rest else None
        if hook is None:
            return _error("woocommerce_rest_shop_webhook_invalid_id", 404)
        if method == "PUT":
            update(hook, request.get_json())
        elif request.args.get("force") != "true":
            return _error("woocommerce_rest_trash_not_supported", 501)
        else:
            del hooks[int(rest[0])]
        return _json(shown(hook))


def _shown(request: Request) -> str:
    if "oauth_signature" in request.args:
        return "oauth"
    if "consumer_key" in request.args or "consumer_secret" in request.args:
        return "query"
    return "basic" if "Authorization" in request.headers else ""


def _include(request: Request) -> list[int]:
    return [int(number) for number in request.args.get("include", "").split(",") if number]


def _moment(text: str | None) -> int | None:
    """A time in a query as the database compares it: WordPress uses one without a zone unchanged."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        raise AssertionError(f"{text} has a zone, and WordPress would compare the site's local time with UTC")
    return int(moment.replace(tzinfo=UTC).timestamp())


def _escaped(text: str) -> str:
    return quote(text, safe="-._~")


def _json(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return json_response(webhook_bytes(document), status, headers)


def _error(code: str, status: int) -> Response:
    return _json(error(code, status, _ERRORS.get(code, "Invalid ID.")), status)
