"""Gunicorn, configured for what this app is: short requests that wait for one commit."""

from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication

_THREADS = 8
_GRACE_S = 10


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
