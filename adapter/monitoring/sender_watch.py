"""Alerts while no sender runs: senders send all others, so the web side reports that they are gone."""

import logging
import os
import time
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from adapter.errors import AdapterError
from adapter.inbox.accounts import READER, lease, take_lease
from adapter.inbox.database import DatabaseClock, database_now, snapshot, transaction
from adapter.settings import Settings

if TYPE_CHECKING:
    from adapter.monitoring.alerts import Alerts

log = logging.getLogger(__name__)
_BETWEEN_LOOKS_S = 15.0
_WATCHER = "#web"
"""The name of the lease of the one web process that sends alerts; no account has such an id."""
_LIFETIME = timedelta(minutes=1)
_GRACE = timedelta(seconds=5)


class SenderWatch:
    """Used by one thread of each web process."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._holder = uuid.uuid4().hex
        self._alerts: Alerts | None = None

    def run(self) -> None:
        """Look every few seconds, without end."""
        while True:
            time.sleep(_BETWEEN_LOOKS_S)
            try:
                self.step()
            except (AdapterError, DBAPIError) as error:
                log.debug("%s while looking for a sender", type(error).__name__)

    def step(self) -> None:
        """Send the alerts that are due, if no sender runs and no other web process does it."""
        if not self._is_needed():
            self._alerts = None
            return
        if self._alerts is None:
            from adapter.monitoring.alerts import Alerts  # noqa: PLC0415 - what it loads takes memory, and is rarely needed here

            self._alerts = Alerts(self._engine, self._settings, DatabaseClock())
        self._alerts.step()

    def _is_needed(self) -> bool:
        with snapshot(self._engine) as connection:
            reader, now = lease(connection, READER), database_now(connection)
        if reader is not None and reader.expires_at is not None and reader.expires_at > now - _GRACE:
            return False
        with transaction(self._engine) as connection:
            return take_lease(
                connection, _WATCHER, holder=self._holder, host="", pid=os.getpid(), now=now, until=now + _LIFETIME, free=False
            )
