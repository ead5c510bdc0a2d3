"""WooCommerce: REST order bodies v1 to v3 and the legacy envelope, as its order webhooks and REST pages carry them.

Facts from woocommerce/woocommerce: class-wc-webhook.php, the REST orders controllers v1 to v3, and woocommerce-rest-api-docs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from mappings.core.address import addresses
from mappings.core.errors import Rejected
from mappings.core.fields import Text
from mappings.core.money import ZERO, is_currency, unit_price
from mappings.core.order import Item, Order
from mappings.core.product import Product
from mappings.core.provider import Context, Identity, Loaded, Provider, Reason, Skip
from mappings.core.signature import hmac_base64
from mappings.core.text import absolute_url, first_email, lookup, origin, path_only, plain, product_name, without_blanks
from mappings.woocommerce.payload import WooCommerceOrder
from mappings.woocommerce.products import gone, product_of

ORDER_TOPICS = frozenset(("order.created", "order.updated", "order.restored"))
# Keys that other bodies have at their root, and orders never: products, refunds, subscriptions.
_NO_ORDER_HAS = ("catalog_visibility", "refunded_by", "billing_period")
_ORDER_MARKS = ("line_items", "total", "status", "order_key", "order_number")
_DRAFTS = ("draft", "auto-draft", "new", "checkout-draft", "trash")
_LOST = ("cancelled", "failed")
_STATUS_RANK = {
    status: Decimal(rank)
    for rank, status in enumerate(("pending", "failed", "on-hold", "processing", "", "completed", "cancelled", "refunded"))
}
# Plugins may invent any status; those stand between paid and done.
_CUSTOM_STATUS_RANK = _STATUS_RANK[""]
_PING = re.compile(rb"webhook_id=\d+")
_VERSION = re.compile(r"/wc/v(\d)/orders\b")
# The REST root, behind pretty permalinks, `index.php` ones and plain ones; its first step can be renamed.
_REST_ROOT = re.compile(r"/(?:(?:index\.php/)?(?:wp-json/|[^/?]+/wc/v\d/)|(?:index\.php)?\?rest_route)")
_NUMBER_META = ("_order_number_formatted", "_alg_wc_full_custom_order_number")
_ATTRIBUTION = "_wc_order_attribution_"
_UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term")
_NONE = ("", "0")


def is_ping(headers: Mapping[str, str], payload: bytes) -> bool:
    """The unsigned form post that WooCommerce repeats on every save of a webhook until it gets exactly 200."""
    return not headers.get("x-wc-webhook-topic") and bool(_PING.fullmatch(payload.strip()))


def split(document: Any) -> Sequence[Any] | None:
    """The orders of a REST page: an array, or the legacy API's `{"orders": [...]}`."""
    orders = document.get("orders") if isinstance(document, dict) else document
    return orders if isinstance(orders, list) else None


def find(document: Any, context: Context) -> Any:
    if code := _error_code(document):
        return Skip(Reason.STORE_ERROR, f"WooCommerce sent its own error {code[:80]}: {_error_cause(code)}")
    topic = context.topic.lower()
    if topic.startswith("product."):
        return Skip(Reason.CATALOG, "a product, kept for its page and picture")
    if topic and topic not in ORDER_TOPICS:
        return Skip(Reason.NOT_AN_ORDER, f"topic {topic[:80]} is no order")
    order = document.get("order", document) if isinstance(document, dict) else None
    if not isinstance(order, dict) or any(key in order for key in _NO_ORDER_HAS) or not any(key in order for key in _ORDER_MARKS):
        return Skip(Reason.NOT_AN_ORDER, "the body is no order: a bare id, an action's argument, a product or a refund")
    created, updated = _utc_keys(order)
    return {**order, "_created_at": order.get(created), "_updated_at": order.get(updated)}


def products(document: Any, context: Context) -> Sequence[Product]:
    """What a product webhook tells: the whole product or variation, or the bare id of one that was put in the bin.

    An error object, which a webhook whose owner lost access carries under any topic, tells nothing.
    """
    topic = context.topic.lower()
    if not topic.startswith("product.") or _error_code(document):
        return ()
    told = gone(document) if topic == "product.deleted" else product_of(document, context.options.store_url)
    return (told,) if told is not None else ()


