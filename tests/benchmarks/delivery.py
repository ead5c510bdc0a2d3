"""From webhook to Drip: how long one order takes while nothing else is there and at ten a second, and how fast a backlog drains.

python -m tests.benchmarks.delivery
"""

import statistics
import time
from datetime import datetime, timedelta

from tests.benchmarks.databases import both_databases, migrated
from tests.benchmarks.processes import ADAPTER, DRIP, running, sandbox, serving
from tests.benchmarks.results import Row, print_rows
from tests.benchmarks.traffic import Shop, arrived, wait_for

_GENEROUS = {"SINGLE_REQUESTS_PER_HOUR": "3600", "BATCH_REQUESTS_PER_HOUR": "50"}


def latency(urls: dict[str, str], *, single: int = 20, seconds: int = 10) -> list[Row]:
    """Webhook to Drip under `serve`, in milliseconds after the acknowledgement."""
    rows = []
    for database, url in urls.items():
        migrated(url).dispose()
        with sandbox() as drip, serving({"DATABASE_URL": url, "DRIP_API_URL": drip, **DRIP}) as (_, address):
            shop = Shop(address)
            shop.post()
            wait_for(drip, 1, 20)
            for name, rate, during in (("idle", 2.0, single / 2), ("10 a second", 10.0, float(seconds))):
                time.sleep(1)
                posted = shop.post_evenly(rate, during)
                time.sleep(2)
                rows.append({"database": database, "traffic": name, **_delays(posted, arrived(drip))})
    return rows


def drain(urls: dict[str, str], *, orders: int = 1000) -> list[Row]:
    """A backlog that waited while no sender ran: until the last order is at Drip."""
    rows = []
    for database, url in urls.items():
        migrated(url).dispose()
        variables = {"DATABASE_URL": url, **DRIP, **_GENEROUS}
        with sandbox() as drip:
            variables["DRIP_API_URL"] = drip
            with serving(variables, "web") as (_, address):
                shop = Shop(address)
                for _ in range(orders):
                    shop.post()
            begun = time.monotonic()
            with running([*ADAPTER, "send"], variables):
                done = wait_for(drip, orders, 120)
                took = time.monotonic() - begun
            rows.append(
                {"database": database, "orders": orders, "all at Drip": done, "seconds": round(took, 1), "a second": round(orders / took)}
            )
    return rows


def _delays(posted: dict[str, datetime], received: dict[str, datetime]) -> Row:
    delays = sorted(
        max(timedelta(0), received[order_id] - at) / timedelta(milliseconds=1) for order_id, at in posted.items() if order_id in received
    )
    if not delays:
        return {"orders": 0, "median_ms": None, "p90_ms": None, "slowest_ms": None}
    return {
        "orders": len(delays),
        "median_ms": round(statistics.median(delays)),
        "p90_ms": round(delays[int(len(delays) * 0.9)]),
        "slowest_ms": round(delays[-1]),
    }


def main() -> None:
    """Measure and print."""
    with both_databases() as urls:
        print_rows([*latency(urls), *drain(urls)])


if __name__ == "__main__":
    main()
