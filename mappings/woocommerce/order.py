"""Builds the `Order` from a loaded WooCommerce payload."""

from collections.abc import Mapping
from typing import Any

from mappings.core.address import addresses
from mappings.core.errors import Rejected
from mappings.core.money import is_currency
from mappings.core.order import Order
from mappings.core.reading import Context, Loaded
from mappings.core.sensitive import has_email
from mappings.core.text import first_email, origin, path_only, plain, unescaped, without_blanks
from mappings.woocommerce.items import items_of
from mappings.woocommerce.links import order_url, store_base
from mappings.woocommerce.meta import meta_by_key
from mappings.woocommerce.totals import (
    TRASH,
    discrepancy,
    gift_card_total,
    grand_total,
    is_paid,
    refunded_total,
    total_discounts,
    total_fees,
    total_shipping,
)

NAME = "woocommerce"
# The coupon types of store credit, in Smart Coupons and other plugins.
_CREDIT = ("smart_coupon", "store_credit", "gift_card")
_NUMBER_META = ("_order_number_formatted", "_alg_wc_full_custom_order_number")
_ATTRIBUTION = "_wc_order_attribution_"
_UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term")


def build(loaded: Loaded, context: Context) -> Order:
    """The order in a loaded payload; raises `Rejected` if the store's address is unknown."""
    base = store_base(loaded, context)
    if not base:
        raise Rejected({"_links.self": ["missing, so the store's address is unknown: set WOOCOMMERCE_STORE_URL, or store_url in STORES"]})
    meta = meta_by_key(loaded["meta_data"])
    number = public_id(loaded, meta)
    occurred = loaded["created_at"] or loaded["updated_at"] or context.received_at
    return Order(
        provider=NAME,
        order_id=loaded["id"],
        order_public_id=number,
        email=email_of(loaded),
        created_at=occurred,
        # Putting an order in the trash doesn't change its dates.
        updated_at=context.received_at if loaded["status"] == TRASH else loaded["updated_at"] or occurred,
        grand_total=grand_total(loaded),
        total_discounts=total_discounts(loaded),
        total_taxes=loaded["total_tax"],
        total_fees=total_fees(loaded),
        total_shipping=total_shipping(loaded),
        currency=loaded["currency"] if is_currency(loaded["currency"]) else "",
        order_url=order_url(loaded, context, base, number),
        items=items_of(loaded, base),
        store_url=base,
        original_total=loaded["total"],
        refunded_total=refunded_total(loaded),
        paid=is_paid(loaded),
        fulfilled=loaded["status"] == "completed",
        # A failed payment can still be retried; only a cancelled order is final.
        canceled=loaded["status"] in ("cancelled", TRASH),
        # The legacy API's names come second.
        **addresses(
            context,
            billing_address=(loaded["billing"], loaded["billing_address"]),
            shipping_address=(loaded["shipping"], loaded["shipping_address"]),
        ),
        attributes=_attributes(loaded, meta, base),
        discrepancy=discrepancy(loaded),
    )


def email_candidates(loaded: Loaded) -> list[str | None]:
    """The fields that may contain an email address; None for a field that is missing."""
    return [(loaded.get(name) or {}).get("email") for name in ("billing", "billing_address", "customer")]


def email_of(loaded: Loaded) -> str:
    """The shopper's email address; "" without a usable one."""
    return first_email(*(address or "" for address in email_candidates(loaded)))


def public_id(loaded: Loaded, meta: Mapping[str, str]) -> str:
    """The number that the shopper sees: a numbering plugin's, else WooCommerce's own; with a leading `#`."""
    number = next((meta[key] for key in _NUMBER_META if meta.get(key)), "") or loaded.get("number") or loaded.get("order_number") or ""
    return f"#{number}" if number and not number.startswith("#") else number


def _attributes(loaded: Loaded, meta: Mapping[str, str], base: str) -> dict[str, Any]:
    status, customer_id = loaded["status"], loaded["customer_id"]
    standing = grand_total(loaded)
    return without_blanks(
        {
            "status": status,
            "financial_status": "refunded" if status == "refunded" else "paid" if is_paid(loaded) else "pending",
            "fulfillment_status": "fulfilled" if status == "completed" else "",
            "discount_codes": _discount_codes(loaded),
            "payment_method": plain(loaded["payment_method_title"] or loaded["payment_details"]["method_title"]),
            "shipping_method": next((plain(row["method_title"]) for row in loaded["shipping_lines"]), ""),
            "source": loaded["created_via"],
            "is_guest": customer_id == "0" if customer_id else None,
            "original_total": loaded["total"] if loaded["total"] != standing else None,
            "refunded_total": refunded_total(loaded) or None,
            "taxes_included": loaded["prices_include_tax"],
            "gift_card_total": gift_card_total(loaded) or None,
            "store_url": base,
            "shipping_country": loaded["shipping"]["country"] or loaded["shipping_address"]["country"],
            **_attribution(meta),
        }
    )


def _discount_codes(loaded: Loaded) -> list[str]:
    """The coupon codes, in which WooCommerce encodes `&`. Store credit is not a discount, and its code can be used again."""
    return [unescaped(row["code"]) for row in loaded["coupon_lines"] if row["code"] and row["discount_type"] not in _CREDIT]


def _attribution(meta: Mapping[str, str]) -> dict[str, str]:
    """Where the shopper came from. Values in parentheses, such as `(direct)` and `(none)`, mean "unknown"."""
    campaign = {name: meta.get(f"{_ATTRIBUTION}{name}", "") for name in _UTM}
    return {
        **{name: value for name, value in campaign.items() if not (value.startswith("(") and value.endswith(")")) and not has_email(value)},
        "landing_site": path_only(meta.get(f"{_ATTRIBUTION}session_entry", "")),
        "referring_site": origin(meta.get(f"{_ATTRIBUTION}referrer", "")),
    }
