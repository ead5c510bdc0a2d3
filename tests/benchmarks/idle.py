"""What an idle sender costs against the number of its accounts: its share of one core, threads and memory.

python -m tests.benchmarks.idle              takes a minute
python -m tests.benchmarks.idle 100000       with so many deliveries that wait for their time, as those of a paused account do
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.benchmarks.databases import both_databases, fill, migrated
from tests.benchmarks.processes import ADAPTER, DRIP, running, sandbox
from tests.benchmarks.results import Row, print_rows
from tests.support.adapter_under_test import SECRET

FIRST_ACCOUNT = 1_000_000
_STORE = '[stores.{name}]\nprovider = "shopify"\nsecret = "{secret}"\ndrip_account_id = "{account}"\ndrip_api_key = "key-of-{account}"\n'


def measure(urls: dict[str, str], *, accounts: Sequence[int] = (1, 100, 1000), waiting: int = 0, watched_s: float = 10.0) -> list[Row]:
    """One row for each database and number of accounts; each account has a store of its own."""
    rows = []
    for database, url in urls.items():
        engine = migrated(url)
        fill(engine, finished=1000, waiting=waiting, at=datetime.now(UTC) + timedelta(days=1))
        engine.dispose()
        for count in accounts:
            with tempfile.TemporaryDirectory() as folder, sandbox() as drip:
                variables = {"DATABASE_URL": url, "DRIP_API_URL": drip, **settings_of(count, Path(folder))}
                rows.append({"database": database, "accounts": count, **_watched(variables, watched_s + count / 100, watched_s)})
    return rows


def settings_of(stores: int, folder: Path, *, accounts: int = 0) -> dict[str, str]:
    """The variables for so many stores, named shop-0 and so on, spread evenly over so many accounts, by default as many."""
    if stores == 1:
        return DRIP
    file = folder / "stores.toml"
    named = [(f"shop-{number}", FIRST_ACCOUNT + number % (accounts or stores)) for number in range(stores)]
    file.write_text("\n".join(_STORE.format(name=name, secret=SECRET, account=account) for name, account in named))
    return {"STORES": str(file)}


def _watched(variables: dict[str, str], warm_up_s: float, watched_s: float) -> Row:
    with running([*ADAPTER, "send"], variables) as sender:
        time.sleep(warm_up_s)
        before = sender.cpu_s()
        time.sleep(watched_s)
        share = (sender.cpu_s() - before) / watched_s
        return {"core": f"{share:.1%}", "threads": sender.threads(), "memory_mb": round(sum(sender.memory_mb().values()))}


def main(waiting: int = 0) -> None:
    """Measure and print."""
    with both_databases() as urls:
        print_rows(measure(urls, waiting=waiting))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
