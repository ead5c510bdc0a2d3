"""The adapter as it runs for a user, in processes that a test may kill; a PostgreSQL server that it may kill too; and the judge.

Everything listens on loopback. Only what was started here is ever signalled, by its process id.
"""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import requests
from flask.testing import FlaskClient
from sqlalchemy import Engine, Row, create_engine, func, select, text

from adapter.inbox import accounts, search
from adapter.inbox.database import connect, snapshot
from adapter.inbox.migration import migrate
from adapter.inbox.tables import deliveries
from adapter.inbox.tables import requests as ledger
from adapter.process.supervisor import free_port
from adapter.sandbox import Received, RunningSandbox, Seen, running_sandbox
from tests.support.adapter_under_test import ACCOUNT, SECRET, make_settings, shopify_order, signed
from tests.support.terminal import COMMAND, environment
from tests.support.waiting import wait_until
from tests.support.whole_app import create_app

TIMEOUT_S = 90.0
AT_LENGTH = bool(os.environ.get("FAULTS_AT_LENGTH"))
"""Whether the tests run at their full size, for which CI has no time."""
_SENDER_THREADS = 5  # main, reader, dispatcher, leases, wake-ups: when they run it has its signal handlers and asks for the leases
_BEGUN = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
Result = TypeVar("Result")
_MIGRATING = threading.Lock()  # Alembic knows one migration in a process at a time
DRIP_LIMITS = {"single": 3600, "batch": 50}
# So few single requests that two orders that are due together go in a batch.
IN_BATCHES = {"SINGLE_REQUESTS_PER_HOUR": "1", "BATCH_REQUESTS_PER_HOUR": "20000"}


def in_parallel(*scenarios: Callable[[], Result]) -> list[Result]:
    """Results of scenarios that mostly wait, each in a thread; the first failure is raised when all have ended."""
    with ThreadPoolExecutor(len(scenarios)) as pool:
        return [future.result() for future in [pool.submit(scenario) for scenario in scenarios]]


# --- the adapter's processes -------------------------------------------------------------------------------------------------------


