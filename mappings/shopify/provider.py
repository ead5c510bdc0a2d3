"""Shopify as a provider: verification, topics, what counts as an order, and reasons not to send one.

Facts from shopify.dev: webhook delivery structure and verification, REST Order reference, and its per-version changelogs.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from mappings.core.compliance import Compliance
from mappings.core.errors import Rejected
from mappings.core.money import ZERO
from mappings.core.product import Product
from mappings.core.provider import Key, Origin, Provider
from mappings.core.reading import Context, Identity, Loaded, Reason, Skip
from mappings.core.signature import hmac_base64
from mappings.core.text import first_email
from mappings.shopify.money import Money
from mappings.shopify.order import NAME, build, emails, order_email
from mappings.shopify.payload import ShopifyOrder
from mappings.shopify.products import products_of
from mappings.shopify.totals import money_stayed, refunded_total

ORDER_TOPICS = frozenset(f"orders/{event}" for event in ("create", "updated", "paid", "cancelled", "fulfilled", "partially_fulfilled"))
# Keys that orders never have at their root, but bodies that look like orders do: refunds, fulfillments, edits, drafts, checkouts.
_NO_ORDER_HAS = ("order_id", "order_edit", "abandoned_checkout_url", "invoice_url")
_EVENT_MARKS = ("topic", "action", "handle", "fields_changed", "query_variables")
_EVENT_HEADERS = ("shopify-handle", "shopify-action")
_UNSUPPORTED = (
    "unsupported delivery format: a next-generation event, not a webhook; subscribe to orders/create and orders/updated as webhooks"
)
_ORDER_MARKS = (
    "line_items", "total_price", "current_total_price", "subtotal_price", "financial_status", "fulfillment_status", "order_number",
)  # fmt: skip
# Shopify's requests about personal data, by topic: each has one field that no other body has.
_COMPLIANCE: Mapping[str, tuple[Literal["data_request", "customer_redact"], str]] = {
    "customers/data_request": ("data_request", "orders_requested"),
    "customers/redact": ("customer_redact", "orders_to_redact"),
}
_REQUESTS = (*_COMPLIANCE, "shop/redact")
# Every request about personal data has these fields, and no order has.
_REQUEST_FIELDS = (b'"shop_id"', b'"shop_domain"')
# The host of an order's status page, where slashes may be escaped.
_STATUS_PAGE = re.compile(rb'"order_status_url"\s*:\s*"https?:(?:\\?/){2}([^"/\\]{1,255})')
_SHOP_DOMAIN = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com")
_SHOP_HEADERS = ("x-shopify-shop-domain", "shopify-shop-domain")
_FINANCIAL_RANK = {
    status: Decimal(rank)
    for rank, status in enumerate(("pending", "authorized", "partially_paid", "paid", "partially_refunded", "refunded", "voided"))
}


def topic_name(topic: str) -> str:
    """`orders/create`, also for GraphQL's spelling `ORDERS_CREATE`."""
    return topic.lower() if "/" in topic else topic.lower().replace("_", "/", 1)


def delivery_key(headers: Mapping[str, str], payload: bytes) -> Key:
    """The body's hash, with what the topic makes of it: an order, a product or something else.

    Topic and webhook ID are not signed, so neither makes a recorded body new. All topics of an order carry the same body, and what is sent
    does not depend on which. Shopify repeats a webhook under the same ID for 4 hours, also after the order has changed. Requests about
    personal data are the exception: one that is made again has the same body, and must be handled again.
    """
    webhook_id = (headers.get("x-shopify-webhook-id") or headers.get("shopify-webhook-id") or "").strip()
    topic, of_body = topic_name(PROVIDER.topic(headers)), hashlib.sha256(payload).hexdigest()
    if webhook_id and topic in _REQUESTS and all(field in payload for field in _REQUEST_FIELDS):
        return Key(value=f"{topic}:{webhook_id}:{of_body}", expires=False)
    return Key(value=f"{_subject(topic)}:{of_body}", expires=True, sent_as=webhook_id)


def origins(headers: Mapping[str, str], payload: bytes) -> Iterator[Origin]:
    """The shop's permanent domain in a header, and one of its public addresses in the body of an order."""
    if domain := next((headers[name].strip().lower() for name in _SHOP_HEADERS if headers.get(name)), ""):
        yield Origin(address=domain, suffix=".myshopify.com")
    if found := _STATUS_PAGE.search(payload):
        yield Origin(address=found[1].decode("ascii", "replace"))


def _subject(topic: str) -> str:
    if not topic or topic in ORDER_TOPICS:
        return "order"
    return "product" if topic.startswith("products/") else "other"


def split(document: Any) -> Sequence[Any] | None:
    """The orders of a REST page."""
    orders = document.get("orders") if isinstance(document, dict) else None
    return orders if isinstance(orders, list) else None


def find(document: Any, context: Context) -> Any:
    """The order of a webhook body or a REST response; raises `Rejected` for an order that arrives in a format we don't map."""
    order = document.get("order", document) if isinstance(document, dict) else None
    if not isinstance(order, dict) or not any(key in order for key in _ORDER_MARKS):
        if _is_event(document, context):
            return _event(document, context)
        order = None
    topic = topic_name(context.topic)
    if topic.startswith("products/"):
        return Skip(Reason.CATALOG, "product data, stored for product pages and images")
    if topic and topic not in ORDER_TOPICS:
        return Skip(Reason.NOT_AN_ORDER, f"topic {context.topic[:80]} isn't an order; Shopify sends orders/updated if it changes one")
    if order is None or any(order.get(key) for key in _NO_ORDER_HAS):
        return Skip(Reason.NOT_AN_ORDER, "not an order, but a refund, an edit, a draft, a checkout or a bare ID")
    return order


