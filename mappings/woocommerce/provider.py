"""WooCommerce's webhooks: which bodies are orders, which order they show, and reasons not to send them.

Bodies come in the shapes of REST v1 to v3 and of the legacy API. Facts from woocommerce/woocommerce: class-wc-webhook.php, the REST orders
controllers v1 to v3, and woocommerce-rest-api-docs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from mappings.core.errors import Rejected
from mappings.core.json import parse
from mappings.core.product import Product
from mappings.core.provider import Key, Origin, Provider, body_key
from mappings.core.reading import LOSES_ORDERS, Context, Identity, Loaded, Reason, Skip
from mappings.core.signature import hmac_base64
from mappings.woocommerce.links import self_link
from mappings.woocommerce.meta import meta_by_key
from mappings.woocommerce.order import NAME, build, email_candidates, email_of, public_id
from mappings.woocommerce.payload import NO_ID, WooCommerceOrder
from mappings.woocommerce.products import gone, product_of
from mappings.woocommerce.totals import LOST, TRASH, grand_total, is_paid, refunded_total

DELETED = "order.deleted"
# Top-level keys of products, refunds and subscriptions, which orders never have.
_NO_ORDER_HAS = ("catalog_visibility", "refunded_by", "billing_period")
_ORDER_MARKS = ("line_items", "total", "status", "order_key", "order_number")
_DRAFTS = ("draft", "auto-draft", "new", "checkout-draft")
_STATUS_RANK = {
    status: Decimal(rank)
    for rank, status in enumerate(("pending", "failed", "processing", "on-hold", "", "completed", "cancelled", "refunded"))
}
# Plugins may add any status; it ranks between paid and completed.
_CUSTOM_STATUS_RANK = _STATUS_RANK[""]
# The plugins that create such orders: WooCommerce Deposits, YITH Deposits and Down Payments, WooCommerce Subscriptions.
_PAYMENTS_OF_A_PARENT = ("wc_deposits", "yith_wcdp_balance_order", "subscription")
_RENEWAL_META = ("_subscription_renewal",)
# Longer bodies are not checked for an error object before they are stored.
_LONGEST_ERROR = 4_000
_BARE_ID = re.compile(rb'\s*\{\s*"id"\s*:\s*"?\d{1,20}"?\s*\}\s*')
_SELF = re.compile(rb'"_links"\s*:\s*\{\s*"self"\s*:\s*\[\s*\{\s*"href"\s*:\s*"([^"]{1,2000})"')
_PING = re.compile(rb"webhook_id=\d+")
_VERSION = re.compile(r"/wc/v(\d)/orders\b")


def is_ping(headers: Mapping[str, str], payload: bytes) -> bool:
    """The unsigned form post that WooCommerce repeats each time it saves a webhook, until it gets exactly 200."""
    return not headers.get("x-wc-webhook-topic") and bool(_PING.fullmatch(payload.strip()))


def key(headers: Mapping[str, str], payload: bytes) -> Key:
    """The hash of the body. An error object has none, since each stands for another order though all are equal, nor has the bare id of a
    deleted order, which can be restored and deleted again. WooCommerce sends nothing twice.

    Its delivery id is no help: it is the same for all that one webhook sends within a second (`get_new_delivery_id`).
    """
    if headers.get("x-wc-webhook-topic", "").strip().lower() == DELETED and _BARE_ID.fullmatch(payload):
        return Key(value="", expires=False)
    if len(payload) <= _LONGEST_ERROR and (b'"code"' in payload or b'"errors"' in payload):
        try:
            if error_code(parse(payload)):
                return Key(value="", expires=False)
        except Rejected:
            pass
    return body_key(headers, payload)


def origins(headers: Mapping[str, str], payload: bytes) -> Iterator[Origin]:
    """The shop's home page in a header, and the order's own REST address in its body, which begins with the shop's."""
    if source := headers.get("x-wc-webhook-source", "").strip():
        yield Origin(address=source)
    if found := _SELF.search(payload):
        yield Origin(address=found[1].replace(b"\\/", b"/").decode("ascii", "replace"))


