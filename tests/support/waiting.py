"""Waiting for something to come true, without relying on how fast the machine is."""

import time
from collections.abc import Callable
from typing import Any

TIMEOUT_S = 30.0


def wait_until(there: Callable[[], Any], timeout_s: float = TIMEOUT_S, what: str = "what the test waits for") -> float:
    """Wait until `there()` is true; the seconds that it took."""
    started = time.monotonic()
    while not there():
        assert time.monotonic() - started < timeout_s, f"{what}: not within {timeout_s:g} s"
        time.sleep(0.02)
    return time.monotonic() - started
