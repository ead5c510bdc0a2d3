"""Magento 2 and Adobe Commerce: the order bodies of six carriers, since the platform itself has no order webhook.

Facts from magento/magento2 (Sales module), AdobeDocs/commerce-extensibility (events, webhooks), AdobeDocs/commerce-webapi (schema 2.4.8),
mage-os/mageos-async-events, mageplaza/magento-2-webhook and ghettoboombox/order-notifier.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from marshmallow import ValidationError
from marshmallow.constants import missing

from mappings.core.address import addresses
from mappings.core.errors import Rejected
from mappings.core.fields import MISSING, Amount, Text, TextOrAbsent
from mappings.core.money import ZERO, is_currency, places
from mappings.core.order import Order
from mappings.core.provider import Context, Identity, Loaded, Provider, Reason, Skip
from mappings.core.signature import basic, hmac_hex_or_base64, token
from mappings.core.text import first_email, lookup, plain, without_blanks
from mappings.magento.adobe_signature import adobe_io, adobe_webhook
from mappings.magento.items import Bought, bought_lines, items_of, objects
from mappings.magento.payload import MagentoOrder

_ORDER_EVENT = re.compile(r"sales_order_(?:save|place)|order_management\.|order_repository\.save|checkout_submit_all_after")
_ADOBE_EVENT = re.compile(r"(?:^|\.)(?:observer|plugin)\.|^com\.adobe\.")
_OTHER_EVENT = re.compile(r"invoice|credit_?memo|shipment|quote(?!_submit)|cart")
_EVENT_NAME = re.compile(r"[\w./-]+")
_ORDER_MARKS = ("increment_id", "grand_total", "base_grand_total", "subtotal", "items", "line_items", "status", "state")
# Keys that orders never have at their root: products, quotes.
_NO_ORDER_HAS = ("sku", "reserved_order_id", "orig_order_id", "is_active")
# Keys that invoices, credit memos and shipments have, which in turn lack an order's status and customer.
_DOCUMENT_MARKS = ("order_id", "total_qty", "adjustment", "invoice_id", "packages", "tracks", "can_void_flag")
_SAVED_MARKS = ("entity_id", "id", "created_at", "updated_at")
# An Adobe Commerce Webhook's body, which must be known without being parsed.
_WEBHOOK_BODY = re.compile(rb'\s*\{\s*"(?:order|eventName|subject)"\s*:')
_STATE_RANK = {
    state: Decimal(rank)
    for rank, state in enumerate(
        ("new", "pending_payment", "payment_review", "holded", "processing", "complete", "canceled", "closed"),
    )
}


_text = Text().deserialize


def acknowledgement(headers: Mapping[str, str], payload: bytes, receipt: Mapping[str, str]) -> Mapping[str, str]:
    """Adobe Commerce Webhooks block the sale on any answer that is no operation.

    Wrapped orders of other senders look the same; those that hold a saved order get the receipt beside the operation.
    """
    success = {"op": "success"}
    if "x-adobe-commerce-webhook-signature" in headers:
        return success
    if not _WEBHOOK_BODY.match(payload):
        return receipt
    return {**success, **receipt} if b'"entity_id"' in payload else success


def split(document: Any) -> Sequence[Any] | None:
    """The events of an Adobe batch; the orders of a REST search page."""
    if isinstance(document, list):
        return document
    if not isinstance(document, dict) or "increment_id" in document or not ("search_criteria" in document or "total_count" in document):
        return None
    orders = document.get("items")
    return orders if isinstance(orders, list) else None


def find(document: Any, context: Context) -> Any:
    if not isinstance(document, dict):
        return _no_order("the body")
    envelope = _inside(document, "event")
    outer = _inside(envelope, "data")
    inner = _inside(outer, "value")
    order = _inside(inner, "order")
    # The envelope is signed with the body, the header is not.
    event = _event_name(envelope, order) or context.topic
    if _names_no_order(event):
        return _no_order(f"event {event[:80]}")
    if not _is_order(order, named=bool(_ORDER_EVENT.search(event))):
        return _no_order("the body")
    if order is not inner and inner is outer and not _is_saved(order):
        return Skip(Reason.NOT_AN_ORDER, "the order is not saved yet: subscribe to an after hook")
    added: dict[str, Any] = {"_fees": {key: lookup(order, key) for key in context.options.fee_keys}}
    if envelope is not order:
        added |= {"_time": envelope.get("time"), "_store_id": lookup(outer, "_metadata.storeId")}
    return {**order, **added}


def skips(loaded: Loaded, context: Context) -> Iterator[Skip]:
    state = loaded.get("state") or loaded.get("status")
    if state == "pending_payment" and not context.options.forward_unpaid:
        yield Skip(Reason.UNPAID, "the shopper is still at the payment page; forward_unpaid sends these too")
    if state == "canceled" and not _money_stayed(loaded):
        yield Skip(Reason.NEVER_PLACED, "canceled before any money stayed, and never seen as a placed order")


def identify(loaded: Loaded, context: Context) -> Identity | None:
    order_id = _order_id(loaded, context)
    if not order_id:
        return None
    return Identity(
        order_id=order_id,
        order_number=loaded.get("increment_id") or "",
        created_at=loaded.get("created_at"),
        updated_at=loaded.get("updated_at"),
        progress=(
            loaded.get("total_refunded") or ZERO,
            loaded.get("total_paid") or ZERO,
            sum((line.get("qty_shipped") or ZERO for line in loaded.get("items") or ()), ZERO),
            _STATE_RANK.get(loaded.get("state") or loaded.get("status") or "", ZERO),
        ),
        email=_email(loaded),
        email_withheld=all(address is None for address in _emails(loaded)),
    )


def build(loaded: Loaded, context: Context) -> Order:
    if loaded["grand_total"] is None:
        # Drip reads a missing grand_total as 0 and would reset the shopper's lifetime value.
        raise Rejected({"grand_total": [MISSING]})
    base = _base(loaded, context)
    order_id = _order_id(loaded, context)
    sent = (loaded[name] for name in ("grand_total", "subtotal", "tax_amount", "discount_amount", "shipping_amount"))
    digits = places(loaded["order_currency_code"], (amount for amount in sent if amount is not None))
    bought = bought_lines(loaded)
    others = _other_fees(loaded)
    occurred = loaded["created_at"] or loaded["updated_at"] or loaded["envelope_time"] or context.received_at
    discount = abs(loaded["discount_amount"]) - loaded["discount_tax_compensation_amount"]
    return Order(
        provider=PROVIDER.name,
        order_id=order_id,
        order_public_id=loaded["increment_id"],
        email=_email(loaded),
        created_at=occurred,
        updated_at=loaded["updated_at"] or occurred,
        grand_total=_grand_total(loaded),
        total_discounts=max(ZERO, discount - abs(loaded["discount_refunded"])),
        total_taxes=max(ZERO, loaded["tax_amount"] - loaded["tax_refunded"]),
        total_fees=sum((line.share(line.product_tax, digits) for line in bought), others) + _wrapping(loaded, bought, refunded=True),
        total_shipping=max(ZERO, loaded["shipping_amount"] - loaded["shipping_refunded"]),
        currency=loaded["order_currency_code"] if is_currency(loaded["order_currency_code"]) else "",
        order_url=_order_url(loaded, context, base, order_id),
        items=items_of(bought, digits, loaded["order_currency_code"], base),
        store_url=base,
        view=loaded["store_id"] or loaded["envelope_store_id"],
        original_total=loaded["grand_total"],
        refunded_total=loaded["total_refunded"],
        paid=_financial_status(loaded) != "pending" and not _is_canceled(loaded),
        fulfilled=loaded["state"] == "complete" or _all_shipped(loaded),
        canceled=_is_canceled(loaded),
        **addresses(context, billing_address=_addresses(loaded, "billing"), shipping_address=_addresses(loaded, "shipping")),
        attributes=_attributes(loaded, base),
        discrepancy=_discrepancy(loaded, bought, others),
    )


def _no_order(what: str) -> Skip:
    return Skip(Reason.NOT_AN_ORDER, f"{what} is no order: an invoice, a credit memo, a shipment, a quote, or something else")


def _inside(node: dict[str, Any], key: str) -> dict[str, Any]:
    """The object under `key`, unless the node is an order already."""
    child = node.get(key)
    return child if isinstance(child, dict) and not node.get("increment_id") else node


def _event_name(envelope: Mapping[str, Any], order: Mapping[str, Any]) -> str:
    keys = ("event",) if envelope is order else ("type", "eventName", "event")
    names = (envelope.get(key) for key in keys)
    return next((name for name in names if isinstance(name, str) and _EVENT_NAME.fullmatch(name)), "")


def _names_no_order(event: str) -> bool:
    name = event.lower()
    if _ORDER_EVENT.search(name):
        return False
    return bool(_ADOBE_EVENT.search(name) or _OTHER_EVENT.search(name))


def _is_order(order: Mapping[str, Any], *, named: bool) -> bool:
    """Whether a body is an order, be it a partial one. Invoices and their like share its number, totals and lines."""
    marks = (*_ORDER_MARKS, "entity_id", "id") if named else _ORDER_MARKS
    if all(order.get(key) in (None, "", [], {}) for key in marks) or any(key in order for key in _NO_ORDER_HAS):
        return False
    if any("order_item_id" in row for row in objects(order.get("items"))):
        return False
    # A document's state is a number, an order's a word.
    is_document = any(key in order for key in _DOCUMENT_MARKS) or _text(order.get("state")).isdecimal()
    return not is_document or bool(_text(order.get("customer_email")) or _text(order.get("status")))


def _is_saved(order: Mapping[str, Any]) -> bool:
    """Whether an order has been given any of what it gets when it is first saved."""
    marks = [order.get(key) for key in _SAVED_MARKS]
    marks += [row.get(key) for row in objects(order.get("items")) for key in ("item_id", "order_id")]
    marks += [row.get("parent_id") for row in (*objects([order.get("payment")]), *objects(order.get("addresses")))]
    return any(marks)


def _order_id(loaded: Loaded, context: Context) -> str:
    increment_id = loaded.get("increment_id") or ""
    # No way round for stores that chose it: the other number would double their orders.
    return increment_id if context.options.order_id == "increment_id" else _entity_id(loaded) or increment_id


def _entity_id(loaded: Loaded) -> str:
    """The order's primary key, also from what refers to it: Adobe's save events leave it out of the root."""
    first: Loaded = next(iter(loaded.get("items") or ()), {})
    referring = (loaded.get("payment") or {}, *(loaded.get("addresses") or ()))
    candidates = (loaded.get("entity_id"), loaded.get("id"), first.get("order_id"), *(row.get("parent_id") for row in referring))
    return next((candidate for candidate in candidates if candidate), "")


def _emails(loaded: Loaded) -> tuple[str | None, ...]:
    addresses = loaded.get("addresses") or ()
    assigned = lookup((loaded.get("extension_attributes") or {}).get("shipping_assignments"), "0.shipping.address.email")
    return (
        loaded.get("customer_email"),
        (loaded.get("billing_address") or {}).get("email"),
        *(row.get("email") for row in addresses if row.get("address_type") == "billing"),
        TextOrAbsent().deserialize(missing if assigned is None else assigned),
        *(row.get("email") for row in addresses if row.get("address_type") != "billing"),
    )


def _email(loaded: Loaded) -> str:
    return first_email(*(address or "" for address in _emails(loaded)))


def _money_stayed(loaded: Loaded) -> bool:
    paid = (loaded.get("total_paid") or ZERO) - (loaded.get("total_refunded") or ZERO)
    return paid > 0 and loaded.get("grand_total") != 0


def _grand_total(loaded: Loaded) -> Decimal:
    canceled = loaded["total_canceled"]
    if canceled is None:
        # What Order::registerCancellation sets it to.
        canceled = loaded["grand_total"] - loaded["total_paid"] if _is_canceled(loaded) else ZERO
    remaining: Decimal = loaded["grand_total"] - loaded["total_refunded"] - canceled
    return max(ZERO, remaining)


def _is_canceled(loaded: Loaded) -> bool:
    state: str = loaded["state"] or loaded["status"]
    return state == "canceled"


def _all_shipped(loaded: Loaded) -> bool:
    """Whether all that was not cancelled went out; the state does not say so of what is not paid yet, or was given back since.

    Parents hold their children's numbers. What is downloaded never ships.
    """
    lines = [line for line in loaded["items"] if not line["parent_item_id"] and line["product_type"] not in ("virtual", "downloadable")]
    out = all(line["qty_shipped"] >= (line["qty_ordered"] or ZERO) - line["qty_canceled"] for line in lines)
    return out and any(line["qty_shipped"] > 0 for line in lines)


def _financial_status(loaded: Loaded) -> str:
    due = loaded["grand_total"] - loaded["total_paid"] if loaded["total_due"] is None else loaded["total_due"]
    return "refunded" if loaded["state"] == "closed" else "paid" if due <= 0 else "pending"


def _addresses(loaded: Loaded, kind: str) -> list[Any]:
    """What may be the billing or the shipping address, wherever a carrier puts it."""
    listed = [row for row in loaded["addresses"] if row["address_type"] == kind]
    assigned = loaded["extension_attributes"]["shipping_assignments"] if kind == "shipping" else None
    first = assigned[0] if isinstance(assigned, list) and assigned else None
    shipped = first.get("shipping") if isinstance(first, dict) else None
    return [loaded[f"{kind}_address"], *listed, shipped.get("address") if isinstance(shipped, dict) else None]


def _base(loaded: Loaded, context: Context) -> str:
    """The address of the order's store view; of another view rather than none, since settings see to it that there is one."""
    urls, options = context.options.store_urls, context.options
    of_view = urls.get(loaded["store_id"]) or urls.get(loaded["envelope_store_id"])
    address = of_view or options.store_url or next(iter(urls.values()), "") or options.fallback_url
    if not address:
        raise Rejected({"store_id": ["No address is known of this store: set MAGENTO_STORE_URL, or store_url in STORES."]})
    return address.rstrip("/")