def skips(loaded: Loaded, context: Context) -> Iterator[Skip]:
    status = loaded.get("status", "")
    if status in _DRAFTS:
        yield Skip(Reason.DRAFT, f"status {status} is not an order yet, or no longer one")
    if loaded.get("parent_id", "") not in _NONE and not context.options.forward_child_orders:
        yield Skip(Reason.CHILD_ORDER, "a vendor's part of another order, which is sent whole; forward_child_orders sends these too")
    if status == "pending" and not context.options.forward_unpaid:
        yield Skip(Reason.UNPAID, "the shopper is still at the payment page; forward_unpaid sends these too")
    if status in _LOST and "total" in loaded and not _grand_total(loaded):
        yield Skip(Reason.NEVER_PLACED, f"{status} before any money stayed, and never seen as a placed order")


def identify(loaded: Loaded, context: Context) -> Identity | None:
    if loaded.get("id", "") in _NONE:
        return None
    status = loaded.get("status", "")
    return Identity(
        order_id=loaded["id"],
        order_number=_public_id(loaded, _meta(loaded.get("meta_data"))),
        created_at=loaded.get("created_at"),
        updated_at=loaded.get("updated_at"),
        progress=(_refunded(loaded), Decimal(status == "completed"), _STATUS_RANK.get(status, _CUSTOM_STATUS_RANK)),
        email=_email(loaded),
        email_withheld=all(address is None for address in _emails(loaded)),
    )


def build(loaded: Loaded, context: Context) -> Order:
    base = _base(loaded, context)
    if not base:
        raise Rejected({"_links.self": ["missing, and so the store's address: set WOOCOMMERCE_STORE_URL, or store_url in STORES"]})
    meta = _meta(loaded["meta_data"])
    public_id = _public_id(loaded, meta)
    occurred = loaded["created_at"] or loaded["updated_at"] or context.received_at
    fees = [row["total"] for row in loaded["fee_lines"]]
    grand_total, refunded = _grand_total(loaded), _refunded(loaded)
    return Order(
        provider=PROVIDER.name,
        order_id=loaded["id"],
        order_public_id=public_id,
        email=_email(loaded),
        created_at=occurred,
        updated_at=loaded["updated_at"] or occurred,
        grand_total=grand_total,
        # Plugins use negative fees as discounts.
        total_discounts=_first(loaded, "discount_total", "total_discount") - sum((fee for fee in fees if fee < 0), ZERO),
        total_taxes=loaded["total_tax"],
        total_fees=sum((fee for fee in fees if fee > 0), ZERO),
        total_shipping=_first(loaded, "shipping_total", "total_shipping"),
        currency=loaded["currency"] if is_currency(loaded["currency"]) else "",
        order_url=_order_url(loaded, context, base, public_id),
        items=_items(loaded, base),
        store_url=base,
        original_total=loaded["total"],
        refunded_total=refunded,
        paid=_paid(loaded),
        fulfilled=loaded["status"] == "completed",
        # A failed payment may still be made good; only a cancelled order is over.
        canceled=loaded["status"] == "cancelled",
        # The legacy API's names come second.
        **addresses(
            context,
            billing_address=(loaded["billing"], loaded["billing_address"]),
            shipping_address=(loaded["shipping"], loaded["shipping_address"]),
        ),
        attributes=_attributes(loaded, meta, base, grand_total, refunded),
        discrepancy=_discrepancy(loaded, fees),
    )


def _error_code(document: Any) -> str:
    """The code of a WooCommerce error object, in the REST API's form or the legacy API's; "" for anything else."""
    if not isinstance(document, dict) or "id" in document:
        return ""
    code, errors = document.get("code"), document.get("errors")
    if isinstance(code, str) and "message" in document:
        return code
    return str(next(iter(errors), "")) if isinstance(errors, dict) and "error_data" in document else ""


def _error_cause(code: str) -> str:
    if "invalid" in code:
        return "the order was gone before its webhook was delivered"
    return "the webhook's owner may no longer read orders, so that every order is lost; save the webhook as an administrator"


def _utc_keys(order: Mapping[str, Any]) -> tuple[str, str]:
    """The keys under which an order holds its times in UTC.

    v2 and v3 have `_gmt` beside the site's local time. v1's `date_created` is UTC. The legacy API has names of its own.
    """
    version = _VERSION.search(_self_link(order.get("_links")))
    # These keys came with v2.
    newer = "date_created_gmt" in order or "date_modified_gmt" in order or "meta_data" in order
    if newer or (version and version[1] != "1"):
        return "date_created_gmt", "date_modified_gmt"
    return ("date_created", "date_modified") if "date_created" in order or version else ("created_at", "updated_at")


def _self_link(links: Any) -> str:
    href = lookup(links, "self.0.href")
    return href if isinstance(href, str) else ""


