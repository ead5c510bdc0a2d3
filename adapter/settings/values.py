"""The settings as values: stores, the Drip accounts they feed, and everything else the environment decides."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal
from urllib.parse import urlsplit

from adapter.settings.addresses import NOBODY, Networks
from adapter.settings.secrets import why_unusable
from mappings import Credentials, Options, Provider, Verdict

DRIP_API_URL = "https://api.getdrip.com"
DEFAULT_DATABASE_URL = "sqlite:///adapter.db"
SANDBOX_DATABASE_URL = "sqlite:///sandbox.db"
"""The sandbox has its own database, so that trial orders don't wait in the real one until Drip is connected."""
SANDBOX_ACCOUNT = "sandbox"
DEFAULT_PORT = 8000


@dataclass(frozen=True, kw_only=True)
class Account:
    """A Drip account: where orders go. `token` is secret."""

    id: str
    token: str = field(repr=False)
    auth: Literal["basic", "bearer"] = "basic"
    token_setting: str = field(default="", compare=False)
    """The name of the token's setting, for messages."""
    id_setting: str = field(default="", compare=False)
    """The name of the id's setting, for messages."""

    def fingerprint(self, drip_api_url: str) -> str:
        """A digest of the credentials and where they are used: another one means that Drip has to accept them anew."""
        return hashlib.sha256(f"{drip_api_url} {self.id} {self.auth} {self.token}".encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """How to reach a store's own API; blank where not set."""

    url: str = ""
    """`api_url`. Shopify: https://SHOP.myshopify.com; elsewhere the store's address by default."""
    version: str = "2026-10"
    """Shopify's API version."""
    access_token: str = field(default="", repr=False)
    """Shopify: a static Admin API token. Magento: an integration's access token."""
    access_token_secret: str = field(default="", repr=False)
    """Magento, OAuth 1.0a."""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    """Shopify: client credentials, exchanged for a token that is valid for 24 h."""
    consumer_key: str = field(default="", repr=False)
    consumer_secret: str = field(default="", repr=False)
    """WooCommerce: a REST key. Magento: OAuth 1.0a."""
    look_up_products: bool = True
    media_url: str = ""
    """Magento: where product images are; blank: `{store}/media/`."""
    url_suffix: str = ".html"
    """Magento: the end of product addresses."""
    brand_attribute: str = "manufacturer"
    """Magento: the attribute with a product's brand."""
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
    """The name of the secret's setting, for messages."""

    @property
    def named_hosts(self) -> frozenset[str]:
        """The hosts named in its settings: only these may be at private addresses."""
        urls = (self.options.store_url, *self.options.store_urls.values(), self.api.url, self.api.media_url)
        return frozenset(urlsplit(url).netloc.rpartition("@")[2].lower() for url in urls if url)

    @property
    def names(self) -> tuple[str, ...]:
        """Its name and its former ones, which stored deliveries may carry."""
        return (self.name, *self.aliases)

    def verify(self, headers: Mapping[str, str], payload: bytes) -> Verdict:
        """Whether a request comes from this store."""
        return self.provider.scheme(self.auth).verify(headers, payload, self.credentials)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything the environment decides. Nothing else in the project reads the environment."""

    stores: Mapping[str, Store]
    database_url: str = field(default=DEFAULT_DATABASE_URL, repr=False)
    """Secret: contains the database's password."""
    drip_api_url: str = DRIP_API_URL
    public_url: str
    public_url_is_set: bool = False
    sandbox: bool = False
    max_payload_bytes: int = 5_000_000
    mapping_timeout_s: float = 10.0
    single_requests_per_hour: int = 3600
    batch_requests_per_hour: int = 50
    payload_retention_days: int = 30
    dead_retention_days: int = 90
    row_retention_days: int = 90
    payload_keys: tuple[bytes, ...] = field(default=(), repr=False)
    """Payloads and bodies are encrypted with the first, and decrypted with all; without any they are stored as they are."""
    trusted_proxies: Networks = NOBODY
    """Whose headers about the visitor are believed."""
    metrics_token: str = field(default="", repr=False)
    status_open_to: Literal["", "loopback", "everyone"] = ""
    """Who may read /status and /metrics without a token or a log-in."""
    admin_password: str = field(default="", repr=False)
    """Opens the dashboard; without one there is no dashboard."""
    session_idle_hours: int = 12
    session_days: int = 7
    """How long a log-in lasts without being used, and in all."""
    secret_key: str = field(default="", repr=False)
    """Signs the dashboard's sessions; blank: derived from the password."""
    alert_url: str = field(default="", repr=False)
    """Secret: whoever has it can post there."""
    sentry_dsn: str = field(default="", repr=False)
    port: int | None = None
    web_concurrency: int = 2
    log_level: str = "INFO"

    @property
    def password_is_weak(self) -> bool:
        """Whether the password of the dashboard could be guessed, which is accepted on this machine only."""
        return bool(self.admin_password) and bool(why_unusable(self.admin_password))

    @cached_property
    def accounts(self) -> Mapping[str, Account]:
        """The Drip accounts of the stores, by id."""
        return {account.id: account for account in self._stores_by_account}

    def store(self, name: str) -> Store | None:
        """The store with this name, or formerly with this name."""
        return self.stores.get(name) or self._stores_by_alias.get(name)

    def stores_of(self, account: Account) -> list[Store]:
        """The stores that feed an account."""
        return self._stores_by_account.get(account, [])

    @cached_property
    def _stores_by_account(self) -> Mapping[Account, list[Store]]:
        found: dict[Account, list[Store]] = {}
        for store in self.stores.values():
            if store.account:
                found.setdefault(store.account, []).append(store)
        return found

    @cached_property
    def _stores_by_alias(self) -> Mapping[str, Store]:
        return {alias: store for store in self.stores.values() for alias in store.aliases}
