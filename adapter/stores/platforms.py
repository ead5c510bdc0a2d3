"""Finds the platform of a store, and connects to its API."""

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
    """The platforms by the provider's name: each folder here with a `PLATFORM`."""
    packages = (
        import_module(f"adapter.stores.{found.name}") for found in pkgutil.iter_modules([str(Path(__file__).parent)]) if found.ispkg
    )
    found = [package.PLATFORM for package in packages]
    return {platform.name: platform for platform in found}


def sources_of(store: Store, settings: Settings, address: str = "") -> Sequence[ProductSource]:
    """The ways to look up a store's products, the preferred first. `address` is the shop's, from an order's payload."""
    shop = _shop(store, settings, address)
    return platforms()[store.provider.name].sources(shop) if shop else ()


def history_of(store: Store, settings: Settings) -> History | None:
    """A store's past orders; None without credentials, or if its address is unknown."""
    shop = _shop(store, settings)
    return platforms()[store.provider.name].history(shop) if shop else None


def registry_of(store: Store, settings: Settings) -> Registry | None:
    """A store's webhooks; None without credentials, or if the platform has none to register."""
    shop = _shop(store, settings)
    return platforms()[store.provider.name].registry(shop) if shop else None


def _shop(store: Store, settings: Settings, address: str = "") -> Shop | None:
    """A store with the connection to its API; None if its address is unknown. The settings win over the payload."""
    url = (store.options.store_url or next(iter(store.options.store_urls.values()), "") or address or store.api.url).rstrip("/")
    if store.provider.name not in platforms() or not url:
        return None
    return Shop(store=store, http=Http(store.named_hosts, settings.public_url), address=url)
