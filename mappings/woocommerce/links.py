"""The addresses of a WooCommerce store and of its order pages."""

import re
from typing import Any
from urllib.parse import quote

from mappings.core.reading import Context, Loaded
from mappings.core.text import absolute_url, lookup, origin

# The REST root with pretty, `index.php` and plain permalinks; its first segment can be renamed.
_REST_ROOT = re.compile(r"/(?:(?:index\.php/)?(?:wp-json/|[^/?]+/wc/v\d/)|(?:index\.php)?\?rest_route)")
_PAYMENT = re.compile(r"order-pay([/=])([^/?&#]*)")
_KEY = re.compile(r"[^&#]*")


def self_link(links: Any) -> str:
    """The order's own REST address, which is in the signed body; "" without one."""
    href = lookup(links, "self.0.href")
    return href if isinstance(href, str) else ""


def store_base(loaded: Loaded, context: Context) -> str:
    """The store's address, with a trailing slash. The signed body takes precedence over the Source header, which is not signed."""
    link = self_link(loaded["_links"])
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


def order_url(loaded: Loaded, context: Context, base: str, public_id: str) -> str:
    """The page where the shopper sees the order: by the store's template, else "order received", else "view order"."""
    order_id, key = loaded["id"], loaded["order_key"]
    if url := context.options.templated_order_url(order_id=order_id, order_public_id=public_id, token=key):
        return url
    if not key:
        return absolute_url(loaded["view_order_url"], base) or f"{base}my-account/view-order/{quote(order_id, safe='')}/"
    received = _received(absolute_url(loaded["payment_url"], base), order_id, quote(key, safe=""))
    built = f"{base}checkout/order-received/{quote(order_id, safe='')}/?key={quote(key, safe='')}"
    return received or absolute_url(built) or base


def _received(payment_url: str, order_id: str, key: str) -> str:
    """The "order received" page that belongs to a payment page; "" for any other address.

    The payment address contains the checkout page's slug in the store's language, and follows the permalinks setting.
    """
    place = next((found for found in _PAYMENT.finditer(payment_url) if found[2] == order_id), None)
    if place is None:
        return ""
    between, mark, rest = payment_url[place.end() :].partition("pay_for_order=true&key=")
    if not mark or "#" in between:
        return ""
    return f"{payment_url[: place.start()]}order-received{place[1]}{order_id}{between}key={key}{_KEY.sub('', rest, count=1)}"
