"""Many accounts under `serve`: what they cost at rest, and how long the others wait when Drip stops answering for some of them.

python -m tests.benchmarks.accounts                        a thousand stores in as many accounts; some minutes
python -m tests.benchmarks.accounts --accounts 1           a thousand stores in one account
python -m tests.benchmarks.accounts --hanging 20           with twenty accounts for which nothing is answered
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from tests.benchmarks.databases import both_databases, migrated
from tests.benchmarks.drip import Drip, drip
from tests.benchmarks.idle import FIRST_ACCOUNT, settings_of
from tests.benchmarks.processes import Running, serving
from tests.benchmarks.results import Row, print_rows
from tests.benchmarks.traffic import Shop


def measure(
    urls: dict[str, str],
    *,
    stores: int = 1000,
    accounts: int = 1000,
    hanging: int = 2,
    warm_up_s: float = 250,
    rested_s: float = 60,
    seconds: float = 30,
) -> list[Row]:
    """One row for each database. All warm up at the same time, since that takes long and little."""
    with ExitStack() as stack:
        drips, serves = {}, {}
        for database, url in urls.items():
            migrated(url).dispose()
            folder, drips[database] = Path(stack.enter_context(tempfile.TemporaryDirectory())), stack.enter_context(drip())
            variables = {"DATABASE_URL": url, "DRIP_API_URL": drips[database].url, **settings_of(stores, folder, accounts=accounts)}
            serves[database] = stack.enter_context(serving(variables))
        time.sleep(warm_up_s)
        rows = []
        for database, (processes, address) in serves.items():
            row: Row = {"database": database, "stores": stores, "accounts": accounts, **_at_rest(processes, rested_s)}
            rows.append(row | _under_load(processes, address, drips[database], stores, hanging if accounts > 1 else 0, seconds))
        return rows


def _under_load(processes: Running, address: str, standing_in: Drip, stores: int, hanging: int, seconds: float) -> Row:
    """Orders of all stores, and then also of so many accounts for which nothing is answered."""
    shops = itertools.cycle([Shop(address, store=f"shop-{number}") for number in range(hanging, stores)])
    row = _posted(shops, standing_in, processes, seconds, "")
    standing_in.hanging = {str(FIRST_ACCOUNT + number) for number in range(hanging)}
    for number in range(hanging):
        for _ in range(5):
            Shop(address, store=f"shop-{number}").post()
    if hanging:
        row |= _posted(shops, standing_in, processes, seconds, f"beside {hanging} that hang ")
    return row | {"sender_threads under load": processes.threads("sender")}


def _at_rest(processes: Running, watched_s: float) -> Row:
    before = processes.cpu_s()
    time.sleep(watched_s)
    memory = processes.memory_mb()
    return {
        "core": f"{(processes.cpu_s() - before) / watched_s:.1%}",
        "threads": processes.threads(),
        "sender_threads": processes.threads("sender"),
        "sender_mb": round(memory.get("sender", 0)),
        "memory_mb": round(sum(memory.values())),
    }


def _posted(shops: Iterable[Shop], standing_in: Drip, processes: Running, seconds: float, name: str) -> Row:
    """Post ten orders a second, each from the next store; how long they took."""
    posted: dict[str, datetime] = {}
    begun, before = time.monotonic(), processes.cpu_s()
    for number, shop in zip(range(int(seconds * 10)), shops, strict=False):
        time.sleep(max(0.0, begun + number / 10 - time.monotonic()))
        order_id, at = shop.post()
        posted[order_id] = at
    time.sleep(3)
    cpu_s = processes.cpu_s() - before
    received = standing_in.arrived
    delays = [max(0.0, (received[order_id] - at).total_seconds()) for order_id, at in posted.items() if order_id in received]
    return {
        f"{name}median_s": round(statistics.median(delays), 2) if delays else None,
        f"{name}max_s": round(max(delays), 2) if delays else None,
        f"{name}cpu_ms_an_order": round(1000 * cpu_s / len(posted)),
        f"{name}not_there": len(posted) - len(delays),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.accounts")
    parser.add_argument("--stores", type=int, default=1000)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--hanging", type=int, default=2)
    parser.add_argument("--rested", type=float, default=60, help="seconds that are watched at rest")
    parser.add_argument("--warm-up", type=float, default=250, help="seconds before that; meanwhile Drip is asked about each account")
    parser.add_argument("--seconds", type=float, default=30, help="of posting ten orders a second")
    parser.add_argument("--only", choices=["SQLite", "PostgreSQL"])
    options = parser.parse_args()
    with both_databases() as urls:
        wanted = {name: url for name, url in urls.items() if options.only in (None, name)}
        rows = measure(
            wanted,
            stores=options.stores,
            accounts=options.accounts,
            hanging=options.hanging,
            warm_up_s=options.warm_up,
            rested_s=options.rested,
            seconds=options.seconds,
        )
        print_rows(rows)


if __name__ == "__main__":
    main()