def _order_url(loaded: Loaded, context: Context, base: str, order_id: str) -> str:
    # protect_code would open the order to whoever has the address, so there is no token.
    if url := context.options.templated_order_url(order_id=order_id, order_public_id=loaded["increment_id"], token=""):
        return url
    if loaded["customer_is_guest"]:
        return f"{base}/sales/guest/form/"
    entity_id = _entity_id(loaded)
    return f"{base}/sales/order/view/order_id/{quote(entity_id, safe='')}/" if entity_id else f"{base}/sales/order/history/"


def _extra(loaded: Loaded, name: str) -> Decimal | None:
    value: Decimal | None = loaded["extension_attributes"][name]
    return loaded[name] if value is None else value


def _wrapping(loaded: Loaded, bought: Sequence[Bought], *, refunded: bool) -> Decimal:
    """Gift wrap of the order, of its lines, and its card; less what of it was refunded, if wanted."""
    lines = _extra(loaded, "gw_items_price")
    total = sum((line.wrapping for line in bought), ZERO) if lines is None else lines
    total += (_extra(loaded, "gw_price") or ZERO) + (_extra(loaded, "gw_card_price") or ZERO)
    if refunded:
        parts = ("gw_price_refunded", "gw_items_price_refunded", "gw_card_price_refunded")
        total -= sum((_extra(loaded, name) or ZERO for name in parts), ZERO)
    return max(ZERO, total)


