"""Stores what a web process receives: one thread commits everything that has arrived in one transaction (group commit).

A commit that is synced to disk takes milliseconds, whether it contains one delivery or a hundred. A batch is never held back to fill up:
an arrival waits at most for the current commit and the next one.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from adapter.errors import DatabaseAway
from adapter.inbox.database import transaction
from adapter.inbox.packing import packing_of
from adapter.inbox.public_address import learn
from adapter.inbox.receiving import Arrival, Receipt, another_copy, count_refusal, insert_new, keep, plain_copies

log = logging.getLogger(__name__)
# Shopify waits 5 s. Statements time out after 3 s; this deadline also covers a connection that hangs.
_DEADLINE_S = 3.5
_LARGEST_BATCH = 200
_IDLE_S = 10.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that could not be verified. Nothing else of it is stored."""

    store: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Learned:
    """The address that stores send webhooks to."""

    address: str
    at: datetime


class Job:
    """Something to store. `done` is called once it is known what came of it, in the writing thread."""

    __slots__ = ("_on_done", "error", "is_finished", "result", "until", "what")

    def __init__(self, what: Arrival | Refusal | Learned, done: Callable[[], None]) -> None:
        self.what = what
        self.until = time.monotonic() + _DEADLINE_S
        """When whoever asked gives up, by `time.monotonic`."""
        self.is_finished = False
        self.result: Any = None
        self.error: Exception | None = None
        self._on_done = done

    def finish(self, result: Any = None, error: Exception | None = None) -> None:
        """Record what came of it, unless that is known already."""
        if not self.is_finished:
            self.result, self.error, self.is_finished = result, error, True
            self._on_done()


class Keeper:
    """Stores arrivals for any number of threads; `on_kept` is called after each commit, in the writing thread.

    The thread starts with the first arrival and ends after some idle seconds, so a forked process gets its own.
    """

    def __init__(self, engine: Engine, on_kept: Callable[[], None] = lambda: None) -> None:
        self._engine = engine
        self._pack = packing_of(engine.dialect).pack
        self._on_kept = on_kept
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._running = False

    def keep(self, arrival: Arrival) -> Receipt:
        """Store an arrival; it is committed and synced when this returns.

        Raises `DatabaseAway`, or `DBAPIError` for a row that the database rejects in every form. A late arrival may still be committed;
        then the store's next attempt is a copy.
        """
        receipt: Receipt = self._do(self._packed(arrival))
        return receipt

    def begin(self, arrival: Arrival, done: Callable[[], None]) -> Job:
        """Store an arrival without waiting for it."""
        return self._enqueue(self._packed(arrival), done)

    def outcome(self, job: Job) -> Any:
        """What `keep` would return or raise, if the job is done by now; if it isn't, it is given up."""
        if not job.is_finished:
            with self._changed, suppress(ValueError):  # it may be in the current batch
                self._waiting.remove(job)
            raise DatabaseAway(f"the database of DATABASE_URL did not answer within {_DEADLINE_S:g} s")
        if job.error:
            raise job.error
        return job.result

    def count(self, refusal: Refusal) -> None:
        """Count a refused request; raises `DatabaseAway`."""
        self._do(refusal)

    def learn(self, learned: Learned) -> None:
        """Store what was learned, soon, without waiting."""
        self._enqueue(learned, lambda: None)

    def _packed(self, arrival: Arrival) -> Arrival:
        """Packed in the request's thread: what the writing thread does, all others wait for."""
        return arrival.packed(self._pack)

    def _enqueue(self, what: Arrival | Refusal | Learned, done: Callable[[], None]) -> Job:
        job = Job(what, done)
        with self._changed:
            self._waiting.append(job)
            if not self._running:
                self._running = True
                threading.Thread(target=self._work, name="keeper", daemon=True).start()
            self._changed.notify()
        return job

    def _do(self, what: Arrival | Refusal) -> Any:
        finished = threading.Event()
        job = self._enqueue(what, finished.set)
        finished.wait(_DEADLINE_S)
        return self.outcome(job)

    def _work(self) -> None:
        while batch := self._next_batch():
            try:
                self._process(batch)
            except Exception as error:  # noqa: BLE001 - the waiting requests get it; the next batch is unaffected
                for job in batch:
                    job.finish(error=error)

    def _next_batch(self) -> Sequence[Job]:
        """All waiting jobs; empty if the thread should end."""
        with self._changed:
            while not self._waiting:
                if not self._changed.wait(_IDLE_S) and not self._waiting:
                    self._running = False
                    break
            batch, self._waiting = self._waiting[:_LARGEST_BATCH], self._waiting[_LARGEST_BATCH:]
            return batch

    def _process(self, batch: Sequence[Job]) -> None:
        """Insert new arrivals in one transaction; then handle copies and refusals in a second one."""
        try:
            ids = iter(insert_new(self._engine, [job.what for job in batch if isinstance(job.what, Arrival)]))
            kept = [(job, next(ids) if isinstance(job.what, Arrival) else None) for job in batch]
        except DBAPIError:  # one row was rejected, and the others with it: each is tried again below
            kept = [(job, None) for job in batch]
        for job, new_id in kept:
            if new_id is not None:
                job.finish(Receipt(new_id, True))
        others = [job for job, new_id in kept if new_id is None]
        if len(others) < len(batch):
            self._on_kept()
        if others:
            self._process_others(others)

    def _process_others(self, jobs: Sequence[Job]) -> None:
        try:
            with transaction(self._engine) as connection:
                results = _write_all(connection, [job.what for job in jobs])
        except DBAPIError as error:
            if len(jobs) > 1:
                for job in jobs:
                    self._process_others([job])
                return
            results = [self._keep_bare(jobs[0].what, error)]
        for job, result in zip(jobs, results, strict=True):
            job.finish(result)
        self._on_kept()  # a copy may have re-opened a dead delivery

    def _keep_bare(self, what: Arrival | Refusal | Learned, error: DBAPIError) -> Receipt:
        """Store at least the payload: bytes, which every database accepts."""
        if not isinstance(what, Arrival):
            raise error
        about = {"action": "kept_bare", "store": what.store, "reason": type(error).__name__}
        log.error("the database rejected a row; it is stored without its headers", extra=about)
        with transaction(self._engine) as connection:
            return keep(connection, what.bare)


def _write_all(connection: Connection, whats: Sequence[Arrival | Refusal | Learned]) -> list[Receipt | None]:
    """Write all of these. Of many copies of one delivery that arrived together, only the first and the last are looked at."""
    lasts = {(what.store, what.key.value): place for place, what in enumerate(whats) if isinstance(what, Arrival)}
    firsts: dict[tuple[str, str], Receipt] = {}
    results: list[Receipt | None] = []
    plain = iter(plain_copies(connection, [what for what in whats if isinstance(what, Arrival)]))
    for place, what in enumerate(whats):
        if isinstance(what, Arrival):
            same = (what.store, what.key.value)
            known = next(plain) or (firsts.get(same) if place != lasts[same] else None)
            receipt = another_copy(connection, what, known) if known else keep(connection, what)
            firsts.setdefault(same, receipt)
            results.append(receipt)
        else:
            results.append(None)
            _note(connection, what)
    return results


def _note(connection: Connection, what: Refusal | Learned) -> None:
    if isinstance(what, Refusal):
        count_refusal(connection, store=what.store, reason=what.reason, at=what.at)
    else:
        learn(connection, what.address, what.at)
