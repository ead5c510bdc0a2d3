"""An adapter for the demo: `serve --sandbox` with settings of its own, started, posted to, watched and stopped."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import Engine

from adapter.errors import WorkFailed
from adapter.inbox.database import connect
from adapter.process.replay import Case, Posted, post, sandbox_target
from adapter.process.supervisor import free_port
from adapter.settings import SANDBOX_ACCOUNT
from mappings import PROVIDERS, Provider

_TIMEOUT_S = 90
_ROOT = Path(__file__).parents[3]
_KEPT = ("PATH", "HOME", "LANG", "SYSTEMROOT", "PYTHONPATH", "VIRTUAL_ENV")


@dataclass(frozen=True, kw_only=True)
class DemoAdapter:
    """A running adapter."""

    url: str
    sandbox_url: str
    environ: Mapping[str, str]
    engine: Engine
    session: requests.Session

    def post(self, case: Case) -> Posted:
        """Post a webhook, signed as its store would sign it."""
        posted = post(self.session, self.url, case, case.payload, sandbox_target(store_name(case)))
        if posted.status != 200:
            raise WorkFailed(f"the adapter answered {posted.status} to {case.folder.name}: {posted.answer}")
        return posted

    def received(self) -> list[dict[str, Any]]:
        """What the sandbox received: an entry for each order, oldest first."""
        answer = self.session.get(f"{self.sandbox_url}/received", params={"limit": 100_000}, timeout=10)
        entries: list[dict[str, Any]] = answer.json()["orders"]
        return entries

    def command(self, *arguments: str) -> str:
        """What a command of the adapter prints."""
        command = [sys.executable, "-m", "adapter", *arguments]
        return subprocess.run(  # noqa: S603 - our own module
            command, env=dict(self.environ), cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
        ).stdout


@contextmanager
def running_adapter(cases: Iterable[Case]) -> Iterator[DemoAdapter]:
    """An adapter with a store for each platform, and one for each case with options of its own; stopped and removed at the end."""
    port, sandbox_port = free_port("127.0.0.1"), free_port("127.0.0.1")
    url, sandbox_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox_port}"
    command = [sys.executable, "-m", "adapter", "serve", "--bind", f"127.0.0.1:{port}", "--sandbox", "--sandbox-port", str(sandbox_port)]
    with tempfile.TemporaryDirectory(prefix="drip-adapter-demo-") as folder, requests.Session() as session:
        environ = _environ(Path(folder), cases)
        process = subprocess.Popen(command, env=environ, cwd=_ROOT, stdout=subprocess.DEVNULL)  # noqa: S603 - our own module
        engine = connect(environ["DATABASE_URL"])
        try:
            for address in (f"{url}/readyz", f"{sandbox_url}/received"):
                wait_until(lambda address=address: _is_up(process, address), "the adapter did not start")  # type: ignore[misc]
            yield DemoAdapter(url=url, sandbox_url=sandbox_url, environ=environ, engine=engine, session=session)
        finally:
            engine.dispose()
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def wait_until(done: Callable[[], bool], otherwise: str) -> None:
    """Wait; raises `WorkFailed` if it takes too long."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not done():
        if time.monotonic() > deadline:
            raise WorkFailed(f"{otherwise} in {_TIMEOUT_S} seconds; run drip-adapter serve --sandbox to see why")
        time.sleep(0.05)


def store_name(case: Case) -> str:
    """The store that a case is posted to."""
    return f"{case.provider.name}-{case.folder.name}" if _options(case) else case.provider.name


def _is_up(process: "subprocess.Popen[bytes]", url: str) -> bool:
    if process.poll() is not None:
        raise WorkFailed("the adapter did not start; run drip-adapter serve --sandbox to see why")
    with suppress(requests.RequestException):
        return requests.get(url, timeout=2).ok
    return False


def _environ(folder: Path, cases: Iterable[Case]) -> dict[str, str]:
    """The settings of the demo's adapter; none of the caller's."""
    toml = folder / "stores.toml"
    toml.write_text("\n".join(_tables(cases)), encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if name in _KEPT}
    own = {"DATABASE_URL": f"sqlite:///{folder / 'demo.db'}", "STORES": str(toml), "WEB_CONCURRENCY": "1"}
    return kept | own | {"LOG_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore"}


def _tables(cases: Iterable[Case]) -> Iterator[str]:
    for name, provider in PROVIDERS.items():
        yield _toml(name, {"provider": name, "secret": SANDBOX_ACCOUNT} | _address(provider))
    for case in cases:
        if options := _options(case):
            own = {"provider": case.provider.name, "secret": SANDBOX_ACCOUNT, "drip_provider": store_name(case).replace("-", "_")}
            yield _toml(store_name(case), own | _address(case.provider) | options)


def _address(provider: Provider) -> dict[str, str]:
    return {"store_url": f"https://{provider.name}-shop.example"} if provider.needs_address else {}


def _options(case: Case) -> dict[str, Any]:
    file = case.folder / "store.json"
    options: dict[str, Any] = json.loads(file.read_bytes()) if file.exists() else {}
    return options


def _toml(name: str, table: Mapping[str, Any]) -> str:
    return "\n".join([f"[stores.{name}]", *(f"{key} = {_toml_value(value)}" for key, value in table.items()), ""])


def _toml_value(value: Any) -> str:
    """JSON's strings, lists and booleans are valid TOML; its objects nearly are."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml_value(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)
