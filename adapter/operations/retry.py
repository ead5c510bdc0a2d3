"""Sending again because a person asked for it: alike by the dashboard and by the command."""

import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection

from adapter.inbox import audit, settling

log = logging.getLogger(__name__)


def reopen(connection: Connection, which: ColumnElement[bool], *, at: datetime, forced: bool, subject: str, actor: str) -> Sequence[int]:
    """Send kept deliveries again, and note in the same transaction who wanted it, unless `subject` is blank; which they are."""
    ids = settling.reopen(connection, which, at=at, forced=forced)
    if ids and subject:
        audit.note(connection, "retried", subject, "though unchanged" if forced else "", at, actor)
    return ids


def tell(ids: Sequence[int]) -> None:
    """A line for each, once that is committed."""
    for delivery in ids:
        log.info("asked for by a person", extra={"action": "reopened", "delivery": delivery})