def _is_event(document: Any, context: Context) -> bool:
    """Whether this is a delivery of Shopify's next-generation Events.

    Each body has `topic`, `action`, `handle`, `fields_changed` and `query_variables`, and each request the headers `shopify-handle` and
    `shopify-action` (shopify.dev, Events delivery structure).
    """
    by_body = isinstance(document, dict) and sum(key in document for key in _EVENT_MARKS) >= 2
    return by_body or any(context.headers.get(name) for name in _EVENT_HEADERS)


def _event(document: Any, context: Context) -> Skip:
    data = document.get("data") if isinstance(document, dict) else None
    topic = str(document.get("topic") or "") if isinstance(document, dict) else ""
    if "order" in (topic or context.topic).lower() or (isinstance(data, dict) and "order" in data):
        raise Rejected({"": [_UNSUPPORTED]})
    return Skip(Reason.NOT_AN_ORDER, f"{_UNSUPPORTED}; it isn't about an order")


def compliance(document: Any, context: Context) -> Compliance | None:
    """Shopify's request about personal data, recognized by the signed body.

    The body of shop/redact only has the shop's ID and domain, so the topic must match too.
    """
    if not isinstance(document, dict) or not document.get("shop_id") or any(key in document for key in _ORDER_MARKS):
        return None
    topic, shop, customer = topic_name(context.topic), str(document.get("shop_domain") or ""), document.get("customer")
    for name, (kind, field) in _COMPLIANCE.items():
        if field in document or (topic == name and "customer" in document):
            person = customer if isinstance(customer, dict) else {}
            return Compliance(
                kind=kind,
                shop=shop,
                shop_headers=_SHOP_HEADERS,
                email=first_email(str(person.get("email") or "")),
                order_ids=tuple(_ids(document.get(field))),
                marks={path: number for path in ("customer.id", "order.customer.id") for number in _ids([person.get("id")])},
            )
    is_shop = topic == "shop/redact" and bool(shop) and "customer" not in document and "id" not in document
    return Compliance(kind="shop_redact", shop=shop, shop_headers=_SHOP_HEADERS) if is_shop else None


def _ids(values: Any) -> Iterator[str]:
    return (str(value) for value in (values if isinstance(values, list) else []) if isinstance(value, (int, str)) and value)


def products(document: Any, context: Context) -> Sequence[Product]:
    """The product and variants of a products/ webhook."""
    shop = next((context.headers[name] for name in _SHOP_HEADERS if context.headers.get(name)), "")
    # The header isn't signed: through it, somebody could put pages of another host into email.
    base = context.options.store_url or (f"https://{shop}" if _SHOP_DOMAIN.fullmatch(shop) else "")
    return products_of(document, base.rstrip("/"))


def skips(loaded: Loaded, context: Context) -> Iterator[Skip]:
    is_test = loaded.get("test") or context.headers.get("x-shopify-test", "").lower() == "true"
    if is_test and not context.options.forward_test_orders:
        yield Skip(Reason.TEST_ORDER, "a test order or test notification; set forward_test_orders to send these too")
    if loaded.get("cancelled_at") and not money_stayed(loaded):
        yield Skip(Reason.NEVER_PLACED, "canceled before the shop was paid, and never seen as a placed order")


def number(loaded: Loaded) -> str:
    return loaded.get("name") or loaded.get("order_number") or ""


def identify(loaded: Loaded, context: Context) -> Identity | None:
    if not loaded.get("id"):
        return None
    return Identity(
        order_id=loaded["id"],
        order_number=number(loaded),
        created_at=loaded.get("processed_at") or loaded.get("created_at"),
        updated_at=loaded.get("updated_at"),
        progress=(
            refunded_total(loaded, Money(loaded, "shop")),
            Decimal(sum(entry.get("status") == "success" for entry in loaded.get("fulfillments") or ())),
            Decimal(bool(loaded.get("cancelled_at"))),
            _FINANCIAL_RANK.get(loaded.get("financial_status", ""), ZERO),
        ),
        email=order_email(loaded),
        email_withheld=all(address is None for address in emails(loaded)),
    )


PROVIDER = Provider(
    name=NAME,
    title="Shopify",
    # Next-generation events use the names without a prefix.
    api_settings=("api_url", "access_token", "client_id", "client_secret"),
    schemes={"hmac": hmac_base64("x-shopify-hmac-sha256", "shopify-hmac-sha256")},
    topic_headers=("x-shopify-topic", "shopify-topic"),
    kept_headers=(
        "x-shopify-shop-domain",
        "shopify-shop-domain",
        "x-shopify-test",
        "x-shopify-triggered-at",
        "shopify-triggered-at",
        *_EVENT_HEADERS,
        "x-shopify-api-version",
        "x-shopify-webhook-id",
        "shopify-webhook-id",
        "x-shopify-event-id",
    ),
    key=delivery_key,
    origins=origins,
    split=split,
    find=find,
    has_unique_ids=True,
    reports_consent=True,
    schema=ShopifyOrder(),
    skips=skips,
    identify=identify,
    number=number,
    build=build,
    compliance=compliance,
    products=products,
)
