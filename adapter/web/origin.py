"""Whether a request comes from the shop that its store stands for.

Stores that share a secret accept each other's signatures: the shops in which one Shopify app is installed, or WooCommerce shops whose
webhooks were given the same secret. What tells them apart is the shop that a request names, in a header (which isn't signed) and in its
body.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from adapter.settings import Settings, Store


@dataclass(frozen=True, slots=True)
class _Shop:
    """What the settings say of one store's shop, and of those that share its secret."""

    own: frozenset[str]
    others: Mapping[str, str]
    """Address -> the name of the store that has it."""


class Origins:
    """The addresses of all stores' shops."""

    def __init__(self, settings: Settings) -> None:
        self._shops = {name: _shop(store, settings) for name, store in settings.stores.items()}

    def why_foreign(self, store: Store, headers: Mapping[str, str], payload: bytes) -> str:
        """Which other shop a verified request comes from, in a sentence; "" if it may come from the store's own."""
        shop = self._shops[store.name]
        if not shop.own and not shop.others:
            return ""
        for origin in store.provider.origins(headers, payload):
            claimed = _bare(origin.address)
            belongs_to = max((each for each in (*shop.own, *shop.others) if _is_within(claimed, each)), key=len, default="")
            if belongs_to in shop.own:
                continue
            if other := shop.others.get(belongs_to):
                return f"it comes from {claimed}, the shop of store {other}: send it to /webhooks/{other}"
            # Elsewhere a shop may go by several addresses: its home page and its pages for shoppers can be on different hosts.
            exact = [each for each in shop.own if origin.suffix and each.endswith(origin.suffix)]
            if exact:
                return f"it comes from {claimed}, but the shop of store {store.name} is {min(exact)}, by its settings"
        return ""


def _shop(store: Store, settings: Settings) -> _Shop:
    rivals = [
        other
        for other in settings.stores.values()
        if other is not store and other.provider is store.provider and set(other.credentials.secrets) & set(store.credentials.secrets)
    ]
    own = _addresses(store)
    return _Shop(own, {address: other.name for other in rivals for address in _addresses(other) - own})


def _addresses(store: Store) -> frozenset[str]:
    urls = (store.options.store_url, *store.options.store_urls.values(), store.api.url)
    return frozenset(_bare(url) for url in urls if url)


def _bare(address: str) -> str:
    """A host and path, without what is written differently for the same shop."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    host = (parts.hostname or "").removeprefix("www.")
    return f"{host}{parts.path.rstrip('/')}"


def _is_within(address: str, base: str) -> bool:
    return address == base or address.startswith(f"{base}/")
