"""Gunicorn, configured for what this app is: short requests that wait for one commit."""

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication

_THREADS = 8
_GRACE_S = 10
_PARENT_CHECK_S = 1.0


class WebServer(BaseApplication):
    """Serves a WSGI app that is made in each worker, after the fork: no connection is shared between processes."""

    def __init__(self, make_app: Callable[[], Any], *, bind: str, workers: int) -> None:
        self._make_app = make_app
        self._options = {
            "bind": bind,
            "workers": workers,
            "worker_class": "gthread",
            "threads": _THREADS,
            "graceful_timeout": _GRACE_S,
            "keepalive": 75,  # longer than a platform's router keeps a connection, so that it never meets a closed one
            "loglevel": "warning",
            "control_socket_disable": True,
        }
        super().__init__()

    def load_config(self) -> None:
        """Take our options."""
        for name, value in self._options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        """The WSGI app."""
        return self._make_app()


def end_with_parent(parent: int) -> None:
    """End this process when the one that started it is gone, so that a killed `serve` leaves nothing behind that holds its port."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_CHECK_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
