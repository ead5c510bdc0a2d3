"""Orders that waited while Drip was down, three of which it then refuses: how long until the others are at Drip, and in how many requests.

python -m tests.benchmarks.outage --orders 3000              some minutes
"""

import argparse
import time

import requests
from sqlalchemy import Engine, text

from tests.benchmarks.databases import both_databases, migrated
from tests.benchmarks.processes import DRIP, sandbox, serving
from tests.benchmarks.results import Row, print_rows
from tests.benchmarks.traffic import Shop, wait_for

_REFUSED = 3
_LONGEST_BACKOFF_AFTER_S = 100
"""By then the sender tries an order once a minute."""


def measure(urls: dict[str, str], *, orders: int = 3000, within_s: float = 300) -> list[Row]:
    """One row for each database."""
    rows = []
    for database, url in urls.items():
        engine = migrated(url)
        with sandbox() as drip, serving({"DATABASE_URL": url, "DRIP_API_URL": drip, **DRIP}) as (_, address):
            _answer(drip, status=503)
            begun, shop = time.monotonic(), Shop(address)
            posted = [shop.post()[0] for _ in range(orders)]
            time.sleep(max(0.0, begun + _LONGEST_BACKOFF_AFTER_S - time.monotonic()))
            before = _requests(engine)
            requests.delete(f"{drip}/answers", timeout=30).raise_for_status()
            for order_id in posted[:: orders // _REFUSED][:_REFUSED]:
                _answer(drip, status=422, order_id=order_id)
            answers = time.monotonic()
            done = wait_for(drip, orders - _REFUSED, within_s)
            took = time.monotonic() - answers
            made = {kind: number - before.get(kind, 0) for kind, number in _requests(engine).items()}
            rows.append({"database": database, "orders": orders, "all at Drip": done, "seconds": round(took), **made, **_dead(engine)})
        engine.dispose()
    return rows


def _answer(drip: str, **rule: object) -> None:
    requests.put(f"{drip}/answers", json=rule, timeout=30).raise_for_status()


def _requests(engine: Engine) -> dict[str, int]:
    """How many requests of each kind were made."""
    with engine.connect() as connection:
        return {row.kind: row.number for row in connection.execute(text("SELECT kind, COUNT(*) AS number FROM requests GROUP BY kind"))}


def _dead(engine: Engine) -> Row:
    """How many deliveries are dead, once the refused ones are."""
    end, dead = time.monotonic() + 120, 0
    while dead < _REFUSED and time.monotonic() < end:
        time.sleep(1)
        with engine.connect() as connection:
            dead = connection.execute(text("SELECT COUNT(*) FROM deliveries WHERE state = 'dead'")).scalar_one()
    return {"dead": dead}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.outage")
    parser.add_argument("--orders", type=int, default=3000)
    options = parser.parse_args()
    with both_databases() as urls:
        print_rows(measure(urls, orders=options.orders))


if __name__ == "__main__":
    main()
