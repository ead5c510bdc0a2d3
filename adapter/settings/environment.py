"""Reads the environment, once, and reports every problem in one message."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from environs import Env

from adapter.settings.accounts import drip_account
from adapter.settings.addresses import NOBODY, Networks, is_loopback, networks_of
from adapter.settings.checks import check_url
from adapter.settings.problems import SettingsProblems
from adapter.settings.secrets import SHORTEST, SHORTEST_KEY, payload_key, why_unusable
from adapter.settings.stores import check_stores, sandbox_table, store_of, store_tables
from adapter.settings.values import (
    DEFAULT_DATABASE_URL,
    DEFAULT_PORT,
    DRIP_API_URL,
    SANDBOX_ACCOUNT,
    SANDBOX_DATABASE_URL,
    Account,
    Settings,
)
from mappings import PROVIDERS, Limits

# Platforms that set one of these lose their disk at every restart. On all of them requests come from a router in a private network.
_EPHEMERAL_MARKS = ("DYNO", "K_SERVICE", "RENDER", "RAILWAY_ENVIRONMENT", "FLY_APP_NAME")
Checks = Mapping[str, Callable[[str], str]]
# Where platforms tell an app its address: Heroku's dyno metadata, Render's and Railway's default variables, and Fly's app name.
_PLATFORM_URLS = {
    "HEROKU_APP_DEFAULT_DOMAIN_NAME": "https://{}",
    "RENDER_EXTERNAL_URL": "{}",
    "RAILWAY_PUBLIC_DOMAIN": "https://{}",
    "FLY_APP_NAME": "https://{}.fly.dev",
}
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def read_settings(
    *,
    sandbox: bool = False,
    sandbox_url: str = "",
    listening_url: str = "",
    maybe_sandbox: bool = False,
    checks: Checks = MappingProxyType({}),
) -> Settings:
    """Read the environment; raises `SettingsError` with every problem found.

    With `sandbox`, orders go to the sandbox at `sandbox_url` instead of Drip: credentials for Drip are refused, and if no store is
    configured, each platform gets one whose secret is `sandbox`. `listening_url` is the adapter's address unless PUBLIC_URL is set. With
    `maybe_sandbox` webhook secrets may be of any length and a store may lack its API, as with the sandbox.
    `checks` are for settings that only their user can judge, by name: each takes the value, which isn't blank, and returns what is wrong
    with it, or "".
    """
    env = Env(eager=False)
    problems = SettingsProblems()
    port = _number(env, "PORT", problems, 0, 1, 65535) or None
    public_url = _public_url(env)
    listens_at = listening_url or (f"http://0.0.0.0:{port}" if port else "")
    public = any(address and not is_loopback(address) for address in (public_url, listens_at))
    listening_url = listening_url or f"http://127.0.0.1:{port or DEFAULT_PORT}"
    account = _sandbox_account(env, problems) if sandbox else _account(env, problems)
    limits = Limits(
        orders=_number(env, "MAX_ORDERS_PER_PAYLOAD", problems, 2_000, 1, 100_000),
        lines=_number(env, "MAX_LINES_PER_ORDER", problems, 5_000, 1, 100_000),
        nesting=_number(env, "MAX_NESTING", problems, 100, 10, 200),
    )
    tables = store_tables(env, problems)
    unconfigured = sandbox and not tables
    if unconfigured:
        tables = {name: sandbox_table(name) for name in PROVIDERS}
    stores = {
        name: store
        for name, table in tables.items()
        if (
            store := store_of(
                name, table, public_url or listening_url, account, problems, limits=limits, sandbox=sandbox, maybe_sandbox=maybe_sandbox
            )
        )
    }
    if unconfigured:
        unset = f"_WEBHOOK_SECRET (unset, so it is {SANDBOX_ACCOUNT!r})"
        stores = {name: replace(store, secret_setting=f"{name.upper()}{unset}") for name, store in stores.items()}
    settings = Settings(
        stores=stores,
        database_url=_database_url(env, checks, problems, SANDBOX_DATABASE_URL if sandbox else DEFAULT_DATABASE_URL),
        drip_api_url=sandbox_url if sandbox else _url(env, "DRIP_API_URL") or DRIP_API_URL,
        public_url=public_url or listening_url,
        public_url_is_set=bool(public_url),
        sandbox=sandbox,
        max_payload_bytes=_number(env, "MAX_PAYLOAD_BYTES", problems, 5_000_000, 1, 100_000_000),
        mapping_timeout_s=_number(env, "MAPPING_TIMEOUT_S", problems, 10, 1, 60),
        single_requests_per_hour=_number(env, "SINGLE_REQUESTS_PER_HOUR", problems, 3600, 1),
        batch_requests_per_hour=_number(env, "BATCH_REQUESTS_PER_HOUR", problems, 50, 0),
        payload_retention_days=_number(env, "PAYLOAD_RETENTION_DAYS", problems, 30, 1, 36_500),
        dead_retention_days=_number(env, "DEAD_RETENTION_DAYS", problems, 90, 1, 36_500),
        row_retention_days=_number(env, "ROW_RETENTION_DAYS", problems, 90, 1, 36_500),
        payload_keys=_payload_keys(env, problems),
        trusted_proxies=_trusted_proxies(env, problems),
        status_open_to=_one_of(env, "STATUS_OPEN_TO", ("", "loopback", "everyone"), problems),
        metrics_token=_secret(env, "METRICS_TOKEN", problems),
        admin_password=_admin_password(env, problems, public=public),
        session_idle_hours=_number(env, "SESSION_IDLE_HOURS", problems, 12, 1, 8760),
        session_days=_number(env, "SESSION_DAYS", problems, 7, 1, 365),
        secret_key=_secret(env, "SECRET_KEY", problems, SHORTEST_KEY),
        alert_url=_checked(env, "ALERT_URL", checks, problems),
        sentry_dsn=_checked(env, "SENTRY_DSN", checks, problems),
        port=port,
        web_concurrency=_number(env, "WEB_CONCURRENCY", problems, 2, 1, 64),
        log_level=_log_level(env, problems),
    )
    problems.add_environ(env)
    check_stores(settings, problems)
    problems.raise_if_any()
    return settings


# A blank variable counts as unset, except for secrets: platforms' forms and compose files leave blank ones behind.


def _number(env: Env, name: str, problems: SettingsProblems, default: int, least: int, most: int | None = None) -> int:
    text: str = env.str(name, "").strip()
    if not text:
        return default
    try:
        number = int(text)
    except ValueError:
        problems.add(name, "isn't a whole number")
        return default
    if number < least or (most is not None and number > most):
        problems.add(name, f"isn't {least} or more" if most is None else f"isn't {least} to {most}")
    return number


def _url(env: Env, name: str) -> str:
    if not env.str(name, "").strip():
        return ""
    url: str | None = env.str(name, validate=lambda value: check_url(value.strip()))
    return (url or "").strip().rstrip("/")


def _log_level(env: Env, problems: SettingsProblems) -> str:
    level: str = env.str("LOG_LEVEL", "").strip().upper() or "INFO"
    if level not in LOG_LEVELS:
        problems.add("LOG_LEVEL", f"isn't one of {', '.join(LOG_LEVELS)}")
        return "INFO"
    return level


def _one_of(env: Env, name: str, choices: Sequence[str], problems: SettingsProblems) -> Any:
    value: str = env.str(name, "").strip().lower()
    if value not in choices:
        problems.add(name, f"isn't one of {', '.join(filter(None, choices))}")
    return value


def _trusted_proxies(env: Env, problems: SettingsProblems) -> Networks:
    """TRUSTED_PROXIES; on a platform whose router is the only way in, the private networks, where that router is."""
    text: str = env.str("TRUSTED_PROXIES", "").strip()
    if not text:
        return Networks(private=any(env.str(mark, "") for mark in _EPHEMERAL_MARKS))
    try:
        return networks_of(text)
    except ValueError:
        problems.add("TRUSTED_PROXIES", "isn't a list of IP addresses or networks, such as private, 203.0.113.7, 2001:db8::/32")
        return NOBODY


def _secret(env: Env, name: str, problems: SettingsProblems, shortest: int = SHORTEST) -> str:
    secret: str = env.str(name, "")
    if secret and (why := why_unusable(secret, blank="is blank; set a value, or unset it", shortest=shortest)):
        problems.add(name, why)
    return secret.strip()


def _payload_keys(env: Env, problems: SettingsProblems) -> tuple[bytes, ...]:
    """PAYLOAD_KEYS, separated by commas. A key that was set and can't be used must not leave payloads unencrypted."""
    text: str = env.str("PAYLOAD_KEYS", "")
    keys = [payload_key(one) for one in text.split(",")] if text.strip() else []
    if None in keys:
        place = f"key {keys.index(None) + 1} of {len(keys)}" if len(keys) > 1 else "the key"
        problems.add("PAYLOAD_KEYS", f"{place} isn't 64 hexadecimal digits, as openssl rand -hex 32 prints them; separate keys with commas")
    return tuple(key for key in keys if key is not None)


