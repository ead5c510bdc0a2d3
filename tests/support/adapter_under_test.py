"""The adapter's parts put together for a test: a real database, the real web app, reader and sender, and the sandbox."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine, Row, update
from werkzeug.test import TestResponse

from adapter.delivery import lease as leasing
from adapter.delivery.drip import Drip
from adapter.delivery.lease import Lease
from adapter.delivery.reader import Reader
from adapter.delivery.sender import Sender
from adapter.inbox import accounts, proofs, search
from adapter.inbox.accounts import READER
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.tables import deliveries, leases
from adapter.operations.preview import MAPPER
from adapter.sandbox import RunningSandbox
from adapter.sandbox.state import State
from adapter.settings import Account, Settings, Store
from mappings import PROVIDERS, Credentials, Options
from tests.support.whole_app import create_app

SECRET = "the-secret, with punctuation!"
ACCOUNT = Account(id="9999999", token="drip-token-1234")


class Clock:
    """A clock that stands still until it is moved; a little ahead, so that what was just received is due."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC) + timedelta(minutes=1)

    def __call__(self) -> datetime:
        return self.now

    def sync(self, connection: Connection) -> None:
        """It goes by no other clock."""

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)


def make_settings(drip_url: str, *, account: Account | None = ACCOUNT, **options: Any) -> Settings:
    """One store a platform, all feeding one account. The shops of tests are on this machine, and their pages may be sent."""
    common = {"public_url": "https://adapter.example", "local_addresses_allowed": True, **options}
    stores = {
        name: Store(
            name=name,
            provider=provider,
            credentials=Credentials(secrets=(SECRET,)),
            options=Options(store_url=f"https://{name}-shop.example" if provider.needs_address else "", **common),
            account=account,
            secret_setting=f"{name.upper()}_WEBHOOK_SECRET",
        )
        for name, provider in PROVIDERS.items()
    }
    return Settings(stores=stores, drip_api_url=drip_url, public_url="https://adapter.example", status_open_to="loopback")


def shopify_order(order_id: int = 1001, *, minutes: float = 0, total: str = "100.00", **more: Any) -> dict[str, Any]:
    """A small but whole Shopify order, changed last so many minutes after noon."""
    changed = datetime(2026, 9, 30, 12, 0, tzinfo=UTC) + timedelta(minutes=minutes)
    return {
        "id": order_id,
        "name": f"#{order_id}",
        "email": "ada.shopper@example.com",
        "created_at": "2026-09-30T12:00:00Z",
        "updated_at": changed.isoformat(),
        "currency": "USD",
        "financial_status": "paid",
        "total_price": total,
        "current_total_price": total,
        "order_status_url": f"https://shop.example/orders/{order_id}/authenticate?key=k",
        "line_items": [{"id": 1, "product_id": 7, "variant_id": 8, "title": "Lamp", "price": total, "quantity": 1}],
        **more,
    }


