"""How many webhooks a second are acknowledged, beside the same stack that keeps nothing; in alternating rounds, as ratios.

python -m tests.benchmarks.acknowledge --rounds 5 --connections 16 64      needs wrk (apt install wrk); loopback only
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.benchmarks.contenders import create_naive_table
from tests.benchmarks.databases import both_databases, migrated
from tests.support.adapter_under_test import SECRET, shopify_order, signed

# Each thread of wrk takes every other order; so many that none comes twice.
_SCRIPT = """
local threads = 0
function setup(thread) thread:set("number", threads); threads = threads + 1 end
local sent = 0
local head, tail = [==[%(head)s]==], [==[%(tail)s]==]
local proofs = {}
for proof in io.lines("%(proofs)s") do table.insert(proofs, proof) end
function request()
  sent = sent + 1
  local order = (2 * sent + number) %% #proofs + 1
  return wrk.format("POST", "/webhooks/shopify", {
    ["Content-Type"] = "application/json", ["X-Shopify-Topic"] = "orders/updated", ["X-Shopify-Hmac-Sha256"] = proofs[order],
    ["X-Shopify-Webhook-Id"] = "%(run)s-" .. number .. "-" .. sent,
  }, head .. (%(first)d + order) .. tail)
end
"""
_ORDERS = 30_000
_GUNICORN = [sys.executable, "-m", "gunicorn", "--workers", "2", "--threads", "8", "--worker-class", "gthread", "--log-level", "error"]
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Measured:
    """One run: requests a second, median and 99th percentile in ms, and CPU time of the server in ms for each request."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float


def main() -> None:
    """Measure, print a table, and write it to build/benchmarks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--bytes", type=int, nargs="+", default=[4000])
    parser.add_argument("--databases", nargs="+", default=["SQLite", "PostgreSQL"])
    parser.add_argument("--contenders", nargs="+", default=["bare", "naive", "web", "serve"])
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is missing: apt install wrk")
    report = []
    with both_databases() as urls:
        for name in options.databases:
            for size in options.bytes:
                for connections in options.connections:
                    runs = _rounds(urls[name], options.contenders, size, connections, options.seconds, options.rounds)
                    report += _rows(name, size, connections, runs)
    folder = Path("build/benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "acknowledge.json").write_text(json.dumps(report, indent=1))


def _rounds(url: str, contenders: Sequence[str], size: int, connections: int, seconds: int, rounds: int) -> dict[str, list[Measured]]:
    engine = migrated(url)
    engine.dispose()
    create_naive_table(url)
    runs: dict[str, list[Measured]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name in contenders:
            with _server(name, url) as (port, process):
                runs[name].append(_load(port, process, size, connections, seconds))
    return runs


def _rows(database: str, size: int, connections: int, runs: dict[str, list[Measured]]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    bare = runs.get("bare", [])
    for name, measured in runs.items():
        ratios = [one.rate / other.rate for one, other in zip(measured, bare, strict=False)]
        row = {
            "database": database,
            "bytes": size,
            "connections": connections,
            "contender": name,
            "rate": round(statistics.median(one.rate for one in measured)),
            "ratio": round(statistics.median(ratios), 2) if ratios else None,
            "ratios": [round(ratio, 2) for ratio in ratios],
            "p50_ms": round(statistics.median(one.p50_ms for one in measured), 1),
            "p99_ms": round(statistics.median(one.p99_ms for one in measured), 1),
            "cpu_ms": round(statistics.median(one.cpu_ms for one in measured), 3),
        }
        print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
        rows.append(row)
    return rows


@contextmanager
def _server(name: str, url: str) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    bind = f"127.0.0.1:{port}"
    command = {
        "bare": [*_GUNICORN, "--bind", bind, "tests.benchmarks.contenders:bare()"],
        "naive": [*_GUNICORN, "--bind", bind, "tests.benchmarks.contenders:naive()"],
        "web": [sys.executable, "-m", "adapter", "web", "--bind", bind],
        "serve": [sys.executable, "-m", "adapter", "serve", "--bind", bind],
    }[name]
    known = {"DATABASE_URL": url, "NAIVE_DATABASE": url, "SHOPIFY_WEBHOOK_SECRET": SECRET}
    with subprocess.Popen(
        command, env={**os.environ, **known}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            _wait_until_up(port)
            yield port, process
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _load(port: int, process: "subprocess.Popen[bytes]", size: int, connections: int, seconds: int) -> Measured:
    first = time.time_ns() // 100_000_000 % 10_000_000 * _ORDERS  # Lua writes numbers of up to 14 digits
    head, tail = json.dumps(shopify_order(_ORDERS, note="x" * max(0, size - 550))).split(str(_ORDERS), 1)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script, tempfile.NamedTemporaryFile("w") as proofs:
        for number in range(1, _ORDERS + 1):
            [proof] = signed(f"{head}{first + number}{tail}".encode()).values()
            proofs.write(f"{proof}\n")
        proofs.flush()
        names = {"head": head, "tail": tail, "first": first, "proofs": proofs.name, "run": time.time_ns()}
        script.write(_SCRIPT % names)
        script.flush()
        command = ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script.name, f"http://127.0.0.1:{port}"]
        before = _cpu_s(process.pid)
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        spent = _cpu_s(process.pid) - before
    if refused := re.search(r"Non-2xx or 3xx responses: (\d+)", said):
        raise RuntimeError(f"{refused[1]} requests were not answered 200: {said}")
    requests = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])  # type: ignore[index]
    return Measured(rate, _latency(said, "50%"), _latency(said, "99%"), spent * 1000 / requests)


def _latency(said: str, percentile: str) -> float:
    found = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)\b", said)
    assert found is not None
    return float(found[1]) * _UNITS_MS[found[2]]


def _cpu_s(group: int) -> float:
    """CPU time of all processes of a session, in seconds."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _wait_until_up(port: int) -> None:
    for _ in range(300):
        try:
            with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise TimeoutError("the server does not start")


if __name__ == "__main__":
    main()
