"""Which platform's API belongs to a store, and the way to it."""

import pkgutil
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

from adapter.settings import Settings, Store
from adapter.stores.api import History, Platform, ProductSource, Registry, Shop
from adapter.stores.http import Http


@cache
def platforms() -> dict[str, Platform]:
    """The platforms whose API is used, by the provider's name: each folder here that holds a `PLATFORM`."""
    packages = (
        import_module(f"adapter.stores.{found.name}") for found in pkgutil.iter_modules([str(Path(__file__).parent)]) if found.ispkg
    )
    found = [package.PLATFORM for package in packages]
    return {platform.name: platform for platform in found}


def sources_of(store: Store, settings: Settings, address: str = "") -> Sequence[ProductSource]:
    """The ways to look up a store's products, the preferred first. `address` is what an order's own payload says of it."""
    shop = _shop(store, settings, address)
    return platforms()[store.provider.name].sources(shop) if shop else ()


def history_of(store: Store, settings: Settings) -> History | None:
    """The way to a store's past orders; None without credentials, or if no address of it is known."""
    shop = _shop(store, settings)
    return platforms()[store.provider.name].history(shop) if shop else None


def registry_of(store: Store, settings: Settings) -> Registry | None:
    """The way to a store's webhooks; None without credentials, or where the platform has none to register."""
    shop = _shop(store, settings)
    return platforms()[store.provider.name].registry(shop) if shop else None


def _shop(store: Store, settings: Settings, address: str = "") -> Shop | None:
    """A store as its API is reached, by the settings before all; None if no address of it is known."""
    url = (store.options.store_url or next(iter(store.options.store_urls.values()), "") or address or store.api.url).rstrip("/")
    if store.provider.name not in platforms() or not url:
        return None
    return Shop(store=store, http=Http(store.named_hosts, settings.public_url), address=url)
