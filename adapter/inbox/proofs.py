"""Statements on `leases` about Drip's acceptance of an account's credentials, and about trying an account again at once."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, literal, or_, select, update

from adapter.inbox.sql import as_lanes, lanes_of, upserting
from adapter.inbox.tables import Instant, leases

_PROOF: tuple[ColumnElement[Any], ...] = (
    leases.c.proved_with,
    leases.c.proof_failed,
    leases.c.proof_at,
    leases.c.resumed_at,
    leases.c.paused_since,
)
_NO_FAILURE = {"proof_failed": None, "proof_since": None, "proof_at": None}


def proof(connection: Connection, account: str) -> Row[Any] | None:
    """What is known of an account's credentials, and whether it is paused; None: nothing."""
    return connection.execute(select(*_PROOF).where(leases.c.account == account)).one_or_none()


def credentials(fingerprints: Mapping[str, str]) -> str:
    """The parameter of `not_proved`: each account's fingerprint, by its id. Made once, since it is long."""
    return as_lanes(fingerprints.items())


def not_proved(connection: Connection, credentials: str) -> dict[str, Row[Any]]:
    """Account -> the same, for those that Drip has not accepted with these credentials, that are paused, or that a person tries at once."""
    return {row.account: row for row in connection.execute(_not_proved(connection.dialect.name), {"lanes": credentials})}


@cache
def _not_proved(dialect: str) -> Select[Any]:
    given = lanes_of(dialect)
    account, fingerprint = given.c.store, given.c.order_id
    is_open = or_(
        leases.c.proved_with.is_(None),
        leases.c.proved_with != fingerprint,
        leases.c.paused_since.is_not(None),
        leases.c.proof_at == leases.c.resumed_at,
    )
    return select(account.label("account"), *_PROOF).join_from(given, leases, leases.c.account == account, isouter=True).where(is_open)


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
