"""A wake-up reaches the sender of the same database on this host, and no other."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from adapter.process.wake_up import listen_for_wake_ups, wake_senders
from tests.support.waiting import wait_until


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


def test_a_new_sender_takes_the_place_of_one_that_was_killed() -> None:
    for _ in range(2):
        with listening("sqlite:///b.db") as woken:
            wait_until(lambda: wakes("sqlite:///b.db", woken))
