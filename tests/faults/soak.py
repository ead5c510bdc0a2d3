"""Every fault at length, one after the other, while stores go on posting; a table shows what became of what was acknowledged.

python -m tests.faults.soak --seconds 20 --seed 1      needs no network; the clock is stepped where there is a C compiler
"""

import argparse
import json
import os
import random
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import requests
from rich.console import Console
from rich.table import Table

from tests.faults.harness import Acknowledged, Site, Snapshot, running_site
from tests.faults.soak_faults import BOTH, FAULTS, ROOT, Fault, Scene
from tests.support.postgresql import PostgresqlServer
from tests.support.waiting import wait_until

_GAP_S = 0.05
_STORES = 2
_WELL_WITHIN_S = 180.0
# Nothing here waits for the quota.
_PLENTY = {"SINGLE_REQUESTS_PER_HOUR": "100000"}


@dataclass(frozen=True)
class Outcome:
    """What one fault did on one database."""

    fault: str
    database: str
    posted: int
    acknowledged: int
    delivered: int
    lost: int
    sent_twice: int
    broken: int
    """Orders that did not stay in order: created twice, or an older state after a newer one."""
    well_after_s: float
    """From the end of the fault until everything was delivered."""


def main() -> None:
    """Run the faults that were asked for; exit with 1 if anything acknowledged was lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each fault lasts")
    parser.add_argument("--within", type=float, default=1800.0, help="begin no fault after so many seconds")
    parser.add_argument("--faults", nargs="+", metavar="WORD", default=[""], help="only those with one of these words in their name")
    parser.add_argument("--databases", nargs="+", default=list(BOTH), choices=BOTH)
    parser.add_argument("--previous", default=_previous_commit(), metavar="COMMIT", help="the code that counts as the previous release")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    chosen = [fault for name, fault in FAULTS.items() if any(word.lower() in name.lower() for word in options.faults)]
    outcomes, ends = [], time.monotonic() + options.within
    with _server("postgresql" in options.databases) as server, tempfile.TemporaryDirectory(prefix="adapter-soak-") as folder:
        os.chdir(folder)
        for fault in chosen:
            for database in (each for each in fault.databases if each in options.databases):
                if time.monotonic() > ends:
                    sys.exit("the time is up: raise --within")
                dice = random.Random(f"{options.seed} {fault.name} {database}")
                outcome = run(fault, database, server, dice, options.seconds, Path(folder) / secrets.token_hex(4), options.previous)
                if isinstance(outcome, Outcome):
                    outcomes.append(outcome)
                    print(json.dumps(asdict(outcome)), flush=True)
                else:
                    print(f"{fault.name}, {database}: left out, needs {outcome}", flush=True)
    Console(width=150).print(_table(outcomes))
    if any(outcome.lost or outcome.broken for outcome in outcomes):
        sys.exit(1)


def run(
    fault: Fault, database: str, server: PostgresqlServer | None, dice: random.Random, seconds: float, folder: Path, previous: str = ""
) -> Outcome | str:
    """What became of it, or what is missing here."""
    folder.mkdir()
    postgresql = server if database == "postgresql" else None
    url = postgresql.new_database() if postgresql else f"sqlite:///{folder / 'adapter.db'}"
    with running_site(url, folder, {**_PLENTY, "PYTHONPATH": str(ROOT)}) as site:
        scene = Scene(site, postgresql, dice, seconds, folder, previous)
        if missing := fault.needs(scene):
            return missing
        with scene.stack:
            fault.prepare(scene)
            site.start_web()
            site.start_sender()
            wait_until(lambda: site.is_up, what="the web side is up")
            acknowledged = Acknowledged()
            with _posting(site, acknowledged, dice):
                time.sleep(min(1.0, seconds / 4))
                fault.strike(scene)
                over = time.monotonic()
                wait_until(lambda: site.is_up, timeout_s=_WELL_WITHIN_S, what="the web side is up again")
            site.settle(_WELL_WITHIN_S)
            well_after_s = time.monotonic() - over
        at_drip = site.received()
        lost = len(at_drip.missing(acknowledged.snapshots))
        for wrong in at_drip.wrongs():
            print(wrong, file=sys.stderr)
        taken = len(acknowledged.snapshots)
        return Outcome(
            fault.name,
            database,
            acknowledged.posted,
            taken,
            taken - lost,
            lost,
            at_drip.repeats,
            len(at_drip.wrongs()),
            round(well_after_s, 1),
        )


@contextmanager
def _posting(site: Site, acknowledged: Acknowledged, dice: random.Random) -> Iterator[None]:
    """Stores that post new orders and changes of earlier ones, each webhook once."""
    ends = threading.Event()

    def post(store: int, own: random.Random) -> None:
        versions: dict[int, int] = {}
        with requests.Session() as session:
            while not ends.wait(_GAP_S):
                new = not versions or own.random() < 0.6
                order = (store * 100_000 + len(versions) + 1) if new else own.choice(list(versions))
                versions[order] = versions.get(order, 0) + 1
                each = Snapshot(order, versions[order])
                acknowledged.note(each, taken=site.post(session, each))

    stores = [threading.Thread(target=post, args=(store, random.Random(dice.random()))) for store in range(1, _STORES + 1)]
    for store in stores:
        store.start()
    try:
        yield
    finally:
        ends.set()
        for store in stores:
            store.join()


@contextmanager
def _server(needed: bool) -> Iterator[PostgresqlServer | None]:
    if not needed:
        yield None
        return
    server = PostgresqlServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


def _previous_commit() -> str:
    """The last commit before the newest migration; blank without git history."""
    newest = max((ROOT / "adapter/inbox/migrations/versions").glob("[0-9]*.py"))
    found = subprocess.run(
        ["git", "log", "--diff-filter=A", "--format=%H^", "-1", "--", str(newest)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("fault", "database", "posted", "acknowledged", "delivered", "lost", "sent twice", "out of order", "well after"):
        table.add_column(title, justify="left" if title in ("fault", "database") else "right")
    for each in outcomes:
        numbers = (each.posted, each.acknowledged, each.delivered, each.lost, each.sent_twice, each.broken)
        table.add_row(each.fault, each.database, *map(str, numbers), f"{each.well_after_s} s")
    return table


if __name__ == "__main__":
    main()
