"""The demo: a fresh SQLite file, the real web and sender processes, the sandbox in Drip's place, the fixtures."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.text import Text
from sqlalchemy import Engine, Row, func, select

from adapter.cli import output
from adapter.cli.delivery_output import why
from adapter.errors import WorkFailed
from adapter.inbox import search
from adapter.inbox.database import connect, snapshot
from adapter.inbox.tables import deliveries
from adapter.process.replay import Case, Posted, find_cases, post, sandbox_target
from adapter.process.supervisor import free_port
from adapter.settings import SANDBOX_ACCOUNT
from mappings import PROVIDERS, Provider

_TIMEOUT_S = 90
_WIDTH_WITHOUT_TERMINAL = 140
_COLUMNS = (
    output.Column("case"),
    output.Column("order", from_width=96),
    output.Column("total", is_number=True),
    output.Column("discounts", from_width=120, is_number=True),
    output.Column("taxes", from_width=120, is_number=True),
    output.Column("shipping", from_width=120, is_number=True),
    output.Column("what became of it"),
)


def run_demo(fixtures: Path) -> int:
    """Replay the fixtures and show what Drip got; the exit status."""
    if not fixtures.is_dir():
        raise WorkFailed("there are no fixtures here: run the demo from a checkout of the project")
    cases = find_cases([fixtures])
    out = output.console(_WIDTH_WITHOUT_TERMINAL)
    with tempfile.TemporaryDirectory(prefix="drip-adapter-demo-") as folder:
        environ = _environ(Path(folder), cases)
        with _adapter(environ) as (url, sandbox_url):
            out.print(f"Posting {len(cases)} webhooks, signed as their stores sign them, to the adapter at {url} ...")
            posted = _replay(url, cases)
            engine = connect(environ["DATABASE_URL"])
            _wait_until_settled(engine)
            received = requests.get(f"{sandbox_url}/received", params={"limit": 100_000}, timeout=10).json()["orders"]
            with snapshot(engine) as connection:
                rows = list(reversed(search.listed(connection, search.filtered(), 100_000)))
                sent = {row.id: search.attempts_of(connection, row.id) for row in rows if row.state == "delivered"}
            engine.dispose()
    came_from = _cases_of(rows, posted)
    for provider in PROVIDERS.values():
        out.print(f"\n{provider.title}\n", style="bold")
        mine = [row for row in sorted(rows, key=lambda row: row.parent_id or row.id) if came_from[row.id].provider == provider]
        out.print(output.table(_COLUMNS, [_line(came_from[row.id], row, sent.get(row.id, ())) for row in mine], out.width))
    _one_body(out, received)
    delivered = sum(row.state == "delivered" for row in rows)
    # With the lifecycle vocabulary one order may be several events at Drip.
    events = sum(attempt.outcome == "delivered" for attempts in sent.values() for attempt in attempts)
    _closing(out, len(rows), delivered, len(received))
    return 0 if delivered and events == len(received) else 1


def _environ(folder: Path, cases: list[Case]) -> dict[str, str]:
    """The settings of the demo's adapter: nothing of the caller's, one store per platform, and one per case with its own options."""
    toml = folder / "stores.toml"
    toml.write_text("\n".join(_tables(cases)), encoding="utf-8")
    kept = {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "SYSTEMROOT", "PYTHONPATH", "VIRTUAL_ENV")
    }
    return kept | {"DATABASE_URL": f"sqlite:///{folder / 'demo.db'}", "STORES": str(toml), "LOG_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore"}


def _tables(cases: list[Case]) -> Iterator[str]:
    for name, provider in PROVIDERS.items():
        yield _toml(name, {"provider": name, "secret": SANDBOX_ACCOUNT} | _address(provider))
    for case in cases:
        if options := _options(case):
            own = {"provider": case.provider.name, "secret": SANDBOX_ACCOUNT, "drip_provider": f"{_store_name(case)}".replace("-", "_")}
            yield _toml(_store_name(case), own | _address(case.provider) | options)


def _address(provider: Provider) -> dict[str, str]:
    return {"store_url": f"https://{provider.name}-shop.example"} if provider.needs_address else {}


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
    """The adapter, as `serve --sandbox` runs it; its address and the sandbox's."""
    port, sandbox_port = free_port("127.0.0.1"), free_port("127.0.0.1")
    url, sandbox_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox_port}"
    command = [sys.executable, "-m", "adapter", "serve", "--bind", f"127.0.0.1:{port}", "--sandbox", "--sandbox-port", str(sandbox_port)]
    process = subprocess.Popen(command, env=dict(environ), cwd=Path(__file__).parent.parent.parent, stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        _wait_until_up(process, f"{url}/readyz")
        _wait_until_up(process, f"{sandbox_url}/received")
        yield url, sandbox_url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait_until_up(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(requests.RequestException):
            if requests.get(url, timeout=2).ok:
                return
        time.sleep(0.1)
    raise WorkFailed("the adapter did not start; run drip-adapter serve --sandbox to see why")


def _replay(url: str, cases: list[Case]) -> list[Posted]:
    posted = []
    with requests.Session() as session:
        for case in cases:
            answer = post(session, url, case, case.payload, sandbox_target(_store_name(case)))
            if answer.status != 200:
                raise WorkFailed(f"{case.folder.name} was answered {answer.status}: {answer.answer}")
            posted.append(answer)
    return posted


def _wait_until_settled(engine: Engine) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        with snapshot(engine) as connection:
            waiting = connection.execute(select(func.count()).select_from(deliveries).where(deliveries.c.state == "pending")).scalar_one()
        if not waiting:
            return
        time.sleep(0.2)
    raise WorkFailed("the adapter did not settle everything in time")


def _cases_of(rows: Sequence[Row[Any]], posted: Sequence[Posted]) -> dict[int, Case]:
    """Which case each delivery came from, by its id; the parts of a body that held several orders come from its case."""
    # Not every platform is told the delivery's id, and not every payload is still there.
    by_id = {json.loads(answer.answer).get("delivery"): answer.case for answer in posted}
    by_payload = {(_store_name(answer.case), answer.case.payload): answer.case for answer in posted}
    found: dict[int, Case] = {}
    for row in rows:
        found[row.id] = by_id.get(str(row.id)) or by_payload.get((row.store, row.payload)) or found[row.parent_id]
    return found


def _line(case: Case, row: Row[Any], attempts: Sequence[Row[Any]]) -> list[str | Text]:
    """A delivery as a row of the table; amounts with the digits that Drip got."""
    body = json.loads(attempts[-1].body, parse_float=str) if attempts else {}
    title = case.folder.name if row.parent_id is None else "  a part of it"
    total = f"{body['grand_total']} {body.get('currency', '   ')}" if body else ""
    amounts = [str(body.get(name, "")) for name in ("total_discounts", "total_taxes", "total_shipping")]
    became = Text.assemble(output.state(row.state), " " * (11 - len(row.state)), body.get("action") or why(row))
    return [title, row.order_id or "", total, *amounts, became]


def _one_body(out: Console, received: Sequence[Mapping[str, Any]]) -> None:
    """The fullest order of all, as Drip got it."""
    fullest = max(received, key=lambda entry: len(json.dumps(entry["order"])), default=None)
    if fullest is not None:
        out.print("\nOne of them, as Drip got it:\n")
        out.print_json(data=fullest["order"])


def _closing(out: Console, kept: int, delivered: int, received: int) -> None:
    out.print(
        f"\n{kept} deliveries kept, {delivered} orders delivered, {received} events received by the sandbox; the others were skipped or "
        "are dead on purpose, with the reason beside them.\n\n"
        "Where to go next:\n"
        "  make run                             adapter and sandbox until you stop them\n"
        "  .venv/bin/drip-adapter map --help    what Drip would get of your own orders\n"
        "  README.md                            the settings to paste, how to deploy\n"
    )
