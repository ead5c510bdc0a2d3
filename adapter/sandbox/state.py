"""What the sandbox remembers: the orders and requests it received, how much quota is spent, and the rules for its answers."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Generic, TypeVar
from uuid import uuid4

from msgspec import Raw

from adapter.sandbox.answers import Answer, Kind, Rule
from mappings import encode, timestamp

_Entry = TypeVar("_Entry")
_MOST_ACCOUNTS = 10_000


@dataclass(frozen=True, kw_only=True)
class Received:
    """An accepted order; `order` is its JSON, with every digit as posted."""

    account: str
    kind: Kind
    request_id: str
    received_at: str
    order_id: str
    order: Raw


@dataclass(kw_only=True)
class Seen:
    """A request; `status` is None while it waits, and stays None if the connection was dropped."""

    account: str | None
    kind: Kind | None
    path: str
    auth: str | None
    user_agent: str | None
    at: str
    order_id: str | None = None
    orders: int = 0
    status: int | None = None
    dropped: bool = False
    ended_at: str | None = None

    def end(self, status: int | None) -> None:
        self.status, self.dropped, self.ended_at = status, status is None, now()


class Log(Generic[_Entry]):
    """The newest `keep` entries, numbered from 0 in order of arrival."""

    def __init__(self, keep: int) -> None:
        self._entries: deque[_Entry] = deque(maxlen=keep)
        self.total = 0

    def add(self, entry: _Entry) -> None:
        self._entries.append(entry)
        self.total += 1

    def since(self, index: int) -> Iterator[tuple[int, _Entry]]:
        """The entries kept from number `index` on, each with its number."""
        oldest = self.total - len(self._entries)
        first = max(index, oldest)
        return enumerate(islice(self._entries, first - oldest, None), first)


class State:
    """Everything the sandbox remembers; each method is atomic among threads."""

    def __init__(
        self, limits: Mapping[Kind, int], *, enforce: bool, hour: float, keep: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits, self.enforce, self.hour, self.keep, self.clock = limits, enforce, hour, keep, clock
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._released = threading.Event()
        self._windows: dict[tuple[str, Kind], deque[float]] = {}
        self._received: Log[Received] = Log(keep)
        self._requests: Log[Seen] = Log(keep)

    def spend(self, account: str, kind: Kind, *, free: bool) -> tuple[bool, int]:
        """Take one request from the hour's quota, unless it is free or nothing is left; whether it is allowed, and what remains."""
        limit, moment = self.limits[kind], self.clock()
        with self._lock:
            if len(self._windows) > _MOST_ACCOUNTS:
                self._windows = {key: spent for key, spent in self._windows.items() if spent and moment - spent[-1] < self.hour}
            window = self._windows.setdefault((account, kind), deque(maxlen=limit))
            while window and moment - window[0] >= self.hour:
                window.popleft()
            allowed = free or not self.enforce or len(window) < limit
            if allowed and not free:
                window.append(moment)
            return allowed, limit - len(window)

    def log_request(self, seen: Seen) -> Seen:
        with self._lock:
            self._requests.add(seen)
        return seen

    def accept(self, account: str, kind: Kind, orders: tuple[Any, ...], *, record: bool) -> Answer:
        """The 202 for orders that meet the contract; without `record` they are lost afterwards, as Drip might lose them."""
        received = [
            Received(
                account=account,
                kind=kind,
                request_id=str(uuid4()),
                received_at=now(),
                order_id=order["order_id"],
                order=Raw(encode(order)),
            )
            for order in orders
        ]
        with self._lock:
            for entry in received if record else ():
                self._received.add(entry)
        ids = [entry.request_id for entry in received]
        return Answer(status=202, body={"request_id": ids[0]} if kind == "single" else {"request_ids": ids})

    def add_rule(self, rule: Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    def rules(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(rule) for rule in self._rules]

    def take_rule(self, account: str, kind: Kind | None, order_ids: list[str]) -> tuple[Rule, threading.Event] | None:
        """The first rule for this request, used up by one, and the event that ends its delay early."""
        with self._lock:
            rule = next((rule for rule in self._rules if rule.matches(account, kind, order_ids)), None)
            if rule is None:
                return None
            if rule.times is not None:
                rule.times -= 1
                if not rule.times:
                    self._rules.remove(rule)
            return rule, self._released

    def clear_rules(self) -> None:
        """Drop all rules and end all delays."""
        with self._lock:
            self._rules.clear()
            self._released.set()
            self._released = threading.Event()

    def received(self, since: int = 0) -> tuple[int, list[tuple[int, Received]]]:
        """How many orders were accepted in all, and those still kept, oldest first."""
        with self._lock:
            return self._received.total, list(self._received.since(since))

    def requests(self, since: int = 0) -> tuple[int, list[tuple[int, Seen]]]:
        """How many requests were received in all, and those still kept, oldest first."""
        with self._lock:
            return self._requests.total, list(self._requests.since(since))

    def forget_received(self) -> None:
        with self._lock:
            self._received = Log(self.keep)

    def forget_requests(self) -> None:
        with self._lock:
            self._requests = Log(self.keep)


def now() -> str:
    """The time, as Drip writes it."""
    return timestamp(datetime.now(UTC))
