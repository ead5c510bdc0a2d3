"""Several senders, and how they end: by a signal, by a kill, by being stopped for longer than a lease lasts."""

import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import update

from adapter.inbox.database import transaction
from adapter.inbox.tables import leases
from tests.faults.harness import IN_BATCHES, Site, Snapshot, in_parallel, log_has, running_site
from tests.support.waiting import wait_until

KINDS = ("sqlite", "postgresql")


@pytest.fixture(params=KINDS)
def site(request: pytest.FixtureRequest, new_database: Callable[[str], str], tmp_path: Path) -> Iterator[Site]:
    with running_site(new_database(request.param), tmp_path) as site:
        yield site


def is_at_drip(site: Site, each: Snapshot) -> bool:
    return each.version in site.received().versions(each.order_id)


# --- SIGTERM -----------------------------------------------------------------------------------------------------------------------


def test_sigterm_finishes_the_request_in_hand_and_the_order_is_delivered_once(site: Site) -> None:
    order, next_one = Snapshot(1, 1), Snapshot(2, 1)
    sender = site.holding_sender()
    site.tell_drip(kind="single", hang=3, times=1)
    site.keep(order)
    wait_until(lambda: is_at_drip(site, order), what="the request is under way")
    site.keep(next_one)
    sender.send(signal.SIGTERM)
    assert sender.status(within_s=10) == 0
    assert site.received().by_order.keys() == {1}  # nothing new was begun
    assert site.holders() == {None}
    [row] = site.rows(order)
    assert (row.state, row.attempts) == ("delivered", 1)
    site.start_sender()
    site.settle()
    assert [site.received().versions(order_id) for order_id in (1, 2)] == [[1], [1]]


def test_sigterm_ends_an_idle_sender_and_one_that_waits_for_the_lease_within_3_s(site: Site) -> None:
    holder = site.holding_sender()
    waiting = site.started_sender()
    assert site.holders() == {holder.pid}
    waiting.send(signal.SIGTERM)
    assert waiting.status(within_s=3) == 0
    assert site.holders() == {holder.pid}
    holder.send(signal.SIGTERM)
    assert holder.status(within_s=3) == 0
    assert site.holders() == {None}


# --- two at once -------------------------------------------------------------------------------------------------------------------


def test_of_two_senders_at_once_each_of_200_orders_is_delivered_once_also_when_one_is_told_to_end(site: Site) -> None:
    orders = [Snapshot(order_id, 1) for order_id in range(1, 201)]
    site.keep(*orders[:100])
    senders = {sender.pid: sender for sender in (site.start_sender(), site.start_sender())}
    wait_until(lambda: site.received().total >= 40, what="they send")
    [first] = (senders[pid] for pid in site.holders() if pid in senders) if len(site.holders()) == 1 else (next(iter(senders.values())),)
    first.send(signal.SIGTERM)
    site.keep(*orders[100:])
    assert first.status(within_s=10) == 0
    site.settle()
    at_drip = site.received()
    assert at_drip.missing(orders) == []
    assert at_drip.wrongs() == []
    assert {len(entries) for entries in at_drip.by_order.values()} == {1}
    assert site.counts() == {"delivered": 200}


# --- kill -9 -----------------------------------------------------------------------------------------------------------------------


