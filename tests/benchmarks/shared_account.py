"""Two stores that share a Drip account: how long the orders of one take while the other has a flood of them.

python -m tests.benchmarks.shared_account
"""

import statistics
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

from tests.benchmarks.databases import both_databases, migrated
from tests.benchmarks.drip import drip
from tests.benchmarks.idle import settings_of
from tests.benchmarks.processes import serving
from tests.benchmarks.results import Row, print_rows
from tests.benchmarks.traffic import Shop


def measure(urls: dict[str, str], *, flood: int = 969, seconds: float = 60) -> list[Row]:
    """One row for each database; the quiet store sends an order a second."""
    rows = []
    for database, url in urls.items():
        migrated(url).dispose()
        with tempfile.TemporaryDirectory() as folder, drip() as standing_in:
            variables = {"DATABASE_URL": url, "DRIP_API_URL": standing_in.url, **settings_of(2, Path(folder), accounts=1)}
            with serving(variables) as (_, address):
                Shop(address, store="shop-0").post()
                time.sleep(3)
                flooding = threading.Thread(target=_flood, args=(Shop(address, store="shop-1"), flood))
                flooding.start()
                posted = Shop(address, store="shop-0").post_evenly(1.0, seconds)
                flooding.join()
                time.sleep(5)
                rows.append({"database": database, "flood": flood, **_delays(posted, standing_in.arrived)})
    return rows


def _flood(shop: Shop, orders: int) -> None:
    for _ in range(orders):
        shop.post()


def _delays(posted: dict[str, datetime], arrived: dict[str, datetime]) -> Row:
    delays = [max(0.0, (arrived[order_id] - at).total_seconds()) for order_id, at in posted.items() if order_id in arrived]
    return {
        "median_s": round(statistics.median(delays), 2) if delays else None,
        "max_s": round(max(delays), 2) if delays else None,
        "not_there": len(posted) - len(delays),
    }


def main() -> None:
    """Measure and print."""
    with both_databases() as urls:
        print_rows(measure(urls))


if __name__ == "__main__":
    main()
