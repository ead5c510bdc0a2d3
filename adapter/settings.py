"""Everything the environment decides, read once; all faults in one message."""

import os
import re
import string
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from environs import Env, EnvValidationError
from marshmallow import RAISE, Schema, ValidationError, fields, validate, validates_schema
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from adapter.addressee import why_no_address
from adapter.adobe_keys import AdobeKeys
from adapter.errors import SettingsError
from adapter.faults import why_no_dsn
from adapter.stores.api import ApiSettings
from mappings import DRIP_ORDER_NAMES, PROVIDERS, Credentials, Options, Provider, Verdict, absolute_url, dotted, is_public_key

DRIP_API_URL = "https://api.getdrip.com"
DEFAULT_DATABASE_URL = "sqlite:///adapter.db"
SANDBOX_DATABASE_URL = "sqlite:///sandbox.db"
"""The stand-in's own: what was tried out must never wait there for the day when Drip is connected."""
SANDBOX_ACCOUNT = "sandbox"
# A platform that sets one of these forgets its disk at every restart.
_EPHEMERAL_MARKS = ("DYNO", "K_SERVICE", "RENDER", "RAILWAY_ENVIRONMENT", "FLY_APP_NAME")
_STORE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_TEMPLATE_FIELDS = {"order_id", "order_public_id", "token"}
_ACCOUNT_ID = re.compile(r"[A-Za-z0-9_-]+")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_PLAIN_OPTIONS = (
    "drip_provider", "person_id", "order_id", "currency", "order_url_template", "placeholder_image", "custom_attributes",
    "forward_test_orders", "forward_child_orders", "forward_unpaid", "consent", "vocabulary",
)  # fmt: skip
# Setting of a store -> what it is called in `ApiSettings`.
_API_SETTINGS = {
    "api_url": "url", "api_version": "version", "access_token": "access_token", "access_token_secret": "access_token_secret",
    "client_id": "client_id", "client_secret": "client_secret", "consumer_key": "consumer_key", "consumer_secret": "consumer_secret",
    "look_up_products": "look_up_products", "media_url": "media_url", "url_suffix": "url_suffix", "brand_attribute": "brand_attribute",
    "store_codes": "store_codes",
}  # fmt: skip
# What opens a store's API, beside its secret: also as variables of the platform's one store.
_API_VARIABLES = {
    "shopify": ("api_url", "access_token", "client_id", "client_secret"),
    "woocommerce": ("consumer_key", "consumer_secret"),
    "magento": ("access_token", "access_token_secret", "consumer_key", "consumer_secret"),
}
# What a way to prove a request is judged by; all others by the secret.
_NEEDED_BY_AUTH = {"basic": ("secret", "username"), "adobe_io": ("adobe_client_id",), "adobe_webhook": ("public_key",)}
# Half of a pair is of no use.
_PAIRS = (("client_id", "client_secret"), ("consumer_key", "consumer_secret"), ("access_token_secret", "access_token"))
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
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
    web_concurrency: int = 1
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


