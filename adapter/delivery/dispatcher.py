"""Gives accounts that have orders due to a few threads.

One look at the database finds all of them, however many there are. An account is served by one thread at a time, and the threads take the
accounts in turn: while others wait, each makes one request. Threads that wait for Drip's answer do not count as working, so others take
their place; and accounts for which Drip did not answer lately never have more than a few threads.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Engine

from adapter.delivery.lease import Lease, is_free
from adapter.delivery.sender import Sender, WhileWaiting
from adapter.delivery.surviving import survive
from adapter.delivery.turns import Turns
from adapter.inbox.accounts import leases_of
from adapter.inbox.database import Clock, database_now, snapshot
from adapter.inbox.sending import Due, due_accounts

log = logging.getLogger(__name__)
WORKERS = 12
"""Accounts that are worked on at the same time, not counting those that wait for Drip."""
MOST_THREADS = 48
"""Accounts that are served at the same time, those included that wait for Drip."""
UNANSWERED_AT_ONCE = 8
"""Of these, accounts whose last request Drip did not answer."""
READY = 32
"""Accounts whose leases are kept while they have nothing to send. Others are taken up when they have."""
WITHOUT_LEASE_S = 1.0
_WORKER_IDLE_S = 30.0
_LONGEST_REST_S = 300.0
_NOTHING_FOUND_S = 0.2


@dataclass(slots=True)
class _Served:
    """An account that this process serves, and when it may next have a turn."""

    lease: Lease
    sender: Sender
    busy: bool = False
    """Whether it waits for a thread, or has one."""
    again: bool = False
    """Whether more fell due in the meantime."""
    rests_until: float = 0.0
    rests_live: bool = False
    """Whether live orders have to wait until then, too."""

    def may_go(self, due: Due) -> bool:
        return time.monotonic() >= self.rests_until or (due.live and not self.rests_live)


class Dispatcher:
    """The accounts and the threads of one sender process. `open_account` makes the lease and the sender of an account."""

    def __init__(
        self,
        engine: Engine,
        accounts: Iterable[str],
        open_account: Callable[[str, WhileWaiting], tuple[Lease, Sender]],
        clock: Clock,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._engine = engine
        self._accounts = frozenset(accounts)
        self._open = open_account
        self._clock = clock
        self._is_stopping = is_stopping
        self._changed = threading.Condition()
        self._served: OrderedDict[str, _Served] = OrderedDict()
        self._turns = Turns(UNANSWERED_AT_ONCE)
        self._unanswered: set[str] = set()
        """Accounts whose last request Drip did not answer."""
        self._workers: set[threading.Thread] = set()
        self._idle = 0
        self._waiting_for_drip = 0
        self._looks_for_leases_at = 0.0
        for account in sorted(self._accounts)[:READY]:
            self._serve(account)

    @property
    def leases(self) -> list[Lease]:
        """The leases of all accounts that this process is ready to serve."""
        with self._changed:
            return [served.lease for served in self._served.values()]

    def look(self) -> None:
        """Find the accounts that have anything due, and see that they are served."""
        with snapshot(self._engine) as connection:
            self._clock.sync(connection)
            due = due_accounts(connection, self._clock())
        self.offer(due)
        with self._changed:
            self._let_go(READY)

    def take_leases(self) -> None:
        """Take the free leases of accounts that this process is ready to serve; looked at once a second."""
        wanted = [lease for lease in self.leases if not lease.held]
        if not wanted or time.monotonic() < self._looks_for_leases_at:
            return
        self._looks_for_leases_at = time.monotonic() + WITHOUT_LEASE_S
        with snapshot(self._engine) as connection:
            now = database_now(connection)
            taken = {row.account for row in leases_of(connection, [lease.account for lease in wanted]) if not is_free(row, now)}
        for lease in wanted:
            if lease.account not in taken and not self._is_stopping():
                lease.acquire()

    def offer(self, accounts: Iterable[Due]) -> None:
        """Serve these accounts as soon as a thread is free, those excepted that have to rest."""
        with self._changed:
            for due in accounts:
                if due.account in self._accounts:
                    self._offer(self._served.get(due.account) or self._serve(due.account), due)

    def wake(self, accounts: Iterable[str]) -> None:
        """Let accounts that have to rest be tried at once."""
        with self._changed:
            for account in accounts:
                if account in self._served:
                    self._served[account].rests_until = 0.0

    def _offer(self, served: _Served, due: Due) -> None:
        if served.busy:
            served.again = True
        elif served.may_go(due):
            self._enqueue(served)

    def _enqueue(self, served: _Served) -> None:
        served.busy = True
        account = served.lease.account
        self._turns.add(account, is_doubtful=account in self._unanswered)
        self._see_to_workers()
        self._changed.notify()

    def _see_to_workers(self) -> None:
        """Start another thread if an account would have to wait for one."""
        working = len(self._workers) - self._waiting_for_drip
        if self._turns.ready > self._idle and working < WORKERS and len(self._workers) < MOST_THREADS:
            worker = threading.Thread(target=self._work, name=f"sender-{len(self._workers) + 1}", daemon=True)
            self._workers.add(worker)
            worker.start()

    def _serve(self, account: str) -> _Served:
        """Get ready to serve an account, instead of those that have been idle for longest if there are many."""
        self._let_go(READY - 1)
        self._served[account] = served = _Served(*self._open(account, self.waiting_for_drip))
        return served

    def _let_go(self, kept: int) -> None:
        """Let go of idle accounts beyond so many. Their leases run out by themselves, or are ours again when they are needed."""
        idle = [account for account, served in self._served.items() if not served.busy]
        idle.sort(key=self._unanswered.__contains__)  # the orders that failed in a row are counted in memory
        for account in idle[: max(0, len(self._served) - kept)]:
            self._served.pop(account).sender.close()

    def join(self, seconds: float) -> None:
        """Wait until the requests in hand have ended, but no longer than so many seconds."""
        until = time.monotonic() + seconds
        with self._changed:
            self._changed.notify_all()
            workers = list(self._workers)
        for worker in workers:
            worker.join(max(0.0, until - time.monotonic()))

    @contextmanager
    def waiting_for_drip(self) -> Iterator[None]:
        """Let another thread work while this one waits."""
        with self._changed:
            self._waiting_for_drip += 1
            self._see_to_workers()
        try:
            yield
        finally:
            with self._changed:
                self._waiting_for_drip -= 1

    # --- in the threads ------------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (served := self._next()) is not None:
            self._ended(served, survive(partial(self._turn, served)))

    def _next(self) -> _Served | None:
        """The next account in turn; None when this thread is not needed any more."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._turns.ready or self._is_stopping(), _WORKER_IDLE_S)
            self._idle -= 1
            if self._turns.ready and not self._is_stopping():
                account = self._turns.take()
                self._served.move_to_end(account)
                return self._served[account]
            self._workers.discard(threading.current_thread())
            return None

    def _turn(self, served: _Served) -> float:
        """Let an account send until it has nothing to do, or others wait; the seconds that it may rest."""
        lease, sender = served.lease, served.sender
        served.rests_live = True
        if not lease.held and not lease.acquire():
            return WITHOUT_LEASE_S
        while not self._is_stopping():
            if not sender.step():
                served.rests_live = sender.rest.live
                return self._seconds_until(sender.rest.until)
            if self._turns.ready or sender.unanswered:
                served.again = True
                return 0.0
        return 0.0

    def _seconds_until(self, moment: datetime | None) -> float:
        if moment is None:
            return 0.0
        return min(max((moment - self._clock()).total_seconds(), _NOTHING_FOUND_S), _LONGEST_REST_S)

    def _ended(self, served: _Served, rest_s: float) -> None:
        with self._changed:
            served.lease.rest()
            self._turns.ended(account := served.lease.account)
            self._unanswered -= {account}
            self._unanswered |= {account} if served.sender.unanswered else set()
            again, served.busy, served.again = served.again, False, False
            served.rests_until = time.monotonic() + rest_s
            if again and not (rest_s and served.rests_live) and not self._is_stopping():
                self._enqueue(served)