def _emails(loaded: Loaded) -> list[str | None]:
    return [(loaded.get(name) or {}).get("email") for name in ("billing", "billing_address", "customer")]


def _email(loaded: Loaded) -> str:
    return first_email(*(address or "" for address in _emails(loaded)))


def _first(loaded: Loaded, *names: str) -> Decimal:
    return next((loaded[name] for name in names if loaded[name] is not None), ZERO)


def _paid(loaded: Loaded) -> bool:
    return bool(loaded.get("date_paid") or loaded.get("date_paid_gmt") or (loaded.get("payment_details") or {}).get("paid"))


def _refunded(loaded: Loaded) -> Decimal:
    # Refund totals are negative, tax included; the order's own total never changes.
    return sum((abs(row.get("total") or ZERO) for row in loaded.get("refunds") or ()), ZERO)


def _grand_total(loaded: Loaded) -> Decimal:
    if loaded.get("status") in _LOST and not _paid(loaded):
        return ZERO
    return max(ZERO, (loaded.get("total") or ZERO) - _refunded(loaded))


def _base(loaded: Loaded, context: Context) -> str:
    """The store's address, with a slash at its end. The signed body goes before the Source header, which anybody can write."""
    link = _self_link(loaded["_links"])
    root = _REST_ROOT.search(link)
    address = (
        context.options.store_url
        or (absolute_url(link[: root.start()]) if root else "")
        or origin(loaded["payment_url"])
        or origin(loaded["view_order_url"])
        or absolute_url(context.headers.get("x-wc-webhook-source", "").partition("?")[0])
        or context.options.fallback_url
    )
    return f"{address.rstrip('/')}/" if address else ""


def _public_id(loaded: Loaded, meta: Mapping[str, str]) -> str:
    number = next((meta[key] for key in _NUMBER_META if meta.get(key)), "") or loaded["number"] or loaded["order_number"]
    return f"#{number}" if number and not number.startswith("#") else number


def _order_url(loaded: Loaded, context: Context, base: str, public_id: str) -> str:
    order_id, key = loaded["id"], loaded["order_key"]
    if url := context.options.templated_order_url(order_id=order_id, order_public_id=public_id, token=key):
        return url
    if not key:
        return absolute_url(loaded["view_order_url"], base) or f"{base}my-account/view-order/{quote(order_id, safe='')}/"
    # The payment address knows the checkout page's slug in the store's language, and whether permalinks are plain.
    received, found = re.subn(
        rf"order-pay([/=]{re.escape(order_id)}\b[^#]*?)pay_for_order=true&key=[^&#]*",
        lambda match: f"order-received{match[1]}key={quote(key, safe='')}",
        absolute_url(loaded["payment_url"], base),
        count=1,
    )
    return received if found else f"{base}checkout/order-received/{quote(order_id, safe='')}/?key={quote(key, safe='')}"


def _items(loaded: Loaded, base: str) -> tuple[Item, ...]:
    lines = list(enumerate(loaded["line_items"]))
    standing = [(index, line) for index, line in lines if line["quantity"] > 0]
    return tuple(_item(index, line, base, bool(loaded["prices_include_tax"])) for index, line in standing or lines)


def _item(index: int, line: Loaded, base: str, taxes_included: bool) -> Item:
    subtotal = line["subtotal"] if line["subtotal"] is not None else line["total"]
    if subtotal is None:
        raise Rejected({f"line_items.{index}.subtotal": ["missing, and total too"]})
    total = line["total"] if line["total"] is not None else subtotal
    quantity = max(ZERO, line["quantity"])
    units = quantity or Decimal(1)
    # The line's own `price` is a unit's after discounts, with a float's noise.
    price, discounts = unit_price(subtotal / units), subtotal - total
    if price < 0:
        price, discounts = ZERO, -total
    # 0 once the product is deleted, and for a cash register's own lines.
    own_id = "" if line["product_id"] in _NONE else line["product_id"]
    variant_id = "" if line["variation_id"] in _NONE else line["variation_id"]
    product_id = own_id or line["sku"] or f"line-{line['id'] or index + 1}"
    options, is_bundled = _choices(line)
    return Item(
        product_id=product_id,
        product_variant_id=variant_id or product_id,
        sku=line["sku"],
        name=product_name(line["name"], line["sku"] or product_id),
        price=price,
        quantity=quantity,
        discounts=discounts,
        taxes=line["total_tax"],
        total=total,
        built_url=f"{base}?post_type=product&p={quote(own_id, safe='')}" if own_id else base,
        image_url=absolute_url(line["image"]["src"], base) if line["image"]["src"] else "",
        catalog_id=own_id,
        catalog_variant_id=variant_id,
        attributes=without_blanks(
            {
                "line_id": line["id"],
                "options": options,
                "is_bundled": is_bundled or None,
                "price_incl_tax": unit_price((subtotal + line["subtotal_tax"]) / units) if taxes_included else None,
            }
        ),
    )


