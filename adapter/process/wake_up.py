"""A wake-up from the web process to the senders on the same host, so that a new webhook is sent at once.

The datagram carries nothing. A sender that misses it finds the webhook when it polls the inbox, within 200 ms.

On Linux the socket has a name without a file, in the abstract namespace, which is free again as soon as its process has ended, however it
ended (unix(7)). Elsewhere it is a file in the folder for temporary files, deleted when the sender stops.
"""

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache

from adapter.process.per_database import path_for

_POLL_S = 1.0
_HAS_ABSTRACT_NAMES = sys.platform == "linux"


def wake_senders(database_url: str) -> None:
    """Wake the senders of this database on this host, if any are running."""
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(b"!", _address(database_url))


def listen_for_wake_ups(database_url: str, wake: Callable[[], None], stopped: Callable[[], bool]) -> None:
    """Call `wake` at every wake-up until `stopped`. If a host runs several senders, only one of them receives them."""
    while not stopped():
        with suppress(OSError), _bound(_address(database_url)) as receiver:
            while not stopped():
                with suppress(TimeoutError):
                    receiver.recv(1)
                    wake()
        if not stopped():  # another sender receives them, or there is no writable folder: until then, polling the inbox has to do
            time.sleep(_POLL_S)


@contextmanager
def _bound(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        if _is_file(address):
            with suppress(FileNotFoundError):
                os.unlink(address)
        receiver.bind(address)
        receiver.settimeout(_POLL_S)
        ours = os.stat(address).st_ino if _is_file(address) else None
        try:
            yield receiver
        finally:
            with suppress(OSError):
                if _is_file(address) and os.stat(address).st_ino == ours:
                    os.unlink(address)


def _is_file(address: str) -> bool:
    return not address.startswith("\0")


@cache
def _address(database_url: str) -> str:
    path = path_for(database_url, "sock")
    return f"\0{path.name}" if _HAS_ABSTRACT_NAMES else str(path)
