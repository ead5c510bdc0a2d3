"""Statements on `leases` about Drip's acceptance of an account's credentials, and about trying an account again at once."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, literal, select, update

from adapter.inbox.sql import upserting
from adapter.inbox.tables import Instant, leases

_PROOFS: Select[Any] = select(
    leases.c.account, leases.c.proved_with, leases.c.proof_failed, leases.c.proof_at, leases.c.resumed_at, leases.c.paused_since
)
_NO_FAILURE = {"proof_failed": None, "proof_since": None, "proof_at": None}


def all_proofs(connection: Connection) -> dict[str, Row[Any]]:
    """Account -> what is known of its credentials, and whether it is paused."""
    return {row.account: row for row in connection.execute(_PROOFS)}


def set_proved(connection: Connection, account: str, fingerprint: str) -> None:
    """Record that Drip has accepted these credentials."""
    _set(connection, account, proved_with=fingerprint, **_NO_FAILURE)


def set_unproven(connection: Connection, account: str, why: str, *, at: datetime, again_at: datetime) -> None:
    """Record that Drip has not accepted the credentials. Of several failures in a row, the first sets `proof_since`."""
    since = func.coalesce(leases.c.proof_since, literal(at, Instant))
    _set(connection, account, proved_with=None, proof_failed=why, proof_since=since, proof_at=again_at)


def resume(connection: Connection, account: str, at: datetime) -> None:
    """Let an account be tried at once, whatever stopped it."""
    closed = {"single_closed_until": None, "batch_closed_until": None}
    _set(connection, account, resumed_at=at, probe_at=at, proof_at=at, **closed)


def resumed(connection: Connection) -> dict[str, datetime]:
    """Account -> when a person last asked to try it at once."""
    rows = connection.execute(select(leases.c.account, leases.c.resumed_at).where(leases.c.resumed_at.is_not(None)))
    return {account: at for account, at in rows if at is not None}


def _set(connection: Connection, account: str, **values: Any) -> None:
    connection.execute(upserting(connection, leases).values(account=account).on_conflict_do_nothing())
    connection.execute(update(leases).where(leases.c.account == account).values(**values))
