"""Shopify: REST order bodies of every API version since 2020, as its order webhooks carry them.

Facts from shopify.dev: webhook delivery structure and verification, REST Order reference, and its per-version changelogs.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from marshmallow.constants import missing

from mappings.core.address import addresses
from mappings.core.compliance import Compliance
from mappings.core.errors import Rejected
from mappings.core.fields import TextOrAbsent, Time
from mappings.core.money import ZERO, is_currency
from mappings.core.order import Order
from mappings.core.product import Product
from mappings.core.provider import Context, Identity, Key, Loaded, Provider, Reason, Skip, body_key
from mappings.core.signature import hmac_base64
from mappings.core.text import absolute_url, campaign, first_email, origin, path_only, plain, without_blanks
from mappings.shopify.items import Money, items_and_tips
from mappings.shopify.payload import MoneySet, ShopifyOrder
from mappings.shopify.products import products_of

ORDER_TOPICS = frozenset(f"orders/{event}" for event in ("create", "updated", "paid", "cancelled", "fulfilled", "partially_fulfilled"))
# Keys that other bodies share with orders, and orders never have at their root: refunds and fulfilments, edits, drafts, checkouts.
_NO_ORDER_HAS = ("order_id", "order_edit", "abandoned_checkout_url", "invoice_url")
_ORDER_MARKS = (
    "line_items", "total_price", "current_total_price", "subtotal_price", "financial_status", "fulfillment_status", "order_number",
)  # fmt: skip
# Shopify's requests about personal data: the field that each body has and no other, by topic.
_COMPLIANCE: Mapping[str, tuple[Literal["data_request", "customer_redact"], str]] = {
    "customers/data_request": ("data_request", "orders_requested"),
    "customers/redact": ("customer_redact", "orders_to_redact"),
}
_SHOP_DOMAIN = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com")
_SHOP_HEADERS = ("x-shopify-shop-domain", "shopify-shop-domain")
_NOT_CAPTURED = ("pending", "authorized", "voided", "expired")
_FINANCIAL_RANK = {
    status: Decimal(rank)
    for rank, status in enumerate(("pending", "authorized", "partially_paid", "paid", "partially_refunded", "refunded", "voided"))
}


def topic_name(topic: str) -> str:
    """`orders/create`, also for GraphQL's spelling `ORDERS_CREATE`."""
    return re.sub(r"_", "/", topic.lower(), count=1) if "/" not in topic else topic.lower()


def delivery_key(headers: Mapping[str, str], payload: bytes) -> Key:
    """Topic and webhook id, with the body's hash since neither header is signed.

    X-Shopify-Event-Id would not do: every delivery that one action caused shares it, across topics.
    """
    webhook_id = headers.get("x-shopify-webhook-id") or headers.get("shopify-webhook-id")
    if not webhook_id:
        return body_key(headers, payload)
    topic = PROVIDER.topic(headers)
    return Key(value=f"{topic}:{webhook_id}:{hashlib.sha256(payload).hexdigest()}"[:500], expires=False)


def split(document: Any) -> Sequence[Any] | None:
    """The orders of a REST page."""
    orders = document.get("orders") if isinstance(document, dict) else None
    return orders if isinstance(orders, list) else None


def find(document: Any, context: Context) -> Any:
    topic = topic_name(context.topic)
    if topic.startswith("products/"):
        return Skip(Reason.CATALOG, "a product, kept for its page and picture")
    if topic and topic not in ORDER_TOPICS:
        return Skip(Reason.NOT_AN_ORDER, f"topic {context.topic[:80]} is no order; an orders/updated follows where it changes one")
    order = document.get("order", document) if isinstance(document, dict) else None
    if not isinstance(order, dict) or any(order.get(key) for key in _NO_ORDER_HAS) or not any(key in order for key in _ORDER_MARKS):
        return Skip(Reason.NOT_AN_ORDER, "the body is no order: a refund, an edit, a draft, a checkout, or a bare id")
    return order


