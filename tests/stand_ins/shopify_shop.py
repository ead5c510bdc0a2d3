"""The contents of a Shopify store: orders, generated on request, products, webhooks, and rate limits."""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.stand_ins.server import StandInShop

TOKEN, CLIENT_ID, CLIENT_SECRET = "shpat_0123456789", "client-0123", "shpss_fedcba98"
FIRST_ORDER_ID = 6_011_000_000_001
PRODUCTS = range(701, 741)
"""All have two variants, with 10 times their ID and the next number; the last two are deleted, the two before aren't published."""
UNPUBLISHED, GONE = PRODUCTS[-4:-2], PRODUCTS[-2:]
MOST_COST = 1000
_IDS_APART = 3
_ARGUMENTS = re.compile(r"\((?:[^()]|\([^()]*\))*\)")


@dataclass
class Bucket:
    """A leaky bucket with a size and a rate per second."""

    size: float
    leak_per_s: float
    level: float = 0.0
    at: float = field(default_factory=time.monotonic)

    def take(self, needed: float, spent: float) -> bool:
        """Whether there was room for `needed`; only what was spent stays in it."""
        now = time.monotonic()
        self.drain(now - self.at)
        self.at = now
        if self.level + needed > self.size:
            return False
        self.level += spent
        return True

    def drain(self, seconds: float) -> None:
        """Let time pass."""
        self.level = max(0.0, self.level - seconds * self.leak_per_s)


@dataclass
class Shop(StandInShop):
    """The store's contents and behavior."""

    orders: int = 0
    first_at: datetime = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)
    apart: timedelta = timedelta(minutes=10)
    scopes: frozenset[str] = frozenset({"read_orders", "read_products", "read_all_orders"})
    calls: Bucket = field(default_factory=lambda: Bucket(40, 2))
    """REST: one per call."""
    points: Bucket = field(default_factory=lambda: Bucket(MOST_COST, 100))
    """The Admin API's GraphQL: the cost of the query."""
    tokens: dict[str, float] = field(default_factory=lambda: {TOKEN: float("inf")})
    token_life_s: float = 86399
    webhooks: dict[str, dict[str, str]] = field(default_factory=dict)
    changed: dict[int, datetime] = field(default_factory=dict)

    def id_of(self, index: int) -> int:
        """Ids grow, with gaps."""
        return FIRST_ORDER_ID + index * _IDS_APART

    def indices(self, args: Mapping[str, str]) -> Iterator[int]:
        """The orders that match REST's filters, by ID; those older than 60 days only with the scope for them."""
        since, ids = int(args.get("since_id", 0)), set(filter(None, args.get("ids", "").split(",")))
        oldest = datetime.min.replace(tzinfo=UTC) if "read_all_orders" in self.scopes else datetime.now(UTC) - timedelta(days=60)
        bounds = [(name, datetime.fromisoformat(args[name])) for name in args if name.endswith(("_at_min", "_at_max"))]
        for index in range(max(0, -(-(since + 1 - FIRST_ORDER_ID) // _IDS_APART)), self.orders):
            created = self.first_at + index * self.apart
            moments = {"created": created, "updated": self.changed.get(self.id_of(index), created)}
            fits = all(
                moments[name[:7]] >= bound if name.endswith("_min") else moments[name[:7]] <= bound for name, bound in bounds
            )  # Shopify includes both ends
            if fits and created >= oldest and (not ids or str(self.id_of(index)) in ids):
                yield index

    def order(self, index: int) -> dict[str, Any]:
        """An order as in REST and webhooks."""
        own_id, created = self.id_of(index), self.first_at + index * self.apart
        product = PRODUCTS[index % len(PRODUCTS)]
        price = f"{10 + index % 90}.90"
        line = {"id": own_id + 1, "product_id": product, "variant_id": product * 10, "title": "Thing", "price": price, "quantity": 1}
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
            "line_items": [line],
        }

    def node(self, gid: str, *, published_only: bool) -> dict[str, Any] | None:
        """A product or variant as in GraphQL."""
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


def query_cost(query: str, ids: int) -> int:
    """The requested cost of a query by Shopify's documentation, with `ids` as the length of its list.

    An object costs 1, a connection 2 and its nodes, a fragment as much as the dearest one beside it, a list of ids all of its nodes.
    """
    selection = query[query.index("{", query.index(")") if query.lstrip().startswith(("query(", "mutation(")) else 0) :]
    marked = _ARGUMENTS.sub(lambda arguments: _times(arguments[0], ids), selection)
    return _points(iter(re.findall(r"\.\.\. on \w+|[\w@*]+|[{}]", marked)))


def _times(arguments: str, ids: int) -> str:
    first = re.search(r"first: *(\d+)", arguments)
    return f"@{first[1]}" if first else f"*{ids}" if re.match(r"\(ids:", arguments) else ""


def _points(tokens: Iterator[str]) -> int:
    own, dearest, last = 0, 0, ""
    for token in tokens:
        if token == "}":
            break
        if token == "{":
            inner = _points(tokens)
            if last.startswith("..."):
                dearest = max(dearest, inner)
            elif "@" in last:
                own += 2 + int(last.partition("@")[2]) * inner
            elif last:
                own += int(last.partition("*")[2] or 1) * (1 + inner)
            else:  # the whole query
                own += inner
        last = token
    return own + dearest