def read_settings(*, sandbox: bool = False, sandbox_url: str = "") -> Settings:
    """Read the environment; raises `SettingsError` with every fault found.

    With `sandbox` the stand-in at `sandbox_url` takes Drip's place: credentials for Drip are refused beside it, and where no store is
    configured each platform gets one whose secret is `sandbox`.
    """
    env = Env(eager=False)
    faults = _Faults()
    port = _number(env, "PORT", 0, 1, 65535) or None
    public_url = _public_url(env)
    account = _sandbox_account(env, faults) if sandbox else _account(env, faults)
    tables = _store_tables(env, faults)
    by_itself = sandbox and not tables
    if by_itself:
        tables = {name: _sandbox_table(name) for name in PROVIDERS}
    stores = {
        name: store
        for name, table in tables.items()
        if (store := _store(name, table, public_url or _listening_url(port), account, faults, sandbox=sandbox))
    }
    if by_itself:
        unset = f"_WEBHOOK_SECRET (unset, so it is {SANDBOX_ACCOUNT!r})"
        stores = {name: replace(store, secret_setting=f"{name.upper()}{unset}") for name, store in stores.items()}
    settings = Settings(
        stores=stores,
        database_url=_database_url(env, faults, SANDBOX_DATABASE_URL if sandbox else DEFAULT_DATABASE_URL),
        drip_api_url=sandbox_url if sandbox else _url(env, "DRIP_API_URL") or DRIP_API_URL,
        public_url=public_url or _listening_url(port),
        public_url_is_set=bool(public_url),
        sandbox=sandbox,
        max_payload_bytes=_number(env, "MAX_PAYLOAD_BYTES", 5_000_000, 1, 100_000_000),
        single_requests_per_hour=_number(env, "SINGLE_REQUESTS_PER_HOUR", 3600, 1),
        batch_requests_per_hour=_number(env, "BATCH_REQUESTS_PER_HOUR", 50, 0),
        payload_retention_days=_number(env, "PAYLOAD_RETENTION_DAYS", 30, 1, 36_500),
        dead_retention_days=_number(env, "DEAD_RETENTION_DAYS", 90, 1, 36_500),
        row_retention_days=_number(env, "ROW_RETENTION_DAYS", 90, 1, 36_500),
        metrics_token=env.str("METRICS_TOKEN", ""),
        admin_password=_admin_password(env, faults),
        secret_key=env.str("SECRET_KEY", "").strip(),
        alert_url=_alert_url(env, faults),
        sentry_dsn=_sentry_dsn(env, faults),
        port=port,
        web_concurrency=_number(env, "WEB_CONCURRENCY", 1, 1, 64),
        log_level=_log_level(env, faults),
    )
    faults.add_environ(env)
    _check_stores(settings, faults)
    faults.raise_if_any()
    return settings


class _Faults:
    """Gathers what is wrong, so that a person mends it in one go."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def add(self, setting: str, why: str) -> None:
        self.messages.append(f"{setting}: {why}")

    def add_environ(self, env: Env) -> None:
        try:
            env.seal()
        except EnvValidationError as error:
            for setting, why in dotted(error.error_messages).items():
                self.add(setting, " ".join(why))

    def raise_if_any(self) -> None:
        if self.messages:
            raise SettingsError("\n".join(self.messages))


# A variable that is set but blank counts as unset, but for the secrets: platforms' forms and compose files leave such behind.


def _number(env: Env, name: str, default: int, least: int, most: int | None = None) -> int:
    if not env.str(name, "").strip():
        return default
    number: int | None = env.int(name, validate=validate.Range(least, most))
    return default if number is None else number


def _url(env: Env, name: str) -> str:
    if not env.str(name, "").strip():
        return ""
    url: str | None = env.str(name, validate=lambda value: _check_url(value.strip()))
    return (url or "").strip().rstrip("/")


def _log_level(env: Env, faults: _Faults) -> str:
    level: str = env.str("LOG_LEVEL", "").strip().upper() or "INFO"
    if level not in LOG_LEVELS:
        faults.add("LOG_LEVEL", f"is none of {', '.join(LOG_LEVELS)}")
        return "INFO"
    return level


def _admin_password(env: Env, faults: _Faults) -> str:
    password: str = env.str("ADMIN_PASSWORD", "")
    if password and not password.strip():
        faults.add("ADMIN_PASSWORD", "is blank, so that anybody could log in: make a long one up, or leave it unset")
    return password


def _alert_url(env: Env, faults: _Faults) -> str:
    url: str = env.str("ALERT_URL", "").strip()
    if url and (why := why_no_address(url)):
        faults.add("ALERT_URL", why)
    return url


def _sentry_dsn(env: Env, faults: _Faults) -> str:
    dsn: str = env.str("SENTRY_DSN", "").strip()
    if dsn and (why := why_no_dsn(dsn)):
        faults.add("SENTRY_DSN", why)
    return dsn


def _check_url(value: str) -> None:
    if not absolute_url(value):
        raise ValidationError("is no absolute http(s) address, such as https://shop.example")


def _check_template(value: str) -> None:
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(value) if name is not None}
    except ValueError as error:
        raise ValidationError(f"is no template: {error}") from None
    if names - _TEMPLATE_FIELDS:
        raise ValidationError(
            f"takes only {{order_id}}, {{order_public_id}} and {{token}}, not {', '.join(sorted(names - _TEMPLATE_FIELDS))}"
        )
    _check_url(value.format(order_id="1", order_public_id="1", token="1"))  # noqa: S106


def _public_url(env: Env) -> str:
    """PUBLIC_URL, or the address in Heroku's dyno metadata."""
    if url := _url(env, "PUBLIC_URL"):
        return url
    host = env.str("HEROKU_APP_DEFAULT_DOMAIN_NAME", "")
    return f"https://{host}" if host else ""


