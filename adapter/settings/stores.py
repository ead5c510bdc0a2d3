"""The stores, from STORES and from each platform's variables."""

import os
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from environs import Env
from marshmallow import ValidationError

from adapter.settings.accounts import drip_account
from adapter.settings.problems import SettingsProblems
from adapter.settings.secrets import usable
from adapter.settings.table import NEEDED_BY_AUTH, load_table
from adapter.settings.values import SANDBOX_ACCOUNT, Account, ApiSettings, Settings, Store
from mappings import PROVIDERS, Credentials, Limits, Options, Provider, absolute_url, dotted

_STORE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_PLAIN_OPTIONS = (
    "drip_provider", "person_id", "order_id", "currency", "order_url_template", "placeholder_image", "custom_attributes",
    "forward_test_orders", "forward_child_orders", "forward_unpaid", "consent", "vocabulary",
)  # fmt: skip
# Option of a store -> its name in `ApiSettings`.
_API_SETTINGS = {
    "api_url": "url", "api_version": "version", "access_token": "access_token", "access_token_secret": "access_token_secret",
    "client_id": "client_id", "client_secret": "client_secret", "consumer_key": "consumer_key", "consumer_secret": "consumer_secret",
    "look_up_products": "look_up_products", "media_url": "media_url", "url_suffix": "url_suffix", "brand_attribute": "brand_attribute",
    "store_codes": "store_codes",
}  # fmt: skip


def store_tables(env: Env, problems: SettingsProblems) -> dict[str, dict[str, Any]]:
    """The tables of STORES, and one for each platform whose secret is set as a variable."""
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
    for name, table in _stores_toml(env, problems).items():
        if name in tables:
            problems.add(f"STORES: stores.{name}", f"is configured twice; unset {name.upper()}_WEBHOOK_SECRET, or rename the table")
        elif not _STORE_NAME.fullmatch(name):
            problems.add(
                f"STORES: stores.{name}",
                "isn't a store name: only lower-case letters, digits, - and _ are allowed",
            )
        else:
            tables[name] = table if isinstance(table, dict) else {}
    return tables


def sandbox_table(provider: str) -> dict[str, Any]:
    """The table of a store that `serve --sandbox` opens for a platform if none is configured; its secret is no secret."""
    table = {"provider": provider, "secret": SANDBOX_ACCOUNT}
    return table | ({"store_url": "https://shop.example"} if PROVIDERS[provider].needs_address else {})


def store_of(
    name: str,
    table: dict[str, Any],
    public_url: str,
    default: Account | None,
    problems: SettingsProblems,
    *,
    limits: Limits,
    sandbox: bool,
    maybe_sandbox: bool,
) -> Store | None:
    """The store of a table, or None if the table is invalid. `default` is the Drip account of a store without its own."""
    setting = _setting_names(name, table)
    try:
        loaded = load_table(table, maybe_sandbox=sandbox or maybe_sandbox)
    except ValidationError as error:
        for path, why in dotted(error.messages).items():
            problems.add(setting(path), " ".join(why))
        return None
    provider = PROVIDERS[loaded["provider"]]
    addresses = _addresses(loaded.get("store_url", ""), provider, setting, problems)
    if not (sandbox or maybe_sandbox):
        _check_api(loaded, provider, setting, problems)
    own_id, own_key, own_token = (loaded.get(key, "") for key in ("drip_account_id", "drip_api_key", "drip_access_token"))
    own = drip_account(own_id, own_key, own_token, setting(""), problems)
    if sandbox and own:
        problems.add(setting("drip_account_id"), "set together with --sandbox, which sends nothing to Drip; unset this, or leave that out")
    return Store(
        name=name,
        provider=provider,
        auth=loaded.get("auth", ""),
        credentials=Credentials(
            secrets=usable(loaded.get(key, "") for key in ("secret", "secret_previous")),
            header=loaded.get("signature_header", ""),
            username=loaded.get("username", "").strip(),
            client_id=loaded.get("adobe_client_id", "").strip(),
            public_key=loaded.get("public_key", ""),
        ),
        options=Options(
            limits=limits,
            public_url=public_url,
            local_addresses_allowed=sandbox,
            store_url=addresses.get("", ""),
            store_urls={view: url for view, url in addresses.items() if view},
            ignore_orders_before=_moment(loaded.get("ignore_orders_before"), setting, problems),
            fee_keys=tuple(loaded.get("fee_keys", ())),
            **{key: loaded[key] for key in _PLAIN_OPTIONS if key in loaded},
        ),
        account=own or default,
        aliases=tuple(loaded.get("aliases", ())),
        api=_api(loaded),
        secret_setting=setting(NEEDED_BY_AUTH.get(loaded.get("auth", ""), ("secret",))[0]),
    )


def secret_variables() -> str:
    """The variables that each create a platform's store, for messages."""
    *first, last = (f"{name.upper()}_WEBHOOK_SECRET" for name in PROVIDERS)
    return f"{', '.join(first)} or {last}"


