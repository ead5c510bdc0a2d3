"""HTTP requests with a deadline for the whole exchange; the timeout of `requests` only limits the silence between two bytes."""

import queue
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NameResolutionError, NewConnectionError

Result = TypeVar("Result")


class CuttableAdapter(HTTPAdapter):
    """A transport whose one connection can be closed from another thread, when the deadline has passed."""

    sock: socket.socket | None = None

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As in requests, with connections that give us their socket."""
        super().init_poolmanager(*args, **kwargs)
        adapter = self

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                adapter.sock = self.sock

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                adapter.sock = self.sock

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    def cut(self) -> None:
        """End the current exchange; its thread gets an error and ends."""
        if self.sock is not None:
            with suppress(OSError):  # it may have ended already
                # Below TLS, which two threads must not use at once.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


def within(seconds: float, work: Callable[[], Result], name: str) -> Result:
    """The result of `work`, run in its own thread; raises `queue.Empty` if it takes longer. `work` must not raise."""
    result: queue.SimpleQueue[Result] = queue.SimpleQueue()
    threading.Thread(target=lambda: result.put(work()), name=name, daemon=True).start()
    return result.get(timeout=seconds)


def why_unreachable(error: requests.RequestException) -> str:
    """Why a server could not be asked, in a few words that quote nothing."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(error, requests.Timeout):
        return "no response in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate could not be verified"
    if isinstance(reason, NameResolutionError):
        return "its name could not be looked up"
    if isinstance(reason, NewConnectionError):
        return "the connection was refused, or there is no way there"
    return "the connection broke"
