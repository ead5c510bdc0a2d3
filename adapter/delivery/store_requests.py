"""Requests to stores' APIs beside the reader, so that a slow store holds up no other store's orders."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

_MOST_THREADS = 8
_Result = TypeVar("_Result")
_Job = Callable[[], None]


class StoreRequests:
    """Works on several stores at a time, and on one request of each. Its threads end when nothing is left to do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, deque[_Job]] = {}
        self._busy: set[str] = set()
        self._threads = 0

    def submit(self, store: str, request: Callable[[], _Result]) -> "Future[_Result]":
        """Make a request of this store after those that wait already."""
        future: Future[_Result] = Future()
        with self._lock:
            self._jobs.setdefault(store, deque()).append(partial(_resolve, future, request))
            if self._threads < _MOST_THREADS:
                self._threads += 1
                threading.Thread(target=self._work, name="store-api", daemon=True).start()
        return future

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            store, job = taken
            job()
            with self._lock:
                self._busy.discard(store)

    def _take(self) -> tuple[str, _Job] | None:
        """The next job, of the store whose turn it is; None ends the thread."""
        with self._lock:
            store = next((name for name in self._jobs if name not in self._busy), None)
            if store is None:
                self._threads -= 1
                return None
            jobs = self._jobs.pop(store)
            job = jobs.popleft()
            if jobs:
                self._jobs[store] = jobs  # behind the others
            self._busy.add(store)
            return store, job


def _resolve(future: "Future[_Result]", request: Callable[[], _Result]) -> None:
    try:
        future.set_result(request())
    except Exception as error:  # noqa: BLE001 - it is raised where the result is taken
        future.set_exception(error)