def split(document: Any) -> Sequence[Any] | None:
    """The orders of a REST page: an array, or the legacy API's `{"orders": [...]}`."""
    orders = document.get("orders") if isinstance(document, dict) else document
    return orders if isinstance(orders, list) else None


def find(document: Any, context: Context) -> Any:
    if code := error_code(document):
        return Skip(Reason.STORE_ERROR, _error_detail(code[:80]))
    topic = context.topic.lower()
    if topic.startswith("product."):
        return Skip(Reason.CATALOG, "a product; its page and image address are kept for orders to come")
    # Plugins add topics with the whole order in the body: `order.completed`, `order.paid`. `order.deleted` carries a bare id.
    order = document.get("order", document) if isinstance(document, dict) else None
    if topic and (not topic.startswith("order.") or (topic == DELETED and not _is_trashed(order))):
        return Skip(Reason.NOT_AN_ORDER, f"topic {topic[:80]} is not an order")
    if not isinstance(order, dict) or any(key in order for key in _NO_ORDER_HAS) or not any(key in order for key in _ORDER_MARKS):
        return Skip(Reason.NOT_AN_ORDER, "the body is not an order but a bare ID, an action's argument, a product or a refund")
    created, updated = _utc_keys(order)
    return {**order, "_created_at": order.get(created), "_updated_at": order.get(updated)}


def products(document: Any, context: Context) -> Sequence[Product]:
    """The product or variation in a product webhook; one in the trash has only its ID.

    An error object, which a webhook whose owner lost access contains under any topic, describes none.
    """
    topic = context.topic.lower()
    if not topic.startswith("product.") or error_code(document):
        return ()
    product = gone(document) if topic == "product.deleted" else product_of(document, context.options.store_url)
    return (product,) if product is not None else ()


def in_trash(document: Any, context: Context) -> str:
    """The id in the body of `order.deleted`, which is all that it contains. It is sent when an order is put in the trash."""
    if context.topic.lower() != DELETED or not isinstance(document, dict) or set(document) != {"id"}:
        return ""
    return str(document["id"]) if str(document["id"]).isdecimal() else ""


def trashed(order: Any) -> Any:
    """An order's payload with the status that it has in the trash."""
    return {**order.get("order", order), "status": TRASH}


def _is_trashed(order: Any) -> bool:
    return isinstance(order, dict) and order.get("status") == TRASH


def skips(loaded: Loaded, context: Context) -> Iterator[Skip]:
    status = loaded.get("status", "")
    if status == TRASH and context.options.vocabulary == "lifecycle":
        yield Skip(Reason.NEVER_PLACED, "in the trash, and never seen as a placed order")
    elif status == TRASH or status in _DRAFTS:
        yield Skip(Reason.DRAFT, f"in status {status} it is not an order yet, or no longer one")
    parent_id = loaded.get("parent_id", "")
    if parent_id not in NO_ID and not _collects_money(loaded) and not context.options.forward_child_orders:
        detail = f"a vendor's part of order {parent_id}, which is sent as a whole; set forward_child_orders to send such parts too"
        yield Skip(Reason.CHILD_ORDER, detail)
    if status == "pending" and not is_paid(loaded) and not context.options.forward_unpaid:
        yield Skip(Reason.UNPAID, "the shopper is still at the payment page; set forward_unpaid to send such orders too")
    if status in LOST and "total" in loaded and not grand_total(loaded):
        yield Skip(Reason.NEVER_PLACED, f"{status} with no money kept, and never seen as a placed order")


