"""The right to send for one Drip account, held by one sender at a time.

It lasts 20 s on the database's clock and is renewed every 5 s; a sender that was stopped for longer notices before it posts.
"""

import os
import socket
import time
import uuid
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, Engine

from adapter.errors import DatabaseAway, LeaseLost
from adapter.inbox import accounts
from adapter.inbox.accounts import LIFETIME
from adapter.inbox.database import database_now, transaction

RENEWAL_S = 5.0
# A request begun so long after the lease was confirmed might end after another has taken over.
_FRESH_S = 5.0


class Lease:
    """One account's lease, as seen by one sender."""

    def __init__(self, engine: Engine, account: str) -> None:
        self.account = account
        self.held = False
        self._engine = engine
        self._holder = uuid.uuid4().hex
        self._confirmed = 0.0
        self._alive_until = 0.0
        self.taken = 0
        """How often it was taken anew: what was learnt under another holder's eyes is worth nothing."""

    def acquire(self) -> bool:
        """Take or renew the lease; whether it is ours now."""
        asked, had = time.monotonic(), self.held
        with transaction(self._engine) as connection:
            now = database_now(connection)
            known = accounts.lease(connection, self.account)
            dead = known is not None and known.host == this_host() and known.pid is not None and not _is_alive(known.pid)
            self.held = accounts.take_lease(
                connection, self.account, holder=self._holder, host=this_host(), pid=os.getpid(), now=now, until=now + LIFETIME, free=dead
            )
        if self.held:
            self._confirmed = asked
            self.taken += not had
        return self.held

    def pulse(self, seconds: float) -> None:
        """Say that the holder is at work and will say so again within this time."""
        self._alive_until = time.monotonic() + seconds

    def renew(self) -> None:
        """Keep it for a holder that is at work; one that hangs loses it."""
        if self.held and time.monotonic() < self._alive_until:
            self.acquire()

    def confirm(self) -> None:
        """Make sure that the lease is ours, right before a request; raises `LeaseLost`."""
        if time.monotonic() - self._confirmed > RENEWAL_S and not self.acquire():
            raise LeaseLost(f"another sender has taken over account {self.account}")

    def still_fresh(self) -> None:
        """Raise `LeaseLost` if this process was stopped since it confirmed the lease."""
        if time.monotonic() - self._confirmed > RENEWAL_S + _FRESH_S:
            self.held = False
            raise LeaseLost(f"stopped for too long to go on sending for account {self.account}")

    def guard(self, connection: Connection) -> None:
        """Make sure that the lease is ours until a transaction ends; raises `LeaseLost`, and what it wrote is undone."""
        if not accounts.holds_lease(connection, self.account, self._holder):
            self.held = False
            raise LeaseLost(f"another sender has taken over account {self.account}, and the request in hand")

    def release(self) -> None:
        """Give it back, so that another takes over at once."""
        self.held = False
        with suppress(DatabaseAway), transaction(self._engine) as connection:
            accounts.release_lease(connection, self.account, self._holder)


def this_host() -> str:
    """Where a process id means something: the machine, and the container on it."""
    namespace = Path("/proc/self/ns/pid")
    with suppress(OSError):
        return f"{socket.gethostname()} {os.readlink(namespace)}"
    return socket.gethostname()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
