"""`demo`: the main job, before your eyes. A fresh SQLite file, the real server and sender, the stand-in in Drip's place, the fixtures."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, Row, func, select

from adapter import show
from adapter.errors import WorkFailed
from adapter.inbox import statements
from adapter.inbox.database import connect, snapshot
from adapter.inbox.tables import deliveries
from adapter.replay import Case, find_cases, post, sandbox_target
from adapter.serve import free_port
from adapter.settings import SANDBOX_ACCOUNT
from mappings import PROVIDERS

_PATIENCE_S = 90
_MAGENTO_URL = "https://magento-shop.example"


def run_demo(fixtures: Path) -> int:
    """Replay the fixtures and show what Drip got; the exit status."""
    if not fixtures.is_dir():
        raise WorkFailed("there are no fixtures here: run the demo from a checkout of the project")
    cases = find_cases([fixtures])
    out = show.console()
    with tempfile.TemporaryDirectory(prefix="drip-adapter-demo-") as folder:
        environ = _environ(Path(folder), cases)
        with _adapter(environ) as (url, sandbox_url):
            out.print(f"\nPosting {len(cases)} webhooks, signed as their stores sign them, to the adapter at {url} ...")
            _replay(url, cases)
            engine = connect(environ["DATABASE_URL"])
            _wait_until_settled(engine)
            received = requests.get(f"{sandbox_url}/received", params={"limit": 100_000}, timeout=10).json()["orders"]
            with snapshot(engine) as connection:
                rows = list(reversed(statements.listed(connection, statements.filtered(), 100_000)))
                sent = {row.id: statements.attempts_of(connection, row.id) for row in rows if row.state == "delivered"}
            engine.dispose()
    out.print(_table(rows, sent))
    _one_body(out, received)
    delivered = sum(row.state == "delivered" for row in rows)
    _closing(out, len(rows), delivered, len(received))
    return 0 if delivered and delivered == len(received) else 1


def _environ(folder: Path, cases: list[Case]) -> dict[str, str]:
    """The settings of the demo's adapter: nothing of the caller's, a store a platform, and one for each case with options of its own."""
    toml = folder / "stores.toml"
    toml.write_text("\n".join(_tables(cases)), encoding="utf-8")
    kept = {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "SYSTEMROOT", "PYTHONPATH", "VIRTUAL_ENV")
    }
    return kept | {"DATABASE_URL": f"sqlite:///{folder / 'demo.db'}", "STORES": str(toml), "LOG_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore"}


def _tables(cases: list[Case]) -> Iterator[str]:
    for name, provider in PROVIDERS.items():
        yield _toml(name, {"provider": name, "secret": SANDBOX_ACCOUNT} | ({"store_url": _MAGENTO_URL} if provider.needs_address else {}))
    for case in cases:
        if options := _options(case):
            address = {"store_url": _MAGENTO_URL} if case.provider.needs_address else {}
            own = {"provider": case.provider.name, "secret": SANDBOX_ACCOUNT, "drip_provider": f"{_store_name(case)}".replace("-", "_")}
            yield _toml(_store_name(case), own | address | options)


def _options(case: Case) -> dict[str, Any]:
    file = case.folder / "store.json"
    options: dict[str, Any] = json.loads(file.read_bytes()) if file.exists() else {}
    return options


def _store_name(case: Case) -> str:
    return f"{case.provider.name}-{case.folder.name}" if _options(case) else case.provider.name


def _toml(name: str, table: Mapping[str, Any]) -> str:
    return "\n".join([f"[stores.{name}]", *(f"{key} = {_toml_value(value)}" for key, value in table.items()), ""])


def _toml_value(value: Any) -> str:
    """JSON's strings, lists and booleans are TOML's too; its objects are nearly."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml_value(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)


@contextmanager
def _adapter(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The adapter, as `serve --sandbox` runs it; its address and the stand-in's."""
    address = f"127.0.0.1:{free_port('127.0.0.1', 8010)}"
    command = [sys.executable, "-m", "adapter", "serve", "--sandbox", "--bind", address]
    process = subprocess.Popen(command, env=dict(environ), cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert process.stdout is not None  # noqa: S101 - asked for above
        banner = process.stdout.readline()
        sandbox_url = next((word for word in banner.split() if word.startswith("http://") and word != f"http://{address};"), "")
        _wait_until_up(process, f"http://{address}/readyz")
        _wait_until_up(process, f"{sandbox_url}/received")
        yield f"http://{address}", sandbox_url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait_until_up(process: "subprocess.Popen[str]", url: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise WorkFailed("the adapter did not start; run drip-adapter serve --sandbox to see why")


def _replay(url: str, cases: list[Case]) -> None:
    with requests.Session() as session:
        for case in cases:
            answer = post(session, url, case, case.payload, sandbox_target(_store_name(case)))
            if answer.status != 200:
                raise WorkFailed(f"{case.folder.name} was answered {answer.status}: {answer.answer}")


def _wait_until_settled(engine: Engine) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        with snapshot(engine) as connection:
            waiting = connection.execute(select(func.count()).select_from(deliveries).where(deliveries.c.state == "pending")).scalar_one()
        if not waiting:
            return
        time.sleep(0.2)
    raise WorkFailed("the adapter did not settle everything in time")


def _table(rows: Sequence[Row[Any]], sent: Mapping[int, Sequence[Row[Any]]]) -> Table:
    table = Table(
        "store", "topic", "order", "what became of it", "action", "total", "discounts", "taxes", "shipping", box=None, pad_edge=False
    )
    for column in table.columns[5:]:
        column.justify = "right"
    for row in rows:
        body = json.loads(sent[row.id][-1].body, parse_float=str) if row.id in sent else {}
        became = show.state(row.state)
        if reason := show.why(row):
            became.append(f"  {reason}", style="dim")
        total = f"{body['grand_total']} {body.get('currency', '')}" if body else ""
        amounts = [str(body.get(name, "")) for name in ("total_discounts", "total_taxes", "total_shipping")]
        table.add_row(row.store, row.topic, row.order_id or "", became, body.get("action", ""), total, *amounts)
    return table


def _one_body(out: Console, received: Sequence[Mapping[str, Any]]) -> None:
    """The fullest order of all, as Drip got it."""
    fullest = max(received, key=lambda entry: len(json.dumps(entry["order"])), default=None)
    if fullest is not None:
        out.print("\nOne of them, as Drip got it:\n")
        out.print_json(data=fullest["order"])


def _closing(out: Console, kept: int, delivered: int, received: int) -> None:
    out.print(
        f"\n{kept} deliveries kept, {delivered} orders delivered, {received} received by the stand-in; the others were skipped or are dead "
        "on purpose, with the reason beside them.\n\n"
        "Where to go next:\n"
        "  make run                             the adapter with the stand-in, until you stop it\n"
        "  .venv/bin/drip-adapter map --help    what Drip would get for an order of yours\n"
        "  README.md                            the settings to paste, and how to deploy\n"
    )