def _admin_password(env: Env, problems: SettingsProblems, *, public: bool) -> str:
    """ADMIN_PASSWORD. A short one is accepted where only this machine can try it; `serve` and `check` warn about it."""
    password: str = env.str("ADMIN_PASSWORD", "")
    shortest = SHORTEST if public else 1
    blank = "is blank, so anyone could log in; choose a long password, or unset it"
    if password and (why := why_unusable(password, blank=blank, shortest=shortest)):
        problems.add("ADMIN_PASSWORD", why)
    return password.strip()


def _checked(env: Env, name: str, checks: Checks, problems: SettingsProblems) -> str:
    value: str = env.str(name, "").strip()
    if value:
        _check(name, value, checks, problems)
    return value


def _check(name: str, value: str, checks: Checks, problems: SettingsProblems) -> None:
    if name in checks and (why := checks[name](value)):
        problems.add(name, why)


def _public_url(env: Env) -> str:
    """PUBLIC_URL, or the address that the platform itself gives."""
    if url := _url(env, "PUBLIC_URL"):
        return url
    for name, url in _PLATFORM_URLS.items():
        if value := env.str(name, "").strip():
            return url.format(value).rstrip("/")
    return ""


def _sandbox_account(env: Env, problems: SettingsProblems) -> Account:
    if given := [name for name in ("DRIP_ACCOUNT_ID", "DRIP_API_KEY", "DRIP_ACCESS_TOKEN") if env.str(name, "")]:
        problems.add(", ".join(given), "set together with --sandbox, which sends nothing to Drip; unset this, or leave out --sandbox")
    return Account(id=SANDBOX_ACCOUNT, token=SANDBOX_ACCOUNT)


