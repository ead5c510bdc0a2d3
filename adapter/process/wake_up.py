"""A wake-up from the web process to the senders on the same host, so that a new webhook is sent at once.

The datagram carries nothing. A sender that misses it finds the webhook when it polls the inbox, within 200 ms.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from adapter.process.per_database import path_for

_POLL_S = 1.0


def wake_senders(database_url: str) -> None:
    """Wake the senders of this database on this host, if any are running."""
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(b"!", _address(database_url))


def listen_for_wake_ups(database_url: str, wake: Callable[[], None], stopped: Callable[[], bool]) -> None:
    """Call `wake` at every wake-up until `stopped`. If a host runs several senders, only the last one started receives them."""
    address = _address(database_url)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        try:
            Path(address).unlink(missing_ok=True)
            receiver.bind(address)
        except OSError:  # no writable folder: polling the inbox has to do
            return
        receiver.settimeout(_POLL_S)
        while not stopped():
            with suppress(TimeoutError):
                receiver.recv(1)
                wake()


@cache
def _address(database_url: str) -> str:
    return str(path_for(database_url, "sock"))
