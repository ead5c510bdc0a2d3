"""`check`: what is wrong with the set-up, and how to mend it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import requests
from sqlalchemy import Engine

from adapter.errors import DatabaseAway
from adapter.inbox.database import is_migrated, snapshot
from adapter.overview import overview
from adapter.settings import Account, Settings

_TIMEOUT_S = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `ok` is None for what is worth knowing but no fault."""

    what: str
    ok: bool | None
    say: str


def look(settings: Settings, engine: Engine) -> Iterator[Finding]:
    """Look at settings, database, Drip and stores."""
    yield from _stores(settings)
    yield from _address(settings)
    yield from _database(settings, engine)
    for account in settings.accounts.values():
        yield _drip(settings, account)
    if not settings.accounts:
        yield Finding("drip", False, "no Drip account: set DRIP_ACCOUNT_ID and DRIP_API_KEY; until then deliveries are kept and wait")


def _stores(settings: Settings) -> Iterator[Finding]:
    if not settings.stores:
        names = "SHOPIFY_WEBHOOK_SECRET, WOOCOMMERCE_WEBHOOK_SECRET or MAGENTO_WEBHOOK_SECRET"
        yield Finding("stores", False, f"no store is configured: set {names}, or STORES")
    for store in settings.stores.values():
        yield Finding(
            f"store {store.name}", True, f"{store.provider.title}; its webhooks go to {settings.public_url}/webhooks/{store.name}"
        )


def _address(settings: Settings) -> Iterator[Finding]:
    if not settings.public_url_is_set:
        yield Finding(
            "address",
            None,
            f"PUBLIC_URL is not set: product pictures we lack would be shown from {settings.public_url}, which shoppers cannot reach",
        )


def _database(settings: Settings, engine: Engine) -> Iterator[Finding]:
    kind = engine.dialect.name
    try:
        if not is_migrated(engine):
            yield Finding("database", False, f"{kind} answers but its schema is not up to date: run drip-adapter migrate")
            return
        with snapshot(engine) as connection:
            report = overview(connection, settings, datetime.now(UTC))
    except DatabaseAway as error:
        yield Finding("database", False, str(error))
        return
    yield Finding("database", True, f"{kind} is up to date")
    for why in report["why"]:
        yield Finding("orders", False, why)
    for name, store in report["stores"].items():
        for reason, seen in store["refused"].items():
            setting = settings.stores[name].secret_setting if name in settings.stores else "its secret"
            yield Finding(
                f"store {name}",
                None,
                f"{seen['count']} requests refused, the last at {seen['last_at']}: signature {reason}; compare {setting} with the store's",
            )


def _drip(settings: Settings, account: Account) -> Finding:
    """Ask Drip who we are; reading the account changes nothing there."""
    what = f"drip account {account.id}"
    auth = None if account.auth == "bearer" else (account.token, "")
    headers = {"Authorization": f"Bearer {account.token}"} if account.auth == "bearer" else {}
    try:
        address = f"{settings.drip_api_url}/v2/accounts/{account.id}"
        response = requests.get(address, auth=auth, headers=headers, timeout=_TIMEOUT_S, allow_redirects=False)
    except requests.RequestException as error:
        return Finding(what, False, f"no answer from {settings.drip_api_url} ({type(error).__name__}): check DRIP_API_URL and the network")
    if response.ok:
        return Finding(what, True, "Drip takes the credentials")
    setting = "DRIP_ACCESS_TOKEN" if account.auth == "bearer" else "DRIP_API_KEY"
    return Finding(what, False, f"Drip answered {response.status_code}: check DRIP_ACCOUNT_ID and {setting}")
