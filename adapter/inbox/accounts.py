"""Statements on leases: who may send for an account, and what stops it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
    true,
    update,
)

from adapter.inbox.sql import parts, upserting
from adapter.inbox.tables import Instant, leases

READER = ""
"""The name of the lease for reading new deliveries; no account has a blank id."""
LIFETIME = timedelta(seconds=20)


def take_lease(
    connection: Connection, account: str, *, holder: str, host: str, pid: int, now: datetime, until: datetime, free: bool
) -> bool:
    """Take or renew a lease; whether it is ours. `free` takes it from a holder known to be dead."""
    connection.execute(upserting(connection, leases).values(account=account).on_conflict_do_nothing())
    ours = or_(
        leases.c.holder.is_(None), leases.c.holder == holder, leases.c.expires_at < now, true() if free else leases.c.account.is_(None)
    )
    taken = connection.execute(
        update(leases).where(leases.c.account == account, ours).values(holder=holder, host=host, pid=pid, expires_at=until)
    )
    return taken.rowcount == 1


def renew_leases(connection: Connection, account_ids: Sequence[str], holder: str, until: datetime) -> set[str]:
    """Renew a holder's leases of these accounts; which of them are still its own."""
    renewed: set[str] = set()
    for part in parts(sorted(account_ids)):
        ours = and_(leases.c.account.in_(part), leases.c.holder == holder)
        renewed |= set(connection.execute(update(leases).where(ours).values(expires_at=until).returning(leases.c.account)).scalars())
    return renewed


def lease(connection: Connection, account: str) -> Row[Any] | None:
    """An account's lease, and what stops the account; None before a sender first took it."""
    return connection.execute(select(leases).where(leases.c.account == account)).one_or_none()


def leases_of(connection: Connection, account_ids: Sequence[str]) -> Sequence[Row[Any]]:
    """The leases of a few accounts, where they have any."""
    return connection.execute(select(leases).where(leases.c.account.in_(account_ids))).all()


def holds_lease(connection: Connection, account: str, holder: str) -> bool:
    """Whether the lease is this holder's; nobody else can take it before the transaction ends."""
    return connection.execute(_HOLDS_LEASE, {"account": account, "holder": holder}).one_or_none() is not None


_HOLDS_LEASE = (
    select(leases.c.account).where(leases.c.account == bindparam("account"), leases.c.holder == bindparam("holder")).with_for_update()
)


def release_lease(connection: Connection, account: str, holder: str) -> None:
    """Give a lease back."""
    mine = and_(leases.c.account == account, leases.c.holder == holder)
    connection.execute(update(leases).where(mine).values(holder=None, host=None, pid=None, expires_at=None))


def release_leases(connection: Connection, holder: str) -> None:
    """Give all leases of a holder back."""
    connection.execute(update(leases).where(leases.c.holder == holder).values(holder=None, host=None, pid=None, expires_at=None))


def pause(connection: Connection, account: str, *, why: str, since: datetime, probe_at: datetime) -> None:
    """Pause an account: only probes are sent from now on. Of several pauses in a row, the first sets `since`."""
    values = {"paused_since": func.coalesce(leases.c.paused_since, literal(since, Instant)), "pause_reason": why, "probe_at": probe_at}
    connection.execute(update(leases).where(leases.c.account == account).values(values))


def set_trouble(connection: Connection, account: str, **values: Any) -> None:
    """Record or clear what stops an account."""
    connection.execute(update(leases).where(leases.c.account == account).values(**values))
