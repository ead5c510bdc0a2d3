"""What all ways to ask a Magento store for products share: keys by store view, and which address of several goes into a mail."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from adapter.stores.api import Shop
from adapter.stores.magento.client import magento_id
from mappings import ProductKey, absolute_url

PLACEHOLDER = "/product/placeholder/"
"""In the address of what the theme or the settings show for a product without a picture of its own."""
# What every mail client shows.
_SHOWN = (".jpg", ".jpeg", ".png", ".gif")
_LONGEST_URL = 2000


def by_view(keys: Iterable[ProductKey]) -> dict[str, list[ProductKey]]:
    """The keys that a store can know, by store view: a payload may hold any text as an id."""
    views: dict[str, list[ProductKey]] = {}
    for key in keys:
        if magento_id(key.product_id) and (not key.variant_id or magento_id(key.variant_id)):
            views.setdefault(magento_id(key.view), []).append(key)
    return views


def address_of(shop: Shop, view: str) -> str:
    """The shop's address in a store view, with a slash at its end."""
    return f"{(shop.store.options.store_urls.get(view) or shop.address).rstrip('/')}/"


def short_address(url: str, base: str) -> str:
    """An absolute address; "" for what is none, or is longer than a mail should hold."""
    address = absolute_url(url, base)
    return address if len(address) <= _LONGEST_URL else ""


def best_picture(addresses: Iterable[str]) -> str:
    """The first of those that every mail client shows, else the first."""
    pictures = [address for address in addresses if address]
    shown = (address for address in pictures if urlsplit(address).path.lower().endswith(_SHOWN))
    return next(shown, pictures[0] if pictures else "")