def _listening_url(port: int | None) -> str:
    return f"http://127.0.0.1:{port or DEFAULT_PORT}"


def _sandbox_account(env: Env, faults: _Faults) -> Account:
    if given := [name for name in ("DRIP_ACCOUNT_ID", "DRIP_API_KEY", "DRIP_ACCESS_TOKEN") if env.str(name, "")]:
        faults.add(", ".join(given), "unset for --sandbox, which sends to the stand-in; or leave --sandbox away to send to Drip")
    return Account(id=SANDBOX_ACCOUNT, token=SANDBOX_ACCOUNT)


def _account(env: Env, faults: _Faults) -> Account | None:
    return _drip_account(env.str("DRIP_ACCOUNT_ID", ""), env.str("DRIP_API_KEY", ""), env.str("DRIP_ACCESS_TOKEN", ""), "", faults)


def _drip_account(account_id: str, api_key: str, access_token: str, table: str, faults: _Faults) -> Account | None:
    """The account of three settings; `table` is the store's in STORES, or blank for the environment's variables."""
    names = [f"{table}.{name}" if table else name.upper() for name in ("drip_account_id", "drip_api_key", "drip_access_token")]
    account_id, api_key, access_token = account_id.strip(), api_key.strip(), access_token.strip()
    if not (account_id or api_key or access_token):
        return None
    if not account_id:
        faults.add(names[0], f"missing beside {names[1] if api_key else names[2]}: Drip shows it under Settings > Account > General Info")
    elif not _ACCOUNT_ID.fullmatch(account_id):
        faults.add(names[0], "is no account id: digits and letters only")
    elif not (api_key or access_token):
        faults.add(names[1], f"missing beside {names[0]}: Drip shows it under User Settings > General Info; or set {names[2]}")
    elif api_key and access_token:
        faults.add(names[2], f"set beside {names[1]}: keep one of them")
    elif not _TOKEN.fullmatch(access_token or api_key):
        faults.add(names[2] if access_token else names[1], "holds a space or a character that no token has: copy it from Drip again")
    elif access_token:
        return Account(id=account_id, token=access_token, auth="bearer", id_setting=names[0], token_setting=names[2])
    else:
        return Account(id=account_id, token=api_key, id_setting=names[0], token_setting=names[1])
    return None


def _database_url(env: Env, faults: _Faults, default: str) -> str:
    url: str = env.str("DATABASE_URL", "").strip() or default
    scheme, _, rest = url.partition("://")
    if scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        return _postgresql_url(f"postgresql+psycopg://{rest}", faults)
    if scheme != "sqlite" or not rest.startswith("/"):
        faults.add("DATABASE_URL", "begins with neither sqlite:/// nor postgresql://")
        return DEFAULT_DATABASE_URL
    if rest.partition("?")[0] in ("/", "/:memory:"):
        faults.add("DATABASE_URL", "names no file: the inbox must outlive the process, as in sqlite:///adapter.db")
    platform = next((mark for mark in _EPHEMERAL_MARKS if env.str(mark, "")), None)
    if platform and not env.bool("ALLOW_EPHEMERAL", False):
        faults.add(
            "DATABASE_URL",
            f"is SQLite, but this platform ({platform} is set) forgets its disk at every restart and orders would be lost: "
            "attach PostgreSQL, or set ALLOW_EPHEMERAL=1 if the file lies on a disk that stays",
        )
    return url


