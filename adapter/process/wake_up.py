"""A nudge from the web side to the senders on the same host, so that they need not wait for their next look at the inbox.

A datagram that says nothing: who misses it looks at the inbox within 200 ms all the same.
"""

import hashlib
import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_POLL_S = 1.0


def nudge(database_url: str) -> None:
    """Wake the senders of this database on this host, if there are any."""
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(b"!", _address(database_url))


def listen(database_url: str, wake: Callable[[], None], stopped: Callable[[], bool]) -> None:
    """Call `wake` at every nudge until `stopped`. Of several senders on one host the last one started hears them."""
    address = _address(database_url)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        try:
            Path(address).unlink(missing_ok=True)
            receiver.bind(address)
        except OSError:  # no folder to write to: there are the looks at the inbox
            return
        receiver.settimeout(_POLL_S)
        while not stopped():
            with suppress(TimeoutError):
                receiver.recv(1)
                wake()


def _address(database_url: str) -> str:
    # A relative SQLite path is another file in another folder.
    known_by = f"{database_url} {Path.cwd()} {os.getuid()}"
    name = hashlib.sha256(known_by.encode()).hexdigest()[:16]
    return str(Path(tempfile.gettempdir()) / f"drip-adapter-{name}.sock")
