"""How long the dashboard's pages take with a thousand deliveries, and with a million of the last four weeks.

python -m tests.benchmarks.pages            takes some minutes; no page of a million should take 100 ms
python -m tests.benchmarks.pages 100000     with fewer
"""

import statistics
import sys
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text

from adapter.inbox.hours import count_hour
from tests.benchmarks.databases import both_databases, fill, migrated
from tests.support.adapter_under_test import make_settings
from tests.web.conftest import Visitor, visitor, with_dashboard

_ROUNDS = 20
_WEEKS = timedelta(weeks=4)
PAGES = {
    "overview": "/",
    "overview, a month": "/?span=month",
    "newest": "/deliveries",
    "from the middle": "/deliveries?before={middle}",
    "dead": "/deliveries?state=dead",
    "skipped for a reason": "/deliveries?reason=unpaid",
    "of a store, delivered, of a topic": "/deliveries?store=shopify&state=delivered&topic=orders%2Fupdated",
    "of a topic that none has": "/deliveries?topic=orders%2Fpaid",
    "of a time": "/deliveries?since=2026-01-01T00%3A00&state=delivered",
    "an order's number": "/deliveries?q=%231042",
    "a delivery": "/deliveries/{middle}",
    "an order": "/orders/shopify/finished-{middle}",
}
_VARIED = (
    "UPDATE deliveries SET received_at = received_at - CAST(:span / :count * ((SELECT MAX(id) FROM deliveries) - id) AS bigint)",
    "UPDATE deliveries SET settled_at = received_at + 1000000 WHERE settled_at IS NOT NULL",
    "UPDATE deliveries SET order_number = CAST(id AS text), payload = CAST('{}' AS {blob})",
    "UPDATE attempts SET body = CAST('{}' AS {blob})",
    "UPDATE deliveries SET state = 'skipped', reason = 'unpaid' WHERE state = 'delivered' AND id % 7 = 0",
    "UPDATE deliveries SET state = 'dead', problems = '{}' WHERE state = 'delivered' AND id % 1000 = 1",
)


def prepare(engine: Engine, deliveries: int) -> None:
    """Deliveries of all states, ten of a hundred waiting."""
    fill(engine, finished=deliveries * 9 // 10, waiting=deliveries // 10)
    blob = "blob" if engine.dialect.name == "sqlite" else "bytea"
    weeks = {"span": _WEEKS // timedelta(microseconds=1), "count": deliveries}
    with engine.begin() as connection:
        for statement in _VARIED:
            connection.execute(text(statement.replace("{blob}", blob)), weeks if ":span" in statement else {})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if engine.dialect.name == "sqlite" else "VACUUM ANALYZE"))  # as PostgreSQL does by itself
    while count_hour(engine, datetime.now(UTC)):
        pass  # as a sender does, hour after hour


def measure(somebody: Visitor, middle: int) -> dict[str, float]:
    """The median of each page, in milliseconds, from the request to the last byte."""
    return {name: _median_ms(somebody, path.format(middle=middle)) for name, path in PAGES.items()}


def _median_ms(somebody: Visitor, path: str) -> float:
    took = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        answer = somebody.get(path)
        took.append(time.perf_counter() - started)
        assert answer.status_code == 200, (path, answer.status_code)
    return statistics.median(took) * 1000


def _measured(url: str, deliveries: int) -> dict[str, float]:
    engine = migrated(url)
    with engine.begin() as connection:
        for table in ("attempts", "requests", "orders", "deliveries", "hours"):
            connection.execute(text(f"DELETE FROM {table}"))
    prepare(engine, deliveries)
    with engine.begin() as connection:
        middle = connection.execute(text("SELECT MIN(id) FROM deliveries")).scalar_one() + deliveries // 2
    somebody = visitor(with_dashboard(make_settings("http://127.0.0.1:1")), engine)
    assert somebody.log_in().status_code == 303
    found = measure(somebody, middle)
    engine.dispose()
    return found


def main(most: int = 1_000_000) -> None:
    """Measure on both."""
    print(f"{'':11} {'':34} {'1,000':>11} {f'{most:,}':>13}")
    with both_databases() as urls:
        for name, url in urls.items():
            small = _measured(url, 1000)
            large = _measured(url, most)
            for page, before in small.items():
                print(f"{name:11} {page:34} {before:>8.1f} ms {large[page]:>10.1f} ms")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
