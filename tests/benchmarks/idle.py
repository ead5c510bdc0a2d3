"""What an idle sender costs: its share of one core over 20 s, with one account and nothing to do. Should be under 1 %.

python -m tests.benchmarks.idle              takes a minute
python -m tests.benchmarks.idle 100000       with so many deliveries that wait for their time, as those of a paused account do
"""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

from adapter.sandbox import running_sandbox
from tests.benchmarks.databases import both_databases, fill, migrated
from tests.support.adapter_under_test import ACCOUNT, SECRET

_WARM_UP_S, _WATCHED_S = 4.0, 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


def main(waiting: int = 0) -> None:
    """Measure on both."""
    with both_databases() as urls, running_sandbox() as sandbox:
        for name, url in urls.items():
            engine = migrated(url)
            fill(engine, finished=1000, waiting=waiting, at=datetime.now(UTC) + timedelta(days=1))
            engine.dispose()
            print(f"{name:11} {_share({'DATABASE_URL': url, 'DRIP_API_URL': sandbox.url}):6.2%} of a core, idle with {waiting:,} that wait")


def _share(environ: dict[str, str]) -> float:
    known = {"DRIP_ACCOUNT_ID": ACCOUNT.id, "DRIP_API_KEY": ACCOUNT.token, "SHOPIFY_WEBHOOK_SECRET": SECRET, "LOG_LEVEL": "WARNING"}
    process = subprocess.Popen([sys.executable, "-m", "adapter", "send"], env={**os.environ, **known, **environ})
    try:
        time.sleep(_WARM_UP_S)
        before = _cpu_s(process.pid)
        time.sleep(_WATCHED_S)
        return (_cpu_s(process.pid) - before) / _WATCHED_S
    finally:
        process.terminate()
        process.wait(20)


def _cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
