"""Which platform's API belongs to a store, and the way to it."""

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

from adapter.settings import Settings, Store
from adapter.stores.api import Platform, Shop
from adapter.stores.http import Http


@cache
def platforms() -> dict[str, Platform]:
    """The platforms whose API is used, by the provider's name: each module here that holds a `PLATFORM`."""
    modules = (import_module(f"adapter.stores.{found.name}") for found in pkgutil.iter_modules([str(Path(__file__).parent)]))
    found = [module.PLATFORM for module in modules if hasattr(module, "PLATFORM")]
    return {platform.name: platform for platform in found}


def shop_of(store: Store, settings: Settings, address: str = "") -> Shop | None:
    """A store as its API is reached; None if no address of it is known.

    `address` is what an order's own payload says; the settings win over it.
    """
    url = (store.options.store_url or next(iter(store.options.store_urls.values()), "") or address or store.api.url).rstrip("/")
    if store.provider.name not in platforms() or not url:
        return None
    return Shop(store=store, http=Http(store.named_hosts, settings.public_url), address=url)