class Process:
    """One command of the adapter, leader of a process group of its own."""

    def __init__(self, arguments: Sequence[str], variables: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [*COMMAND, *arguments], env=environment(**variables), stdout=out, stderr=out, start_new_session=True
            )
        self.pid = self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    @property
    def children(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    @property
    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir())) if self.runs else 0

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9, also of what it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def status(self, within_s: float) -> int:
        """The exit status of a process that is about to end."""
        return self._process.wait(within_s)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state of an order: the higher the version, the newer. What a store posts."""

    order_id: int
    version: int

    @property
    def payload(self) -> bytes:
        return json.dumps(self.document).encode()

    @property
    def document(self) -> dict[str, Any]:
        changed = _BEGUN + timedelta(minutes=self.version)
        return shopify_order(self.order_id, total=f"{self.version}.00", created_at=_BEGUN.isoformat(), updated_at=changed.isoformat())

    def headers(self, payload: bytes) -> dict[str, str]:
        webhook_id = f"{self.order_id}-{self.version}"
        return {**signed(payload), "X-Shopify-Topic": "orders/updated", "X-Shopify-Webhook-Id": webhook_id}


@dataclass
class Site:
    """One adapter on one database with one Drip."""

    database_url: str
    drip: RunningSandbox
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    """Settings beside those that every site has, or in their place; blank: not set."""
    web: Process | None = None
    senders: list[Process] = field(default_factory=list)
    _started: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kind = "sqlite" if self.database_url.startswith("sqlite") else "postgresql"
        self.engine: Engine = connect(self.database_url)
        self.address = f"127.0.0.1:{free_port('127.0.0.1', 0)}"
        with _MIGRATING:
            migrate(self.engine)

    def _start(self, name: str, *arguments: str) -> Process:
        settings = {
            "DATABASE_URL": self.database_url, "DRIP_API_URL": self.drip.url, "DRIP_ACCOUNT_ID": ACCOUNT.id, "DRIP_API_KEY": ACCOUNT.token,
            "SHOPIFY_WEBHOOK_SECRET": SECRET, "PUBLIC_URL": "https://adapter.example",
        }  # fmt: skip
        log = self.folder / f"{self.kind}-{len(self._started)}-{name}.log"
        process = Process(arguments, {name: value for name, value in (settings | self.variables).items() if value}, log)
        self._started.append(process)
        return process

    def start_web(self) -> Process:
        self.web = self._start("web", "web", "--bind", self.address)
        return self.web

    def start_sender(self) -> Process:
        sender = self._start("sender", "send")
        self.senders.append(sender)
        return sender

    def started_sender(self) -> Process:
        """A sender that has taken or asks for its leases."""
        sender = self.start_sender()
        wait_until(lambda: sender.threads >= _SENDER_THREADS, what="a sender runs")
        return sender

    def holding_sender(self) -> Process:
        """A sender that has both leases, the reader's and the account's."""
        sender = self.start_sender()
        wait_until(lambda: self.holders() == {sender.pid}, what="a sender has the leases")
        return sender

    def close(self) -> None:
        for process in self._started:
            process.kill()
        self.engine.dispose()

    # --- the store's side

    @cached_property
    def _client(self) -> FlaskClient:
        settings = replace(make_settings(self.drip.url), database_url=self.database_url)
        return create_app(settings, self.engine).test_client()

    def keep(self, *snapshots: Snapshot) -> None:
        """Let the inbox have these, without a web process."""
        for each in snapshots:
            self._keep(each.payload, each)

    def keep_page(self, snapshots: Sequence[Snapshot]) -> None:
        """Let the inbox have these in one delivery."""
        self._keep(json.dumps({"orders": [each.document for each in snapshots]}).encode(), snapshots[0])

    def _keep(self, payload: bytes, each: Snapshot) -> None:
        answer = self._client.post("/webhooks/shopify", data=payload, headers=each.headers(payload))
        assert answer.status_code == 200, answer.text

    @property
    def is_up(self) -> bool:
        with suppress(requests.RequestException):
            return requests.get(f"http://{self.address}/readyz", timeout=2).ok
        return False

    def post(self, session: requests.Session, each: Snapshot, tries: int = 1) -> bool:
        """Post it as a store does, again after a while if it was not taken; whether it was acknowledged."""
        payload = each.payload
        for _ in range(tries):
            with suppress(requests.RequestException):
                answer = session.post(f"http://{self.address}/webhooks/shopify", data=payload, headers=each.headers(payload), timeout=5)
                if answer.status_code == 200:
                    return True
                assert answer.status_code == 503, answer.text
                assert answer.headers["Retry-After"]
            time.sleep(0.4)
        return False

    # --- the database's side

    def holders(self) -> set[int | None]:
        """The processes that have a lease."""
        with snapshot(self.engine) as connection:
            return {lease.pid if lease else None for lease in (accounts.lease(connection, name) for name in ("", ACCOUNT.id))}

    def counts(self) -> dict[str, int]:
        """How many deliveries are in each state."""
        with snapshot(self.engine) as connection:
            states = connection.execute(select(deliveries.c.state, func.count().label("count")).group_by(deliveries.c.state))
            return {state: number for state, number in states.all()}  # noqa: C416 - rows are no pairs to the type checker

    def rows(self, each: Snapshot | None = None) -> list[Row[Any]]:
        which = search.filtered() if each is None else search.filtered(order_id=str(each.order_id))
        with snapshot(self.engine) as connection:
            rows = list(search.listed(connection, which, 100_000))
        return rows if each is None else [row for row in rows if json.loads(row.payload) == json.loads(each.payload)]

    def unfinished_requests(self) -> int:
        """Requests of which nobody saw the end."""
        with snapshot(self.engine) as connection:
            return int(connection.execute(select(func.count()).select_from(ledger).where(ledger.c.ended_at.is_(None))).scalar_one())

    def settle(self, timeout_s: float = TIMEOUT_S) -> float:
        """Wait until nothing is left to do; the seconds that it took."""

        waiting = select(deliveries).where(deliveries.c.state == "pending").limit(3)

        def left() -> list[Row[Any]]:
            with snapshot(self.engine) as connection:
                return list(connection.execute(waiting).all())

        begun = time.monotonic()
        while rows := left():
            if time.monotonic() - begun > timeout_s:
                told = [{name: value for name, value in row._mapping.items() if name not in ("payload", "headers")} for row in rows]
                raise AssertionError(f"{self.kind}: not settled within {timeout_s:g} s: {told}")
            time.sleep(0.02)
        return time.monotonic() - begun

    def is_whole(self) -> bool:
        """What SQLite itself says of its file."""
        plain = create_engine(self.database_url)
        with plain.connect() as connection:
            found = connection.execute(text("PRAGMA integrity_check")).scalars().all()
        plain.dispose()
        return list(found) == ["ok"]

    # --- Drip's side

    def tell_drip(self, **rule: Any) -> None:
        requests.put(f"{self.drip.url}/answers", json=rule, timeout=10).raise_for_status()

    def received(self) -> "AtDrip":
        return AtDrip([order for _, order in _state(self.drip).received()[1]])

    def requests_made(self) -> list[Seen]:
        return [seen for _, seen in _state(self.drip).requests()[1]]


def _state(drip: RunningSandbox) -> Any:
    return drip.app.extensions["sandbox"].state


@contextmanager
def running_site(database_url: str, folder: Path, variables: Mapping[str, str] | None = None) -> Iterator[Site]:
    variables = dict(variables or {})
    # Drip tells its limits, and the adapter obeys the lower of the two.
    limits: dict[str, Any] = {
        f"{kind}_limit": int(variables.get(f"{kind.upper()}_REQUESTS_PER_HOUR", most)) for kind, most in DRIP_LIMITS.items()
    }
    with running_sandbox(enforce_limits=False, **limits) as sandbox:
        site = Site(database_url, sandbox, folder, variables)
        try:
            yield site
        finally:
            site.close()


# --- the judge ---------------------------------------------------------------------------------------------------------------------


class AtDrip:
    """What Drip got, by order, in the order in which it came."""

    def __init__(self, entries: Sequence[Received]) -> None:
        self.by_order: dict[int, list[tuple[int, str, str]]] = {}
        for entry in entries:
            body = bytes(entry.order).decode()
            order = json.loads(body)
            self.by_order.setdefault(int(entry.order_id), []).append((int(order["grand_total"]), order["action"], body))

    @property
    def total(self) -> int:
        return sum(len(entries) for entries in self.by_order.values())

    @property
    def repeats(self) -> int:
        """Bodies that came once more."""
        return sum(len(entries) - len({body for _, _, body in entries}) for entries in self.by_order.values())

    def versions(self, order_id: int) -> list[int]:
        return [version for version, _, _ in self.by_order.get(order_id, [])]

    def wrongs(self) -> list[str]:
        """Where the promises on each order were broken: created once and first, never back, and a repeat is the same byte for byte."""
        found = []
        for order_id, entries in self.by_order.items():
            versions = [version for version, _, _ in entries]
            created = {body for _, action, body in entries if action == "created"}
            if len(created) != 1 or entries[0][1] != "created":
                found.append(f"order {order_id}: {len(created)} different bodies of created, first {entries[0][1]}")
            if versions != sorted(versions):
                found.append(f"order {order_id}: went back: {versions}")
            if len({(version, body) for version, _, body in entries}) != len(set(versions)):
                found.append(f"order {order_id}: one version with different bodies: {versions}")
        return found

    def missing(self, acknowledged: Sequence[Snapshot]) -> list[Snapshot]:
        """Acknowledged states that Drip has neither got nor moved beyond."""
        return [each for each in acknowledged if max(self.versions(each.order_id), default=0) < each.version]


class Acknowledged:
    """What the stores were told is kept. Filled by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.posted = 0
        self.snapshots: list[Snapshot] = []

    def note(self, each: Snapshot, *, taken: bool) -> None:
        with self._lock:
            self.posted += 1
            if taken:
                self.snapshots.append(each)


def log_has(process: Process, pattern: str) -> bool:
    return re.search(pattern, process.log.read_text(errors="replace")) is not None
