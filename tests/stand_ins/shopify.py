"""A Shopify store's APIs over real HTTP on loopback, built from the documented requests and responses."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

from werkzeug.wrappers import Request, Response

from tests.stand_ins.server import ShopServer, json_response
from tests.stand_ins.shopify_shop import CLIENT_ID, CLIENT_SECRET, GONE, MOST_COST, PRODUCTS, TOKEN, UNPUBLISHED, Bucket, Shop, query_cost

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "GONE", "PRODUCTS", "TOKEN", "UNPUBLISHED", "Bucket", "Shop", "running_shopify"]
_MOST_IDS = 250
_MOST_ROWS = 250
_MUTATION_COST = 10
_WEBHOOKS_A_PAGE = 2
"""Fewer than requested, so that there are several pages."""


@contextmanager
def running_shopify(orders: int = 0, **settings: Any) -> Iterator[Shop]:
    """A store with this many orders."""
    with _Server(Shop(orders=orders, **settings)).serving() as shop:
        yield shop


class _Server(ShopServer[Shop]):
    def answer(self, request: Request) -> Response:
        body: Any = request.get_json() if request.is_json else request.form.to_dict()
        if request.path == "/admin/oauth/access_token":
            return self._token(body)
        if re.fullmatch(r"/api/\d{4}-\d{2}/graphql\.json", request.path):
            return self._storefront(body["query"], body["variables"])
        return self._admin(request, body)

    def _admin(self, request: Request, body: Any) -> Response:
        found = re.fullmatch(r"/admin/api/\d{4}-\d{2}/(.+)\.json", request.path)
        if not found:
            return _json({"errors": "Not Found"}, 404)
        if self.shop.tokens.get(request.headers.get("X-Shopify-Access-Token", ""), 0) < time.monotonic():
            return _json({"errors": "[API] Invalid API key or access token (unrecognized login or wrong password)"}, 401)
        if found[1] == "graphql":
            return self._graphql(body["query"], body["variables"])
        return self._rest(found[1], request.args)

    def _token(self, form: Mapping[str, str]) -> Response:
        if (form.get("grant_type"), form.get("client_id"), form.get("client_secret")) != ("client_credentials", CLIENT_ID, CLIENT_SECRET):
            return _json({"error": "invalid_client"}, 401)
        token = f"shpat_bought_{len(self.shop.tokens)}"
        self.shop.tokens[token] = time.monotonic() + self.shop.token_life_s
        return _json({"access_token": token, "scope": ",".join(sorted(self.shop.scopes)), "expires_in": int(self.shop.token_life_s)})

    # --- REST ----------------------------------------------------------------------------------------------------------------------

    def _rest(self, path: str, args: Mapping[str, str]) -> Response:
        shop = self.shop
        there_was_room = shop.calls.take(1, 1)
        headers = {"X-Shopify-Shop-Api-Call-Limit": f"{round(shop.calls.level)}/{shop.calls.size:g}"}
        if not there_was_room:
            too_many = "Exceeded 2 calls per second for api client. Reduce request rates to resume uninterrupted service."
            return _json({"errors": too_many}, 429, {**headers, "Retry-After": "2.0"})
        if "read_orders" not in shop.scopes:
            return _json({"errors": "[API] This action requires merchant approval for read_orders scope."}, 403)
        assert args.get("status") == "any", "the default shows open orders only"
        if path == "orders/count":
            return _json({"count": sum(1 for _ in shop.indices(args))}, headers=headers)
        assert path == "orders"
        rows = islice(shop.indices(args), min(int(args.get("limit", 50)), _MOST_ROWS))
        return _json({"orders": [shop.order(index) for index in rows]}, headers=headers)

    # --- GraphQL -------------------------------------------------------------------------------------------------------------------

    def _storefront(self, query: str, variables: Mapping[str, Any]) -> Response:
        if refused := _too_dear(query_cost(query, len(variables["ids"])), variables):
            return refused
        if re.search(r"\b(tags|metafields?)\b", query):  # which need a token
            return _json({"data": None, "errors": [{"message": "Access denied", "extensions": {"code": "ACCESS_DENIED"}}]})
        return _json({"data": {"nodes": [self.shop.node(gid, published_only=True) for gid in variables["ids"]]}})

    def _graphql(self, query: str, variables: Mapping[str, Any]) -> Response:
        ids = len(variables.get("ids") or ())
        requested = query_cost(query, ids) if query.startswith("query") else _MUTATION_COST
        if refused := _too_dear(requested, variables):
            return refused
        # The cost of rows that don't exist is given back: a list of webhooks is short.
        spent = requested if ids else min(requested, _MUTATION_COST)
        points = self.shop.points
        there_was_room = points.take(requested, spent)
        status = {"maximumAvailable": points.size, "currentlyAvailable": int(points.size - points.level), "restoreRate": points.leak_per_s}
        cost = {"requestedQueryCost": requested, "actualQueryCost": spent if there_was_room else None, "throttleStatus": status}
        if there_was_room:
            answer: dict[str, Any] = {"data": self._nodes(variables["ids"]) if ids else self._webhooks(query, variables)}
        else:
            answer = {"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]}
        return _json({**answer, "extensions": {"cost": cost}})

    def _nodes(self, ids: list[str]) -> dict[str, Any]:
        return {"nodes": [self.shop.node(gid, published_only=False) for gid in ids]}

    def _webhooks(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        hooks = self.shop.webhooks
        if "webhookSubscriptions(" in query:
            names = sorted(hooks)
            start = names.index(variables["after"]) + 1 if variables.get("after") else 0
            page = names[start : start + _WEBHOOKS_A_PAGE]
            info = {"hasNextPage": start + _WEBHOOKS_A_PAGE < len(names), "endCursor": page[-1] if page else None}
            return {"webhookSubscriptions": {"nodes": [hooks[name] for name in page], "pageInfo": info}}
        if "webhookSubscriptionCreate" in query:
            return {"webhookSubscriptionCreate": self._create(variables["topic"], variables["webhook"], hooks)}
        if variables["id"] not in hooks:
            missing = {"userErrors": [{"field": ["id"], "message": "Webhook subscription does not exist"}]}
            return {"webhookSubscriptionUpdate": missing, "webhookSubscriptionDelete": missing}
        if "webhookSubscriptionUpdate" in query:
            hooks[variables["id"]]["uri"] = variables["webhook"]["uri"]
            return {"webhookSubscriptionUpdate": {"webhookSubscription": {"id": variables["id"]}, "userErrors": []}}
        del hooks[variables["id"]]
        return {"webhookSubscriptionDelete": {"deletedWebhookSubscriptionId": variables["id"], "userErrors": []}}

    def _create(self, topic: str, webhook: Mapping[str, str], hooks: dict[str, dict[str, str]]) -> dict[str, Any]:
        uri, why = webhook["uri"], ""
        if any((hook["topic"], hook["uri"]) == (topic, uri) for hook in hooks.values()):
            why = "Address for this topic has already been taken"
        elif not uri.startswith("https://"):
            why = "Address protocol http:// is not supported"
        if why:
            return {"webhookSubscription": None, "userErrors": [{"field": ["webhookSubscription", "callbackUrl"], "message": why}]}
        gid = f"gid://shopify/WebhookSubscription/{len(hooks) + 1:04}"
        hooks[gid] = {"id": gid, "topic": topic, "uri": uri}
        return {"webhookSubscription": {"id": gid}, "userErrors": []}


def _too_dear(cost: int, variables: Mapping[str, Any]) -> Response | None:
    """The rejection of a query that costs more than the bucket holds or has too many IDs."""
    if len(variables.get("ids") or ()) > _MOST_IDS:
        return _json({"errors": [{"message": f"The input array size is greater than the maximum allowed of {_MOST_IDS}"}]})
    if cost > MOST_COST:
        message = f"Query cost is {cost}, which exceeds the single query max cost limit ({MOST_COST})."
        return _json({"errors": [{"message": message, "extensions": {"code": "MAX_COST_EXCEEDED", "cost": cost, "maxCost": MOST_COST}}]})
    return None


def _json(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return json_response(json.dumps(document).encode(), status, headers)
