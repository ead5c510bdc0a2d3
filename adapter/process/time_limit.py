"""Ends this process if a piece of its work takes too long.

The kernel does it, by a timer whose signal nobody handles: a thread or a signal handler would wait for the interpreter, which a regular
expression that never ends doesn't give back. The supervisor, or the platform, starts the process again.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class TimeLimit:
    """The limit for each piece of work; any number of threads may be at one. Without `seconds` there is none."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._ends: dict[int, float] = {}

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Limit the block."""
        if not self._seconds:
            yield
            return
        thread = threading.get_ident()
        self._set(thread, time.monotonic() + self._seconds)
        try:
            yield
        finally:
            self._set(thread, None)

    def _set(self, thread: int, ends: float | None) -> None:
        with self._lock:
            if ends is None:
                del self._ends[thread]
            else:
                self._ends[thread] = ends
            left = min(self._ends.values()) - time.monotonic() if self._ends else 0.0
            # SIGALRM's default is to end the process.
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.001) if self._ends else 0.0)


NO_LIMIT = TimeLimit()
