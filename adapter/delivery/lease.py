"""The right to send for one Drip account, held by one sender at a time.

It lasts 20 s on the database's clock and is renewed every 5 s; a sender that was stopped for longer notices before it posts.
"""

import os
import socket
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row

from adapter.errors import DatabaseAway, LeaseLost
from adapter.inbox import accounts
from adapter.inbox.accounts import LIFETIME
from adapter.inbox.database import database_now, transaction

RENEWAL_S = 5.0
# A request started so long after the lease was confirmed might end after another sender has taken over.
_FRESH_S = 5.0
_FOREVER = float("inf")


class Lease:
    """One account's lease, as one sender sees it. `holder` is the name of that sender, common to all its leases."""

    def __init__(self, engine: Engine, account: str, holder: str = "") -> None:
        self.account = account
        self.held = False
        self._engine = engine
        self.holder = holder or uuid.uuid4().hex
        self._confirmed = 0.0
        self._alive_until = _FOREVER
        self.taken = 0
        """How often it was newly taken: whatever was known of the account before may be out of date."""

    def acquire(self) -> bool:
        """Take or renew the lease; whether it is ours now."""
        asked = time.monotonic()
        with transaction(self._engine) as connection:
            return self.acquire_in(connection, asked, database_now(connection))

    def acquire_in(self, connection: Connection, asked: float, now: datetime) -> bool:
        """The same in the caller's transaction, `asked` for by the process's clock when the database's said `now`, or before."""
        had = self.held
        known = accounts.lease(connection, self.account)
        free = known is not None and _is_of_the_dead(known)
        self.held = accounts.take_lease(
            connection, self.account, holder=self.holder, host=this_host(), pid=os.getpid(), now=now, until=now + LIFETIME, free=free
        )
        if self.held:
            self._confirmed = asked
            self.taken += not had
        return self.held

    def renewed(self, asked: float | None) -> None:
        """Note that a renewal asked for at this time succeeded; None: another holder has the lease."""
        self.held = asked is not None
        self._confirmed = asked or self._confirmed

    def pulse(self, seconds: float) -> None:
        """Announce that the holder is at work, and will call this or `rest` again within this time."""
        self._alive_until = time.monotonic() + seconds

    def rest(self) -> None:
        """Announce that the holder has nothing in hand."""
        self._alive_until = _FOREVER

    @property
    def is_worth_renewing(self) -> bool:
        """Whether it is held by a holder that works or rests; one that hangs loses it."""
        return self.held and time.monotonic() < self._alive_until

    def confirm(self) -> None:
        """Make sure that the lease is ours, right before a request; raises `LeaseLost`."""
        if time.monotonic() - self._confirmed > RENEWAL_S and not self.acquire():
            raise LeaseLost(f"another sender has taken over account {self.account}")

    def still_fresh(self) -> None:
        """Raise `LeaseLost` if this process was stopped since it confirmed the lease."""
        if time.monotonic() - self._confirmed > RENEWAL_S + _FRESH_S:
            self.held = False
            raise LeaseLost(f"this process was stopped for too long to keep sending for account {self.account}")

    def guard(self, connection: Connection) -> None:
        """Make sure that the lease is ours until a transaction ends; raises `LeaseLost`, and what it wrote is undone."""
        if not accounts.holds_lease(connection, self.account, self.holder):
            self.held = False
            raise LeaseLost(f"another sender has taken over account {self.account}, and its request in hand")

    def release(self) -> None:
        """Give it back, so that another sender takes over at once."""
        self.held = False
        with suppress(DatabaseAway), transaction(self._engine) as connection:
            accounts.release_lease(connection, self.account, self.holder)


def renew(engine: Engine, leases: Iterable[Lease]) -> None:
    """Renew all these in one transaction, those excepted whose holder hangs. They have the same holder."""
    due = {lease.account: lease for lease in leases if lease.is_worth_renewing}
    if due:
        asked = time.monotonic()
        with transaction(engine) as connection:
            renewed = accounts.renew_leases(connection, list(due), next(iter(due.values())).holder, database_now(connection) + LIFETIME)
        for account, lease in due.items():
            lease.renewed(asked if account in renewed else None)


def is_free(lease: Row[Any], now: datetime) -> bool:
    """Whether nobody holds a lease: it was given back, it ran out, or its holder on this host is dead."""
    return lease.holder is None or lease.expires_at < now or _is_of_the_dead(lease)


def _is_of_the_dead(lease: Row[Any]) -> bool:
    return lease.host == this_host() and lease.pid is not None and not _is_alive(lease.pid)


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
