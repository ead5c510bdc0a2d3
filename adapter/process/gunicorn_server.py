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
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer, create_server
from waitress.utilities import BadRequest, Error, RequestEntityTooLarge

# Requests that wait for a commit share it: at most so many per process.
_THREADS = 32
_CONNECTIONS = 2000
_GRACE_S = 10
# How long a client may take to send a head and a whole request, and how long a connection may be idle between requests.
_HEAD_S = 10.0
_REQUEST_S = 30.0
_KEEP_ALIVE_S = 75.0  # longer than platforms' routers keep a connection, so that they never use a closed one
_LONGEST_HEAD = 65_536
_LONGEST_CHUNK_LINE = 1_024
_LOOK_S = 1.0
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
        app: Any = self.app
        listening: list[Any] = self.sockets
        connections: dict[int, Any] = {}
        create_server(
            self.wsgi,
            map=connections,
            sockets=[listener.sock for listener in listening],
            threads=_THREADS,
            connection_limit=_CONNECTIONS,
            asyncore_use_poll=True,
            max_request_header_size=_LONGEST_HEAD,
            max_request_body_size=app.largest_body,
            clear_untrusted_proxy_headers=False,
            ident=None,
        )
        listeners = [each for each in connections.values() if isinstance(each, TcpWSGIServer)]
        for listener in listeners:
            listener.channel_class = _Channel
        next_look = 0.0
        while self.alive and os.getppid() == self.ppid:
            wasyncore.poll2(_LOOK_S, connections)
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + _LOOK_S
                self.notify()
                _close_late(connections.values())
        for listener in listeners:
            listener.accepting = False
        until = time.monotonic() + _GRACE_S
        while time.monotonic() < until and any(channel.is_busy for channel in _channels(connections.values())):
            wasyncore.poll2(_FINISHING_LOOK_S, connections)
        listeners[0].task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(connections, ignore_all=True)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop within a second."""
        self.alive = False


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """Reads one request. Waitress alone fails over a length that Python can't read, and waits for a chunk of any size."""

    def received(self, data: bytes) -> int:
        """Take received bytes; how many."""
        try:
            taken: int = super().received(data)
        except ValueError:  # a Content-Length of more than 4,300 digits
            self._refuse(RequestEntityTooLarge("Content-Length is out of range"))
            return len(data)
        body = self.body_rcv
        if self.chunked and not self.completed and body is not None:
            if body.chunk_remainder > self.adj.max_request_body_size:
                self._refuse(RequestEntityTooLarge(f"exceeds max_body of {self.adj.max_request_body_size}"))
            elif len(body.control_line) > _LONGEST_CHUNK_LINE or len(body.trailer) > _LONGEST_HEAD:
                self._refuse(BadRequest("Invalid chunk size"))
        return taken

    def _refuse(self, error: Error) -> None:
        self.error = error
        self.completed = True


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that records when the current request began to arrive."""

    parser_class = _Parser
    request_begun = 0.0

    def received(self, data: bytes) -> bool:
        """Handle received bytes."""
        if self.request is None:
            self.request_begun = time.time()
        taken: bool = super().received(data)
        return taken

    @property
    def is_busy(self) -> bool:
        """Whether a request is being handled."""
        return bool(self.requests or self.total_outbufs_len)

    def is_late(self, now: float) -> bool:
        """Whether the client takes too long to send a head or a body, or has been idle too long."""
        if self.is_busy:
            return False
        if self.request is None:
            return bool(now - self.last_activity > (_KEEP_ALIVE_S if self.request_begun else _HEAD_S))
        return now - self.request_begun > (_REQUEST_S if self.request.headers_finished else _HEAD_S)


def _channels(connections: Iterable[Any]) -> Iterator[_Channel]:
    return (connection for connection in list(connections) if isinstance(connection, _Channel))


def _close_late(connections: Iterable[Any]) -> None:
    """Close the connections of clients that are late."""
    now = time.time()
    for channel in _channels(connections):
        if channel.is_late(now):
            channel.will_close = True
