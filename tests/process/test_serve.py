"""`serve` as a user runs it: a process group of its own, on a real port, with a real database file."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import Engine

from adapter.process.supervisor import free_port
from adapter.sandbox import running_sandbox
from tests.support import terminal
from tests.support.adapter_under_test import AdapterUnderTest, make_settings, shopify_order, signed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

TIMEOUT_S = 30.0


def is_up(url: str) -> bool:
    with suppress(requests.RequestException):
        return requests.get(url, timeout=2).ok
    return False


@dataclass
class Served:
    process: "subprocess.Popen[bytes]"
    url: str
    database_url: str
    banner: str
    errors: Path

    @property
    def sandbox_url(self) -> str:
        return next(word for word in self.banner.split() if word.startswith("http://") and not word.startswith(self.url))

    def post(self, document: Any, topic: str = "orders/create", secret: str = "sandbox") -> dict[str, str]:
        payload = json.dumps(document).encode()
        headers = {**signed(payload, secret=secret), "X-Shopify-Topic": topic}
        answer = requests.post(f"{self.url}/webhooks/shopify", data=payload, headers=headers, timeout=10)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def received(self) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.sandbox_url}/received", timeout=10).json()
        return [entry["order"] for entry in answer["orders"]]

    def children(self, part: str = "") -> set[int]:
        """The processes that were started for it and still run: all, or those of one part."""
        found = set()
        for folder in Path("/proc").iterdir():
            with suppress(OSError):  # it has just ended
                arguments = (folder / "cmdline").read_bytes().decode().split("\0") if folder.name.isdecimal() else []
                if "--parent" in arguments and arguments[arguments.index("--parent") + 1] == str(self.process.pid):
                    is_zombie = (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
                    if not is_zombie and part in ("", arguments[3]):
                        found.add(int(folder.name))
        return found


@contextmanager
def serving(folder: Path, *options: str, **variables: str) -> Iterator[Served]:
    address = f"127.0.0.1:{free_port('127.0.0.1')}"
    database_url = f"sqlite:///{folder / 'served.db'}"
    errors = folder / "stderr"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [*terminal.COMMAND, "serve", "--bind", address, *options],
            env=terminal.environment(DATABASE_URL=database_url, **variables),
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    assert process.stdout is not None
    served = Served(process, f"http://{address}", database_url, process.stdout.readline().decode(), errors)
    try:
        wait_until(lambda: is_up(f"{served.url}/readyz") or process.poll() is not None)
        assert process.poll() is None, errors.read_text()
        yield served
    finally:
        left = served.children()
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, "--sandbox", "--sandbox-port", str(free_port("127.0.0.1"))) as served:
        wait_until(lambda: is_up(f"{served.sandbox_url}/received"))
        yield served


def test_a_signed_webhook_is_delivered_and_a_copy_is_not(served: Served) -> None:
    order = shopify_order(1001)
    assert served.post(order) == {"delivery": "1", "status": "kept"}
    assert served.post(order) == {"delivery": "1", "status": "duplicate"}
    assert served.post(shopify_order(1002))["status"] == "kept"
    wait_until(lambda: len(served.received()) == 2)
    assert [(each["order_id"], each["action"]) for each in served.received()] == [("1001", "created"), ("1002", "created")]
    # Without a PUBLIC_URL the picture of a product that has none is shown from here.
    picture = served.received()[0]["items"][0]["image_url"]
    assert picture.startswith(served.url)
    assert requests.get(picture, timeout=10).headers["Content-Type"] == "image/png"
    assert "never to Drip" in served.banner
    assert served.process.stdout is not None
    assert f"Ready. The dashboard is at {served.url}\n" in (line.decode() for line in served.process.stdout)
    # Memory that a thread has freed is there for all others.
    assert all(b"MALLOC_ARENA_MAX=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in served.children())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_within_ten_seconds(served: Served, number: signal.Signals) -> None:
    served.post(shopify_order(1001))
    assert {served.children(part) != set() for part in ("web", "send", "sandbox")} == {True}
    served.process.send_signal(number)
    assert served.process.wait(10) == 0
    assert served.children() == set()
    assert "Traceback" not in served.errors.read_text()


def test_a_sender_that_dies_is_restarted_and_delivers_what_arrived_meanwhile(served: Served) -> None:
    [sender] = served.children("send")
    os.kill(sender, signal.SIGKILL)
    served.post(shopify_order(1001))
    wait_until(served.received)
    [another] = served.children("send")
    assert another != sender
    assert [order["order_id"] for order in served.received()] == ["1001"]


def test_when_web_dies_everything_stops(served: Served) -> None:
    oldest = min(served.children("web"))
    os.kill(oldest, signal.SIGKILL)
    assert served.process.wait(TIMEOUT_S) == 1
    wait_until(lambda: not served.children())
    assert "action=stopping" in served.errors.read_text()


def test_no_child_outlives_a_killed_parent(served: Served) -> None:
    served.process.kill()
    served.process.wait()
    wait_until(lambda: not served.children())
    assert not is_up(f"{served.url}/healthz")


def test_workers_with_the_sandbox_share_sessions(tmp_path: Path) -> None:
    with serving(tmp_path, "--sandbox", WEB_CONCURRENCY="2") as served:
        browser = requests.Session()
        browser.headers["Connection"] = "close"  # so that either worker is asked
        token = re.search(r'name="csrf_token" value="([^"]+)"', browser.get(served.url, timeout=10).text)
        assert token is not None
        asked = {"csrf_token": token[1], "q": "1042"}
        answers = [browser.post(f"{served.url}/search", data=asked, timeout=10, allow_redirects=False) for _ in range(12)]
        assert [answer.status_code for answer in answers] == [303] * 12


def test_without_an_account_deliveries_are_kept_and_wait(tmp_path: Path) -> None:
    with serving(tmp_path, SHOPIFY_WEBHOOK_SECRET="the-secret", STATUS_OPEN_TO="loopback") as served:
        assert "DRIP_ACCOUNT_ID" in served.banner
        served.post(shopify_order(1001), secret="the-secret")
        listed: list[dict[str, Any]] = []

        def is_read() -> bool:
            result = terminal.run("deliveries", "list", "--json", DATABASE_URL=served.database_url)
            listed[:] = [json.loads(line) for line in result.stdout.splitlines()]
            return bool(listed[0]["order_id"])

        wait_until(is_read)
        assert [(row["order_id"], row["state"]) for row in listed] == [("1001", "pending")]
        status = requests.get(f"{served.url}/status", timeout=10)
        assert (status.status_code, status.json()["ok"]) == (503, False)


def test_a_sender_alone_sends_what_another_process_stored(engine: Engine, database_url: str) -> None:
    with running_sandbox() as drip:
        adapter = AdapterUnderTest(engine, make_settings(drip.url, account=None), drip.url)
        adapter.post(shopify_order(1001))
        environ = terminal.environment(
            DATABASE_URL=database_url,
            DRIP_API_URL=drip.url,
            DRIP_ACCOUNT_ID="1",
            DRIP_API_KEY="key-of-drip",
            SHOPIFY_WEBHOOK_SECRET="the-secret",
        )
        with subprocess.Popen([*terminal.COMMAND, "send"], env=environ, stderr=subprocess.DEVNULL) as process:
            wait_until(adapter.received)
            process.terminate()
            assert process.wait(10) == 0
        assert [order["order_id"] for order in adapter.received()] == ["1001"]
        assert adapter.states() == ["delivered"]


@pytest.mark.parametrize("command", ["serve", "sandbox"])
def test_a_port_that_is_taken_ends_it_with_1_before_anything_is_started(tmp_path: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = terminal.run(command, "--bind", address, DATABASE_URL=f"sqlite:///{tmp_path / 'x.db'}")
    assert (result.returncode, result.stdout, list(tmp_path.iterdir())) == (1, b"", [])
    assert result.stderr.startswith(f"Error: cannot listen at {address}".encode())
    assert len(result.stderr.splitlines()) == 1