def test_after_a_kill_on_the_same_host_another_goes_on_at_once(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    cut, others = Snapshot(1, 1), [Snapshot(order_id, 1) for order_id in range(2, 22)]
    first = site.holding_sender()
    second = site.started_sender()
    site.tell_drip(kind="single", hang=5, times=1)
    site.keep(cut, *others)
    wait_until(lambda: site.received().total == 1, what="a request is under way")
    first.kill()
    begun = time.monotonic()
    site.settle(15)  # well before a lease ends by time
    with capsys.disabled():
        print(f"\n{site.kind}: killed on the same host: all delivered {time.monotonic() - begun:.1f} s later", flush=True)
    wait_until(lambda: site.holders() == {second.pid}, 2, what="it has the reader's lease too, for which it asks every second")
    at_drip = site.received()
    assert at_drip.missing([cut, *others]) == []
    assert at_drip.wrongs() == []
    assert (at_drip.repeats, at_drip.total) == (1, 22)


def after_a_kill_elsewhere(site: Site) -> float:
    orders = [Snapshot(order_id, 1) for order_id in range(1, 22)]
    first = site.holding_sender()
    second = site.started_sender()
    site.tell_drip(kind="single", hang=5, times=1)
    site.keep(*orders)
    wait_until(lambda: site.received().total == 1, what="a request is under way")
    first.kill()
    begun = time.monotonic()
    with transaction(site.engine) as connection:  # as if it had run there: nobody here can tell that it is gone
        connection.execute(update(leases).values(host="another machine"))
    site.settle(30)
    recovered_s = time.monotonic() - begun
    wait_until(lambda: site.holders() == {second.pid}, 3, what="it has the reader's lease too")
    at_drip = site.received()
    assert at_drip.missing(orders) == []
    assert at_drip.wrongs() == []
    assert (at_drip.repeats, at_drip.total) == (1, 22)
    return recovered_s


# --- SIGSTOP -----------------------------------------------------------------------------------------------------------------------


def after_a_pause_in_a_request(site: Site) -> float:
    """The seconds until another sender had delivered what the stopped one had left."""
    paused = [Snapshot(1, 1), Snapshot(2, 1)] if site.variables else [Snapshot(1, 1)]
    newer, late, last = Snapshot(1, 3), Snapshot(1, 2), Snapshot(13, 1)
    others = [Snapshot(order_id, 1) for order_id in range(3, 13)]
    first = site.holding_sender()
    second = site.started_sender()
    site.tell_drip(order_id="1", hang=4, times=1)
    site.keep_page(paused)
    wait_until(lambda: is_at_drip(site, paused[0]), what="the request is under way")
    time.sleep(1)  # until it has read all and writes nothing: a process that is stopped while it writes keeps SQLite from everybody
    first.send(signal.SIGSTOP)
    in_hand = [each for each in paused if is_at_drip(site, each)]  # on a busy machine the first may be read, and sent, before the second
    begun = time.monotonic()
    try:
        site.keep(newer, *others)
        site.settle(30)
        recovered_s = time.monotonic() - begun
        wait_until(lambda: site.holders() == {second.pid}, 3, what="it has the reader's lease too")
        before = site.received()
        assert before.versions(1) == [1, 1, 3]
    finally:
        first.send(signal.SIGCONT)
    wait_until(lambda: log_has(first, "action=lease_lost"), 10, what="the one that was stopped notices")
    assert site.received().total == before.total
    # What the stopped one believed must not count any more: an older snapshot that comes now is stale.
    site.keep(late, last)
    site.settle()
    assert [(row.state, row.reason) for row in site.rows(late)] == [("skipped", "stale")]
    at_drip = site.received()
    assert at_drip.wrongs() == []
    assert at_drip.missing([*paused, newer, *others, last]) == []
    assert at_drip.repeats == len(in_hand)
    assert site.holders() == {second.pid}
    return recovered_s


def test_another_takes_over_within_30_s_and_nothing_is_lost_or_goes_back(
    new_database: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All at the same time, since they wait for leases to run out."""

    def run(kind: str, scenario: Callable[[Site], float], variables: dict[str, str]) -> tuple[str, float]:
        how = f"{scenario.__name__} {'of a batch ' if variables else ''}{kind}".replace("_", " ")
        folder = tmp_path / how.replace(" ", "-")
        folder.mkdir()
        with running_site(new_database(kind), folder, variables) as site:
            return how, scenario(site)

    took = in_parallel(
        *(partial(run, kind, after_a_kill_elsewhere, {}) for kind in KINDS),
        *(partial(run, kind, after_a_pause_in_a_request, variables) for kind in KINDS for variables in ({}, IN_BATCHES)),
    )
    with capsys.disabled():
        print("", *(f"{how}: all delivered {seconds:.1f} s later" for how, seconds in took), sep="\n", flush=True)
    assert max(seconds for _, seconds in took) < 30