def _other_fees(loaded: Loaded) -> Decimal:
    """Custom fees, and the fields that the store's `fee_keys` name."""
    total = sum((row["custom_fee_amount"] for row in loaded["extension_attributes"]["custom_fees"]), ZERO)
    read = Amount().deserialize
    for key, value in (loaded["fees"] or {}).items():
        try:
            total += read(value)
        except ValidationError as error:
            raise Rejected({key: [str(message) for message in error.messages]}) from None
    return total


def _attributes(loaded: Loaded, base: str) -> dict[str, Any]:
    state, method = loaded["state"], loaded["payment"]
    return without_blanks(
        {
            "status": loaded["status"],
            "state": state,
            "financial_status": _financial_status(loaded),
            "fulfillment_status": "fulfilled" if state == "complete" else "",
            "discount_codes": [loaded["coupon_code"]] if loaded["coupon_code"] else [],
            "payment_method": plain(_text(lookup(method["additional_information"], "method_title"))) or method["method"],
            "shipping_method": plain(loaded["shipping_description"]),
            "source": next((line.strip() for line in reversed(loaded["store_name"].splitlines()) if line.strip()), ""),
            "is_guest": loaded["customer_is_guest"],
            "original_total": loaded["grand_total"] if loaded["grand_total"] != _grand_total(loaded) else None,
            "refunded_total": loaded["total_refunded"] or None,
            "gift_card_total": _extra(loaded, "gift_cards_amount"),
            "store_url": base,
            "shipping_country": _shipping_country(loaded),
        }
    )


