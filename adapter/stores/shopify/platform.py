"""Shopify's own APIs: the Storefront API without a token, and the Admin API with a static token or an app's client credentials."""

from collections.abc import Sequence

from adapter.stores.api import History, Platform, ProductSource, Registry, Shop
from adapter.stores.shopify.client import Client
from adapter.stores.shopify.history import OrderHistory
from adapter.stores.shopify.products import Admin, Storefront
from adapter.stores.shopify.registry import WebhookRegistry, by_hand


def sources(shop: Shop) -> Sequence[ProductSource]:
    """The Storefront API, which needs no token and contains what is published, then the Admin API."""
    client = Client(shop)
    return [Storefront(client), Admin(client)] if client.has_credentials else [Storefront(client)]


def history(shop: Shop) -> History | None:
    """The shop's orders; None without credentials. Requests raise `StoreTrouble` if `api_url` isn't set."""
    client = Client(shop)
    return OrderHistory(client) if client.has_credentials else None


def registry(shop: Shop) -> Registry | None:
    """The app's webhooks; None without credentials. Requests raise `StoreTrouble` if `api_url` isn't set."""
    client = Client(shop)
    return WebhookRegistry(client) if client.has_credentials else None


PLATFORM = Platform(
    name="shopify",
    sources=sources,
    history=history,
    registry=registry,
    by_hand=by_hand,
    credentials=(
        "SHOPIFY_API_URL with SHOPIFY_ACCESS_TOKEN, or with SHOPIFY_CLIENT_ID and SHOPIFY_CLIENT_SECRET "
        "(api_url with access_token, or with client_id and client_secret, in STORES)",
    ),
    signed_with="the app's client secret",
)
