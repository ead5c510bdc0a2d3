"""A Shopify order from its loaded payload: who bought it, when, what it came to, and its custom attributes."""

import re
from typing import Any

from marshmallow.constants import missing
from msgspec.structs import replace

from mappings.core.address import addresses
from mappings.core.errors import Rejected
from mappings.core.fields import TextOrAbsent, Time
from mappings.core.money import is_currency
from mappings.core.order import Order
from mappings.core.reading import Context, Loaded
from mappings.core.text import absolute_url, campaign, first_email, origin, path_only, plain, without_blanks
from mappings.shopify.items import items_and_tips
from mappings.shopify.money import Money
from mappings.shopify.totals import discrepancy, grand_total, refunded_total, total_fees, total_shipping

NAME = "shopify"
_HOST = re.compile(r"[A-Za-z0-9.-]+")


def build(loaded: Loaded, context: Context) -> Order:
    """The order of a loaded payload; raises `Rejected` if it lacks what an order needs."""
    money = Money(loaded, context.options.currency)
    if money.of(loaded, "total_price") is None and money.of(loaded, "current_total_price") is None:
        # Drip reads a missing grand_total as 0 and would reset the shopper's lifetime value.
        raise Rejected({"total_price": ["Missing, and so is current_total_price: don't leave them out of the webhook's fields."]})
    base = _base(loaded, context)
    if not base:
        raise Rejected({"order_status_url": ["Missing, and the shop's address is unknown: set SHOPIFY_STORE_URL, or store_url in STORES."]})
    items, tips = items_and_tips(loaded, money, base)
    moment = loaded["processed_at"] or loaded["created_at"]
    occurred = moment or loaded["updated_at"] or _triggered_at(context) or context.received_at
    original = money.first(loaded, "total_price", "current_total_price")
    order = Order(
        provider=NAME,
        order_id=loaded["id"],
        order_public_id=loaded["name"] or (f"#{loaded['order_number']}" if loaded["order_number"] else ""),
        email=order_email(loaded),
        created_at=occurred,
        updated_at=loaded["updated_at"] or occurred,
        grand_total=grand_total(loaded, money),
        total_discounts=money.first(loaded, "current_total_discounts", "total_discounts"),
        total_taxes=money.first(loaded, "current_total_tax", "total_tax"),
        total_fees=total_fees(loaded, money, tips),
        total_shipping=total_shipping(loaded, money),
        currency=money.currency if is_currency(money.currency) else "",
        order_url=_order_url(loaded, context, base),
        items=items,
        store_url=base,
        original_total=original,
        refunded_total=refunded_total(loaded, money),
        # Money came in, no matter how much of it was refunded since.
        paid=loaded["financial_status"] in ("paid", "partially_refunded", "refunded"),
        fulfilled=loaded["fulfillment_status"] == "fulfilled",
        canceled=bool(loaded["cancelled_at"]),
        **addresses(context, billing_address=loaded["billing_address"], shipping_address=loaded["shipping_address"]),
        accepts_marketing=loaded["buyer_accepts_marketing"],
        discrepancy=discrepancy(loaded, money, original),
    )
    if problems := money.problems():
        raise Rejected(problems)
    return replace(order, attributes=_attributes(loaded, order))


def emails(loaded: Loaded) -> tuple[str | None, ...]:
    customer = loaded.get("customer")
    account = TextOrAbsent().deserialize(customer.get("email", missing)) if isinstance(customer, dict) else None
    return loaded.get("email"), loaded.get("contact_email"), account


def order_email(loaded: Loaded) -> str:
    return first_email(*(address or "" for address in emails(loaded)))


def _base(loaded: Loaded, context: Context) -> str:
    shop = context.headers.get("x-shopify-shop-domain") or context.headers.get("shopify-shop-domain") or ""
    return (
        context.options.store_url.rstrip("/")
        or origin(loaded["order_status_url"])
        or (origin(f"https://{shop}") if _HOST.fullmatch(shop) else "")
        or context.options.fallback_url
    )


def _order_url(loaded: Loaded, context: Context, base: str) -> str:
    public_id = loaded["name"] or loaded["order_number"]
    templated = context.options.templated_order_url(order_id=loaded["id"], order_public_id=public_id, token=loaded["token"])
    return templated or absolute_url(loaded["order_status_url"], base) or f"{base}/account"


def _triggered_at(context: Context) -> Any:
    return Time().deserialize(context.headers.get("x-shopify-triggered-at") or context.headers.get("shopify-triggered-at"))


def _attributes(loaded: Loaded, order: Order) -> dict[str, Any]:
    shipped = [entry for entry in loaded["fulfillments"] if entry["status"] == "success"]
    numbers = [number for entry in shipped for number in entry["tracking_numbers"] or (entry["tracking_number"],)]
    urls = [url for entry in shipped for url in entry["tracking_urls"] or (entry["tracking_url"],)]
    foreign = loaded["presentment_currency"] not in ("", loaded["currency"])
    shown = Money(loaded, "presentment")
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
            "shipping_method": next((plain(line["title"]) for line in loaded["shipping_lines"] if not line["is_removed"]), ""),
            "tracking_numbers": [number for number in dict.fromkeys(numbers) if number],
            "tracking_urls": [url for url in dict.fromkeys(urls) if url],
            "source": loaded["source_name"],
            "customer_locale": loaded["customer_locale"],
            "is_guest": not loaded["customer"],
            "accepts_marketing": loaded["buyer_accepts_marketing"],
            "original_total": order.original_total if order.original_total != order.grand_total else None,
            "refunded_total": order.refunded_total or None,
            "taxes_included": loaded["taxes_included"],
            "presentment_currency": loaded["presentment_currency"] if foreign else "",
            "presentment_total": grand_total(loaded, shown) if foreign and shown.presentment else None,
            "store_url": order.store_url,
            "shipping_country": loaded["shipping_address"]["country_code"],
            **campaign(loaded["landing_site"]),
            "landing_site": path_only(loaded["landing_site"]),
            "referring_site": origin(loaded["referring_site"]),
        }
    )