def _shipping_country(loaded: Loaded) -> str:
    assigned = lookup(loaded["extension_attributes"]["shipping_assignments"], "0.shipping.address.country_id")
    listed = (row["country_id"] for row in loaded["addresses"] if row["address_type"] == "shipping")
    return next((country for country in (_text(assigned), loaded["shipping_address"]["country_id"], *listed) if country), "")


def _discrepancy(loaded: Loaded, bought: Sequence[Bought], others: Decimal) -> Decimal:
    """Magento's identity, on the amounts as ordered; nothing that was refunded or canceled lowers these."""
    subtotal: Decimal | None = loaded["subtotal"]
    if subtotal is None:
        return ZERO
    fees = others + sum((line.product_tax for line in bought), ZERO) + _wrapping(loaded, bought, refunded=False)
    tendered = (_extra(loaded, name) or ZERO for name in ("gift_cards_amount", "customer_balance_amount", "reward_currency_amount"))
    discount = loaded["discount_tax_compensation_amount"] - abs(loaded["discount_amount"])
    total = subtotal + loaded["tax_amount"] + loaded["shipping_amount"] + discount + fees - sum(tendered, ZERO)
    difference: Decimal = total - loaded["grand_total"]
    return difference


PROVIDER = Provider(
    name="magento",
    title="Magento",
    schemes={
        "hmac": hmac_hex_or_base64("x-magento-signature"),
        "token": token("authorization"),
        "basic": basic(),
        "adobe_io": adobe_io(),
        "adobe_webhook": adobe_webhook(),
    },
    topic_headers=("x-adobe-event-code", "x-event", "x-magic-event", "topic"),
    kept_headers=("x-adobe-event-id", "x-adobe-delivery-id", "x-adobe-provider"),
    echoes_challenge=True,
    acknowledgement=acknowledgement,
    needs_address=True,
    id_path="entity_id",
    split=split,
    find=find,
    schema=MagentoOrder(),
    skips=skips,
    identify=identify,
    build=build,
)
