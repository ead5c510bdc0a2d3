"""Tries deliveries that may have ended a sender: each is mapped in a process of its own before this one touches it again."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from sqlalchemy import Row

from adapter.delivery.completing import Fetching
from adapter.inbox.sources import source_of
from adapter.operations import mapping_work
from adapter.process.isolation import CallFailed, Isolated
from adapter.settings import Settings
from mappings import Rejected

_ADVICE = "no order takes so long or so much; please report it, and retry the delivery after an update"


class Trials:
    """The trials of one sender process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mapper = Isolated(mapping_work.__name__)
        self._thread = ThreadPoolExecutor(1, "trial")
        self._running: dict[int, Future[None]] = {}

    def await_one(self, row: Row[Any]) -> None:
        """Try a delivery in another thread: raises `Fetching` until that has ended, and then as `check` does."""
        if row.id not in self._running:
            self._running[row.id] = self._thread.submit(self.check, row, row.payload)
        if not self._running[row.id].done():
            raise Fetching(self._running[row.id])
        self._running.pop(row.id).result()

    def check(self, row: Row[Any], payload: bytes) -> None:
        """Try a delivery with this payload now; raises `Rejected` for one that can't be mapped in time."""
        source = source_of(row, self._settings)
        self._mapper.start()
        try:
            self._mapper.call(self._settings.mapping_timeout_s, mapping_work.order_in, source.provider.name, payload, source.context)
        except CallFailed as failed:
            raise Rejected({"": [f"mapping it {failed}: {_ADVICE}"]}) from None
