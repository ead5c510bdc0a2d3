"""Gunicorn, with workers that read a whole request before a thread handles it.

Gunicorn's own threaded worker reads each request in a pool thread, so a few clients that send half a request block all others. Here
Waitress reads all connections in one loop, and Gunicorn manages the processes.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.task import ThreadedTaskDispatcher

from adapter.process.http_connections import LONGEST_HEAD, Channel, Listener

# For pages, and for webhooks that can't be begun in the loop; those that wait for a commit share it.
_THREADS = 32
_CONNECTIONS = 2000
_GRACE_S = 10
_LOOK_S = 1.0
_BEGUN_LOOK_S = 0.2
_FINISHING_LOOK_S = 0.05


class WebServer(BaseApplication):
    """Serves a WSGI app that each worker creates after the fork, so that processes share no connection."""

    def __init__(self, make_app: Callable[[], Any], *, bind: str, workers: int, largest_body: int) -> None:
        self._make_app = make_app
        # The app rejects a body that is a little too long, and names the setting; the server rejects one that is far too long.
        self.largest_body = 2 * largest_body
        self._options = {
            "bind": bind,
            "workers": workers,
            "worker_class": BufferingWorker,
            "logger_class": _Logger,
            "graceful_timeout": _GRACE_S,
            "loglevel": "warning",
            "control_socket_disable": True,
        }
        super().__init__()

    def load_config(self) -> None:
        """Set our options."""
        for name, value in self._options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        """The WSGI app."""
        return self._make_app()


class _Logger(Logger):
    """Gunicorn's messages as lines of our log."""

    def setup(self, cfg: Any) -> None:
        """Leave them to the root logger, whose format escapes what could control a terminal."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class BufferingWorker(Worker):
    """A Gunicorn worker that serves with Waitress."""

    def init_process(self) -> None:
        """Start, and serve. What fails is logged here, since Gunicorn would print the exception's message as it is."""
        try:
            super().init_process()
        except Exception:
            self.log.exception("Exception in worker process")
            sys.exit(-1 if self.booted else Arbiter.WORKER_BOOT_ERROR)

    def run(self) -> None:
        """Serve until asked to stop, then finish the current requests."""
        connections: dict[int, Any] = {}
        threads = ThreadedTaskDispatcher()
        threads.set_thread_count(_THREADS)
        listeners = self._listen(connections, threads)
        next_look = 0.0
        while self.alive and os.getppid() == self.ppid:
            _handle(listeners, connections, _BEGUN_LOOK_S if any(each.has_begun for each in listeners) else _LOOK_S)
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + _LOOK_S
                self.notify()
                _close_late(connections.values())
        for listener in listeners:
            listener.accepting = False
        until = time.monotonic() + _GRACE_S
        while time.monotonic() < until and any(channel.is_busy for channel in _channels(connections.values())):
            _handle(listeners, connections, _FINISHING_LOOK_S)
        threads.shutdown(timeout=1)
        wasyncore.close_all(connections, ignore_all=True)

    def _listen(self, connections: dict[int, Any], threads: ThreadedTaskDispatcher) -> list[Listener]:
        server: Any = self.app
        app: Any = self.wsgi
        listening: list[Any] = self.sockets
        settings = Adjustments(
            sockets=[listener.sock for listener in listening],
            connection_limit=_CONNECTIONS,
            max_request_header_size=LONGEST_HEAD,
            max_request_body_size=server.largest_body,
            clear_untrusted_proxy_headers=False,
            ident=None,
        )
        return [Listener(app, sock, settings, threads, connections) for sock in settings.sockets]

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop within a second."""
        self.alive = False


def _handle(listeners: Iterable[Listener], connections: dict[int, Any], within_s: float) -> None:
    """Read and write what is due, and answer what is ready; wait for that at most so long."""
    wasyncore.poll2(within_s, connections)
    for listener in listeners:
        listener.answer()


def _channels(connections: Iterable[Any]) -> Iterator[Channel]:
    return (connection for connection in list(connections) if isinstance(connection, Channel))


def _close_late(connections: Iterable[Any]) -> None:
    """Close the connections of clients that are late."""
    now = time.time()
    for channel in _channels(connections):
        if channel.is_late(now):
            channel.will_close = True