def compliance(document: Any, context: Context) -> Compliance | None:
    """What Shopify asks about personal data, by the shape of the signed body.

    The body of shop/redact has nothing but the shop's id and domain, so there the topic must say so too.
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
    """A product and its variants, as a products/ topic brings them."""
    shop = next((context.headers[name] for name in _SHOP_HEADERS if context.headers.get(name)), "")
    # The header is not signed: a page of any other host could be slipped into a mail by it.
    base = context.options.store_url or (f"https://{shop}" if _SHOP_DOMAIN.fullmatch(shop) else "")
    return products_of(document, base.rstrip("/"))


def skips(loaded: Loaded, context: Context) -> Iterator[Skip]:
    is_test = loaded.get("test") or context.headers.get("x-shopify-test", "").lower() == "true"
    if is_test and not context.options.forward_test_orders:
        yield Skip(Reason.TEST_ORDER, "a test order or test notification; forward_test_orders sends these too")
    if loaded.get("cancelled_at") and not _money_stayed(loaded):
        yield Skip(Reason.NEVER_PLACED, "cancelled before any money stayed, and never seen as a placed order")


def identify(loaded: Loaded, context: Context) -> Identity | None:
    if not loaded.get("id"):
        return None
    return Identity(
        order_id=loaded["id"],
        order_number=loaded.get("name") or loaded.get("order_number") or "",
        created_at=loaded.get("processed_at") or loaded.get("created_at"),
        updated_at=loaded.get("updated_at"),
        progress=(
            _refunded(loaded, Money(loaded, "shop")),
            Decimal(sum(entry.get("status") == "success" for entry in loaded.get("fulfillments") or ())),
            Decimal(bool(loaded.get("cancelled_at"))),
            _FINANCIAL_RANK.get(loaded.get("financial_status", ""), ZERO),
        ),
        email=_email(loaded),
        email_withheld=all(address is None for address in _emails(loaded)),
    )


def build(loaded: Loaded, context: Context) -> Order:
    money = Money(loaded, context.options.currency)
    if money.of(loaded, "total_price") is None and money.of(loaded, "current_total_price") is None:
        # Drip reads a missing grand_total as 0 and would reset the shopper's lifetime value.
        raise Rejected({"total_price": ["Missing, and so is current_total_price: do not leave them out of the webhook's fields."]})
    original = money.first(loaded, "total_price", "current_total_price")
    refunded = _refunded(loaded, money)
    base = _base(loaded, context)
    if not base:
        raise Rejected({"order_status_url": ["Missing, and so is the shop's address: set SHOPIFY_STORE_URL, or store_url in STORES."]})
    items, tips = items_and_tips(loaded, money, base)
    moment = loaded["processed_at"] or loaded["created_at"]
    occurred = moment or loaded["updated_at"] or _triggered_at(context) or context.received_at
    return Order(
        provider=PROVIDER.name,
        order_id=loaded["id"],
        order_public_id=loaded["name"] or (f"#{loaded['order_number']}" if loaded["order_number"] else ""),
        email=_email(loaded),
        created_at=occurred,
        updated_at=loaded["updated_at"] or occurred,
        grand_total=_grand_total(loaded, money),
        total_discounts=money.first(loaded, "current_total_discounts", "total_discounts"),
        total_taxes=money.first(loaded, "current_total_tax", "total_tax"),
        total_fees=_fees(loaded, money, tips),
        total_shipping=_shipping(loaded, money),
        currency=money.currency if is_currency(money.currency) else "",
        order_url=_order_url(loaded, context, base),
        items=items,
        store_url=base,
        original_total=original,
        refunded_total=refunded,
        # Money came in, whatever of it went back since.
        paid=loaded["financial_status"] in ("paid", "partially_refunded", "refunded"),
        fulfilled=loaded["fulfillment_status"] == "fulfilled",
        canceled=bool(loaded["cancelled_at"]),
        **addresses(context, billing_address=loaded["billing_address"], shipping_address=loaded["shipping_address"]),
        accepts_marketing=loaded["buyer_accepts_marketing"],
        attributes=_attributes(loaded, money, base, original, refunded),
        discrepancy=_discrepancy(loaded, money, original),
    )


def _emails(loaded: Loaded) -> tuple[str | None, ...]:
    customer = loaded.get("customer")
    account = TextOrAbsent().deserialize(customer.get("email", missing)) if isinstance(customer, dict) else None
    return loaded.get("email"), loaded.get("contact_email"), account


def _email(loaded: Loaded) -> str:
    return first_email(*(address or "" for address in _emails(loaded)))


def _money_stayed(loaded: Loaded) -> bool:
    return loaded.get("financial_status") not in _NOT_CAPTURED and _grand_total(loaded, Money(loaded, "shop")) > 0


def _grand_total(loaded: Loaded, money: Money) -> Decimal:
    # Cancelling does not zero current_total_price; nothing captured means that nothing was earned.
    if loaded.get("cancelled_at") and loaded.get("financial_status") in _NOT_CAPTURED:
        return ZERO
    current = money.of(loaded, "current_total_price")
    if current is not None:
        return current
    return max(ZERO, money.first(loaded, "total_price") - _refunded(loaded, money))


def _refunded(loaded: Loaded, money: Money) -> Decimal:
    return sum((_refund(refund, money) for refund in loaded.get("refunds") or ()), ZERO)


def _refund(refund: Loaded, money: Money) -> Decimal:
    """Money given back by one refund: its successful transactions, whose bare amounts may be in either currency."""
    paid_back = [entry for entry in refund.get("transactions") or () if entry.get("kind") == "refund" and entry.get("status") == "success"]
    if all(entry.get("currency") in ("", None, money.currency) for entry in paid_back):
        return sum((entry.get("amount") or ZERO for entry in paid_back), ZERO)
    if all(entry.get("amount_set") != MoneySet.default for entry in paid_back):
        return money.total(paid_back, "amount")
    lines = refund.get("refund_line_items") or ()
    # Adjustments are negative where money was given back.
    adjustments = refund.get("order_adjustments") or ()
    given = money.total(lines, "subtotal") + money.total(lines, "total_tax")
    return given - money.total(adjustments, "amount") - money.total(adjustments, "tax_amount")


def _shipping(loaded: Loaded, money: Money) -> Decimal:
    gross = money.of(loaded, "total_shipping_price")
    if gross is None:
        return money.total((line for line in loaded["shipping_lines"] if not line["is_removed"]), "price")
    refunded = ZERO
    for refund in loaded["refunds"]:
        # Since 2024-10 a body may tell one shipping refund twice: as an adjustment, which has the tax too, and as a line.
        adjustments = [entry for entry in refund["order_adjustments"] if entry["kind"] == "shipping_refund"]
        if adjustments:
            refunded += abs(sum((_adjusted(entry, money, loaded["taxes_included"]) for entry in adjustments), ZERO))
        else:
            refunded += money.total(refund["refund_shipping_lines"], "subtotal_amount")
    return max(ZERO, gross - refunded)


def _adjusted(adjustment: Loaded, money: Money, taxes_included: bool | None) -> Decimal:
    # An adjustment's amount is without its tax, even where prices include it.
    return money.first(adjustment, "amount") + (money.first(adjustment, "tax_amount") if taxes_included else ZERO)


def _fees(loaded: Loaded, money: Money, tips: Decimal) -> Decimal:
    duties = ZERO if loaded["duties_included"] else money.first(loaded, "current_total_duties", "original_total_duties")
    additional = money.first(loaded, "current_total_additional_fees", "original_total_additional_fees")
    received = None if money.presentment else loaded["total_tip_received"]
    return duties + additional + (received or tips)


def _base(loaded: Loaded, context: Context) -> str:
    shop = context.headers.get("x-shopify-shop-domain") or context.headers.get("shopify-shop-domain") or ""
    return (
        context.options.store_url.rstrip("/")
        or origin(loaded["order_status_url"])
        or (origin(f"https://{shop}") if re.fullmatch(r"[A-Za-z0-9.-]+", shop) else "")
        or context.options.fallback_url
    )


def _order_url(loaded: Loaded, context: Context, base: str) -> str:
    public_id = loaded["name"] or loaded["order_number"]
    templated = context.options.templated_order_url(order_id=loaded["id"], order_public_id=public_id, token=loaded["token"])
    return templated or absolute_url(loaded["order_status_url"], base) or f"{base}/account"


def _triggered_at(context: Context) -> Any:
    return Time().deserialize(context.headers.get("x-shopify-triggered-at") or context.headers.get("shopify-triggered-at"))


def _attributes(loaded: Loaded, money: Money, base: str, original: Decimal, refunded: Decimal) -> dict[str, Any]:
    shipped = [entry for entry in loaded["fulfillments"] if entry["status"] == "success"]
    numbers = [number for entry in shipped for number in entry["tracking_numbers"] or (entry["tracking_number"],)]
    urls = [url for entry in shipped for url in entry["tracking_urls"] or (entry["tracking_url"],)]
    foreign = loaded["presentment_currency"] not in ("", loaded["currency"])
    shown = loaded["current_total_price_set"][1] if loaded["current_total_price_set"][1] is not None else loaded["total_price_set"][1]
    cancelled = loaded["cancelled_at"]
    return without_blanks(
        {
            "financial_status": loaded["financial_status"],
            "fulfillment_status": loaded["fulfillment_status"],
            "cancelled_at": cancelled and cancelled.isoformat().replace("+00:00", "Z"),
            "cancel_reason": loaded["cancel_reason"],
            "discount_codes": [row["code"] for row in loaded["discount_codes"] if row["code"]],
            "tags": [tag.strip() for tag in loaded["tags"].split(",") if tag.strip()],
            "payment_method": next(iter(loaded["payment_gateway_names"]), ""),
            "shipping_method": next((plain(line["title"]) for line in loaded["shipping_lines"]), ""),
            "tracking_numbers": [number for number in dict.fromkeys(numbers) if number],
            "tracking_urls": [url for url in dict.fromkeys(urls) if url],
            "source": loaded["source_name"],
            "customer_locale": loaded["customer_locale"],
            "is_guest": not loaded["customer"],
            "accepts_marketing": loaded["buyer_accepts_marketing"],
            "original_total": original if original != _grand_total(loaded, money) else None,
            "refunded_total": refunded or None,
            "taxes_included": loaded["taxes_included"],
            "presentment_currency": loaded["presentment_currency"] if foreign else "",
            "presentment_total": shown if foreign else None,
            "store_url": base,
            "shipping_country": loaded["shipping_address"]["country_code"],
            **campaign(loaded["landing_site"]),
            "landing_site": path_only(loaded["landing_site"]),
            "referring_site": origin(loaded["referring_site"]),
        }
    )


def _discrepancy(loaded: Loaded, money: Money, original: Decimal) -> Decimal:
    """Shopify's identity: lines - discounts + shipping + tax unless included + tip + duties + fees is the total."""
    lines = money.of(loaded, "total_line_items_price")
    if lines is None or money.presentment:
        return ZERO
    gross = money.first(loaded, "total_shipping_price") if loaded["total_shipping_price_set"][0] is not None else _shipping(loaded, money)
    tax = ZERO if loaded["taxes_included"] else money.first(loaded, "total_tax")
    duties = ZERO if loaded["duties_included"] else money.first(loaded, "original_total_duties")
    fees = money.first(loaded, "original_total_additional_fees")
    tip = loaded["total_tip_received"] or ZERO
    return lines - money.first(loaded, "total_discounts") + gross + tax + tip + duties + fees - original


PROVIDER = Provider(
    name="shopify",
    title="Shopify",
    # Newer "Events" deliveries use the names without a prefix.
    schemes={"hmac": hmac_base64("x-shopify-hmac-sha256", "shopify-hmac-sha256")},
    topic_headers=("x-shopify-topic", "shopify-topic"),
    kept_headers=(
        "x-shopify-shop-domain",
        "shopify-shop-domain",
        "x-shopify-test",
        "x-shopify-triggered-at",
        "shopify-triggered-at",
        "x-shopify-api-version",
        "x-shopify-webhook-id",
        "x-shopify-event-id",
    ),
    key=delivery_key,
    split=split,
    find=find,
    schema=ShopifyOrder(),
    skips=skips,
    identify=identify,
    build=build,
    compliance=compliance,
    products=products,
)
