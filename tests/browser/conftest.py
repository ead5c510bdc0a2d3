"""A real browser against the whole adapter under the stand-in, each part in a process of its own, as `make run` starts them."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
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
_PATIENCE_S = 30.0
PASSWORD = "correct horse battery"


@dataclass
class Running:
    """An adapter that runs; `address` is where its pages are."""

    address: str
    stand_in: str
    folder: Path

    def engine(self) -> Engine:
        return connect(f"sqlite:///{self.folder / 'sandbox.db'}")

    def receive(self, payload: bytes, store: str = "shopify", topic: str = "orders/updated") -> int:
        """Post a payload as the store would; the delivery's id."""
        provider = PROVIDERS[store]
        credentials = Credentials(secrets=(SANDBOX_ACCOUNT,))
        headers = {provider.scheme().header(credentials): provider.scheme().sign(payload, SANDBOX_ACCOUNT, credentials)}
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
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One that all tests share."""
    with _started(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Running]:
    """One that nothing has come to yet."""
    with _started(tmp_path) as found:
        yield found


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Running]:
    """One with a password."""
    with _started(tmp_path, ADMIN_PASSWORD=PASSWORD) as found:
        yield found


@contextmanager
def _started(folder: Path, **more: str) -> Iterator[Running]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed here: apt-get install chromium")
    web, stand_in = _free_ports(2)
    command = [sys.executable, "-m", "adapter", "serve", "--sandbox", "--bind", f"127.0.0.1:{web}", "--sandbox-port", str(stand_in)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("DRIP_", "SHOPIFY_"))}
    environ |= {"PYTHONPATH": str(Path(__file__).parent.parent.parent), "SINGLE_REQUESTS_PER_HOUR": "100000", **more}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
    found = Running(f"http://127.0.0.1:{web}", f"http://127.0.0.1:{stand_in}", folder)
    try:
        _await(f"{found.address}/readyz", process)
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _await(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed here: apt-get install chromium")
    with sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield launched
        launched.close()


@contextmanager
def opened(browser: Browser, running: Running) -> Iterator[Page]:
    """A page on a desk; anything that the browser complains of fails the test, but for an answer that is an error on purpose."""
    context = browser.new_context(base_url=running.address, viewport={"width": 1280, "height": 800})
    shown = context.new_page()
    shown.set_default_timeout(10_000)
    complaints: list[str] = []
    shown.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    yield shown
    context.close()
    assert [each for each in complaints if not each.startswith("Failed to load resource: the server responded with a status of 4")] == []


@pytest.fixture
def page(browser: Browser, running: Running) -> Iterator[Page]:
    with opened(browser, running) as shown:
        yield shown
