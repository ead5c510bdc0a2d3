"""Posts fixtures to a running adapter, signed as the store would sign them."""

import json
import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

import requests

from adapter.errors import WorkFailed
from adapter.settings import SANDBOX_ACCOUNT, Settings, unknown_store
from mappings import PROVIDERS, Context, Credentials, Provider, Rejected

_TIMEOUT_S = 15
_MAIL_TIME = re.compile(rb"\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000")
_TIME = re.compile(rb"\b(\d{4}-\d\d-\d\d)([T ])(\d\d:\d\d:\d\d)")
_SHORTEST_ID = 3


@dataclass(frozen=True, slots=True)
class Case:
    """A fixture: one webhook, in a folder."""

    folder: Path

    @property
    def provider(self) -> Provider:
        """The platform, from the name of the parent folder."""
        return PROVIDERS[self.folder.parent.name]

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers, without the signature; raises `WorkFailed`."""
        file = self.folder / "headers.json"
        try:
            headers = json.loads(file.read_bytes())
        except ValueError as error:
            raise WorkFailed(f"{file} isn't JSON: {error}") from None
        if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
            raise WorkFailed(f"{file} isn't a JSON object whose values are texts")
        return headers

    @property
    def payload(self) -> bytes:
        """The body, byte for byte."""
        return (self.folder / "payload.json").read_bytes()


@dataclass(frozen=True, slots=True)
class Posted:
    """The adapter's answer to a replayed case."""

    case: Case
    status: int
    answer: str


def find_cases(paths: Iterable[Path]) -> list[Case]:
    """The fixtures at and below the paths, in order; raises `WorkFailed` for a path without any."""
    cases: list[Case] = []
    for path in paths:
        found = sorted(each.parent for each in ([path] if path.is_file() else path.rglob("payload.json")) if each.is_file())
        found = [folder for folder in found if folder.parent.name in PROVIDERS and (folder / "headers.json").is_file()]
        if not found:
            raise WorkFailed(f"{path} contains no fixtures: folders PROVIDER/CASE with headers.json and payload.json")
        cases.extend(Case(folder) for folder in found)
    return cases


@dataclass(frozen=True, slots=True)
class Target:
    """The store that a case is posted to: its name, and how its requests are signed."""

    store: str
    credentials: Credentials
    auth: str = ""


def target_of(case: Case, settings: Settings, name: str = "") -> Target:
    """The store of a case's platform, by name or the first one; if none is configured, the one that `serve --sandbox` opens.

    Raises `WorkFailed` if stores are configured, but none with that name, or if it belongs to another platform.
    """
    for store in settings.stores.values():
        if store.provider == case.provider and name in ("", store.name):
            return Target(store.name, store.credentials, store.auth)
    if name in settings.stores:
        raise WorkFailed(f"store {name} is no store of {case.provider.title}, whose webhook {case.folder} is: choose another --store")
    if name and settings.stores:
        raise WorkFailed(unknown_store(name, settings.stores))
    return sandbox_target(name or case.provider.name)


def sandbox_target(name: str) -> Target:
    """A store that `serve --sandbox` opened; its secret is no secret."""
    return Target(name, Credentials(secrets=(SANDBOX_ACCOUNT,)))


def post(session: requests.Session, url: str, case: Case, payload: bytes, target: Target) -> Posted:
    """Post a case's payload; raises `WorkFailed` if there is no answer."""
    scheme = case.provider.scheme(target.auth)
    if not scheme.can_sign:
        raise WorkFailed(f"nothing can be replayed to a store with auth = {target.auth!r}: only Adobe can sign its webhooks")
    address = f"{url.rstrip('/')}/webhooks/{target.store}"
    try:
        response = session.post(
            address, data=payload, headers={**case.headers, **scheme.signed(payload, target.credentials)}, timeout=_TIMEOUT_S
        )
    except requests.RequestException as error:
        raise WorkFailed(f"no answer from {address} ({type(error).__name__}): is the adapter running there?") from None
    return Posted(case, response.status_code, response.text.strip())


