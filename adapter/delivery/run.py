"""A sender's process: its threads, and how they wake each other.

| thread | does |
| --- | --- |
| reader | reads new deliveries, if this process has the lease for it; then offers their accounts to the dispatcher |
| dispatcher | looks which accounts have orders due, and gives them to the threads named `sender-1` and so on |
| leases | renews the leases |
| prover | asks Drip about each account, in the process that reads |
| maintenance | requests about personal data, and the purge, in the process that reads |
| monitoring | alerts and counters, in the process that reads |
| wake-ups | wakes the reader when the web process on this host has stored a webhook |
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from sqlalchemy import Engine

from adapter.delivery.dispatcher import WITHOUT_LEASE_S, Dispatcher
from adapter.delivery.drip import Drip
from adapter.delivery.lease import RENEWAL_S, Lease, renew
from adapter.delivery.maintenance import Maintenance
from adapter.delivery.proving import Prover
from adapter.delivery.reader import Reader
from adapter.delivery.sender import Sender, WhileWaiting
from adapter.delivery.surviving import survive
from adapter.inbox import proofs
from adapter.inbox.accounts import READER, release_leases
from adapter.inbox.database import DatabaseClock, snapshot, transaction
from adapter.monitoring.database_alert import DatabaseAlert
from adapter.monitoring.loop import MonitoringLoop
from adapter.process.time_limit import TimeLimit
from adapter.process.wake_up import listen_for_wake_ups, wake_senders
from adapter.settings import Settings

log = logging.getLogger(__name__)
# How often the database is polled for what nobody has announced: other processes' webhooks, and retries that fall due.
_POLL_S = 0.2
_POLL_BESIDE_THE_READER_S = 1.0
# How long a reader rests that more webhooks reach while it reads.
_SHORTEST_REST_S, _LONGEST_REST_S = 0.05, 0.4
# A reader that takes longer for one step hangs.
_READING_S = 60.0
_MAINTENANCE_S = 0.05
_BETWEEN_PIECES_S = 0.1
_BETWEEN_LOOKS_S = 2.0
_BETWEEN_MEASUREMENTS_S = 10.0
_BETWEEN_RESUMED_S = 0.5


class Senders:
    """All the threads of one sender process. `start` returns at once; `stop` returns when the requests in hand have ended."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._holder = uuid.uuid4().hex
        self._time_limit = TimeLimit(settings.mapping_timeout_s)
        self._stop = threading.Event()
        self._wake_reader = threading.Event()
        self._reading = Lease(engine, READER, self._holder)
        self._threads: list[threading.Thread] = []
        self._looks_for_resumed_at = 0.0
        self._resumed: Mapping[str, datetime] = {}
        self._dispatcher = Dispatcher(engine, settings.accounts, self._open_account, DatabaseClock(), self._stop.is_set)

    def start(self) -> None:
        """Start reading and sending."""
        reader = Reader(
            self._engine,
            self._settings,
            DatabaseClock(),
            on_read=self._dispatcher.offer,
            on_fetched=self._wake_reader.set,
            time_limit=self._time_limit,
        )
        self._loop("reader", lambda: self._read(reader), self._wake_reader)
        if self._settings.accounts:
            self._loop("dispatcher", self._dispatch, self._stop)
        else:
            log.warning(
                "no Drip account is configured: orders are stored and wait. Set DRIP_ACCOUNT_ID and DRIP_API_KEY to send them to Drip",
                extra={"action": "no_account"},
            )
        self._loop("leases", self._keep_leases, self._stop)
        prover = Prover(self._engine, self._settings, DatabaseClock())
        # Not waited for at the end: Drip may not answer.
        self._loop("prover", lambda: self._prove(prover), self._stop, is_waited_for=False)
        maintenance = Maintenance(self._engine, self._settings, DatabaseClock())
        self._loop("maintenance", lambda: self._maintain(maintenance), self._stop)
        monitoring = MonitoringLoop(self._engine, self._settings, DatabaseClock())
        # Not waited for at the end: it may be sending an alert to an address that does not answer.
        database = DatabaseAlert(self._engine, self._settings)
        self._loop("monitoring", lambda: self._measure(monitoring, database), self._stop, is_waited_for=False)
        self._thread("wake-ups", lambda: listen_for_wake_ups(self._settings.database_url, self._wake_reader.set, self._stop.is_set))

    def ask_to_stop(self) -> None:
        """Start nothing new; safe in a signal handler."""
        self._stop.set()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Finish the requests in hand, and give the leases back."""
        self._stop.set()
        self._wake_reader.set()
        wake_senders(self._settings.database_url)  # its listener ends now, and not with its next look
        self._dispatcher.join(timeout_s)
        for thread in self._threads:
            thread.join(timeout_s)
        survive(self._give_leases_back)

    def wait(self) -> None:
        """Wait until asked to stop."""
        # In short waits: a signal's handler runs between them.
        while not self._stop.wait(WITHOUT_LEASE_S):
            pass

    # --- the threads ---------------------------------------------------------------------------------------------------------------

    def _loop(self, name: str, turn: Callable[[], float], wake: threading.Event, *, is_waited_for: bool = True) -> None:
        """A thread that takes turns, waiting after each for the seconds that it returns or for `wake`."""

        def run() -> None:
            while not self._stop.is_set():
                if wake is not self._stop:
                    wake.clear()
                wake.wait(survive(turn))

        self._thread(name, run, is_waited_for=is_waited_for)

    def _thread(self, name: str, target: Callable[[], None], *, is_waited_for: bool = True) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        if is_waited_for:
            self._threads.append(thread)
        thread.start()

    def _read(self, reader: Reader) -> float:
        if not self._reading.held:
            if not self._reading.acquire():
                return WITHOUT_LEASE_S
            reader.lost_sight()
        self._reading.pulse(_READING_S)
        begun = time.monotonic()
        if not reader.step():
            return _POLL_S
        if self._wake_reader.is_set():  # more came in meanwhile: webhooks are acknowledged first, and read together
            self._stop.wait(min(max(_SHORTEST_REST_S, 2 * (time.monotonic() - begun)), _LONGEST_REST_S))
        return 0.0

    def _dispatch(self) -> float:
        self._dispatcher.take_leases()
        self._wake_resumed()
        self._dispatcher.look()
        # Where this process reads as well, the reader offers what is new; a retry that falls due may be a second late.
        return _POLL_BESIDE_THE_READER_S if self._reading.held else _POLL_S

    def _wake_resumed(self) -> None:
        """Somebody asked to try an account at once; looked at from time to time."""
        if time.monotonic() >= self._looks_for_resumed_at:
            self._looks_for_resumed_at = time.monotonic() + _BETWEEN_RESUMED_S
            with snapshot(self._engine) as connection:
                resumed = proofs.resumed(connection)
            self._dispatcher.wake(account for account, at in resumed.items() if self._resumed.get(account) != at)
            self._resumed = resumed

    def _prove(self, prover: Prover) -> float:
        return prover.step() if self._reading.held else WITHOUT_LEASE_S

    def _keep_leases(self) -> float:
        renew(self._engine, self._leases)
        return RENEWAL_S

    def _maintain(self, maintenance: Maintenance) -> float:
        """A moment of maintenance: whoever waits for the database goes first."""
        until = time.monotonic() + _MAINTENANCE_S
        while self._reading.held and maintenance.step():
            if time.monotonic() >= until:
                return _BETWEEN_PIECES_S
        return _BETWEEN_LOOKS_S

    def _measure(self, monitoring: MonitoringLoop, database: DatabaseAlert) -> float:
        database.step()
        if not self._reading.held:
            return _BETWEEN_LOOKS_S
        monitoring.step()
        return _BETWEEN_MEASUREMENTS_S

    # --- leases --------------------------------------------------------------------------------------------------------------------

    @property
    def _leases(self) -> Iterable[Lease]:
        return [self._reading, *self._dispatcher.leases]

    def _open_account(self, account_id: str, while_waiting: WhileWaiting) -> tuple[Lease, Sender]:
        account = self._settings.accounts[account_id]
        lease = Lease(self._engine, account.id, self._holder)
        drip = Drip(self._settings.drip_api_url, account, self._settings.public_url)
        return lease, Sender(
            self._engine,
            self._settings,
            account,
            lease=lease,
            drip=drip,
            clock=DatabaseClock(),
            time_limit=self._time_limit,
            while_waiting=while_waiting,
        )

    def _give_leases_back(self) -> float:
        with transaction(self._engine) as connection:
            release_leases(connection, self._holder)
        return 0.0
