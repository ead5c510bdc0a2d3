"""What claiming, the ledger and keeping cost with a thousand finished deliveries, and with ever more; a tenth as many wait.

python -m tests.benchmarks.growth            to a million, which takes about two minutes; each ratio should be under 2
python -m tests.benchmarks.growth 100000     with fewer
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

from sqlalchemy import Connection, Engine, text

from adapter.delivery.pacing import HOUR, MOST_ORDERS
from adapter.delivery.queues import load_queues
from adapter.inbox import ledger, receiving, sending
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.receiving import Arrival
from mappings import Key
from tests.benchmarks.databases import STORE, both_databases, fill, migrated
from tests.benchmarks.results import Row, print_rows
from tests.support.adapter_under_test import ACCOUNT, shopify_order

_ROUNDS = 200
_PAYLOAD = json.dumps(shopify_order()).encode()
_number = count()
_now = datetime.now(UTC)


def claim(connection: Connection) -> None:
    """What one look of the sender's costs: which account has anything due, how much, which lane is first, and what waits in it."""
    assert sending.due_accounts(connection, _now)
    sending.outlook(connection, ACCOUNT.id, _now, 4 * MOST_ORDERS)
    lanes = sending.due_lanes(connection, ACCOUNT.id, _now, 1)
    assert len(load_queues(connection, ACCOUNT.id, lanes)) == 1


def quota(connection: Connection) -> None:
    """What is left of the quota."""
    ledger.entries(connection, ACCOUNT.id, "single", _now - HOUR)


def keep(connection: Connection) -> None:
    """One webhook."""
    key = Key(value=f"new-{next(_number)}", expires=False)
    receiving.keep(connection, Arrival(store=STORE, key=key, topic="orders/updated", headers={}, payload=_PAYLOAD, at=_now))


def keep_copy(connection: Connection) -> None:
    """The same webhook again."""
    key = Key(value="finished-7", expires=False)
    kept = receiving.keep(connection, Arrival(store=STORE, key=key, topic="orders/updated", headers={}, payload=_PAYLOAD, at=_now))
    assert not kept.new


WORK: dict[str, tuple[Callable[[Connection], None], bool]] = {
    "claim": (claim, False),
    "quota": (quota, False),
    "keep": (keep, True),
    "keep, a copy": (keep_copy, True),
}


def measure(urls: dict[str, str], *, most: int = 100_000) -> list[Row]:
    """The median of each kind of work in milliseconds, its transaction and commit included, for 1,000 deliveries, 10,000 and so on."""
    rows = []
    for database, url in urls.items():
        engine = migrated(url)
        smallest: dict[str, float] = {}
        finished = 1000
        while finished <= most:
            _empty(engine)
            # The hour before is always as full: it is bounded by the quota.
            fill(engine, finished=finished, waiting=max(1000, finished // 10), at=_now)
            medians = _medians(engine)
            smallest = smallest or medians
            for work, median in medians.items():
                ratio = round(median / smallest[work], 2)
                rows.append({"database": database, "deliveries": finished, "work": work, "ms": round(median, 2), "ratio": ratio})
            finished *= 10
        engine.dispose()
    return rows


def _medians(engine: Engine) -> dict[str, float]:
    return {name: _median_ms(engine, work, writes=writes) for name, (work, writes) in WORK.items()}


def _median_ms(engine: Engine, work: Callable[[Connection], None], *, writes: bool) -> float:
    took = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        with transaction(engine) if writes else snapshot(engine) as connection:
            work(connection)
        took.append(time.perf_counter() - started)
    return statistics.median(took) * 1000


def _empty(engine: Engine) -> None:
    with engine.begin() as connection:
        for table in ("attempts", "requests", "orders", "deliveries"):
            connection.execute(text(f"DELETE FROM {table}"))


def main(most: int = 1_000_000) -> None:
    """Measure and print."""
    with both_databases() as urls:
        print_rows(measure(urls, most=most))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
