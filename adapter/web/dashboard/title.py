"""The verdict in the title of every page, so that a tab in the background shows that something is wrong."""

import time
from threading import Lock

from flask import Flask, current_app
from sqlalchemy import Engine

from adapter.errors import DatabaseAway
from adapter.inbox.database import snapshot
from adapter.operations.health import read_health
from adapter.operations.verdict import Status
from adapter.web.dashboard.layout import now, settings, why_not_storing
from adapter.web.database import Inbox

_COUNTS_FOR_S = 3.0


def show_verdict(app: Flask) -> None:
    """Let templates ask for the verdict, as `current_verdict()`."""
    app.extensions["verdict_watch"] = VerdictWatch()
    app.context_processor(lambda: {"current_verdict": current_verdict})


def current_verdict() -> str:
    """The verdict for the title of a page, read at most every few seconds; blank for a visitor who isn't logged in."""
    watch: VerdictWatch = current_app.extensions["verdict_watch"]
    return watch.verdict() if current_app.extensions["may_see"]() else ""


class VerdictWatch:
    """Remembers the verdict for a few seconds."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known_until = float("-inf")
        self._verdict = Status.OK

    def verdict(self) -> str:
        """The verdict: `ok`, `attention` or `stuck`."""
        with self._lock:
            if time.monotonic() > self._known_until:
                self._verdict = _read_verdict()
                self._known_until = time.monotonic() + _COUNTS_FOR_S
            return self._verdict


def _read_verdict() -> Status:
    inbox: Inbox = current_app.extensions["inbox"]
    configured, not_storing = settings(), why_not_storing()

    def look(engine: Engine) -> Status:
        with snapshot(engine) as connection:
            return read_health(connection, configured, now(), not_storing=not_storing).status

    try:
        return inbox.run(look)
    except DatabaseAway:
        return Status.STUCK
