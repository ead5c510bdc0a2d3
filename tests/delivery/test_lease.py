"""One sender at a time for an account, and how another takes over."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, update

from adapter.delivery.lease import Lease, renew, this_host
from adapter.errors import LeaseLost
from adapter.inbox import accounts
from adapter.inbox.database import database_now, snapshot, transaction
from adapter.inbox.tables import leases


def age(engine: Engine, **values: object) -> None:
    with transaction(engine) as connection:
        connection.execute(update(leases).values(**values))


def holder(engine: Engine) -> str | None:
    with snapshot(engine) as connection:
        row = accounts.lease(connection, "a")
    assert row is not None
    found: str | None = row.holder
    return found


def test_one_of_two_has_it_until_released(engine: Engine) -> None:
    first, second = Lease(engine, "a"), Lease(engine, "a")
    assert first.acquire()
    assert not second.acquire()
    assert first.acquire()
    first.release()
    assert not first.held
    assert second.acquire()


def test_accounts_do_not_touch_each_other(engine: Engine) -> None:
    assert Lease(engine, "a").acquire()
    assert Lease(engine, "b").acquire()


def test_it_lasts_20_s_on_the_databases_clock(engine: Engine) -> None:
    assert Lease(engine, "a").acquire()
    with snapshot(engine) as connection:
        row = accounts.lease(connection, "a")
        now = database_now(connection)
    assert row is not None
    assert timedelta(seconds=18) < row.expires_at - now <= timedelta(seconds=20)


def test_an_expired_lease_is_anybodys(engine: Engine) -> None:
    first, second = Lease(engine, "a"), Lease(engine, "a")
    assert first.acquire()
    with transaction(engine) as connection:
        now = database_now(connection)
    age(engine, expires_at=now - timedelta(seconds=1))
    assert second.acquire()
    assert not first.acquire()
    assert not first.held


def test_releasing_what_another_holds_does_nothing(engine: Engine) -> None:
    first, second = Lease(engine, "a"), Lease(engine, "a")
    first.acquire()
    second.release()
    assert holder(engine) is not None
    assert not second.acquire()


def test_a_dead_holder_on_this_host_is_noticed_at_once(engine: Engine) -> None:
    assert Lease(engine, "a").acquire()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    age(engine, pid=gone.pid)
    assert Lease(engine, "a").acquire()


def test_a_process_id_of_another_host_says_nothing(engine: Engine) -> None:
    assert Lease(engine, "a").acquire()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    age(engine, pid=gone.pid, host="elsewhere")
    assert not Lease(engine, "a").acquire()


def test_the_holder_is_named(engine: Engine) -> None:
    Lease(engine, "a").acquire()
    with snapshot(engine) as connection:
        row = accounts.lease(connection, "a")
    assert row is not None
    assert (row.host, row.pid) == (this_host(), os.getpid())


def test_eight_at_once_and_one_gets_it(engine: Engine) -> None:
    barrier = threading.Barrier(8)

    def take(_: int) -> bool:
        barrier.wait()
        return Lease(engine, "a").acquire()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 1


def test_a_holder_that_was_stopped_for_long_notices_before_it_posts(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = Lease(engine, "a")
    lease.acquire()
    lease.confirm()
    lease.still_fresh()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)
    with pytest.raises(LeaseLost):
        lease.still_fresh()


def test_confirming_renews_and_fails_when_another_has_taken_over(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    lease, other = Lease(engine, "a"), Lease(engine, "a")
    lease.acquire()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)
    lease.confirm()
    lease.release()
    other.acquire()
    monkeypatch.setattr(time, "monotonic", lambda: now + 120)
    with pytest.raises(LeaseLost):
        lease.confirm()


def test_those_of_many_accounts_are_renewed_together(engine: Engine) -> None:
    mine = [Lease(engine, account, "me") for account in ("a", "b", "c")]
    for lease in mine:
        lease.acquire()
    with transaction(engine) as connection:
        soon = database_now(connection) + timedelta(seconds=1)
    age(engine, expires_at=soon)
    with transaction(engine) as connection:
        connection.execute(update(leases).where(leases.c.account == "b").values(holder="another"))
    renew(engine, mine)
    assert [lease.held for lease in mine] == [True, False, True]
    with snapshot(engine) as connection:
        renewed = {row.account: row.expires_at > soon for row in accounts.leases_of(connection, ["a", "b", "c"])}
    assert renewed == {"a": True, "b": False, "c": True}
