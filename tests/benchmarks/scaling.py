"""Several web and sender processes on one PostgreSQL: what one pair and two pairs acknowledge and send, and how soon a sender is replaced.

python -m tests.benchmarks.scaling
"""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from tests.benchmarks.databases import both_databases, migrated
from tests.benchmarks.processes import ADAPTER, DRIP, running, sandbox, serving
from tests.benchmarks.results import Row, print_rows
from tests.benchmarks.traffic import Shop, arrived, wait_for

_CLIENTS = 16


def measure(url: str, *, orders: int = 1000) -> list[Row]:
    """One web and one sender process, then two of each; then one of two senders is killed while orders wait."""
    migrated(url).dispose()
    return [_throughput(url, 1, orders), _throughput(url, 2, orders), _takeover(url)]


def _throughput(url: str, pairs: int, orders: int) -> Row:
    with ExitStack() as stack:
        drip = stack.enter_context(sandbox())
        variables = {"DATABASE_URL": url, "DRIP_API_URL": drip, "WEB_CONCURRENCY": "1", **DRIP}
        webs = [stack.enter_context(serving(variables, "web"))[1] for _ in range(pairs)]
        for _ in range(pairs):
            stack.enter_context(running([*ADAPTER, "send"], variables))
        Shop(*webs).post()
        wait_for(drip, 1, 30)
        begun = time.monotonic()
        with ThreadPoolExecutor(_CLIENTS) as pool:
            for done in [pool.submit(_post, webs, orders // _CLIENTS) for _ in range(_CLIENTS)]:
                done.result()
        acknowledged = time.monotonic() - begun
        expected = 1 + orders // _CLIENTS * _CLIENTS
        complete = wait_for(drip, expected, 90)
        took = time.monotonic() - begun
        return {
            "processes": f"{pairs} web, {pairs} senders",
            "orders": expected - 1,
            "acknowledged a second": round((expected - 1) / acknowledged),
            "at Drip a second": round((expected - 1) / took),
            "lost or twice": 0 if complete and len(arrived(drip)) == expected else abs(expected - len(arrived(drip))),
        }


def _post(urls: list[str], count: int) -> None:
    shop = Shop(*urls)
    for _ in range(count):
        shop.post()


def _takeover(url: str) -> Row:
    """kill -9 for the sender that has the lease; until the other one sends the next order.

    The killed one isn't reaped before, so nothing on this machine shows that it is dead: as if it had been on another one.
    """
    with ExitStack() as stack:
        drip = stack.enter_context(sandbox())
        variables = {"DATABASE_URL": url, "DRIP_API_URL": drip, **DRIP}
        _, address = stack.enter_context(serving(variables, "web"))
        first = stack.enter_context(running([*ADAPTER, "send"], variables))
        shop = Shop(address)
        shop.post()
        wait_for(drip, 1, 60)
        stack.enter_context(running([*ADAPTER, "send"], variables))
        time.sleep(5)
        before = len(arrived(drip))
        os.kill(first.pid, signal.SIGKILL)
        begun = time.monotonic()
        shop.post()
        taken = wait_for(drip, before + 1, 90)
        return {
            "processes": "1 web, 2 senders, of which one is killed",
            "next order at Drip after s": round(time.monotonic() - begun, 1) if taken else None,
        }


def main() -> None:
    """Measure and print."""
    with both_databases() as urls:
        print_rows(measure(urls["PostgreSQL"]))


if __name__ == "__main__":
    main()
