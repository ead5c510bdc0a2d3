"""Alerts without a monitoring stack: ALERT_URL gets one message when a problem starts and one when it is resolved.

Which problems have been reported is stored in the database, so that a restart doesn't repeat them. Messages contain names of stores and
accounts and numbers of deliveries, nothing about a shopper.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Row

from adapter.errors import WorkFailed
from adapter.inbox import troubles
from adapter.inbox.database import Clock, snapshot, transaction
from adapter.inbox.troubles import Name
from adapter.monitoring.alert_channels import send
from adapter.operations.health import read_health
from adapter.operations.silence import Silences
from adapter.operations.verdict import STUCK_AFTER, Finding
from adapter.settings import Settings

log = logging.getLogger(__name__)
BETWEEN_MESSAGES = timedelta(minutes=1)
LONGEST_BETWEEN_TRIES = timedelta(minutes=15)
DEAD_AGAIN_AFTER = timedelta(hours=1)
"""Further dead letters of a store already reported are reported no sooner than this."""
# How long a problem must last before it is reported; Drip often responds again within minutes.
_REPORTED_AFTER = {
    "outage": timedelta(minutes=5), "no_sender": timedelta(minutes=1), "throttled": timedelta(minutes=15), "unproven": timedelta(minutes=2),
    "retrying": STUCK_AFTER, "store_api": timedelta(minutes=5),
}  # fmt: skip
_MAX_LINES = 20


class Alerts:
    """Finds problems and reports them. Used by one thread of the process that holds the reader's lease."""

    def __init__(self, engine: Engine, settings: Settings, clock: Clock) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._failures = 0
        self._next_message: datetime | None = None
        self._silences = Silences()

    def step(self) -> None:
        """Check once and report what is due in one message; a failure to send it is logged, not raised."""
        if not self._settings.alert_url:
            return
        with snapshot(self._engine) as connection:
            self._clock.sync(connection)
            now = self._clock()
            silences = self._silences.read(connection, self._settings.stores)
            findings = read_health(connection, self._settings, now, silences).findings
            current = {(finding.code, finding.subject): finding for finding in findings}
            rows = troubles.known(connection)
        if self._record(current, rows, now):
            with snapshot(self._engine) as connection:
                rows = troubles.known(connection)
        self._report(current, rows, now)

    # --- recording -----------------------------------------------------------------------------------------------------------------

    def _record(self, current: dict[Name, Finding], rows: Sequence[Row[Any]], now: datetime) -> bool:
        """Store what is new, changed or resolved; whether anything was."""
        known = {(row.kind, row.subject): row for row in rows}
        changed = [(name, finding) for name, finding in current.items() if _is_news(finding, known.get(name))]
        over = [name for name, row in known.items() if name not in current and row.ended_at is None]
        if changed or over:
            with transaction(self._engine) as connection:
                for name, finding in changed:
                    troubles.note(connection, name, finding.since or now, finding.text)
                for name in over:
                    troubles.end(connection, name, now)
        return bool(changed or over)

    # --- reporting -----------------------------------------------------------------------------------------------------------------

    def _report(self, current: dict[Name, Finding], rows: Sequence[Row[Any]], now: datetime) -> None:
        begun = [row for row in rows if row.ended_at is None and _is_due(row, current[row.kind, row.subject], now)]
        ended = [row for row in rows if row.ended_at is not None]
        if not begun and not ended:
            return
        if self._next_message is None:  # another process may have just sent a message
            last = max((row.sent_at for row in rows if row.sent_at is not None), default=None)
            self._next_message = last + BETWEEN_MESSAGES if last else now
        if now < self._next_message:
            return
        try:
            send(self._settings.alert_url, self._message(begun, ended, current))
        except WorkFailed as failure:
            self._failures += 1
            wait = min(BETWEEN_MESSAGES * 2 ** min(self._failures - 1, 10), LONGEST_BETWEEN_TRIES)
            self._next_message = now + wait
            log.warning(str(failure), extra={"action": "alert_failed", "seconds": round(wait.total_seconds())})
            return
        self._failures, self._next_message = 0, now + BETWEEN_MESSAGES
        with transaction(self._engine) as connection:
            troubles.set_sent(connection, [(row.kind, row.subject) for row in begun], now)
            troubles.forget(connection, [(row.kind, row.subject) for row in ended])
        log.info("alert sent", extra={"action": "alert_sent", "count": len(begun) + len(ended)})

    def _message(self, begun: Sequence[Row[Any]], ended: Sequence[Row[Any]], current: Mapping[Name, Finding]) -> str:
        lines = [f"{row.message} {current[row.kind, row.subject].do}" for row in begun]
        lines += [f"Resolved after {_duration(row.ended_at - row.since)}: {row.message}" for row in ended]
        if (more := len(lines) - _MAX_LINES) > 0:
            lines[_MAX_LINES:] = [f"and {more} more; see drip-adapter status"]
        if self._settings.public_url_is_set:
            lines.append(self._settings.public_url)
        return "\n".join(lines)


def _is_news(finding: Finding, row: Row[Any] | None) -> bool:
    return row is None or row.ended_at is not None or row.message != finding.text


def _is_due(row: Row[Any], finding: Finding, now: datetime) -> bool:
    if row.sent_at is None:
        return bool(now - row.since >= _REPORTED_AFTER.get(row.kind, timedelta()))
    more_died = row.kind == "dead" and finding.since is not None and finding.since > row.sent_at
    return bool(more_died and now - row.sent_at >= DEAD_AGAIN_AFTER)


def _duration(span: timedelta) -> str:
    minutes = max(1, round(span.total_seconds() / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"
