"""Whether a request comes from the shop that its store stands for.

Stores that share a secret accept each other's signatures: the shops in which one Shopify or BigCommerce app is installed, or WooCommerce
shops whose webhooks were given the same secret. What tells them apart is the shop that a request names, in a header (which isn't signed)
and in its body.
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from adapter.settings import Settings, Store

# An address of BigCommerce's API may end with its version.
_VERSION = re.compile(r"(/stores/[^/]+)/v\d+\Z")


class Origins:
    """The addresses of all stores' shops."""

    def __init__(self, settings: Settings) -> None:
        self._own = {name: _addresses(store) for name, store in settings.stores.items()}
        self._sharing: dict[tuple[str, str], dict[str, str]] = {}
        """Provider and secret -> the addresses of all stores that have it -> the store's name."""
        for store in settings.stores.values():
            for secret in store.credentials.secrets:
                sharing = self._sharing.setdefault((store.provider.name, secret), {})
                sharing.update(dict.fromkeys(self._own[store.name], store.name))
        self._known = {store.provider.name for store in settings.stores.values() if self._own[store.name]}
        """The providers of which any shop's address is known; without one there is nothing to compare with."""

    def why_foreign(self, store: Store, headers: Mapping[str, str], payload: bytes) -> str:
        """Which other shop a verified request comes from, in a sentence; "" if it may come from the store's own."""
        if store.provider.name not in self._known:
            return ""
        own = self._own[store.name]
        for origin in store.provider.origins(headers, payload):
            claimed = _bare(origin.address) or origin.address
            belongs_to = next((name for base in _bases(claimed) if (name := self._owner(store, base))), "")
            if belongs_to == store.name:
                continue
            if belongs_to:
                return f"it comes from {claimed}, the shop of store {belongs_to}: send it to /webhooks/{belongs_to}"
            # Elsewhere a shop may go by several addresses: its home page and its pages for shoppers can be on different hosts.
            exact = [each for each in own if origin.suffix and each.endswith(origin.suffix)]
            if exact:
                return f"it comes from {claimed}, but the shop of store {store.name} is {min(exact)}, by its settings"
        return ""

    def _owner(self, store: Store, address: str) -> str:
        """The store whose shop has exactly this address, among this one and those that share its secret; "" if none has."""
        if address in self._own[store.name]:
            return store.name
        sharing = (self._sharing[store.provider.name, secret] for secret in store.credentials.secrets)
        return next((each[address] for each in sharing if address in each), "")


def _addresses(store: Store) -> frozenset[str]:
    urls = (store.options.store_url, *store.options.store_urls.values(), store.api.url)
    return frozenset(_bare(url) for url in urls if url)


def _bare(address: str) -> str:
    """A host and path, without what is written differently for the same shop, such as an API's version; "" for anything else."""
    try:
        parts = urlsplit(address if "//" in address else f"//{address}")
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return ""
    return host + _VERSION.sub(r"\1", parts.path.rstrip("/"))


def _bases(address: str) -> Iterator[str]:
    """An address, and those that it is below, the nearest first."""
    while address:
        yield address
        address = address.rpartition("/")[0]