def _postgresql_url(url: str, faults: _Faults) -> str:
    try:
        make_url(url)
    except (ArgumentError, ValueError):  # whose messages may quote the password
        faults.add("DATABASE_URL", "cannot be read; it is postgresql://USER:PASSWORD@HOST:PORT/NAME, with %40 for an @ in the password")
    return url


class _Text(fields.String):
    """A text of a TOML table; a number there has lost its quotes."""

    default_error_messages = {"invalid": "is no text: put it in quotes", "required": "missing"}  # noqa: RUF012 - marshmallow's way


def _check_secret(value: str) -> None:
    if not value.strip():
        raise ValidationError("is empty: anybody could sign with it")


def _check_token(value: str) -> None:
    if not _TOKEN.fullmatch(value):
        raise ValidationError("holds a space or a character that no key has: copy it again")


def _check_public_key(value: str) -> None:
    if not is_public_key(value):
        raise ValidationError("is no public RSA key in PEM, beginning with -----BEGIN PUBLIC KEY-----")


class StoreTable(Schema):
    """A table `[stores.NAME]` of STORES; what it does not know is an error."""

    class Meta:
        unknown = RAISE

    error_messages = {"unknown": "is no setting of a store"}  # noqa: RUF012

    provider = _Text(required=True, validate=validate.OneOf(sorted(PROVIDERS)))
    secret = _Text(validate=_check_secret)
    secret_previous = _Text()
    auth = _Text()
    signature_header = _Text(validate=validate.Regexp(r"[A-Za-z0-9-]+\Z"))
    username = _Text()
    adobe_client_id = _Text()
    public_key = _Text(validate=_check_public_key)
    aliases = fields.List(_Text())
    drip_account_id = _Text()
    drip_api_key = _Text()
    drip_access_token = _Text()
    drip_provider = _Text(validate=validate.Regexp(_SNAKE.pattern + r"\Z", error="is not lower snake case, such as my_store"))
    store_url = fields.Raw()
    person_id = _Text()
    order_id = _Text(validate=validate.OneOf(["entity_id", "increment_id"]))
    currency = _Text(validate=validate.OneOf(["shop", "presentment"]))
    order_url_template = _Text(validate=_check_template)
    placeholder_image = _Text(validate=_check_url)
    custom_attributes = fields.Dict(keys=_Text(), values=_Text())
    fee_keys = fields.List(_Text())
    forward_test_orders = fields.Boolean()
    forward_child_orders = fields.Boolean()
    forward_unpaid = fields.Boolean()
    ignore_orders_before = fields.Raw()
    consent = _Text(validate=validate.OneOf(["send", "ignore"]))
    vocabulary = _Text(validate=validate.OneOf(["contract", "lifecycle"]))
    api_url = _Text(validate=_check_url)
    api_version = _Text(validate=validate.Regexp(r"\d{4}-\d{2}\Z", error="is no version of Shopify's API, such as 2026-10"))
    access_token = _Text(validate=_check_token)
    access_token_secret = _Text(validate=_check_token)
    client_id = _Text(validate=_check_token)
    client_secret = _Text(validate=_check_token)
    consumer_key = _Text(validate=_check_token)
    consumer_secret = _Text(validate=_check_token)
    look_up_products = fields.Boolean()
    media_url = _Text(validate=_check_url)
    url_suffix = _Text()
    brand_attribute = _Text()
    store_codes = fields.Dict(keys=_Text(), values=_Text())

    @validates_schema
    def check_pairs(self, table: dict[str, Any], **kwargs: Any) -> None:
        for one, other in _PAIRS:
            for name, beside in ((one, other), (other, one)):
                alone = table.get(beside) and not table.get(name)
                if alone and not (beside == "access_token"):  # a token may do without its secret
                    raise ValidationError(f"missing beside {beside}", name)

    @validates_schema(skip_on_field_errors=False)
    def check_auth(self, table: dict[str, Any], **kwargs: Any) -> None:
        if table.get("provider") not in PROVIDERS:
            return
        schemes = PROVIDERS[table["provider"]].schemes
        if table.get("auth", next(iter(schemes))) not in schemes:
            raise ValidationError(f"must be one of: {', '.join(schemes)}", "auth")
        auth = table.get("auth", "")
        needed = _NEEDED_BY_AUTH.get(auth, ("secret",))
        if missing := [name for name in needed if not table.get(name)]:
            raise ValidationError({name: [f'missing beside auth = "{auth}"' if auth else "missing"] for name in missing})

    @validates_schema
    def check_names(self, table: dict[str, Any], **kwargs: Any) -> None:
        if taken := sorted(DRIP_ORDER_NAMES & set(table.get("custom_attributes", {}))):
            raise ValidationError(f"Drip gives {', '.join(taken)} a meaning of its own: choose another name", "custom_attributes")


