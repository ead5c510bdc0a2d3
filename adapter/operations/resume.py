"""Trying a paused or throttled account at once, requested by a person."""

from datetime import datetime

from sqlalchemy import Connection

from adapter.inbox import audit, proofs


def resume(connection: Connection, account: str, at: datetime, actor: str) -> None:
    """Let a sender try an account within a second, and record who asked. If Drip still refuses, everything is as before."""
    proofs.resume(connection, account, at)
    audit.note(connection, "resumed", f"account {account}", "", at, actor)
