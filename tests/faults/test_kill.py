"""Acknowledged is delivered: real processes under load, killed at random moments.

A seed is printed with the figures; FAULTS_SEED repeats its choices, though never the moments of a machine.
"""

import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import requests

from tests.faults.harness import AT_LENGTH, IN_BATCHES, Acknowledged, Site, Snapshot, in_parallel, running_site
from tests.support.postgresql import PostgresqlServer
from tests.support.waiting import wait_until

ROUNDS = 15 if AT_LENGTH else 6
"""On each database."""
CLIENTS = 3
ROUND_S = 1.2
# Nothing here waits for the quota.
PLENTY = {"SINGLE_REQUESTS_PER_HOUR": "100000"}


class Killer:
    """Kills what it is told to, and starts it again, as a platform does."""

    def __init__(self, site: Site, server: PostgresqlServer | None, dice: random.Random) -> None:
        self._site = site
        self._server = server
        self._dice = dice
        self.kills: dict[str, int] = {}

    def kill_one(self) -> None:
        victims = {"web": 3, "worker": 2, "sender": 5} | ({"postgresql": 4} if self._server else {})
        [victim] = self._dice.choices(list(victims), list(victims.values()))
        self.kills[victim] = self.kills.get(victim, 0) + 1
        pause = self._dice.uniform(0, 0.3)
        if victim == "web":
            assert self._site.web is not None
            self._site.web.kill()
            time.sleep(pause)
            self._site.start_web()
        elif victim == "worker":  # which its own parent starts again
            assert self._site.web is not None
            for pid in self._site.web.children if self._site.web.runs else []:
                os.kill(pid, 9)
        elif victim == "sender":
            sender = self._site.senders.pop(self._dice.randrange(len(self._site.senders)))
            sender.kill()
            time.sleep(pause)
            self._site.start_sender()
        else:
            assert self._server is not None
            self._server.kill()
            time.sleep(pause)
            self._server.start()

    @property
    def in_flight(self) -> int:
        """Kills that may have cut a request to Drip off from its record."""
        return self.kills.get("sender", 0) + self.kills.get("postgresql", 0)


def webhooks_of(number: int, dice: random.Random) -> list[Snapshot]:
    """What the stores post in a round: new orders and changes of them, in no order, some twice."""
    orders = [Snapshot(1000 * number + index, version) for index in range(1, 21) for version in range(1, dice.randint(2, 4))]
    dice.shuffle(orders)
    older = [Snapshot(1000 * (number - 1) + dice.randint(1, 20), version) for version in range(4, 8)] if number > 1 else []
    return orders + older + dice.sample(orders, 5)


def post_all(site: Site, share: list[Snapshot], acknowledged: Acknowledged, gap_s: float) -> None:
    with requests.Session() as session:
        for each in share:
            acknowledged.note(each, taken=site.post(session, each, tries=2))
            time.sleep(gap_s)


def play(site: Site, server: PostgresqlServer | None, dice: random.Random) -> str:
    """All the rounds on one database, the judgement, and the figures."""
    begun = time.monotonic()
    # As slow as a real one, so that a kill often finds a request under way.
    site.tell_drip(hang=0.03)
    killer, acknowledged = Killer(site, server, dice), Acknowledged()
    site.start_web()
    for _ in range(2 if server else 1):
        site.start_sender()
    for number in range(1, ROUNDS + 1):
        wait_until(lambda: site.is_up, what="the web side is up")
        webhooks = webhooks_of(number, dice)
        gap_s = ROUND_S / (len(webhooks) / CLIENTS)
        with ThreadPoolExecutor(CLIENTS) as pool:
            posting = [pool.submit(post_all, site, webhooks[client::CLIENTS], acknowledged, gap_s) for client in range(CLIENTS)]
            moments = sorted(dice.uniform(0.05, ROUND_S) for _ in range(dice.randint(1, 3)))
            for moment, previous in zip(moments, [0.0, *moments], strict=False):
                time.sleep(moment - previous)
                killer.kill_one()
            for future in posting:
                future.result()
    settled_s = site.settle()
    at_drip, unfinished = site.received(), site.unfinished_requests()
    kills = ", ".join(f"{name} {count}" for name, count in sorted(killer.kills.items()))
    figures = (
        f"{site.kind}: {ROUNDS} rounds; killed: {kills}; {acknowledged.posted} webhooks, {len(acknowledged.snapshots)} acknowledged, "
        f"{len(at_drip.missing(acknowledged.snapshots))} of them not at Drip; {at_drip.total} orders at Drip, {at_drip.repeats} of them "
        f"repeats; {unfinished} requests cut off; settled {settled_s:.1f} s after the last round; {time.monotonic() - begun:.0f} s in all"
    )
    print(figures)
    assert at_drip.missing(acknowledged.snapshots) == []
    assert at_drip.wrongs() == []
    assert site.counts().get("dead", 0) == 0
    assert server or site.is_whole()
    # Only what was in flight at a kill comes twice.
    assert at_drip.repeats <= unfinished <= killer.in_flight
    assert len(acknowledged.snapshots) > acknowledged.posted / 2  # else nothing was shown
    return figures


def test_what_was_acknowledged_is_delivered_through_kill_9_of_web_sender_and_database(
    new_database: Callable[[str], str], killable_postgresql: PostgresqlServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = os.environ.get("FAULTS_SEED") or str(random.SystemRandom().randrange(1_000_000))
    with capsys.disabled():
        print(f"\nFAULTS_SEED={seed}", flush=True)

    def run(kind: str) -> str:
        with running_site(new_database(kind), tmp_path, PLENTY) as site:
            return play(site, killable_postgresql if kind == "postgresql" else None, random.Random(f"{seed} {kind}"))

    figures = in_parallel(*(partial(run, kind) for kind in ("sqlite", "postgresql")))
    with capsys.disabled():
        print(*figures, sep="\n", flush=True)


def wait_for_orders(site: Site, count: int) -> None:
    wait_until(lambda: site.received().total >= count, what="orders at Drip, the answer not yet here")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_batch_cut_off_by_kill_9_is_repeated_as_it_was_stored(kind: str, new_database: Callable[[str], str], tmp_path: Path) -> None:
    page = [Snapshot(order_id, 1) for order_id in range(1, 41)]
    with running_site(new_database(kind), tmp_path, IN_BATCHES) as site:
        site.tell_drip(kind="batch", hang=5, times=2)
        site.keep_page(page)
        for cut in (1, 2):
            sender = site.start_sender()
            wait_for_orders(site, cut * len(page))
            sender.kill()
            site.variables["PUBLIC_URL"] = f"https://adapter-{cut}.example"  # which would show in a body that was made anew
        site.start_sender()
        site.settle()
        at_drip = site.received()
        sent = [(seen.kind, seen.orders) for seen in site.requests_made() if seen.kind]  # and not about the account
    assert sent == [("batch", len(page))] * 3
    assert at_drip.missing(page) == []
    assert at_drip.wrongs() == []
    assert {len(entries) for entries in at_drip.by_order.values()} == {3}
