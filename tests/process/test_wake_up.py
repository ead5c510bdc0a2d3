"""A wake-up reaches the sender of the same database on this host, and no other."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from adapter.process import wake_up
from adapter.process.wake_up import listen_for_wake_ups, wake_senders
from tests.support.waiting import wait_until


@pytest.fixture(params=[pytest.param(True, id="abstract"), pytest.param(False, id="file")], autouse=True)
def folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, with a short path, as a socket's must be; with both kinds of socket, of which Linux has both."""
    if request.param and sys.platform != "linux":
        pytest.skip("no abstract names")
    monkeypatch.setattr(wake_up, "_HAS_ABSTRACT_NAMES", request.param)
    with tempfile.TemporaryDirectory(prefix="w") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        wake_up._address.cache_clear()
        yield Path(folder)
        wake_up._address.cache_clear()


@contextmanager
def listening(database_url: str) -> Iterator[threading.Event]:
    """A thread that listens, as a sender does; the event is set at each wake-up."""
    woken, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=listen_for_wake_ups, args=(database_url, woken.set, stop.is_set))
    thread.start()
    try:
        yield woken
    finally:
        stop.set()
        wake_senders(database_url)  # so that it notices at once
        thread.join()


def wakes(database_url: str, woken: threading.Event) -> bool:
    """Wake, again until the thread listens: a wake-up before that is lost."""
    wake_senders(database_url)
    return woken.wait(0.1)


def test_a_wake_up_reaches_the_sender_of_this_database_and_no_other() -> None:
    with listening("sqlite:///a.db") as woken:
        wait_until(lambda: wakes("sqlite:///a.db", woken))
        woken.clear()
        wake_senders("sqlite:///another.db")
        assert not woken.wait(0.1)


def test_a_wake_up_without_a_sender_is_lost_without_an_error() -> None:
    wake_senders("sqlite:///nobody-listens.db")


def test_a_new_sender_takes_the_place_of_one_that_ended_and_leaves_no_file(folder: Path) -> None:
    for _ in range(2):
        with listening("sqlite:///b.db") as woken:
            wait_until(lambda: wakes("sqlite:///b.db", woken))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("folder", [pytest.param(True, id="abstract")], indirect=True)  # of files, the last one is used
def test_a_sender_receives_wake_ups_once_the_one_before_it_has_ended() -> None:
    with ExitStack() as ends, listening("sqlite:///c.db") as second:
        first = ends.enter_context(listening("sqlite:///c.db"))
        wait_until(lambda: wakes("sqlite:///c.db", first) or second.is_set())
        ends.close()
        second.clear()
        wait_until(lambda: wakes("sqlite:///c.db", second))


_KILLED = """
import os, signal, sys
from adapter.process import wake_up
wake_up._HAS_ABSTRACT_NAMES = sys.argv[1] == "True"
with wake_up._bound(wake_up._address("sqlite:///d.db")):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_sender_that_was_killed_is_not_in_the_way(folder: Path) -> None:
    command = [sys.executable, "-c", _KILLED, str(wake_up._HAS_ABSTRACT_NAMES)]
    assert subprocess.run(command, env={**os.environ, "TMPDIR": str(folder)}, check=False, timeout=60).returncode == -signal.SIGKILL
    assert len(list(folder.iterdir())) == (0 if wake_up._HAS_ABSTRACT_NAMES else 1)
    with listening("sqlite:///d.db") as woken:
        wait_until(lambda: wakes("sqlite:///d.db", woken))
    assert list(folder.iterdir()) == []
