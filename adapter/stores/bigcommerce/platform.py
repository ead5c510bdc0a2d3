"""BigCommerce's REST APIs, with the token of a store-level API account."""

from collections.abc import Sequence

from adapter.stores.api import History, Platform, ProductSource, Registry, Shop
from adapter.stores.bigcommerce.client import ADDRESS_SETTING, TOKEN_SETTING, Client
from adapter.stores.bigcommerce.history import OrderHistory
from adapter.stores.bigcommerce.products import CatalogApi
from adapter.stores.bigcommerce.registry import WebhookRegistry, by_hand


def sources(shop: Shop) -> Sequence[ProductSource]:
    """The catalog; nothing without a token."""
    client = Client(shop)
    return [CatalogApi(client, shop.address)] if client.has_token else []


def history(shop: Shop) -> History | None:
    """The shop's orders."""
    client = Client(shop)
    return OrderHistory(client) if client.has_token else None


def registry(shop: Shop) -> Registry | None:
    """The shop's webhooks."""
    client = Client(shop)
    token = shop.store.credentials.secrets[0] if shop.store.auth == "token" else ""
    return WebhookRegistry(client, token) if client.has_token else None


PLATFORM = Platform(
    name="bigcommerce",
    sources=sources,
    history=history,
    registry=registry,
    by_hand=by_hand,
    credentials=(ADDRESS_SETTING, TOKEN_SETTING),
    signed_with="the API account's client secret",
)