def schedule(cases: Sequence[Case], *, repeat: int, shuffle: bool, fresh: bool) -> Iterator[tuple[Case, bytes]]:
    """What to post, one after the other. `fresh` turns the orders of each round into new ones."""
    rounds = (each for _ in range(repeat) for each in zip(cases, freshen(cases) if fresh else _payloads(cases), strict=True))
    yield from sorted(rounds, key=lambda _: random.random()) if shuffle else rounds  # noqa: S311 - nothing depends on it


def _payloads(cases: Sequence[Case]) -> list[bytes]:
    return [case.payload for case in cases]


def pace(per_second: float | None) -> Iterator[None]:
    """Yield at most this many times a second."""
    begun = time.monotonic()
    count = 0
    while True:
        yield
        count += 1
        if per_second:
            time.sleep(max(0.0, begun + count / per_second - time.monotonic()))


def freshen(cases: Sequence[Case]) -> list[bytes]:
    """The payloads as if their orders were new: with other ids, and times that end now.

    All states of an order get the same new id, and their times move by the same amount.
    """
    found = [order_ids(case) for case in cases]
    renamed = {order: _other(order) for orders in found for order in orders if len(order) >= _SHORTEST_ID}
    payloads = [_renumber(case.payload, orders, renamed) for case, orders in zip(cases, found, strict=True)]
    states: dict[tuple[str, str], list[int]] = {}
    for index, (case, orders) in enumerate(zip(cases, found, strict=True)):
        states.setdefault((case.provider.name, orders[0] if orders else str(case.folder)), []).append(index)
    for indexes in states.values():
        moved = _shift_mail_times(_shift_times([payloads[index] for index in indexes]))
        for index, payload in zip(indexes, moved, strict=True):
            payloads[index] = payload
    return payloads


def order_ids(case: Case) -> list[str]:
    """The ids of the orders in a case; none if it is not about an order."""
    context = Context(topic=case.provider.topic(case.headers), received_at=datetime.now(UTC))
    try:
        readings = case.provider.readings(case.payload, context)
    except Rejected:
        return []
    return [reading.identity.order_id for reading in readings if reading.identity is not None]


def _renumber(payload: bytes, orders: Sequence[str], renamed: Mapping[str, str]) -> bytes:
    for order_id in orders:
        if order_id in renamed:
            payload = re.sub(rb"(?<![\d.])" + re.escape(order_id.encode()) + rb"(?![\d.])", renamed[order_id].encode(), payload)
    return payload


def _other(order_id: str) -> str:
    digits = order_id
    while digits == order_id:
        digits = "".join(random.choice("123456789") for _ in order_id)  # noqa: S311 - a number for a trial
    return digits


def _shift_times(payloads: Sequence[bytes]) -> list[bytes]:
    times = [datetime.fromisoformat((day + b"T" + clock).decode()) for payload in payloads for day, _, clock in _TIME.findall(payload)]
    if not times:
        return list(payloads)
    # Half a day back: the times may be in any zone, and must not be in the future.
    shift = datetime.now(UTC).replace(tzinfo=None, microsecond=0) - max(times) - timedelta(hours=14)

    def moved(match: re.Match[bytes]) -> bytes:
        day, separator, clock = match.groups()
        moment = datetime.fromisoformat((day + b"T" + clock).decode()) + shift
        return moment.strftime(f"%Y-%m-%d{separator.decode()}%H:%M:%S").encode()

    return [_TIME.sub(moved, payload) for payload in payloads]


def _shift_mail_times(payloads: Sequence[bytes]) -> list[bytes]:
    """The same for BigCommerce's times, which are in UTC and in the form of mail."""
    times = [parsedate_to_datetime(text.decode()) for payload in payloads for text in _MAIL_TIME.findall(payload)]
    if not times:
        return list(payloads)
    shift = datetime.now(UTC).replace(microsecond=0) - max(times)

    def moved(match: re.Match[bytes]) -> bytes:
        return format_datetime(parsedate_to_datetime(match[0].decode()) + shift).encode()

    return [_MAIL_TIME.sub(moved, payload) for payload in payloads]
