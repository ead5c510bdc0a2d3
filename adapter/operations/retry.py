"""Retries requested by a person, in the dashboard or on the command line."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection

from adapter.inbox import audit, settling

log = logging.getLogger(__name__)


def reopen(connection: Connection, which: ColumnElement[bool], *, at: datetime, forced: bool, subject: str, actor: str) -> Sequence[int]:
    """Queue deliveries to be sent again and return their ids; in the same transaction, record who asked, unless `subject` is blank."""
    ids = settling.reopen(connection, which, at=at, forced=forced)
    if ids and subject:
        audit.note(connection, "retried", subject, "even if nothing changed" if forced else "", at, actor)
    return ids


def subject_of(ids: Sequence[int] = (), *, is_search: bool = False, **filters: Any) -> str:
    """Which deliveries were chosen, for the audit: by their ids, or by filters named like those of `deliveries list`.

    `is_search` says that a shopper was searched for; who it was isn't recorded.
    """
    if len(ids) == 1:
        return f"delivery {ids[0]}"
    words = [f"{len(ids)} selected"] if ids else []
    words += [f"{name} {filters[name]}" for name in ("store", "state", "reason", "topic", "order", "number") if filters.get(name)]
    words += [f"received {name} {filters[name]:%Y-%m-%d %H:%M}" for name in ("since", "until") if filters.get(name)]
    words += ["found by search"] if is_search else []
    return f"deliveries: {', '.join(words) or 'all'}"


def log_reopened(ids: Sequence[int]) -> None:
    """Log a line for each, after the commit."""
    for delivery in ids:
        log.info("retry requested", extra={"action": "reopened", "delivery": delivery})
