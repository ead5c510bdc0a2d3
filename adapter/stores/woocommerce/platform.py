"""WooCommerce's own APIs: the public Store API, and the REST API v3 with a consumer key and secret."""

from collections.abc import Sequence

from adapter.stores.api import History, Platform, ProductSource, Registry, Shop
from adapter.stores.woocommerce.client import Client
from adapter.stores.woocommerce.history import OrderHistory
from adapter.stores.woocommerce.products import RestApi, StoreApi
from adapter.stores.woocommerce.registry import WebhookRegistry, by_hand


def sources(shop: Shop) -> Sequence[ProductSource]:
    """The Store API, which needs no key and returns published products; then the REST API."""
    client = Client(shop)
    return [StoreApi(client), RestApi(client)] if client.has_key else [StoreApi(client)]


def history(shop: Shop) -> History | None:
    """The shop's orders; None without a key, or without an address in the settings that the key may be sent to."""
    client = Client(shop)
    return OrderHistory(client) if client.has_key else None


def registry(shop: Shop) -> Registry | None:
    """The shop's webhooks; None without a key, or without an address in the settings that the key may be sent to."""
    client = Client(shop)
    with_bin = shop.store.options.vocabulary == "lifecycle"
    return WebhookRegistry(client, shop.store.credentials.secrets[0], with_bin=with_bin) if client.has_key else None


PLATFORM = Platform(
    name="woocommerce",
    sources=sources,
    history=history,
    registry=registry,
    by_hand=by_hand,
    credentials=("WOOCOMMERCE_CONSUMER_KEY and WOOCOMMERCE_CONSUMER_SECRET (consumer_key and consumer_secret in STORES)",),
)
