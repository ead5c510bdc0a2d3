"""A sender's process: one thread reads what is new, one for each Drip account sends, one keeps their leases."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from sqlalchemy import Engine

from adapter.delivery.drip import Drip
from adapter.delivery.lease import RENEWAL_S, Lease
from adapter.delivery.maintenance import Maintenance
from adapter.delivery.reader import Reader
from adapter.delivery.sender import Sender
from adapter.errors import DatabaseAway, LeaseLost
from adapter.inbox.accounts import READER
from adapter.inbox.database import DatabaseClock
from adapter.monitoring.error_reporting import report
from adapter.monitoring.loop import MonitoringLoop
from adapter.process.wake_up import listen_for_wake_ups, wake_senders
from adapter.settings import Account, Settings

log = logging.getLogger(__name__)
_IDLE_S = 0.2
_IDLE_BESIDE_THE_READER_S = 1.0
_WITHOUT_LEASE_S = 1.0
# A reader that takes longer for one step hangs.
_READING_S = 60.0
_AFTER_FAULT_S = 2.0
_UPKEEP_S = 0.05
_BETWEEN_MOMENTS_S = 0.1
_BETWEEN_LOOKS_S = 2.0
_BETWEEN_READINGS_S = 10.0


class _Stepping(Protocol):
    def step(self) -> int | bool:
        """Do one thing; whether there was anything to do."""


class _Bell:
    """Wakes all who wait for something to do."""

    def __init__(self) -> None:
        self.rings = 0
        self._rung = threading.Condition()

    def ring(self) -> None:
        with self._rung:
            self.rings += 1
            self._rung.notify_all()

    def wait(self, seconds: float, heard: int) -> None:
        """Wait for the next ring after those `heard`, but no longer than so many seconds."""
        with self._rung:
            self._rung.wait_for(lambda: self.rings > heard, seconds)


class Senders:
    """All the threads of one sender process. `start` returns at once; `stop` returns when the request in hand has ended."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._stop = threading.Event()
        self._bell = _Bell()
        self._reading = Lease(engine, READER)
        self._leases: list[Lease] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start reading and sending."""
        self._run("reader", self._reading, Reader(self._engine, self._settings, DatabaseClock()))
        for account in self._settings.accounts.values():
            self._run(f"sender-{account.id}", *self._sender(account))
        if not self._settings.accounts:
            log.warning(
                "deliveries are kept and wait: set DRIP_ACCOUNT_ID and DRIP_API_KEY to send them to Drip", extra={"action": "no_account"}
            )
        upkeep = Maintenance(self._engine, self._settings, DatabaseClock())
        self._thread("upkeep", lambda: self._keep_up(upkeep))
        instruments = MonitoringLoop(self._engine, self._settings, DatabaseClock())
        # Not waited for at the end: it may be telling an address that does not answer.
        threading.Thread(target=lambda: self._read_instruments(instruments), name="instruments", daemon=True).start()
        self._thread("leases", self._keep_leases)
        self._thread("wake-ups", lambda: listen_for_wake_ups(self._settings.database_url, self._bell.ring, self._stop.is_set))

    def ask_to_stop(self) -> None:
        """Start nothing new; safe in a signal handler."""
        self._stop.set()

    def stop(self, patience_s: float = 10.0) -> None:
        """Finish the requests in hand, and give the leases back."""
        self._stop.set()
        self._bell.ring()  # whoever waits for work or a wake-up ends now, and not when its wait is over
        wake_senders(self._settings.database_url)
        for thread in self._threads:
            thread.join(patience_s)
        for lease in self._leases:
            if lease.held:
                lease.release()

    def wait(self) -> None:
        """Wait until asked to stop."""
        # In short waits: a signal's handler runs between them.
        while not self._stop.wait(_WITHOUT_LEASE_S):
            pass

    def _sender(self, account: Account) -> tuple[Lease, Sender]:
        lease = Lease(self._engine, account.id)
        drip = Drip(self._settings.drip_api_url, account, self._settings.public_url)
        return lease, Sender(self._engine, self._settings, account, lease=lease, drip=drip, clock=DatabaseClock())

    def _run(self, name: str, lease: Lease, worker: _Stepping) -> None:
        self._leases.append(lease)
        self._thread(name, lambda: self._loop(lease, worker))

    def _thread(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _loop(self, lease: Lease, worker: _Stepping) -> None:
        while not self._stop.is_set():
            heard = self._bell.rings
            if (seconds := _outlived(lambda: self._turn(lease, worker))) > 0:
                self._bell.wait(seconds, heard)

    def _keep_up(self, upkeep: Maintenance) -> None:
        """Maintenance under the reader's lease, a moment at a time: whoever waits for the database goes first."""

        def turn() -> float:
            until = time.monotonic() + _UPKEEP_S
            while self._reading.held and upkeep.step():
                if time.monotonic() >= until:
                    return _BETWEEN_MOMENTS_S
            return _BETWEEN_LOOKS_S

        seconds = _BETWEEN_LOOKS_S
        while not self._stop.wait(seconds):
            seconds = _outlived(turn)

    def _read_instruments(self, instruments: MonitoringLoop) -> None:
        def turn() -> float:
            if self._reading.held:
                instruments.step()
            return _BETWEEN_READINGS_S

        seconds = _BETWEEN_LOOKS_S
        while not self._stop.wait(seconds):
            seconds = _outlived(turn)

    def _turn(self, lease: Lease, worker: _Stepping) -> float:
        """One step, if the lease is ours; how long to wait before the next."""
        if not lease.held and not lease.acquire():
            return _WITHOUT_LEASE_S
        reads = lease.account == READER
        if reads:
            lease.pulse(_READING_S)
        if not worker.step():
            # Where this process reads as well, the reader rings for what is new; what falls due may be a second late.
            return _IDLE_S if reads or not self._reading.held else _IDLE_BESIDE_THE_READER_S
        if reads:
            self._bell.ring()  # what has been read can be sent
        return 0.0

    def _keep_leases(self) -> None:
        while not self._stop.wait(RENEWAL_S):
            for lease in self._leases:
                if lease.held:
                    try:
                        lease.renew()
                    except DatabaseAway as error:
                        log.warning(str(error), extra={"action": "database_away"})


def _outlived(turn: Callable[[], float]) -> float:
    """A turn of a loop, and how long to wait before the next; the loop must outlive whatever it runs into."""
    try:
        return turn()
    except LeaseLost as error:
        log.warning(str(error), extra={"action": "lease_lost"})
    except DatabaseAway as error:
        log.error(str(error), extra={"action": "database_away"})
    except Exception as error:
        report(error)
        # The traceback holds no payload, the message might.
        log.error("%s in a sender's step", type(error).__name__, extra={"action": "fault"}, exc_info=log.isEnabledFor(logging.DEBUG))
    return _AFTER_FAULT_S