@dataclass
class AdapterUnderTest:
    """Everything at hand; `settle` runs reader and sender until there is nothing left to do."""

    engine: Engine
    settings: Settings
    sandbox_url: str
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.web: FlaskClient = create_app(self.settings, self.engine).test_client()
        # The machine may be busy with other tests, and here no thread renews a lease.
        MAPPER.start_within_s = 30.0
        leasing._FRESH_S = 30.0
        self.reader = Reader(self.engine, self.settings, self.clock)
        self.senders = {name: self.new_sender(account) for name, account in self.settings.accounts.items()}

    def new_reader(self) -> None:
        """As if the process that read had ended."""
        self.reader = Reader(self.engine, self.settings, self.clock)

    def new_sender(self, account: Account) -> Sender:
        with transaction(self.engine) as connection:  # whoever had it is gone
            connection.execute(update(leases).where(leases.c.account == account.id).values(holder=None))
            proofs.set_proved(connection, account.id, account.fingerprint(self.settings.drip_api_url))
        lease = Lease(self.engine, account.id)
        assert lease.acquire()
        drip = Drip(self.settings.drip_api_url, account, self.settings.public_url)
        return Sender(self.engine, self.settings, account, lease=lease, drip=drip, clock=self.clock)

    # --- the store's side

    def post(
        self, document: Any, *, store: str = "shopify", topic: str = "orders/updated", webhook_id: str | None = None, **kw: Any
    ) -> TestResponse:
        """Post a document, or bytes, signed; each call is another webhook unless `webhook_id` says otherwise."""
        payload = document if isinstance(document, bytes) else json.dumps(document).encode()
        provider = self.settings.stores[store].provider
        credentials = Credentials(secrets=(SECRET,))
        self._posted = getattr(self, "_posted", 0) + 1
        headers = {
            **provider.scheme().signed(payload, credentials),
            provider.topic_headers[0]: topic,
            "X-Shopify-Webhook-Id": webhook_id or f"w{self._posted}",
            **kw.pop("headers", {}),
        }
        return self.web.post(f"/webhooks/{store}", data=payload, headers=headers, **kw)

    # --- our side

    def read(self) -> None:
        while self.reader.step() or self.reader.is_fetching:
            pass

    def settle(self) -> None:
        self.read()
        for sender in self.senders.values():
            while sender.step():
                pass

    def rows(self) -> list[Row[Any]]:
        """All deliveries, the oldest first."""
        with snapshot(self.engine) as connection:
            return list(reversed(search.listed(connection, search.filtered(), 100_000)))

    def row(self, delivery_id: int) -> Row[Any]:
        with snapshot(self.engine) as connection:
            [row] = search.listed(connection, deliveries.c.id == delivery_id, 1)
        return row

    def states(self) -> list[str]:
        """`delivered`, or `skipped:stale`: what became of each delivery, the oldest first."""
        return [f"{row.state}:{row.reason}" if row.reason else row.state for row in self.rows()]

    def attempts(self, delivery_id: int) -> list[Row[Any]]:
        with snapshot(self.engine) as connection:
            return list(search.attempts_of(connection, delivery_id))

    def trouble(self, account: str = ACCOUNT.id) -> Row[Any]:
        with snapshot(self.engine) as connection:
            lease = accounts.lease(connection, account)
        assert lease is not None
        return lease

    # --- Drip's side

    def received(self) -> list[dict[str, Any]]:
        """The orders that the sandbox accepted, oldest first."""
        answer = requests.get(f"{self.sandbox_url}/received", params={"limit": "100000"}, timeout=10)
        return [entry["order"] for entry in answer.json()["orders"]]

    def actions(self) -> list[tuple[str, float]]:
        """Action and grand total of each order received."""
        return [(order["action"], order["grand_total"]) for order in self.received()]

    def requests_made(self) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = requests.get(f"{self.sandbox_url}/requests", timeout=10).json()["requests"]
        return made

    def tell_drip(self, **rule: Any) -> None:
        """Make the sandbox answer differently."""
        requests.put(f"{self.sandbox_url}/answers", json=rule, timeout=10).raise_for_status()

    def drip_forgets(self) -> None:
        """As if the sandbox had just been started."""
        for address in ("answers", "received", "requests"):
            requests.delete(f"{self.sandbox_url}/{address}", timeout=10).raise_for_status()

    def drip_recovers(self) -> None:
        requests.delete(f"{self.sandbox_url}/answers", timeout=10).raise_for_status()


def run_sender(engine: Engine, account: str = ACCOUNT.id) -> None:
    """Hold an account's lease, as if a sender were running."""
    now = datetime.now(UTC)
    with transaction(engine) as connection:
        proofs.set_proved(connection, account, "")
        accounts.take_lease(connection, account, holder="t", host="t", pid=1, now=now, until=now + timedelta(days=999), free=True)


def restart(sandbox: RunningSandbox) -> None:
    """Let the sandbox be as if it had just been started."""
    views = sandbox.app.extensions["sandbox"]
    state: State = views.state
    state.clear_rules()  # releases requests that still hang
    views.state = State(state.limits, enforce=state.enforce, hour=state.hour, keep=state.keep)


def signed(payload: bytes, store: str = "shopify", secret: str = SECRET) -> Mapping[str, str]:
    """The headers that prove a payload genuine."""
    return PROVIDERS[store].scheme().signed(payload, Credentials(secrets=(secret,)))


__all__ = [
    "ACCOUNT",
    "READER",
    "SECRET",
    "AdapterUnderTest",
    "Clock",
    "make_settings",
    "restart",
    "shopify_order",
    "signed",
]
