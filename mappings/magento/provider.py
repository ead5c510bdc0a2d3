"""Finds the order in what a Magento store sends, and recognizes what isn't an order.

Magento has no order webhooks of its own. Adobe's services and several extensions send orders, each in its own form.

Facts from magento/magento2 (Sales module), AdobeDocs/commerce-extensibility (events, webhooks), AdobeDocs/commerce-webapi (schema 2.4.8),
mage-os/mageos-async-events, mageplaza/magento-2-webhook and ghettoboombox/order-notifier.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from mappings.core.fields import Text
from mappings.core.money import ZERO
from mappings.core.provider import Provider
from mappings.core.reading import Context, Identity, Loaded, Reason, Skip
from mappings.core.signature import basic, hmac_hex_or_base64, token
from mappings.core.text import lookup
from mappings.magento.adobe_signature import adobe_io, adobe_webhook
from mappings.magento.identity import email_of, emails, order_id_of
from mappings.magento.order import NAME, build
from mappings.magento.payload import MagentoOrder, objects

_ORDER_EVENT = re.compile(r"sales_order_(?:save|place)|order_management\.|order_repository\.save|checkout_submit_all_after")
_ADOBE_EVENT = re.compile(r"(?:^|\.)(?:observer|plugin)\.|^com\.adobe\.")
_OTHER_EVENT = re.compile(r"invoice|credit_?memo|shipment|quote(?!_submit)|cart")
_EVENT_NAME = re.compile(r"[\w./-]+")
_ORDER_MARKS = ("increment_id", "grand_total", "base_grand_total", "subtotal", "items", "line_items", "status", "state")
# Keys of products and quotes that an order never has at its root.
_NO_ORDER_HAS = ("sku", "reserved_order_id", "orig_order_id", "is_active")
# Keys of invoices, credit memos and shipments, which lack an order's status and customer.
_DOCUMENT_MARKS = ("order_id", "total_qty", "adjustment", "invoice_id", "packages", "tracks", "can_void_flag")
_SAVED_MARKS = ("entity_id", "id", "created_at", "updated_at")
# The start of an Adobe Commerce Webhook's body, to be recognized without parsing it.
_WEBHOOK_BODY = re.compile(rb'\s*\{\s*"(?:order|eventName|subject)"\s*:')
_STATE_RANK = {
    state: Decimal(rank)
    for rank, state in enumerate(
        ("new", "pending_payment", "payment_review", "processing", "holded", "complete", "canceled", "closed"),
    )
}

_text = Text().read


def acknowledgement(headers: Mapping[str, str], payload: bytes, receipt: Mapping[str, str]) -> Mapping[str, str]:
    """Adobe Commerce Webhooks block the sale unless the answer is an operation.

    Other senders wrap orders in the same way. If the order is already saved, the answer contains both the operation and the receipt.
    """
    success = {"op": "success"}
    if "x-adobe-commerce-webhook-signature" in headers:
        return success
    if not _WEBHOOK_BODY.match(payload):
        return receipt
    return {**success, **receipt} if b'"entity_id"' in payload else success


def split(document: Any) -> Sequence[Any] | None:
    """The events in an Adobe batch, or the orders on a REST search page."""
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
    # The signature covers the envelope, but not the header.
    event = _event_name(envelope, order) or context.topic
    if _names_no_order(event):
        return _no_order(f"event {event[:80]}")
    if not _is_order(order, named=bool(_ORDER_EVENT.search(event))):
        return _no_order("the body")
    if order is not inner and inner is outer and not _is_saved(order):
        return Skip(Reason.NOT_AN_ORDER, "the order isn't saved yet: subscribe to an after hook, not a before hook")
    if envelope is order:
        return order
    return {**order, "_time": envelope.get("time"), "_store_id": lookup(outer, "_metadata.storeId")}


def skips(loaded: Loaded, context: Context) -> Iterator[Skip]:
    state = loaded.get("state") or loaded.get("status")
    if state == "pending_payment" and not context.options.forward_unpaid:
        yield Skip(Reason.UNPAID, "the shopper is still at the payment page; set forward_unpaid to send such orders too")
    if state == "canceled" and not _money_stayed(loaded):
        yield Skip(Reason.NEVER_PLACED, "canceled without any payment kept, and never received as a placed order")


def identify(loaded: Loaded, context: Context) -> Identity | None:
    order_id = order_id_of(loaded, context)
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
        email=email_of(loaded),
        email_withheld=all(address is None for address in emails(loaded)),
    )


def _no_order(what: str) -> Skip:
    return Skip(Reason.NOT_AN_ORDER, f"{what} isn't an order, but an invoice, a credit memo, a shipment, a quote, or something else")


def _inside(node: dict[str, Any], key: str) -> dict[str, Any]:
    """The object under `key`, or the node itself if it already is an order."""
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
    """Whether a body is an order, even a partial one. Invoices, credit memos and shipments have similar numbers, totals and lines."""
    marks = (*_ORDER_MARKS, "entity_id", "id") if named else _ORDER_MARKS
    if all(order.get(key) in (None, "", [], {}) for key in marks) or any(key in order for key in _NO_ORDER_HAS):
        return False
    if any("order_item_id" in row for row in objects(order.get("items"))):
        return False
    # The state of an invoice or credit memo is a number; an order's is a word.
    is_document = any(key in order for key in _DOCUMENT_MARKS) or _text(order.get("state")).isdecimal()
    return not is_document or bool(_text(order.get("customer_email")) or _text(order.get("status")))


def _is_saved(order: Mapping[str, Any]) -> bool:
    """Whether an order has any of the values that it gets when it is first saved."""
    marks = [order.get(key) for key in _SAVED_MARKS]
    marks += [row.get(key) for row in objects(order.get("items")) for key in ("item_id", "order_id")]
    marks += [row.get("parent_id") for row in (*objects([order.get("payment")]), *objects(order.get("addresses")))]
    return any(marks)


def _money_stayed(loaded: Loaded) -> bool:
    paid = (loaded.get("total_paid") or ZERO) - (loaded.get("total_refunded") or ZERO)
    return paid > 0 and loaded.get("grand_total") != 0


PROVIDER = Provider(
    name=NAME,
    title="Magento",
    api_settings=("access_token", "access_token_secret", "consumer_key", "consumer_secret"),
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
