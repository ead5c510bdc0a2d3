"""How many webhooks are acknowledged a second: 16 clients against the whole adapter, web and sender, on each database.

python -m tests.benchmarks.receive           takes half a minute; clients, adapter and database share this machine's cores
"""

import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from urllib.error import URLError
from urllib.request import urlopen

from tests.benchmarks.databases import both_databases
from tests.support.adapter_under_test import SECRET, shopify_order, signed

_CLIENTS, _SECONDS = 16, 10.0


def main(seconds: float = _SECONDS) -> None:
    """Measure on both."""
    with both_databases() as urls:
        for name, url in urls.items():
            took, span = _load(url, seconds)
            took.sort()
            p50, p99 = statistics.median(took) * 1000, took[len(took) * 99 // 100] * 1000
            print(f"{name:11} {len(took) / span:>6.0f} acknowledged a second, p50 {p50:.0f} ms, p99 {p99:.0f} ms, {_CLIENTS} clients")


def _load(url: str, seconds: float) -> tuple[list[float], float]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    known = {"DATABASE_URL": url, "SHOPIFY_WEBHOOK_SECRET": SECRET, "LOG_LEVEL": "ERROR"}
    command = [sys.executable, "-m", "adapter", "serve", "--bind", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, env={**os.environ, **known})
    try:
        _wait_until_ready(port)
        took: list[float] = []
        started = time.perf_counter()
        clients = [threading.Thread(target=_client, args=(port, number, started + seconds, took)) for number in range(_CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        return took, time.perf_counter() - started
    finally:
        process.terminate()
        process.wait(30)


def _client(port: int, number: int, until: float, took: list[float]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    sent = 0
    while time.perf_counter() < until:
        sent += 1
        payload = json.dumps(shopify_order(number * 1_000_000 + sent)).encode()
        headers = {**signed(payload), "X-Shopify-Topic": "orders/updated", "X-Shopify-Webhook-Id": f"{number}-{sent}"}
        begun = time.perf_counter()
        connection.request("POST", "/webhooks/shopify", payload, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"answered {answer.status}")
        took.append(time.perf_counter() - begun)
    connection.close()


def _wait_until_ready(port: int) -> None:
    for _ in range(200):
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise TimeoutError("the adapter does not start")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