def unknown_store(name: str, known: Iterable[str]) -> str:
    """A message for a name that is none of the known stores'."""
    names = ", ".join(known)
    return f"no store is named {name!r}; there is {names or f'none: set {secret_variables()}, or STORES'}"


def check_stores(settings: Settings, problems: SettingsProblems) -> None:
    """Check stores against each other: names used twice, accounts with two tokens, orders that would collide at Drip."""
    accounts: dict[str, Account] = {}
    seen: dict[tuple[str, str], Store] = {}
    times = Counter(name for store in settings.stores.values() for name in store.names)
    for name in sorted(name for name, number in times.items() if number > 1):
        problems.add(f"STORES: stores.{name}", "is the name or an alias of two stores")
    for store in settings.stores.values():
        if store.account is None:
            continue
        known = accounts.setdefault(store.account.id, store.account)
        if known != store.account:
            problems.add(store.account.token_setting, f"differs from {known.token_setting}, and both are for account {known.id}")
        key = (store.account.id, store.options.drip_provider or store.provider.name)
        other = seen.setdefault(key, store)
        cannot_collide = store.provider is other.provider and store.provider.has_unique_ids
        if other is not store and not cannot_collide:
            problems.add(
                f"STORES: stores.{store.name}.drip_provider",
                f"missing: {store.name} and {other.name} feed the same Drip account as {key[1]!r}, so their order ids would collide; "
                "give one of them its own drip_provider, such as my_store",
            )


def _api_variables(env: Env, provider: str) -> dict[str, str]:
    """API credentials of the one store of a platform: option -> value, blank if unset."""
    given = {}
    for key in PROVIDERS[provider].api_settings:
        name = f"{provider.upper()}_{key.upper()}"
        given[key] = env.str(name, "").strip()
    return given


def _stores_toml(env: Env, problems: SettingsProblems) -> dict[str, Any]:
    text: str = env.str("STORES", "").strip()
    if not text:
        return {}
    try:
        if "\n" not in text and "=" not in text:
            text = Path(text).read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        # The value isn't quoted: it may be meant as TOML and contain secrets.
        problems.add("STORES", f"is neither TOML with tables [stores.NAME] nor the path of a readable file ({error.strerror})")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.add("STORES", f"isn't valid TOML: {error}")
        return {}
    stores = document.pop("stores", {})
    if document:
        problems.add("STORES", f"contains {', '.join(sorted(document))}; only tables [stores.NAME] are allowed")
    if not isinstance(stores, dict):
        problems.add("STORES", "contains no tables [stores.NAME]")
        return {}
    return stores


def _setting_names(name: str, table: dict[str, Any]) -> Callable[[str], str]:
    """The full name of a store's options, as they were configured: a variable, or a key of STORES."""
    if os.environ.get(f"{name.upper()}_WEBHOOK_SECRET") is not None and name == table.get("provider"):
        prefix = name.upper()
        own = {"secret": f"{prefix}_WEBHOOK_SECRET", "secret_previous": f"{prefix}_WEBHOOK_SECRET_PREVIOUS"}
        return lambda key: own.get(key, f"{prefix}_{key.upper()}")
    return lambda key: f"STORES: stores.{name}.{key}".rstrip(".")


def _check_api(loaded: Mapping[str, Any], provider: Provider, setting: Callable[[str], str], problems: SettingsProblems) -> None:
    """A platform whose webhooks contain only an ID needs its API. In the sandbox there is none: whole orders are posted to it."""
    if provider.needs_api:
        why = f"missing: {provider.title}'s webhooks contain only an order's ID, and the rest is read from its API"
        for key in provider.api_settings:
            if not loaded.get(key):
                problems.add(setting(key), why)


def _api(loaded: Mapping[str, Any]) -> ApiSettings:
    given: dict[str, Any] = {
        ours: value.strip() if isinstance(value := loaded[key], str) else value for key, ours in _API_SETTINGS.items() if key in loaded
    }
    return ApiSettings(**given | {"url": given.get("url", "").rstrip("/")})


def _addresses(value: Any, provider: Provider, setting: Callable[[str], str], problems: SettingsProblems) -> dict[str, str]:
    """The store's addresses by store view; under "" the one for all views."""
    addresses = {str(view): str(url) for view, url in value.items()} if isinstance(value, dict) else {"": str(value)}
    for view, url in addresses.items():
        if url and not absolute_url(url):
            problems.add(setting("store_url"), f"{view} {url!r} isn't an absolute http(s) address such as https://shop.example".strip())
    if provider.needs_address and not any(addresses.values()):
        problems.add(
            setting("store_url"), f"missing: {provider.title} payloads don't contain the store's address, such as https://shop.example"
        )
    return addresses


def _moment(value: Any, setting: Callable[[str], str], problems: SettingsProblems) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value)) if value is not None else None
    except ValueError:
        problems.add(setting("ignore_orders_before"), f"{value!r} isn't a date or time such as 2026-01-31")
        return None
    return moment and (moment if moment.tzinfo else moment.replace(tzinfo=UTC))
