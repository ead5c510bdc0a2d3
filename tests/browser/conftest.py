"""A real browser and the whole adapter with the sandbox, each part in its own process, as `make run` starts them.

There is one browser and one adapter of each kind per session; a test that needs an adapter to itself asks for `fresh`.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import Engine

from adapter.inbox.database import connect
from adapter.settings import SANDBOX_ACCOUNT
from mappings import PROVIDERS, Credentials

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
_TIMEOUT_S = 90.0
PASSWORD = "correct horse battery"


@dataclass
class Running:
    """A running adapter; `address` is where its pages are."""

    address: str
    sandbox: str
    folder: Path

    def engine(self) -> Engine:
        return connect(f"sqlite:///{self.folder / 'sandbox.db'}")

    def receive(self, payload: bytes, store: str = "shopify", topic: str = "orders/updated") -> int:
        """Post a payload as the store would; the delivery's id."""
        provider = PROVIDERS[store]
        credentials = Credentials(secrets=(SANDBOX_ACCOUNT,))
        headers = provider.scheme().signed(payload, credentials)
        answer = requests.post(
            f"{self.address}/webhooks/{store}", data=payload, headers={provider.topic_headers[0]: topic, **headers}, timeout=10
        )
        answer.raise_for_status()
        return int(answer.json()["delivery"])


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Starts an adapter, with further settings; all of them are stopped together when the session ends."""
    processes: list[subprocess.Popen[bytes]] = []

    def start_one(**settings: str) -> Running:
        settings = {"STATUS_OPEN_TO": "loopback", "TRUSTED_PROXIES": "127.0.0.1", **settings}
        found, process = _start(tmp_path_factory.mktemp("browser"), settings)
        processes.append(process)
        _await(f"{found.address}/status", process)  # 503 until a sender runs
        return found

    yield start_one
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        process.wait(20)


@pytest.fixture(scope="session")
def running(start: Callable[..., Running]) -> Running:
    """An adapter that tests share."""
    return start()


@pytest.fixture
def fresh(start: Callable[..., Running]) -> Running:
    """An adapter that has received nothing yet."""
    return start()


@pytest.fixture(scope="session")
def guarded(start: Callable[..., Running]) -> Running:
    """An adapter with a password that tests share; each visits it from an address of its own, because of the throttling."""
    return start(ADMIN_PASSWORD=PASSWORD)


def _start(folder: Path, settings: Mapping[str, str]) -> tuple[Running, "subprocess.Popen[bytes]"]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed here: apt-get install chromium")
    web, sandbox = _free_ports(2)
    command = [sys.executable, "-m", "adapter", "serve", "--sandbox", "--bind", f"127.0.0.1:{web}", "--sandbox-port", str(sandbox)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("DRIP_", "SHOPIFY_"))}
    environ |= {"PYTHONPATH": str(Path(__file__).parent.parent.parent), "SINGLE_REQUESTS_PER_HOUR": "100000", **settings}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
    return Running(f"http://127.0.0.1:{web}", f"http://127.0.0.1:{sandbox}", folder), process


def _await(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise AssertionError(f"{url} is not responding")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed here: apt-get install chromium")
    with sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield launched
        launched.close()


@contextmanager
def opened(browser: Browser, running: Running, address: str = "") -> Iterator[Page]:
    """A page on a desktop, visited from an IP address; browser errors fail the test, except for responses with a status of 4xx."""
    headers = {"X-Forwarded-For": address} if address else None
    context = browser.new_context(base_url=running.address, viewport={"width": 1280, "height": 800}, extra_http_headers=headers)
    shown = context.new_page()
    shown.set_default_timeout(10_000)
    errors: list[str] = []
    shown.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    shown.on("pageerror", lambda error: errors.append(str(error)))
    yield shown
    context.close()
    assert [each for each in errors if not each.startswith("Failed to load resource: the server responded with a status of 4")] == []


@pytest.fixture
def page(browser: Browser, running: Running) -> Iterator[Page]:
    with opened(browser, running) as shown:
        yield shown
