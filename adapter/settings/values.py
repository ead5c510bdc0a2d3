"""What the settings come to: stores, the Drip accounts that they feed, and everything else that the environment decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from mappings import Credentials, Options, Provider, Verdict

DRIP_API_URL = "https://api.getdrip.com"
DEFAULT_DATABASE_URL = "sqlite:///adapter.db"
SANDBOX_DATABASE_URL = "sqlite:///sandbox.db"
"""The stand-in's own: what was tried out must never wait there for the day when Drip is connected."""
SANDBOX_ACCOUNT = "sandbox"
DEFAULT_PORT = 8000


@dataclass(frozen=True, kw_only=True)
class Account:
    """A Drip account: where orders go. `token` is secret."""

    id: str
    token: str = field(repr=False)
    auth: Literal["basic", "bearer"] = "basic"
    token_setting: str = field(default="", compare=False)
    """The name of the setting that holds the token, for messages."""
    id_setting: str = field(default="", compare=False)
    """The name of the setting that holds the id."""


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """How a store's own API is reached, from its settings; blank where not set."""

    url: str = ""
    """`api_url`. Shopify: https://SHOP.myshopify.com; elsewhere the store's address unless this says otherwise."""
    version: str = "2026-10"
    """Shopify's API version."""
    access_token: str = field(default="", repr=False)
    """Shopify: a static Admin API token. Magento: an integration's access token."""
    access_token_secret: str = field(default="", repr=False)
    """Magento, OAuth 1.0a."""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    """Shopify: the client credentials that buy a token for 24 h."""
    consumer_key: str = field(default="", repr=False)
    consumer_secret: str = field(default="", repr=False)
    """WooCommerce: a REST key. Magento: OAuth 1.0a."""
    look_up_products: bool = True
    media_url: str = ""
    """Magento: where product pictures are; blank: `{store}/media/`."""
    url_suffix: str = ".html"
    """Magento: what product addresses end in."""
    brand_attribute: str = "manufacturer"
    """Magento: the attribute that holds a product's brand."""
    store_codes: Mapping[str, str] = field(default_factory=dict)
    """Magento: the code of each store view, by `store_id`."""


@dataclass(frozen=True, kw_only=True)
class Store:
    """One configured shop."""

    name: str
    provider: Provider
    auth: str = ""
    credentials: Credentials = field(repr=False)
    options: Options
    account: Account | None = None
    aliases: tuple[str, ...] = ()
    api: ApiSettings = field(default_factory=ApiSettings)
    secret_setting: str = ""
    """The name of the setting that holds the secret, for messages."""

    @property
    def named_hosts(self) -> frozenset[str]:
        """The hosts that its settings name: only these may be inside our own network."""
        urls = (self.options.store_url, *self.options.store_urls.values(), self.api.url, self.api.media_url)
        return frozenset(urlsplit(url).netloc.rpartition("@")[2].lower() for url in urls if url)

    @property
    def names(self) -> tuple[str, ...]:
        """Its name, and those that it once had: kept deliveries may carry any of them."""
        return (self.name, *self.aliases)

    def verify(self, headers: Mapping[str, str], payload: bytes) -> Verdict:
        """Judge whether a request is this store's."""
        return self.provider.scheme(self.auth).verify(headers, payload, self.credentials)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that the environment decides. Nothing else in the project reads the environment."""

    stores: Mapping[str, Store]
    database_url: str = field(default=DEFAULT_DATABASE_URL, repr=False)
    """Secret: it holds the database's password."""
    drip_api_url: str = DRIP_API_URL
    public_url: str
    public_url_is_set: bool = False
    sandbox: bool = False
    max_payload_bytes: int = 5_000_000
    single_requests_per_hour: int = 3600
    batch_requests_per_hour: int = 50
    payload_retention_days: int = 30
    dead_retention_days: int = 90
    row_retention_days: int = 90
    metrics_token: str = field(default="", repr=False)
    admin_password: str = field(default="", repr=False)
    """Opens the dashboard; blank: there is none."""
    secret_key: str = field(default="", repr=False)
    """Signs the dashboard's sessions; blank: made from the password."""
    alert_url: str = field(default="", repr=False)
    """Secret: who knows it may write there."""
    sentry_dsn: str = field(default="", repr=False)
    port: int | None = None
    web_concurrency: int = 2
    log_level: str = "INFO"

    @property
    def accounts(self) -> dict[str, Account]:
        """The Drip accounts that the stores feed, by id."""
        return {store.account.id: store.account for store in self.stores.values() if store.account}

    def store(self, name: str) -> Store | None:
        """The store of that name, or that once had it."""
        return self.stores.get(name) or next((store for store in self.stores.values() if name in store.aliases), None)

    def stores_of(self, account: Account) -> list[Store]:
        """The stores that feed an account."""
        return [store for store in self.stores.values() if store.account == account]