def _store_tables(env: Env, faults: _Faults) -> dict[str, dict[str, Any]]:
    """The tables of STORES, and one for each platform whose secret is in the environment."""
    tables: dict[str, dict[str, Any]] = {}
    for name in PROVIDERS:
        prefix = name.upper()
        secret = env.str(f"{prefix}_WEBHOOK_SECRET", None)
        if secret is not None:
            given = {
                "secret_previous": env.str(f"{prefix}_WEBHOOK_SECRET_PREVIOUS", ""),
                "store_url": env.str(f"{prefix}_STORE_URL", ""),
                **_api_variables(env, name),
            }
            tables[name] = {"provider": name, "secret": secret} | {key: value for key, value in given.items() if value}
    for name, table in _stores_toml(env, faults).items():
        if name in tables:
            faults.add(f"STORES: stores.{name}", f"is configured twice: unset {name.upper()}_WEBHOOK_SECRET or rename the table")
        elif not _STORE_NAME.fullmatch(name):
            faults.add(f"STORES: stores.{name}", "a store's name stands in its address: lower-case letters, digits, - and _")
        else:
            tables[name] = table if isinstance(table, dict) else {}
    return tables


def _api_variables(env: Env, provider: str) -> dict[str, str]:
    """What opens the API of a platform's one store: setting -> value, blank where unset."""
    given = {}
    for key in _API_VARIABLES.get(provider, ()):
        name = f"{provider.upper()}_{key.upper()}"
        given[key] = env.str(name, "").strip()
    return given


def _stores_toml(env: Env, faults: _Faults) -> dict[str, Any]:
    text: str = env.str("STORES", "").strip()
    if not text:
        return {}
    try:
        if "\n" not in text and "=" not in text:
            text = Path(text).read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        # What was given is not repeated: it may be text with secrets in it that was meant to be TOML.
        faults.add("STORES", f"is taken for the path of a file, which cannot be read ({error.strerror}); it is a path, or the TOML itself")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.add("STORES", f"is no TOML: {error}")
        return {}
    stores = document.pop("stores", {})
    if document:
        faults.add("STORES", f"holds {', '.join(sorted(document))} beside the tables [stores.NAME]")
    if not isinstance(stores, dict):
        faults.add("STORES", "holds no tables [stores.NAME]")
        return {}
    return stores


def _sandbox_table(provider: str) -> dict[str, Any]:
    table = {"provider": provider, "secret": SANDBOX_ACCOUNT}
    return table | ({"store_url": "https://shop.example"} if PROVIDERS[provider].needs_address else {})