def _choices(line: Loaded) -> tuple[dict[str, str], bool]:
    """What the shopper chose, in the store's own wording where it gives one, and whether the line is part of a bundle.

    Meta whose key begins with `_` is a plugin's own; v1 and the legacy API word a key as `label`.
    """
    options, is_bundled = {}, any(line[name] not in _NONE for name in ("bundled_by", "composite_parent"))
    for row in _rows(line["meta_data"] or line["meta"]):
        key = _text(row.get("key"))
        if key.startswith("_"):
            is_bundled = is_bundled or (key == "_bundled_by" and bool(row.get("value")))
            continue
        label = plain(_text(row.get("display_key")) or _text(row.get("label")) or key)
        value = plain(_text(row.get("display_value")) or _text(row.get("value")))
        if label and value:
            options[label] = value
    return options, is_bundled


def _rows(meta: Any) -> list[dict[str, Any]]:
    rows = list(meta.values()) if isinstance(meta, dict) else meta
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _meta(rows: Any) -> dict[str, str]:
    """The order's meta by key. The last of equal keys counts."""
    return {_text(row.get("key")): _text(row.get("value")) for row in _rows(rows)}


_text = Text().deserialize


def _attributes(loaded: Loaded, meta: Mapping[str, str], base: str, grand_total: Decimal, refunded: Decimal) -> dict[str, Any]:
    status, customer_id = loaded["status"], loaded["customer_id"]
    return without_blanks(
        {
            "status": status,
            "financial_status": "refunded" if status == "refunded" else "paid" if _paid(loaded) else "pending",
            "fulfillment_status": "fulfilled" if status == "completed" else "",
            "discount_codes": [row["code"] for row in loaded["coupon_lines"] if row["code"]],
            "payment_method": plain(loaded["payment_method_title"] or loaded["payment_details"]["method_title"]),
            "shipping_method": next((plain(row["method_title"]) for row in loaded["shipping_lines"]), ""),
            "source": loaded["created_via"],
            "is_guest": customer_id == "0" if customer_id else None,
            "original_total": loaded["total"] if loaded["total"] != grand_total else None,
            "refunded_total": refunded or None,
            "taxes_included": loaded["prices_include_tax"],
            "gift_card_total": sum((row["amount"] for row in loaded["gift_cards"]), ZERO) or None,
            "store_url": base,
            "shipping_country": loaded["shipping"]["country"] or loaded["shipping_address"]["country"],
            **_attribution(meta),
        }
    )


def _attribution(meta: Mapping[str, str]) -> dict[str, str]:
    """Where the shopper came from. `(direct)` and `(none)` stand for nothing."""
    campaign = {name: meta.get(f"{_ATTRIBUTION}{name}", "") for name in _UTM}
    return {
        **{name: value for name, value in campaign.items() if not (value.startswith("(") and value.endswith(")"))},
        "landing_site": path_only(meta.get(f"{_ATTRIBUTION}session_entry", "")),
        "referring_site": origin(meta.get(f"{_ATTRIBUTION}referrer", "")),
    }


def _discrepancy(loaded: Loaded, fees: Sequence[Decimal]) -> Decimal:
    """WooCommerce's identity: lines + shipping + tax + fees - gift cards is the total."""
    lines = sum((line["total"] or ZERO for line in loaded["line_items"]), ZERO)
    cards = sum((row["amount"] for row in loaded["gift_cards"]), ZERO)
    shipping = _first(loaded, "shipping_total", "total_shipping")
    difference: Decimal = lines + shipping + loaded["total_tax"] + sum(fees, ZERO) - cards - loaded["total"]
    return difference


PROVIDER = Provider(
    name="woocommerce",
    title="WooCommerce",
    schemes={"hmac": hmac_base64("x-wc-webhook-signature")},
    topic_headers=("x-wc-webhook-topic",),
    kept_headers=(
        "x-wc-webhook-source",
        "x-wc-webhook-resource",
        "x-wc-webhook-event",
        "x-wc-webhook-id",
        "x-wc-webhook-delivery-id",
    ),
    is_ping=is_ping,
    split=split,
    find=find,
    schema=WooCommerceOrder(),
    skips=skips,
    identify=identify,
    build=build,
    products=products,
)
