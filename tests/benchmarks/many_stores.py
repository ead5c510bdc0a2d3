"""A thousand stores with orders of all states: how long `/status`, the overview and the commands `status` and `check` take.

python -m tests.benchmarks.many_stores
"""

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import requests
from sqlalchemy import Engine, text

from tests.benchmarks.databases import both_databases, fill, migrated
from tests.benchmarks.drip import drip
from tests.benchmarks.idle import FIRST_ACCOUNT, settings_of
from tests.benchmarks.processes import ADAPTER, environment, serving
from tests.benchmarks.results import Row, print_rows

_PASSWORD = "correct horse battery"
_TOKEN = "token-of-the-monitor"
_SPREAD = (
    "UPDATE deliveries SET store = 'shop-' || (id % :stores), account = CAST(:first + id % :accounts AS text)",
    "UPDATE orders SET account = CAST(:first + delivery_id % :accounts AS text), store = 'shop-' || (delivery_id % :stores)",
    "UPDATE requests SET account = CAST(:first + id % :accounts AS text)",
    "UPDATE deliveries SET state = 'dead', problems = '{}' WHERE state = 'delivered' AND id % 50 = 1",
    "UPDATE deliveries SET due_at = due_at + 86400000000 WHERE state = 'pending' AND id % 2 = 1",
)


def measure(urls: dict[str, str], *, stores: int = 1000, orders: int = 20_000) -> list[Row]:
    """Seconds of the first and the second call, with the stores in as many accounts and in one."""
    rows = []
    for database, url in urls.items():
        engine = migrated(url)
        fill(engine, finished=orders * 9 // 10, waiting=orders // 10)
        for accounts in (stores, 1):
            spread(engine, stores, accounts)
            with tempfile.TemporaryDirectory() as folder, drip() as standing_in:
                variables = {
                    "DATABASE_URL": url,
                    "DRIP_API_URL": standing_in.url,
                    "ADMIN_PASSWORD": _PASSWORD,
                    "METRICS_TOKEN": _TOKEN,
                    "PUBLIC_URL": "http://127.0.0.1",
                    **settings_of(stores, Path(folder), accounts=accounts),
                }
                with serving(variables, "web") as (_, address):
                    known: Row = {"database": database, "stores": stores, "accounts": accounts, "orders": orders}
                    for name, call in _calls(address, variables, stores).items():
                        rows.append({**known, "what": name, "first_s": _took(call), "second_s": _took(call)})
        engine.dispose()
    return rows


def spread(engine: Engine, stores: int, accounts: int) -> None:
    """Spread deliveries over stores and accounts; some are dead, some wait until tomorrow."""
    known = {"stores": stores, "accounts": accounts, "first": FIRST_ACCOUNT}
    with engine.begin() as connection:
        for statement in _SPREAD:
            connection.execute(text(statement), {name: known[name] for name in known if f":{name}" in statement})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if engine.dialect.name == "sqlite" else "VACUUM ANALYZE"))


def _calls(address: str, variables: Mapping[str, str], stores: int) -> dict[str, Callable[[], None]]:
    session = requests.Session()
    token = re.search(r'name="csrf_token" value="([^"]+)"', session.get(f"{address}/login", timeout=20).text)
    assert token is not None
    session.post(f"{address}/login", {"csrf_token": token[1], "password": _PASSWORD}, headers={"Referer": f"{address}/"}, timeout=20)

    def overview() -> None:
        page = session.get(f"{address}/", timeout=60)
        assert page.status_code == 200
        assert "Log out" in page.text

    def status() -> None:
        report = requests.get(f"{address}/status", headers={"Authorization": f"Bearer {_TOKEN}"}, timeout=60).json()
        assert len(report["stores"]) >= stores

    def command(*words: str) -> Callable[[], None]:
        def run() -> None:
            done = subprocess.run([*ADAPTER, *words, "--json"], env=environment(variables), capture_output=True, check=False, timeout=120)
            assert json.loads(done.stdout.splitlines()[0])

        return run

    return {"/status": status, "overview": overview, "the command status": command("status"), "the command check": command("check")}


def _took(call: Callable[[], None]) -> float:
    begun = time.monotonic()
    call()
    return round(time.monotonic() - begun, 2)


def main() -> None:
    """Measure and print."""
    with both_databases() as urls:
        print_rows(measure(urls))


if __name__ == "__main__":
    main()
