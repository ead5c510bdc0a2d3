"""The address that stores send their webhooks to, which is the adapter's own. Used if no setting contains it."""

import threading
import time
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, Engine, select

from adapter.inbox.database import snapshot
from adapter.inbox.sql import upserting
from adapter.inbox.tables import public_address
from adapter.settings import Settings
from mappings import Options, is_reachable

_ENOUGH = 3
"""Somebody who has recorded a webhook can send it again with another host name, so one alone proves nothing."""
_KEPT_S = 30.0


def learn(connection: Connection, address: str, at: datetime) -> None:
    """Store the address that webhooks agree on."""
    row = upserting(connection, public_address).values(id=1, address=address, learned_at=at)
    changed = {"address": row.excluded.address, "learned_at": row.excluded.learned_at}
    connection.execute(row.on_conflict_do_update(index_elements=["id"], set_=changed))


def learned(connection: Connection) -> str:
    """The address that webhooks last agreed on; "" if there is none."""
    address: str | None = connection.execute(select(public_address.c.address)).scalar()
    return address or ""


def is_needed(settings: Settings) -> bool:
    """Whether the settings contain no address that shoppers can reach, so that a learned one is better."""
    return not settings.sandbox and not is_reachable(settings.public_url)


def with_learned_address(connection: Connection, settings: Settings) -> Settings:
    """The settings, with the learned address in place of one that only works on this machine."""
    address = learned(connection) if is_needed(settings) else ""
    return replace(settings, public_url=address) if address else settings


class AgreedAddress:
    """Finds the address that several new, verified webhooks in a row were sent to. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._address = ""
        self._times = 0

    def agreed(self, address: str) -> bool:
        """Whether this is the webhook that makes enough of them agree; False afterwards, until another address takes over."""
        if not is_reachable(address):
            return False
        with self._lock:
            self._times = self._times + 1 if address == self._address else 1
            self._address = address
            return self._times == _ENOUGH


class LearnedAddress:
    """The learned address as a sender uses it: read again from time to time."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._needed = is_needed(settings)
        self._address = ""
        self._until = 0.0

    def refresh(self) -> None:
        """Read it again if the last time is a while ago; raises `DatabaseAway`."""
        if self._needed and time.monotonic() >= self._until:
            with snapshot(self._engine) as connection:
                self._address = learned(connection)
            self._until = time.monotonic() + _KEPT_S

    def applied_to(self, options: Options) -> Options:
        """A store's options, with the learned address if the settings contain none."""
        return replace(options, public_url=self._address) if self._address else options