def _account(env: Env, problems: SettingsProblems) -> Account | None:
    return drip_account(env.str("DRIP_ACCOUNT_ID", ""), env.str("DRIP_API_KEY", ""), env.str("DRIP_ACCESS_TOKEN", ""), "", problems)


def _database_url(env: Env, checks: Checks, problems: SettingsProblems, default: str) -> str:
    url: str = env.str("DATABASE_URL", "").strip() or default
    scheme, _, rest = url.partition("://")
    if scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        url = f"postgresql+psycopg://{rest}"
        _check("DATABASE_URL", url, checks, problems)
        return url
    if scheme != "sqlite" or not rest.startswith("/"):
        problems.add("DATABASE_URL", "must begin with sqlite:/// or postgresql://")
        return DEFAULT_DATABASE_URL
    if rest.partition("?")[0] in ("/", "/:memory:"):
        problems.add("DATABASE_URL", "names no file, and the inbox must outlive the process; write a path, as in sqlite:///adapter.db")
    platform = next((mark for mark in _EPHEMERAL_MARKS if env.str(mark, "")), None)
    if platform and not env.bool("ALLOW_EPHEMERAL", False):
        problems.add(
            "DATABASE_URL",
            f"is SQLite, but this platform ({platform} is set) loses its disk at every restart, and orders with it; "
            "attach PostgreSQL, or set ALLOW_EPHEMERAL=1 if the file is on a persistent disk",
        )
    return url
