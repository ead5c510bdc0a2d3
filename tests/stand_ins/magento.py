"""Simulates a Magento store's APIs over real HTTP.

Orders can be added and deleted while a client reads them page by page, and the store can be made to fail.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from oauthlib.oauth1.rfc5849 import signature
from werkzeug.wrappers import Request, Response

from tests.stand_ins.magento_shop import (
    BRANDS,
    CATEGORIES,
    CONSUMER_KEY,
    CONSUMER_SECRET,
    HIDDEN_CATEGORY,
    TOKEN,
    TOKEN_SECRET,
    Shop,
    as_bytes,
    number,
    printed,
)
from tests.stand_ins.server import ShopServer, json_response

_FILTER = re.compile(r"search_?criteria\[filter_?groups\]\[(\w+)\]\[filters\]\[(\w+)\]\[(field|value|condition_?type)\]", re.IGNORECASE)
_NOT_AUTHORIZED = {"message": "The consumer isn't authorized to access %resources.", "parameters": {}}
_NO_ROUTE = {"message": "Request does not match any route.", "trace": None}
_NO_ENTITY = {"message": "The entity that was requested doesn't exist. Verify the entity and try again."}
_INT_FIELDS = ("entity_id", "subscription_id", "store_id")


@contextmanager
def running_magento(orders: int = 0, *, path: str = "", **settings: Any) -> Iterator[Shop]:
    """A store with this many orders, at `path` on a free port."""
    with _Server(Shop(**settings), path).serving() as shop:
        for _ in range(orders):
            shop.add()
        yield shop


class _Server(ShopServer[Shop]):
    """The store's web server, with Magento behind it."""

    def credentials(self, request: Request) -> str:
        return _shown(request)

    def answer(self, request: Request) -> Response:
        steps = request.path.removeprefix(self.path).strip("/").split("/")
        if steps == ["graphql"] and self.shop.has_graphql:
            return self._graphql(request)
        if steps[0] != "rest":
            return Response("<!doctype html><title>404 Not Found", 404, mimetype="text/html")
        scope = steps.pop(1) if steps[1:] and (steps[1] == "all" or steps[1] in self.shop.views.values()) else ""
        if steps[1:2] != ["V1"]:  # a missing store view is a missing address
            return _json(_NO_ROUTE, 404)
        try:
            return self._route(request, steps[2:], scope)
        except _Refused as refused:
            return _json(refused.args[0], refused.args[1])

    def _route(self, request: Request, steps: Sequence[str], scope: str) -> Response:  # noqa: PLR0911 - one for each route
        if steps == ["products-render-info"]:
            return self._render_info(request)
        self._authorize(request)
        match request.method, *steps:
            case "GET", "orders":
                return self._orders(request)
            case "GET", "orders", order_id:
                sale = self.shop.orders.get(int(order_id))  # as PHP would: "0012" is 12
                return _json(self.shop.order(sale)) if sale else _json(_NO_ENTITY, 404)
            case "GET", "products":
                ids = [int(one) for one in _filters(request)[0][0][2].split(",")]
                return self._page(request, [row for one in ids if (row := self.shop.product(one))], ids)
            case "GET", "products", "attributes", code, "options":
                return self._options(code, scope)
            case "GET", "categories", "list":
                return self._page(request, [row for row in _categories() if _matches(row, _filters(request))])
            case _, ("async_events" | "async_event"), *rest if self.shop.has_async_events:
                return self._subscriptions(request, rest)
        return _json(_NO_ROUTE, 404)

    def _graphql(self, request: Request) -> Response:
        if request.headers.get("Store", "default") not in self.shop.views.values():
            return _json({"errors": [{"message": "Requested store is not found"}]})
        query, variables = request.get_json()["query"], request.get_json()["variables"]
        attributes = "custom_attributesV2" in query
        if attributes and not self.shop.has_attributes_in_graphql:
            message = 'Cannot query field "custom_attributesV2" on type "ProductInterface". Did you mean "custom_attributes"?'
            return _json({"errors": [{"message": message, "locations": [{"line": 2, "column": 99}]}]})
        # A SKU finds its product, if visible, and the configurable product that contains it.
        asked = [int(sku.removeprefix("TEA-")) for sku in variables["skus"]]
        ids = dict.fromkeys(one for product in asked for one in (product, product // 100))
        rows = [row for one in ids if one < 100 and (row := self.shop.in_graphql(one, attributes=attributes))]
        return _json({"data": {"products": {"items": rows[: variables["size"]]}}})

    def _authorize(self, request: Request) -> None:
        shown = _shown(request)
        is_right = (shown == "bearer" and self.shop.bearer_allowed and request.headers["Authorization"] == f"Bearer {TOKEN}") or (
            shown == "oauth" and self._signed(request)
        )
        if not is_right or (self.shop.denied and self.shop.denied in request.path):
            raise _Refused(_NOT_AUTHORIZED, 401)

    def _signed(self, request: Request) -> bool:
        """OAuth 1.0a in the header, HMAC-SHA256 with consumer and token secrets; each nonce is accepted once."""
        header = {"Authorization": request.headers["Authorization"]}
        params = signature.collect_parameters(uri_query=request.query_string.decode(), headers=header, exclude_oauth_signature=False)
        given = dict(params)
        signed = [pair for pair in params if pair[0] != "oauth_signature"]
        seen = SimpleNamespace(http_method=request.method, uri=request.base_url, params=signed, signature=given.get("oauth_signature", ""))
        is_fresh = self.shop.is_fresh(given.get("oauth_nonce", ""))
        right_names = (given.get("oauth_consumer_key"), given.get("oauth_token")) == (CONSUMER_KEY, TOKEN)
        right_way = given.get("oauth_signature_method") == "HMAC-SHA256"
        return right_names and right_way and is_fresh and bool(signature.verify_hmac_sha256(seen, CONSUMER_SECRET, TOKEN_SECRET))

    def _render_info(self, request: Request) -> Response:
        for name in ("storeId", "currencyCode"):
            if not request.args.get(name):
                raise _Refused({"message": '"%fieldName" is required. Enter and try again.', "parameters": {"fieldName": name}}, 400)
        view = int(request.args["storeId"])
        if view not in self.shop.views:
            raise _Refused({"message": "The store that was requested wasn't found. Verify the store and try again."}, 404)
        ids = [int(one) for one in _filters(request)[0][0][2].split(",")]
        return self._page(request, [row for one in ids if (row := self.shop.render_info(one, view))], ids)

    def _options(self, code: str, scope: str) -> Response:
        if code != "manufacturer":
            raise _Refused({"message": 'The attribute with a "%1" attributeCode doesn\'t exist.', "parameters": [code]}, 404)
        suffix = " DE" if scope == "german" else ""
        labels = [{"label": f"{label}{suffix}", "value": value} for value, label in BRANDS.items()]
        return _json([{"label": " ", "value": ""}, *labels] if self.shop.has_brand_options else [])

    def _orders(self, request: Request) -> Response:
        size = int(request.args.get("searchCriteria[pageSize]", 0))
        if self.shop.most_per_gateway and size > self.shop.most_per_gateway:
            return Response("<html>504 Gateway Time-out</html>", 504, mimetype="text/html")
        filters = _filters(request)
        marks = (
            (sale, {"entity_id": sale.id, "created_at": printed(sale.created), "updated_at": printed(sale.updated),
                    "increment_id": number(sale.id)})
            for sale in self.shop.listed()
        )  # fmt: skip
        found = [sale for sale, row in marks if _matches(row, filters)]
        answer = self._page(request, found, show=self.shop.order)
        self.shop.after_page()
        return answer

    def _page(self, request: Request, rows: Sequence[Any], asked: Sequence[int] = (), show: Any = lambda row: row) -> Response:
        size = int(request.args.get("searchCriteria[pageSize]", 0)) or len(rows)
        most = self.shop.most_per_page
        if most and size > most:
            raise _Refused({"message": "Maximum SearchCriteria pageSize is %max", "parameters": {"max": most}}, 400)
        start = (int(request.args.get("searchCriteria[currentPage]", 1)) - 1) * size
        document = {"items": [show(row) for row in rows[start : start + size]], "search_criteria": {}, "total_count": len(rows)}
        fields = request.args.get("fields")
        return _json(_chosen(document, _parse_fields(fields)) if fields else document)

    def _subscriptions(self, request: Request, rest: list[str]) -> Response:
        held = self.shop.subscriptions
        if request.method == "GET" and request.path.endswith("/async_events"):
            rows = [_without_token(row) for _, row in sorted(held.items()) if _matches(row, _filters(request))]
            return self._page(request, rows)
        given = request.get_json()["asyncEvent"]
        if request.method == "POST" and not rest:
            new = max(held, default=0) + 1
            held[new] = {**given, "subscription_id": new, "status": True, "subscribed_at": printed(0), "store_id": 0}
            return _json(_without_token(held[new]))
        if request.method == "PUT" and rest and int(rest[0]) in held:
            given["event_name"]  # the module needs it before it looks up the subscription
            held[int(rest[0])] |= {"status": given["status"], "metadata": given.get("metadata", "http")}
            return _json(_without_token(held[int(rest[0])]))
        return _json(_NO_ENTITY, 404)


class _Refused(Exception):  # noqa: N818 - reads as what it is in `except`
    """(error object, status)."""


def _shown(request: Request) -> str:
    header = request.headers.get("Authorization", "")
    return "oauth" if header.startswith("OAuth ") else "bearer" if header else ""


def _filters(request: Request) -> list[list[tuple[str, str, str]]]:
    """Groups of (field, condition, value): in each group, one or more must match."""
    groups: dict[str, dict[str, dict[str, str]]] = {}
    for name, value in request.args.items():
        if match := _FILTER.fullmatch(name):
            group, place, part = match.groups()
            groups.setdefault(group, {}).setdefault(place, {})[part.replace("_", "").lower()] = value
    return [[(one["field"], one.get("conditiontype", "eq"), one["value"]) for one in group.values()] for group in groups.values()]


def _matches(row: Mapping[str, Any], filters: list[list[tuple[str, str, str]]]) -> bool:
    return all(any(_holds(row[name], condition, value) for name, condition, value in group) for group in filters)


def _holds(held: Any, condition: str, value: str) -> bool:
    if condition == "in":
        return str(held) in value.split(",")
    wanted: Any = int(value) if isinstance(held, int) else value
    return bool({"eq": held == wanted, "gt": held > wanted, "gteq": held >= wanted, "lt": held < wanted}[condition])


def _categories() -> Iterator[dict[str, Any]]:
    for own_id, level, name in [*CATEGORIES, (HIDDEN_CATEGORY, 2, "Not on show")]:
        yield {"id": own_id, "entity_id": own_id, "level": level, "name": name, "is_active": own_id != HIDDEN_CATEGORY, "path": "1/2"}


def _without_token(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "verification_token"}


def _parse_fields(text: str) -> dict[str, Any]:
    """`items[id,images[url]],total_count` as nested names."""
    root: dict[str, Any] = {}
    stack, name = [root], ""
    for piece in re.findall(r"[\w-]+|[\[\],]", text):
        if piece == "[":
            stack.append(stack[-1][name])
        elif piece == "]":
            stack.pop()
        elif piece != ",":
            name = piece
            stack[-1][name] = {}
    return root


def _chosen(node: Any, fields: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_chosen(one, fields) for one in node]
    if not fields or not isinstance(node, dict):
        return node
    return {name: _chosen(node[name], inner) for name, inner in fields.items() if name in node}


def _json(document: Any, status: int = 200) -> Response:
    return json_response(as_bytes(document), status)
