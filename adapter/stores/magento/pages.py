"""Shared by all product look-ups: keys by store view, and the best of several image addresses."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from adapter.stores.api import Shop
from adapter.stores.magento.client import magento_id
from mappings import ProductKey, absolute_url

PLACEHOLDER = "/product/placeholder/"
"""Part of the address of the image that the theme or the settings show for products without one."""
# Formats that every email client displays.
_SHOWN = (".jpg", ".jpeg", ".png", ".gif")
_LONGEST_URL = 2000


def by_view(keys: Iterable[ProductKey]) -> dict[str, list[ProductKey]]:
    """The keys with possible Magento ids, by store view: a payload's ids may be any text."""
    views: dict[str, list[ProductKey]] = {}
    for key in keys:
        if magento_id(key.product_id) and (not key.variant_id or magento_id(key.variant_id)):
            views.setdefault(magento_id(key.view), []).append(key)
    return views


def address_of(shop: Shop, view: str) -> str:
    """The address of a store view, with a trailing slash."""
    return f"{(shop.store.options.store_urls.get(view) or shop.address).rstrip('/')}/"


def short_address(url: str, base: str) -> str:
    """An absolute address; "" if it isn't one, or is too long for an email."""
    address = absolute_url(url, base)
    return address if len(address) <= _LONGEST_URL else ""


def best_picture(addresses: Iterable[str]) -> str:
    """The first address with a format that every email client displays, or else the first one."""
    pictures = [address for address in addresses if address]
    shown = (address for address in pictures if urlsplit(address).path.lower().endswith(_SHOWN))
    return next(shown, pictures[0] if pictures else "")
