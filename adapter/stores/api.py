"""What a store's own API can be asked: products, past orders, the webhooks registered there.

Each platform is one module beside this one, with one `PLATFORM`; everything else here asks through these shapes.
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
    """A store as its API is reached."""

    store: Store
    http: Http
    address: str
    """The shop's public address, without a trailing slash: from the settings, else from the order's own payload."""


class ProductSource(Protocol):
    """One way to ask a store for products."""

    @property
    def name(self) -> str:
        """A word for tables and pages: `storefront`, `store_api`, ..."""

    @property
    def at_once(self) -> int:
        """How many keys one request takes."""

    def look_up(self, keys: Sequence[ProductKey], deadline: Deadline) -> Sequence[Product]:
        """What the store knows of at most `at_once` of them; what it does not know is left out. Raises `StoreTrouble`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Which past orders are asked for; times are aware and in UTC, `until` is not included. None: any."""

    created_since: datetime | None = None
    created_until: datetime | None = None
    changed_since: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Some orders of a store, the oldest first, each as the JSON that its webhook would carry."""

    orders: Sequence[bytes]
    cursor: str
    """Where to go on after this page, also in another process and on another day."""


def payload_of(order: Mapping[str, Any], host: str) -> bytes:
    """An order as its webhook would carry it; raises `StoreTrouble` for one that is nested deeper than can be printed."""
    try:
        return encode(order)
    except RecursionError:
        raise StoreTrouble(f"{host} answered with an order that is nested too deeply") from None


class History(Protocol):
    """The orders that a store has; needs credentials."""

    def count(self, window: Window) -> int | None:
        """How many there are; None if the store does not say. Raises `StoreTrouble`."""

    def pages(self, window: Window, cursor: str = "") -> Iterator[Page]:
        """All of them, the oldest first, from `cursor` on: none missed or told twice, whatever changes meanwhile. Raises `StoreTrouble`."""

    def note(self, window: Window) -> str:
        """What a person should know about what was found, such as that older orders need another permission; "" for nothing."""

    def order(self, order_id: str, deadline: Deadline) -> bytes | None:
        """One order, as its webhook would carry it; None if there is none. Waits for nothing; raises `StoreTrouble`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhook:
    """A webhook as it is registered at a store."""

    id: str
    topic: str
    address: str
    active: bool = True
    ours: bool | None = None
    """Whether its name says that it was made for this adapter; None where webhooks have no names."""


class Registry(Protocol):
    """The webhooks of a store; needs credentials. All methods raise `StoreTrouble`."""

    @property
    def topics(self) -> Sequence[str]:
        """The topics that we need."""

    def webhooks(self) -> Sequence[Webhook]:
        """All that can be seen with these credentials."""

    def create(self, topic: str, address: str) -> None:
        """Register one; signed with the store's secret of the settings where the platform lets us choose."""

    def repair(self, webhook: Webhook, address: str) -> None:
        """Make one active, at this address."""

    def delete(self, webhook: Webhook) -> None:
        """Take one away."""


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What can be asked of the stores of one platform."""

    name: str
    sources: Callable[[Shop], Sequence[ProductSource]]
    """The ways to look up products, the preferred first; those that need credentials only where they are set."""
    history: Callable[[Shop], History | None]
    """None without credentials."""
    registry: Callable[[Shop], Registry | None]
    """None without credentials, or where the platform has no webhooks of its own to register."""
    by_hand: Callable[[str, str], Sequence[str]]
    """(webhook address, secret) -> what to click and paste, line by line."""
    credentials: Sequence[str] = ()
    """The settings that open the API, for messages."""
