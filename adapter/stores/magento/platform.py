"""What Magento's APIs offer: the public ones, and the REST API with an integration's token."""

from collections.abc import Sequence

from adapter.stores.api import History, Platform, ProductSource, Registry, Shop
from adapter.stores.magento.client import Client
from adapter.stores.magento.graphql import GraphQl
from adapter.stores.magento.history import OrderHistory
from adapter.stores.magento.products import RenderInfo, RestApi
from adapter.stores.magento.registry import SubscriptionRegistry, by_hand

_SIGNED = ("", "hmac")
"""The values of `auth` for which Async Events can send the orders; with the others, something else does."""


def sources(shop: Shop) -> Sequence[ProductSource]:
    """The render info and GraphQL, which need no token and return visible products; then the REST API."""
    client = Client(shop)
    rest = RestApi(client, shop) if client.has_token else None
    graphql = GraphQl(client, shop)
    public: list[ProductSource] = [RenderInfo(client, shop, rest or graphql), graphql]
    return [*public, rest] if rest else public


def history(shop: Shop) -> History | None:
    """The store's orders; None without a token, or if the settings have no address to which the token may be sent."""
    client = Client(shop)
    return OrderHistory(client, by_number=shop.store.options.order_id == "increment_id") if client.has_token else None


def registry(shop: Shop) -> Registry | None:
    """The subscriptions of Async Events; None without a token, and for stores whose orders are sent by something else."""
    client, secrets = Client(shop), shop.store.credentials.secrets
    return SubscriptionRegistry(client, secrets[0]) if client.has_token and secrets and shop.store.auth in _SIGNED else None


PLATFORM = Platform(
    name="magento",
    sources=sources,
    history=history,
    registry=registry,
    by_hand=by_hand,
    credentials=(
        "MAGENTO_ACCESS_TOKEN (access_token in STORES), for Magento 2.4.4 and newer with MAGENTO_ACCESS_TOKEN_SECRET, MAGENTO_CONSUMER_KEY "
        "and MAGENTO_CONSUMER_SECRET",
    ),
)
