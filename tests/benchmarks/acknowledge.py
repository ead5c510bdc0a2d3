"""How many webhooks a second are acknowledged, beside the same stack that keeps nothing; in alternating rounds, as ratios.

python -m tests.benchmarks.acknowledge --rounds 5 --connections 16 64      needs wrk (apt install wrk); loopback only
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from adapter.process.supervisor import free_port
from tests.benchmarks.contenders import create_naive_table
from tests.benchmarks.databases import both_databases, migrated
from tests.benchmarks.processes import ADAPTER, Running, running, wait_until_up
from tests.benchmarks.results import Row, print_rows, spread
from tests.support.adapter_under_test import shopify_order, signed

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
_MOST_A_SECOND = 6_000
_GUNICORN = (sys.executable, "-m", "gunicorn", "--workers", "2", "--threads", "8", "--worker-class", "gthread", "--log-level", "error")
CONTENDERS = ("bare", "naive", "queued", "web", "serve")
_MOST_WARM_UPS = 10
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
Load = tuple[int, int]
"""Bytes of a body, and connections."""


@dataclass(frozen=True)
class Measured:
    """One run: requests a second, median and 99th percentile in ms, and CPU time of the server in ms for each request."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float


def missing(contender: str = "web") -> str:
    """What has to be installed for a contender; "" if all of it is."""
    if not shutil.which("wrk"):
        return "wrk is missing: apt install wrk"
    if contender == "queued" and not shutil.which("redis-server"):
        return "Celery is left out, since Redis is missing: apt install redis-server"
    return ""


def measure(
    urls: dict[str, str],
    *,
    rounds: int = 3,
    seconds: int = 2,
    loads: Sequence[Load] = ((4000, 16),),
    contenders: Sequence[str] = CONTENDERS,
) -> list[Row]:
    """Rows for each database, load and contender: the contenders take turns in every round."""
    there = [name for name in contenders if not missing(name)]
    rows = []
    for database, url in urls.items():
        migrated(url).dispose()
        create_naive_table(url)
        runs: dict[tuple[Load, str], list[Measured]] = {}
        for _ in range(rounds):
            for name in there:
                with _server(name, url) as (port, process):
                    _warm_up(port, process, loads[0])
                    for load in loads:
                        runs.setdefault((load, name), []).append(_run(port, process, load, seconds))
        rows += [_row(database, load, name, runs[load, name], runs.get((load, "bare"), [])) for load in loads for name in there]
    return rows


def _row(database: str, load: Load, name: str, runs: Sequence[Measured], bare: Sequence[Measured]) -> Row:
    def median(values: Iterator[float], digits: int) -> float:
        return round(statistics.median(values), digits)

    return {
        "database": database,
        "bytes": load[0],
        "connections": load[1],
        "contender": name,
        "a second": round(statistics.median(run.rate for run in runs)),
        **spread([run.rate / other.rate for run, other in zip(runs, bare, strict=False)]),
        "p50_ms": median((run.p50_ms for run in runs), 1),
        "p99_ms": median((run.p99_ms for run in runs), 1),
        "cpu_ms": median((run.cpu_ms for run in runs), 3),
    }


@contextmanager
def _server(name: str, url: str) -> Iterator[tuple[int, Running]]:
    port = free_port("127.0.0.1")
    bind = f"127.0.0.1:{port}"
    command = [*ADAPTER, name, "--bind", bind] if name in ("web", "serve") else [*_GUNICORN, "--bind", bind, _factory(name)]
    variables = {"DATABASE_URL": url, "NAIVE_DATABASE": url}
    up = f"http://{bind}/healthz"
    if name != "queued":
        with running(command, variables, up=up) as process:
            yield port, process
        return
    redis = free_port("127.0.0.1")
    with tempfile.TemporaryDirectory() as folder:
        broker = ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        with running(broker, {}), running(command, {**variables, "REDIS_URL": f"redis://127.0.0.1:{redis}/0"}, up=up) as process:
            yield port, process


def _warm_up(port: int, process: Running, load: Load) -> None:
    """Load it until every worker has started; raises `RuntimeError` if it answers nothing."""
    for _ in range(_MOST_WARM_UPS):
        if _run(port, process, load, 1).rate:
            return
    raise RuntimeError("the server was up, but answered no webhook")


def _factory(name: str) -> str:
    return f"tests.benchmarks.contenders:{name}()"


def _run(port: int, process: Running, load: Load, seconds: int) -> Measured:
    size, connections = load
    orders = seconds * _MOST_A_SECOND
    first = time.time_ns() // 100_000_000 % 10_000_000 * 100_000  # Lua writes numbers of up to 14 digits
    head, tail = json.dumps(shopify_order(first, note="x" * max(0, size - 550))).split(str(first), 1)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script, tempfile.NamedTemporaryFile("w") as proofs:
        for number in range(1, orders + 1):
            [proof] = signed(f"{head}{first + number}{tail}".encode()).values()
            proofs.write(f"{proof}\n")
        proofs.flush()
        script.write(_SCRIPT % {"head": head, "tail": tail, "first": first, "proofs": proofs.name, "run": time.time_ns()})
        script.flush()
        threads = min(2, connections)
        command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script.name, f"http://127.0.0.1:{port}"]
        wait_until_up(f"http://127.0.0.1:{port}/healthz")
        before = process.cpu_s()
        printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60).stdout
        return measured_by_wrk(printed, cpu_s=process.cpu_s() - before)


def measured_by_wrk(printed: str, *, cpu_s: float) -> Measured:
    """What wrk printed; raises `RuntimeError` if a request was refused."""
    if refused := re.search(r"Non-2xx or 3xx responses: (\d+)", printed):
        raise RuntimeError(f"{refused[1]} requests were not answered 200: {printed}")
    requests, rate = _number(r"(\d+) requests in", printed), _number(r"Requests/sec:\s+([\d.]+)", printed)
    return Measured(rate, _latency_ms(printed, "50%"), _latency_ms(printed, "99%"), cpu_s * 1000 / max(1.0, requests))


def _number(pattern: str, printed: str) -> float:
    found = re.search(pattern, printed)
    if found is None:
        raise RuntimeError(f"wrk printed something else: {printed}")
    return float(found[1])


def _latency_ms(printed: str, percentile: str) -> float:
    found = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)\b", printed)
    if found is None:
        raise RuntimeError(f"wrk printed something else: {printed}")
    return float(found[1]) * _UNITS_MS[found[2]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--bytes", type=int, nargs="+", default=[4000])
    parser.add_argument("--databases", nargs="+", default=["SQLite", "PostgreSQL"])
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS))
    options = parser.parse_args()
    if why := missing():
        sys.exit(why)
    loads = [(size, connections) for size in options.bytes for connections in options.connections]
    with both_databases() as urls:
        chosen = {name: urls[name] for name in options.databases}
        rows = measure(chosen, rounds=options.rounds, seconds=options.seconds, loads=loads, contenders=options.contenders)
    print_rows(rows)


if __name__ == "__main__":
    main()
