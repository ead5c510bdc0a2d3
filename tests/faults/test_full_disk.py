"""A full disk under SQLite: a store is told to come again, nothing is corrupt, and all goes on once there is room."""

import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from sqlalchemy import event, text
from werkzeug.serving import make_server

from adapter.inbox.database import connect, snapshot
from tests.faults.harness import Site, Snapshot, running_site
from tests.support.adapter_under_test import make_settings
from tests.support.waiting import wait_until
from tests.support.whole_app import create_app

MOST = 1000
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running_site(f"sqlite:///{tmp_path / 'adapter.db'}", tmp_path) as site:
        yield site


def fill(site: Site, first: int) -> int:
    """Post until the first refusal; how many were taken."""
    with requests.Session() as session:
        for taken in range(MOST):
            if not site.post(session, Snapshot(first + taken, 1)):
                return taken
    raise AssertionError("the disk never filled")


def ids(site: Site) -> int:
    return len(site.rows())


def test_a_file_that_may_not_grow_is_a_503_and_200_again_when_it_may(site: Site) -> None:
    """As `PRAGMA max_page_count` has it: SQLite itself says that the disk is full."""
    room = {"pages": 0}
    engine = connect(site.database_url)

    @event.listens_for(engine, "checkout")
    def limit(connection: object, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {room['pages'] or 1_000_000_000}")  # type: ignore[attr-defined]

    host, _, port = site.address.rpartition(":")
    server = make_server(host, int(port), create_app(make_settings(site.drip.url), engine), threaded=True)
    with ThreadPoolExecutor(1) as pool:
        serving = pool.submit(server.serve_forever, 0.05)
        try:
            with snapshot(site.engine) as connection:
                room["pages"] = connection.execute(text("PRAGMA page_count")).scalar_one() + 10
            taken = fill(site, first=1)
            assert taken > 0
            assert not site.post(requests.Session(), Snapshot(9001, 1))  # and still
            assert site.is_whole()
            assert ids(site) == taken  # what was refused was not kept, what was acknowledged was
            room["pages"] = 0
            assert site.post(requests.Session(), Snapshot(9001, 1))
        finally:
            server.shutdown()
            serving.result(10)
            server.server_close()
            engine.dispose()
    site.start_sender()
    site.settle()
    assert site.received().missing([Snapshot(order_id, 1) for order_id in [*range(1, taken + 1), 9001]]) == []
    assert site.is_whole()


def test_a_write_that_the_system_refuses_is_a_503_and_what_was_acknowledged_is_delivered(site: Site, tmp_path: Path) -> None:
    """The real web processes, whose files the system no longer lets grow: the write itself is refused, halfway through a commit."""
    web = site.start_web()
    wait_until(lambda: site.is_up, what="the web side is up")
    workers = web.children
    size = (tmp_path / "adapter.db-wal").stat().st_size
    for worker in workers:
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (size + 50_000, resource.RLIM_INFINITY))
    taken = fill(site, first=1)
    assert site.is_whole()
    assert ids(site) == taken
    for worker in workers:
        resource.prlimit(worker, resource.RLIMIT_FSIZE, UNLIMITED)
    assert site.post(requests.Session(), Snapshot(9001, 1))
    assert web.children == workers
    site.start_sender()
    site.settle()
    assert site.received().missing([Snapshot(order_id, 1) for order_id in [*range(1, taken + 1), 9001]]) == []
    assert site.is_whole()
