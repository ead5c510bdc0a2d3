"""What `serve` takes while it rests, and after webhooks at a steady rate: memory of each process, threads, share of a core.

python -m tests.benchmarks.footprint
"""

import time

from tests.benchmarks.databases import both_databases, migrated
from tests.benchmarks.processes import DRIP, Running, sandbox, serving
from tests.benchmarks.results import Row, print_rows
from tests.benchmarks.traffic import Shop

_SETTLED_S = 6.0


def measure(urls: dict[str, str], *, watched_s: float = 10.0, soak_s: float = 60.0, a_second: float = 33.0) -> list[Row]:
    """Rows at rest, and in the middle and at the end of the soak."""
    rows: list[Row] = []
    for database, url in urls.items():
        migrated(url).dispose()
        with sandbox() as drip, serving({"DATABASE_URL": url, "DRIP_API_URL": drip, **DRIP}) as (processes, address):
            time.sleep(_SETTLED_S)
            begun = processes.cpu_s()
            time.sleep(watched_s)
            idle = (processes.cpu_s() - begun) / watched_s
            rows.append({"database": database, "when": "at rest", **_memory(processes), "core": f"{idle:.1%}"})
            for when in (f"after {soak_s / 2:.0f} s of {a_second:.0f} a second", f"after {soak_s:.0f} s of {a_second:.0f} a second"):
                begun, started = processes.cpu_s(), time.monotonic()
                Shop(address).post_evenly(a_second, soak_s / 2)
                share = (processes.cpu_s() - begun) / (time.monotonic() - started)
                rows.append({"database": database, "when": when, **_memory(processes), "core": f"{share:.1%}"})
    return rows


def _memory(processes: Running) -> Row:
    by_role = processes.memory_mb()
    return {
        "all_mb": round(sum(by_role.values())),
        **{f"{role}_mb": round(by_role[role]) for role in sorted(by_role)},
        "threads": processes.threads(),
    }


def main() -> None:
    """Measure and print."""
    with both_databases() as urls:
        print_rows(measure(urls))


if __name__ == "__main__":
    main()
