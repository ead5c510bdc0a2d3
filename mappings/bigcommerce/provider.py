"""BigCommerce's webhooks: which are about an order, which order they show, and reasons not to send it.

A webhook contains only the ID of an order. The rest is read from the store's API, and the result, in the form of `payload`, is a delivery
of its own.

Facts from bigcommerce/docs: docs/integrations/webhooks/ (overview, https-webhook-overview, events) and reference/orders.v2.oas2.yml.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mappings.bigcommerce.order import NAME, build, email_of
from mappings.bigcommerce.payload import NO_ID, BigCommerceOrder
from mappings.bigcommerce.signature import ID, standard_webhooks
from mappings.bigcommerce.statuses import INCOMPLETE, is_lost, is_unfinished, rank
from mappings.bigcommerce.totals import grand_total, refunded_total
from mappings.core.product import Product, ProductKey
from mappings.core.provider import Key, Origin, Provider
from mappings.core.reading import Context, Identity, Loaded, Reason, Skip
from mappings.core.signature import token
from mappings.core.text import lookup

TOKEN_HEADER = "x-webhook-token"  # noqa: S105 - the name of a header
SCOPE_HEADER = "x-webhook-scope"
"""Headers that `connect` has BigCommerce send with each webhook."""
_PRODUCER = re.compile(rb'"producer"\s*:\s*"stores\\?/([A-Za-z0-9]{1,40})"')
_API = "https://api.bigcommerce.com/stores/"
_ORDER_SCOPE = re.compile(r"store/(?:channel/\d+/)?order/(\w+)")
_PRODUCT_SCOPE = re.compile(r"store/(?:channel/\d+/)?product/(\w+)")
# Where a webhook contains the order's ID (docs/integrations/webhooks/events): by type, of a channel, of a metafield.
_ID_PATHS = ("data.order_id", "data.resource_id", "data.id")
_ORDER_MARKS = ("total_inc_tax", "products", "status_id")
# Archived orders are hidden in the control panel, but as valid as before.
_NO_CHANGE = ("archived", "message")


def key(headers: Mapping[str, str], payload: bytes) -> Key:
    """The webhook's ID, which is signed and the same each time that it is repeated.

    Without one no two are the same: a second change within a second has the same body, and reading an order twice does no harm.
    """
    return Key(value=headers.get(ID, "").strip(), expires=False)


def origins(headers: Mapping[str, str], payload: bytes) -> Iterator[Origin]:
    """The store's API path, from the `producer` in the body: all stores in which an app is installed share its client secret."""
    if found := _PRODUCER.search(payload):
        yield Origin(address=f"{_API}{found[1].decode()}")


def find(document: Any, context: Context) -> Any:
    if not isinstance(document, dict):
        return Skip(Reason.NOT_AN_ORDER, "the body is not an order")
    scope = document.get("scope")
    if not isinstance(scope, str):
        if any(mark in document for mark in _ORDER_MARKS):
            return document
        return Skip(Reason.NOT_AN_ORDER, "the body is neither a webhook nor an order")
    if _PRODUCT_SCOPE.fullmatch(scope):
        return Skip(Reason.CATALOG, "a product was changed")
    found = _ORDER_SCOPE.match(scope)
    if found is None or found[1] in _NO_CHANGE:
        return Skip(Reason.NOT_AN_ORDER, f"scope {scope[:80]} says nothing about an order's state")
    return {"id": next((value for path in _ID_PATHS if (value := lookup(document, path))), None)}


def products(document: Any, context: Context) -> Sequence[Product]:
    """A deleted product; a webhook of a changed one contains no more than its ID."""
    found = _PRODUCT_SCOPE.fullmatch(document["scope"])
    own_id = lookup(document, "data.id")
    deleted = found is not None and found[1] == "deleted" and isinstance(own_id, (int, str)) and str(own_id).isdecimal()
    return (Product(key=ProductKey(str(own_id)), gone=True),) if deleted else ()


def skips(loaded: Loaded, context: Context) -> Iterator[Skip]:
    if loaded.get("status_id") == INCOMPLETE:
        yield Skip(Reason.NEVER_PLACED, "the checkout was not finished")
    if is_unfinished(loaded) and not context.options.forward_unpaid:
        yield Skip(Reason.UNPAID, "the shopper is still at the payment page; set forward_unpaid to send such orders too")
    if is_lost(loaded) and "total_inc_tax" in loaded and not grand_total(loaded):
        yield Skip(Reason.NEVER_PLACED, "canceled or declined with no money kept, and never seen as a placed order")


def identify(loaded: Loaded, context: Context) -> Identity | None:
    if loaded.get("id", "") in NO_ID:
        return None
    return Identity(
        order_id=loaded["id"],
        order_number=f"#{loaded['id']}",
        created_at=loaded.get("date_created"),
        updated_at=loaded.get("date_modified"),
        progress=(refunded_total(loaded), rank(loaded)),
        email=email_of(loaded),
        email_withheld=(loaded.get("billing_address") or {}).get("email") is None,
    )


PROVIDER = Provider(
    name=NAME,
    title="BigCommerce",
    api_settings=("api_url", "access_token"),
    needs_api=True,
    needs_address=True,
    reports_consent=True,
    schemes={"hmac": standard_webhooks(), "token": token(TOKEN_HEADER)},
    topic_headers=(SCOPE_HEADER,),
    kept_headers=(ID,),
    key=key,
    origins=origins,
    find=find,
    schema=BigCommerceOrder(),
    skips=skips,
    identify=identify,
    build=build,
    products=products,
)
