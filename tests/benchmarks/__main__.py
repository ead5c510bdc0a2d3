"""All benchmarks in one run, and their report in build/bench: `make bench`.

python -m tests.benchmarks                      about half an hour
python -m tests.benchmarks --quick              some minutes: fewer rounds, short ones
python -m tests.benchmarks --full               every size with every number of connections, growth to a million; some hours
python -m tests.benchmarks --only mapping disk  some parts

Everything listens on loopback, and only what was started here is ended.
"""

import argparse
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.benchmarks import (
    accounts,
    acknowledge,
    delivery,
    disk,
    footprint,
    growth,
    idle,
    many_stores,
    mapping,
    report,
    scaling,
    shared_account,
)
from tests.benchmarks.databases import both_databases
from tests.benchmarks.results import Row, table

_SIZES, _CONNECTIONS = (4_000, 12_000, 70_000), (1, 16, 64, 256)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    rounds: int = 2
    seconds: int = 2
    loads: Sequence[acknowledge.Load] = (*((4_000, connections) for connections in _CONNECTIONS), (12_000, 16), (70_000, 16))
    orders: int = 600
    soak_s: float = 60
    watched_s: float = 10
    accounts: Sequence[int] = (1, 100, 1000)
    rows: int = 100_000


QUICK = Size(rounds=1, seconds=1, loads=((4_000, 16), (4_000, 64)), orders=200, soak_s=10, watched_s=4, accounts=(1, 100), rows=10_000)
FULL = Size(
    rounds=5,
    seconds=4,
    loads=[(size, connections) for size in _SIZES for connections in _CONNECTIONS],
    orders=3000,
    soak_s=600,
    rows=1_000_000,
)
Urls = dict[str, str]
PARTS: Mapping[str, tuple[str, Callable[[Urls, Size], list[Row]]]] = {
    "mapping": ("Mapping, as CPU time beside json.loads", lambda _, size: mapping.measure(rounds=2 * size.rounds + 1)),
    "acknowledge": (
        "Acknowledging, beside the same stack that keeps nothing",
        lambda urls, size: acknowledge.measure(urls, rounds=size.rounds, seconds=size.seconds, loads=size.loads),
    ),
    "latency": ("From webhook to Drip", lambda urls, size: delivery.latency(urls, seconds=int(size.watched_s))),
    "drain": ("A backlog", lambda urls, size: delivery.drain(urls, orders=size.orders)),
    "idle": (
        "An idle sender against its accounts",
        lambda urls, size: idle.measure(urls, accounts=size.accounts, watched_s=size.watched_s),
    ),
    "accounts": (
        "Many accounts at rest, under load, and beside some for which Drip never answers",
        lambda urls, size: accounts.measure(
            urls,
            stores=size.accounts[-1],
            accounts=size.accounts[-1],
            hanging=size.accounts[-1] // 50,
            warm_up_s=size.accounts[-1] / 4,  # until Drip has been asked about each
            rested_s=size.watched_s,
            seconds=2 * size.watched_s,
        ),
    ),
    "stores": (
        "Pages and commands with many stores, in many accounts and in one",
        lambda urls, size: many_stores.measure(urls, stores=size.accounts[-1], orders=20 * size.accounts[-1]),
    ),
    "shared": (
        "A store's orders while another store of the same account has a flood of them",
        lambda urls, size: shared_account.measure(urls, flood=size.orders, seconds=3 * size.watched_s),
    ),
    "growth": ("Time of a query against the deliveries in the database", lambda urls, size: growth.measure(urls, most=size.rows)),
    "footprint": (
        "Memory of each process",
        lambda urls, size: footprint.measure(urls, watched_s=size.watched_s, soak_s=size.soak_s),
    ),
    "disk": ("Database bytes for an order", lambda urls, size: disk.measure(urls, orders=size.orders // 4)),
    "scaling": (
        "Several processes on one PostgreSQL",
        lambda urls, size: scaling.measure(urls["PostgreSQL"], orders=size.orders),
    ),
}


def run(names: Sequence[str], size: Size, minutes: float) -> tuple[dict[str, tuple[str, list[Row]]], list[str]]:
    """The rows of each part by name, and what is missing: parts that failed or could not begin in time, what isn't installed."""
    end = time.monotonic() + minutes * 60
    measured: dict[str, tuple[str, list[Row]]] = {}
    skipped = [why for contender in acknowledge.CONTENDERS if (why := acknowledge.missing(contender))] if "acknowledge" in names else []
    skipped = list(dict.fromkeys(skipped))
    for name in names:
        title, measure = PARTS[name]
        if time.monotonic() > end or (name == "acknowledge" and acknowledge.missing()):
            skipped.append(f"{title}: left out, {acknowledge.missing() or f'the {minutes:.0f} minutes were over'}")
            continue
        begun = time.monotonic()
        try:
            with _databases(name) as urls:
                measured[name] = (title, measure(urls, size))
        except Exception as error:  # noqa: BLE001 - the other parts are measured all the same
            skipped.append(f"{title}: failed, {type(error).__name__}: {error}")
            continue
        print(f"\n{title} ({time.monotonic() - begun:.0f} s)\n\n{table(measured[name][1])}", flush=True)
    return measured, skipped


@contextmanager
def _databases(part: str) -> Iterator[Urls]:
    """Empty databases, for each part anew; none for a part that needs none."""
    if part == "mapping":
        yield {}
        return
    with both_databases() as urls:
        yield urls


def main() -> None:
    """Measure, print the tables, write the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--quick", dest="size", action="store_const", const=QUICK, default=Size(), help="some minutes")
    parser.add_argument("--full", dest="size", action="store_const", const=FULL, help="some hours")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--minutes", type=float, default=0, help="no part begins later; default: 40, with --full 300")
    options = parser.parse_args()
    minutes = options.minutes or (300 if options.size is FULL else 40)
    print(
        f"Measures {', '.join(options.only)}; begins nothing after {minutes:.0f} minutes. wrk, servers and databases are on this machine."
    )
    logging.disable()  # the adapter's own lines, in parts that run it in this process
    begun = time.monotonic()
    measured, skipped = run(options.only, options.size, minutes)
    for why in skipped:
        print(why)
    print(f"The report: {report.write(measured, skipped)}, after {(time.monotonic() - begun) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