def _collects_money(loaded: Loaded) -> bool:
    """Whether an order with a parent is a payment of its own: the balance of a deposit, or a subscription's renewal."""
    if loaded.get("created_via", "") in _PAYMENTS_OF_A_PARENT:
        return True
    return any(str(meta_by_key(loaded.get("meta_data")).get(key, "")) not in NO_ID for key in _RENEWAL_META)


def number(loaded: Loaded) -> str:
    return public_id(loaded, meta_by_key(loaded.get("meta_data")))


def identify(loaded: Loaded, context: Context) -> Identity | None:
    if loaded.get("id", "") in NO_ID:
        return None
    status = loaded.get("status", "")
    return Identity(
        order_id=loaded["id"],
        order_number=number(loaded),
        created_at=loaded.get("created_at"),
        updated_at=loaded.get("updated_at"),
        progress=(
            # These don't change the date, or in the same second as a cancellation: the trash, and a payment.
            Decimal(status == TRASH),
            Decimal(is_paid(loaded)),
            refunded_total(loaded),
            Decimal(status == "completed"),
            _STATUS_RANK.get(status, _CUSTOM_STATUS_RANK),
        ),
        email=email_of(loaded),
        email_withheld=all(address is None for address in email_candidates(loaded)),
    )


def error_code(document: Any) -> str:
    """The code of a WooCommerce error object, in the REST API's form or the legacy API's; "" for anything else."""
    if not isinstance(document, dict) or "id" in document:
        return ""
    code, errors = document.get("code"), document.get("errors")
    if isinstance(code, str) and "message" in document:
        return code
    return str(next(iter(errors), "")) if isinstance(errors, dict) and "error_data" in document else ""


def _error_detail(code: str) -> str:
    """The meaning of an error object that is sent in place of an order.

    The body of a webhook is a GET of the order as the webhook's owner. That user was deleted or demoted (`..._cannot_view`), or the webhook
    is of API version v1, whose controller finds no order in WooCommerce's order tables (`..._invalid_shop_order_id`); v2 and v3 answer
    `..._shop_order_invalid_id` where the order itself is no more.
    """
    if code.endswith("_invalid_id") or code.startswith(("woocommerce_api_invalid", "woocommerce_api_no_")):
        return f"WooCommerce sent its error {code}: the order was deleted before its webhook was delivered"
    if code.startswith("woocommerce_rest_invalid_"):
        cause = "its webhooks are of API version v1, which cannot read orders from WooCommerce's order tables"
    else:
        cause = "the user who owns its webhooks may no longer read orders"
    return f"{LOSES_ORDERS}WooCommerce sends its error {code} in their place; {cause}"


def _utc_keys(order: Mapping[str, Any]) -> tuple[str, str]:
    """The keys of an order's UTC times.

    v2 and v3 have `_gmt` beside the site's local time. v1's `date_created` is UTC. The legacy API has names of its own.
    """
    version = _VERSION.search(self_link(order.get("_links")))
    # These keys came with v2.
    newer = "date_created_gmt" in order or "date_modified_gmt" in order or "meta_data" in order
    if newer or (version and version[1] != "1"):
        return "date_created_gmt", "date_modified_gmt"
    return ("date_created", "date_modified") if "date_created" in order or version else ("created_at", "updated_at")


PROVIDER = Provider(
    name=NAME,
    title="WooCommerce",
    api_settings=("consumer_key", "consumer_secret"),
    schemes={"hmac": hmac_base64("x-wc-webhook-signature")},
    topic_headers=("x-wc-webhook-topic",),
    kept_headers=(
        "x-wc-webhook-source",
        "x-wc-webhook-resource",
        "x-wc-webhook-event",
        "x-wc-webhook-id",
        "x-wc-webhook-delivery-id",
    ),
    key=key,
    origins=origins,
    in_trash=in_trash,
    trashed=trashed,
    is_ping=is_ping,
    split=split,
    find=find,
    schema=WooCommerceOrder(),
    skips=skips,
    identify=identify,
    number=number,
    build=build,
    products=products,
)