def _store(name: str, table: dict[str, Any], public_url: str, default: Account | None, faults: _Faults, *, sandbox: bool) -> Store | None:
    setting = _setting_names(name, table)
    try:
        loaded: dict[str, Any] = StoreTable().load(table)
    except ValidationError as error:
        for path, why in dotted(error.messages).items():
            faults.add(setting(path), " ".join(why))
        return None
    provider = PROVIDERS[loaded["provider"]]
    addresses = _addresses(loaded.get("store_url", ""), provider, setting, faults)
    own_id, own_key, own_token = (loaded.get(key, "") for key in ("drip_account_id", "drip_api_key", "drip_access_token"))
    own = _drip_account(own_id, own_key, own_token, setting(""), faults)
    if sandbox and own:
        faults.add(setting("drip_account_id"), "unset for --sandbox, which sends to the stand-in and never to Drip")
    return Store(
        name=name,
        provider=provider,
        auth=loaded.get("auth", ""),
        credentials=Credentials(
            secrets=tuple(loaded[key] for key in ("secret", "secret_previous") if loaded.get(key)),
            header=loaded.get("signature_header", ""),
            username=loaded.get("username", ""),
            client_id=loaded.get("adobe_client_id", ""),
            public_key=loaded.get("public_key", ""),
            fetch_key=AdobeKeys() if loaded.get("auth") == "adobe_io" else None,
        ),
        options=Options(
            public_url=public_url,
            store_url=addresses.get("", ""),
            store_urls={view: url for view, url in addresses.items() if view},
            ignore_orders_before=_moment(loaded.get("ignore_orders_before"), setting, faults),
            fee_keys=tuple(loaded.get("fee_keys", ())),
            **{key: loaded[key] for key in _PLAIN_OPTIONS if key in loaded},
        ),
        account=own or default,
        aliases=tuple(loaded.get("aliases", ())),
        api=_api(loaded),
        secret_setting=setting(_NEEDED_BY_AUTH.get(loaded.get("auth", ""), ("secret",))[0]),
    )


def _setting_names(name: str, table: dict[str, Any]) -> Callable[[str], str]:
    """How a store's settings are called where it was configured."""
    if os.environ.get(f"{name.upper()}_WEBHOOK_SECRET") is not None and name == table.get("provider"):
        prefix = name.upper()
        own = {"secret": f"{prefix}_WEBHOOK_SECRET", "secret_previous": f"{prefix}_WEBHOOK_SECRET_PREVIOUS"}
        return lambda key: own.get(key, f"{prefix}_{key.upper()}")
    return lambda key: f"STORES: stores.{name}.{key}".rstrip(".")


def _api(loaded: Mapping[str, Any]) -> ApiSettings:
    given: dict[str, Any] = {ours: loaded[key] for key, ours in _API_SETTINGS.items() if key in loaded}
    return ApiSettings(**given | {"url": given.get("url", "").rstrip("/")})


def _addresses(value: Any, provider: Provider, setting: Callable[[str], str], faults: _Faults) -> dict[str, str]:
    """The store's addresses by store view; the one without a view under ""."""
    addresses = {str(view): str(url) for view, url in value.items()} if isinstance(value, dict) else {"": str(value)}
    for view, url in addresses.items():
        if url and not absolute_url(url):
            faults.add(setting("store_url"), f"{view} {url!r} is no absolute http(s) address, such as https://shop.example".strip())
    if provider.needs_address and not any(addresses.values()):
        faults.add(setting("store_url"), f"missing: no payload of {provider.title} holds the store's address, such as https://shop.example")
    return addresses


def _moment(value: Any, setting: Callable[[str], str], faults: _Faults) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value)) if value is not None else None
    except ValueError:
        faults.add(setting("ignore_orders_before"), f"{value!r} is no date or time, such as 2026-01-31")
        return None
    return moment and (moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _check_stores(settings: Settings, faults: _Faults) -> None:
    """What no single store can know: names taken twice, accounts with two tokens, and orders that would collide at Drip."""
    accounts: dict[str, Account] = {}
    seen: dict[tuple[str, str], str] = {}
    names = [name for store in settings.stores.values() for name in store.names]
    for name in sorted({name for name in names if names.count(name) > 1}):
        faults.add(f"STORES: stores.{name}", "is the name or an alias of two stores")
    for store in settings.stores.values():
        if store.account is None:
            continue
        known = accounts.setdefault(store.account.id, store.account)
        if known != store.account:
            faults.add(store.account.token_setting, f"is not what {known.token_setting} holds, for the same account {known.id}")
        key = (store.account.id, store.options.drip_provider or store.provider.name)
        if key in seen and store.provider.name != "shopify":
            faults.add(
                f"STORES: stores.{store.name}.drip_provider",
                f"missing: {store.name} and {seen[key]} feed one Drip account as {key[1]!r}, and their order ids collide; "
                "give one of them a drip_provider of its own, such as my_store",
            )
        seen[key] = store.name
