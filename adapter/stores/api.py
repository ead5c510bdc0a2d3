"""The interfaces of a store's own API: products, past orders, registered webhooks.

Each platform is a folder beside this module with one `PLATFORM`, and everything else uses it through these interfaces.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from adapter.settings import Store
from adapter.stores.http import Deadline, Http, StoreTrouble
from mappings import Product, ProductKey, encode


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A store, and the connection to its API."""

    store: Store
    http: Http
    address: str
    """The shop's public address, without a trailing slash: from the settings, else from the order's payload."""


class ProductSource(Protocol):
    """One way to look up a store's products."""

    @property
    def name(self) -> str:
        """Its name in tables and on pages: `storefront`, `store_api`, ..."""

    @property
    def at_once(self) -> int:
        """The number of keys that one request takes."""

    def look_up(self, keys: Sequence[ProductKey], deadline: Deadline) -> Sequence[Product]:
        """The products of at most `at_once` keys; those that the store doesn't have are left out. Raises `StoreTrouble`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Which past orders to read. Times are aware and in UTC, `until` is exclusive, None means no limit."""

    created_since: datetime | None = None
    created_until: datetime | None = None
    changed_since: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Some orders of a store, oldest first, each as the JSON of its webhook."""

    orders: Sequence[bytes]
    cursor: str
    """Where to continue after this page, also in another process or on another day."""


def payload_of(order: Mapping[str, Any], host: str) -> bytes:
    """An order as the JSON of its webhook; raises `StoreTrouble` for one that is nested too deeply to encode."""
    try:
        return encode(order)
    except RecursionError:
        raise StoreTrouble(f"{host} returned an order that is nested too deeply") from None


class History(Protocol):
    """A store's past orders; needs credentials."""

    def count(self, window: Window) -> int | None:
        """How many there are; None if the store doesn't report it. Raises `StoreTrouble`."""

    def pages(self, window: Window, cursor: str = "") -> Iterator[Page]:
        """All of them from `cursor` on, oldest first: none is missed or repeated, whatever changes meanwhile. Raises `StoreTrouble`."""

    def note(self, window: Window) -> str:
        """A remark for people on what was found, such as that older orders need another permission; "" for none."""

    def order(self, order_id: str, deadline: Deadline) -> bytes | None:
        """One order, as the JSON of its webhook; None if there is none. Doesn't wait; raises `StoreTrouble`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhook:
    """A webhook that is registered at a store."""

    id: str
    topic: str
    address: str
    active: bool = True
    ours: bool | None = None
    """Whether its name shows that it was created for this adapter; None where webhooks have no names."""
    created_at: datetime | None = None
    """When it was registered, by our clock; None where the store does not report it."""
    used_at: datetime | None = None
    """When the store last delivered by it, successfully or not, or changed it; by our clock."""
    failures: int | None = None
    """How many deliveries in a row have failed; None where the store does not report it."""


class Registry(Protocol):
    """The webhooks of a store; needs credentials. All methods raise `StoreTrouble`."""

    @property
    def topics(self) -> Sequence[str]:
        """The topics that the adapter needs."""

    @property
    def chooses_secret(self) -> bool:
        """Whether webhooks registered here are signed with the store's secret of the settings, not with one of the platform's."""

    def webhooks(self) -> Sequence[Webhook]:
        """All that these credentials can see."""

    def create(self, topic: str, address: str) -> None:
        """Register a webhook, signed with the secret from the settings if the platform allows that."""

    def repair(self, webhook: Webhook, address: str) -> None:
        """Activate a webhook, with this address, signed as `create` does it."""

    def delete(self, webhook: Webhook) -> None:
        """Delete a webhook."""


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What the stores of one platform offer."""

    name: str
    sources: Callable[[Shop], Sequence[ProductSource]]
    """The ways to look up products, the preferred first; those that need credentials only if these are set."""
    history: Callable[[Shop], History | None]
    """None without credentials."""
    registry: Callable[[Shop], Registry | None]
    """None without credentials, or if the platform has no webhooks to register."""
    by_hand: Callable[[str, str], Sequence[str]]
    """(webhook address, secret) -> instructions for a person, line by line."""
    credentials: Sequence[str] = ()
    """The settings that give access to the API, for messages."""
    signed_with: str = ""
    """The secret that signs the webhooks of `registry`, if the platform prescribes it, for messages; blank: the store's own."""
