"""Builds the `Order` from a loaded BigCommerce payload."""

from typing import Any
from urllib.parse import quote

from mappings.bigcommerce.items import items_of
from mappings.bigcommerce.payload import NO_ID
from mappings.bigcommerce.statuses import CANCELED, DECLINED, PARTIALLY_SHIPPED, is_fulfilled, is_lost, is_paid
from mappings.bigcommerce.totals import (
    discrepancy,
    gift_card_total,
    grand_total,
    refunded_total,
    total_discounts,
    total_fees,
    total_shipping,
    with_tax,
)
from mappings.core.address import addresses
from mappings.core.money import is_currency
from mappings.core.order import Order
from mappings.core.reading import Context, Loaded
from mappings.core.text import absolute_url, first_email, plain, without_blanks

NAME = "bigcommerce"


def build(loaded: Loaded, context: Context) -> Order:
    """The order in a loaded payload."""
    base = store_base(loaded, context)
    occurred = loaded["date_created"] or loaded["date_modified"] or context.received_at
    return Order(
        provider=NAME,
        order_id=loaded["id"],
        order_public_id=f"#{loaded['id']}",
        email=email_of(loaded),
        created_at=occurred,
        updated_at=loaded["date_modified"] or occurred,
        grand_total=grand_total(loaded),
        total_discounts=total_discounts(loaded),
        total_taxes=loaded["total_tax"],
        total_fees=total_fees(loaded),
        total_shipping=total_shipping(loaded),
        # The currency of the amounts; `currency_code` is the one that was displayed (reference/orders.v2.oas2.yml).
        currency=loaded["default_currency_code"] if is_currency(loaded["default_currency_code"]) else "",
        order_url=_order_url(loaded, context, base),
        items=items_of(loaded, base),
        store_url=base,
        original_total=loaded["total_inc_tax"],
        refunded_total=refunded_total(loaded),
        paid=is_paid(loaded),
        fulfilled=is_fulfilled(loaded),
        # A declined payment can be repeated.
        canceled=loaded["status_id"] == CANCELED,
        # The other addresses are the recipients'.
        **addresses(context, billing_address=loaded["billing_address"]),
        accepts_marketing=loaded["is_email_opt_in"],
        attributes=_attributes(loaded, base),
        discrepancy=discrepancy(loaded),
    )


def email_of(loaded: Loaded) -> str:
    """The shopper's email address: the billing address's, which orders made through the API may lack, else the account's."""
    return first_email((loaded.get("billing_address") or {}).get("email") or "", (loaded.get("customer") or {}).get("email") or "")


def store_base(loaded: Loaded, context: Context) -> str:
    """The address of the storefront, with a trailing slash: the one of the order's channel, if the settings have several."""
    options = context.options
    address = options.store_urls.get(loaded["channel_id"]) or options.store_url or next(iter(options.store_urls.values()), "")
    return f"{(address or options.fallback_url).rstrip('/')}/"


def _order_url(loaded: Loaded, context: Context, base: str) -> str:
    """The page where the shopper sees the order; a guest has none.

    Stencil themes have it at this address (bigcommerce/cornerstone); other storefronts need `order_url_template`.
    """
    order_id = loaded["id"]
    if url := context.options.templated_order_url(order_id=order_id, order_public_id=order_id, token=""):
        return url
    return base if _is_guest(loaded) else f"{base}account.php?action=view_order&order_id={quote(order_id, safe='')}"


def _is_guest(loaded: Loaded) -> bool:
    return loaded["customer_id"] in NO_ID


def _attributes(loaded: Loaded, base: str) -> dict[str, Any]:
    standing, refunded = grand_total(loaded), refunded_total(loaded)
    return without_blanks(
        {
            "status": loaded["status"],
            "financial_status": _financial_status(loaded),
            "fulfillment_status": "fulfilled" if is_fulfilled(loaded) else "partial" if loaded["status_id"] == PARTIALLY_SHIPPED else "",
            "discount_codes": [row["code"] for row in loaded["coupons"] if row["code"]],
            "payment_method": plain(loaded["payment_method"]),
            "tracking_numbers": [row["tracking_number"] for row in loaded["shipments"] if row["tracking_number"]],
            "tracking_urls": [url for row in loaded["shipments"] if (url := _tracking_url(row))],
            "source": loaded["order_source"],
            "customer_locale": loaded["customer_locale"],
            "is_guest": _is_guest(loaded) if loaded["customer_id"] else None,
            "original_total": loaded["total_inc_tax"] if loaded["total_inc_tax"] != standing else None,
            "refunded_total": refunded or None,
            "taxes_included": with_tax(loaded),
            "gift_card_total": gift_card_total(loaded) or None,
            "store_url": base,
        }
    )


def _financial_status(loaded: Loaded) -> str:
    if is_paid(loaded):
        return "refunded" if refunded_total(loaded) and not grand_total(loaded) else "paid"
    return "voided" if is_lost(loaded) and loaded["status_id"] != DECLINED else "pending"


def _tracking_url(shipment: Loaded) -> str:
    return absolute_url(shipment["tracking_link"]) or absolute_url(shipment["generated_tracking_link"])
