"""Maps a Magento order to the canonical `Order`."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from mappings.core.address import addresses
from mappings.core.errors import Rejected
from mappings.core.fields import MISSING, Text
from mappings.core.money import is_currency, places
from mappings.core.order import Order
from mappings.core.reading import Context, Loaded
from mappings.core.text import lookup, plain, without_blanks
from mappings.magento.identity import email_of, entity_id_of, order_id_of
from mappings.magento.items import items_of
from mappings.magento.lines import Bought, bought_lines
from mappings.magento.payload import unpacked
from mappings.magento.totals import (
    discrepancy,
    extra,
    financial_status,
    grand_total,
    is_canceled,
    state_of,
    total_discounts,
    total_fees,
    total_shipping,
    total_taxes,
)

NAME = "magento"

_text = Text().read


def build(loaded: Loaded, context: Context) -> Order:
    if loaded["grand_total"] is None:
        # Drip treats a missing grand_total as 0, which would reset the shopper's lifetime value.
        raise Rejected({"grand_total": [MISSING]})
    base = _base(loaded, context)
    order_id = order_id_of(loaded, context)
    sent = (loaded[name] for name in ("grand_total", "subtotal", "tax_amount", "discount_amount", "shipping_amount"))
    digits = places(loaded["order_currency_code"], (amount for amount in sent if amount is not None))
    bought = bought_lines(loaded, digits)
    occurred = loaded["created_at"] or loaded["updated_at"] or loaded["envelope_time"] or context.received_at
    return Order(
        provider=NAME,
        order_id=order_id,
        order_public_id=loaded["increment_id"],
        email=email_of(loaded),
        created_at=occurred,
        updated_at=loaded["updated_at"] or occurred,
        grand_total=grand_total(loaded),
        total_discounts=total_discounts(loaded, digits),
        total_taxes=total_taxes(loaded),
        total_fees=total_fees(loaded, bought, digits),
        total_shipping=total_shipping(loaded),
        currency=loaded["order_currency_code"] if is_currency(loaded["order_currency_code"]) else "",
        order_url=_order_url(loaded, context, base, order_id),
        items=items_of(bought, digits, base),
        store_url=base,
        view=loaded["store_id"] or loaded["envelope_store_id"],
        original_total=loaded["grand_total"],
        refunded_total=loaded["total_refunded"],
        paid=financial_status(loaded) != "pending" and not is_canceled(loaded),
        fulfilled=_is_complete(loaded, bought) or _all_shipped(bought),
        canceled=is_canceled(loaded),
        **addresses(context, billing_address=_addresses(loaded, "billing"), shipping_address=_addresses(loaded, "shipping")),
        attributes=_attributes(loaded, bought, base),
        discrepancy=discrepancy(loaded, bought),
    )


def _is_complete(loaded: Loaded, bought: Sequence[Bought]) -> bool:
    """Whether Magento calls an order complete and no part of a bundle still has to ship.

    Magento counts a bundle's part and the bundle itself as two shipped units (Sales/Model/ResourceModel/Order/Handler/State), so an order
    may become complete while other parts haven't shipped.
    """
    return state_of(loaded) == "complete" and not any(line.shipping.in_parts and line.shipping.remaining for line in bought)


def _all_shipped(bought: Sequence[Bought]) -> bool:
    """Whether nothing is left to ship. The state doesn't show this if the order isn't paid yet, or was refunded later."""
    return not any(line.shipping.remaining for line in bought) and any(line.shipping.shipped for line in bought)


def _addresses(loaded: Loaded, kind: str) -> list[Any]:
    """Candidates for the billing or shipping address, from all the places where the different payloads have one."""
    listed = [row for row in loaded["addresses"] if row["address_type"] == kind]
    assigned = loaded["extension_attributes"]["shipping_assignments"] if kind == "shipping" else None
    first = assigned[0] if isinstance(assigned, list) and assigned else None
    shipped = first.get("shipping") if isinstance(first, dict) else None
    return [loaded[f"{kind}_address"], *listed, shipped.get("address") if isinstance(shipped, dict) else None]


def _base(loaded: Loaded, context: Context) -> str:
    """The address of the order's store view, or of another view if that one has none. The settings guarantee that there is one."""
    urls, options = context.options.store_urls, context.options
    of_view = urls.get(loaded["store_id"]) or urls.get(loaded["envelope_store_id"])
    address = of_view or options.store_url or next(iter(urls.values()), "") or options.fallback_url
    if not address:
        raise Rejected({"store_id": ["The store's address is missing: set MAGENTO_STORE_URL, or store_url in STORES."]})
    return address.rstrip("/")


def _order_url(loaded: Loaded, context: Context, base: str, order_id: str) -> str:
    # No token: with protect_code, anyone who has the address could open the order.
    if url := context.options.templated_order_url(order_id=order_id, order_public_id=loaded["increment_id"], token=""):
        return url
    if loaded["customer_is_guest"]:
        return f"{base}/sales/guest/form/"
    entity_id = entity_id_of(loaded)
    return f"{base}/sales/order/view/order_id/{quote(entity_id, safe='')}/" if entity_id else f"{base}/sales/order/history/"


def _attributes(loaded: Loaded, bought: Sequence[Bought], base: str) -> dict[str, Any]:
    return without_blanks(
        {
            "status": loaded["status"],
            "state": loaded["state"],
            "financial_status": financial_status(loaded),
            "fulfillment_status": "fulfilled" if _is_complete(loaded, bought) else "",
            "discount_codes": _coupons(loaded),
            "payment_method": _payment_method(loaded),
            "shipping_method": plain(loaded["shipping_description"]),
            "source": next((line.strip() for line in reversed(loaded["store_name"].splitlines()) if line.strip()), ""),
            "is_guest": loaded["customer_is_guest"],
            "original_total": loaded["grand_total"] if loaded["grand_total"] != grand_total(loaded) else None,
            "refunded_total": loaded["total_refunded"] or None,
            "gift_card_total": extra(loaded, "gift_cards_amount"),
            "store_url": base,
            "shipping_country": _shipping_country(loaded),
        }
    )


def _coupons(loaded: Loaded) -> list[str]:
    """All coupon codes, which REST lists since 2.4.7, or else the order's own one."""
    listed: tuple[str, ...] = loaded["extension_attributes"]["coupon_codes"]
    return list(listed) or [code for code in (loaded["coupon_code"],) if code]


def _payment_method(loaded: Loaded) -> str:
    """The title of the payment method, as the shopper saw it.

    REST contains it by key in an extension attribute, and in `additional_information` as one of several values without keys. Another of
    these may be a card number, so no value is used because of its position.
    """
    payment = loaded["payment"]
    found = (loaded["extension_attributes"]["payment_additional_info"], unpacked(payment["additional_information"]))
    titles = (plain(_text(lookup(place, "method_title"))) for place in found)
    # Sales/Model/OrderRepository::setPaymentAdditionalInfo encodes every value but text as JSON, so a missing title becomes "null".
    return next((title for title in (*titles, payment["method"]) if title and title.lower() != "null"), "")


def _shipping_country(loaded: Loaded) -> str:
    assigned = lookup(loaded["extension_attributes"]["shipping_assignments"], "0.shipping.address.country_id")
    listed = (row["country_id"] for row in loaded["addresses"] if row["address_type"] == "shipping")
    return next((country for country in (_text(assigned), loaded["shipping_address"]["country_id"], *listed) if country), "")
