"""The alert that webhooks can't be stored. It can't be recorded in the database either, so each sender process remembers it by itself."""

import logging
import time

from sqlalchemy import Engine

from adapter.errors import WorkFailed
from adapter.inbox.readiness import why_not_storing
from adapter.monitoring.alert_channels import send
from adapter.operations.verdict import cannot_store
from adapter.settings import Settings

log = logging.getLogger(__name__)
REPORTED_AFTER_S = 15.0
"""A restart of the database takes less."""
_BETWEEN_TRIES_S = 60.0


class DatabaseAlert:
    """Used by one thread."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._since: float | None = None
        self._reported = False
        self._next_try = 0.0

    def step(self) -> None:
        """Try to store a webhook, and report when that begins to fail, and when it works again."""
        if not self._settings.alert_url:
            return
        now, why = time.monotonic(), why_not_storing(self._engine)
        if why:
            self._since = self._since or now
            if not self._reported and now - self._since >= REPORTED_AFTER_S and now >= self._next_try:
                finding = cannot_store(why)
                self._reported = self._send(f"{finding.text} {finding.do}", now)
        elif self._reported:
            if now >= self._next_try and self._send("Resolved: webhooks can be stored again.", now):
                self._since, self._reported = None, False
        else:
            self._since = None

    def _send(self, message: str, now: float) -> bool:
        if self._settings.public_url_is_set:
            message = f"{message}\n{self._settings.public_url}"
        try:
            send(self._settings.alert_url, message)
        except WorkFailed as failure:
            self._next_try = now + _BETWEEN_TRIES_S
            log.warning(str(failure), extra={"action": "alert_failed", "seconds": round(_BETWEEN_TRIES_S)})
            return False
        self._next_try = 0.0
        log.info("alert sent", extra={"action": "alert_sent", "count": 1})
        return True
