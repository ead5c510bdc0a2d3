"""What an account may send next, from one look at the database: its troubles, its quota, and what is due."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from adapter.delivery.lease import Lease
from adapter.delivery.pacing import HOUR, MOST_ORDERS, Demand, Kind, Pacing, Plan, Wait
from adapter.delivery.store_turns import StoreTurns
from adapter.inbox import ledger, sending
from adapter.inbox.ledger import LONGEST_REQUEST
from adapter.inbox.sending import Lane

KINDS: tuple[Kind, ...] = ("single", "batch")
# As many as make a difference to the pacing.
_COUNTED = 4 * MOST_ORDERS


@dataclass(frozen=True, slots=True)
class Trouble:
    """What stops an account from accepting orders, as recorded in `leases`."""

    paused: bool
    outage: bool
    probe_at: datetime | None
    outage_probes: int
    is_proved: bool
    """Whether Drip has accepted the account's credentials."""

    @property
    def probing(self) -> bool:
        """Whether only single orders are tried, from time to time."""
        return self.paused or self.outage


@dataclass(frozen=True, slots=True)
class Outlook:
    """What can be sent now."""

    trouble: Trouble
    plan: Plan
    lanes: Sequence[Lane]


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing can be sent now."""

    until: datetime | None = None
    """When to look again, unless other orders fall due before; None: nothing is due."""
    live: bool = False
    """Whether live orders have to wait as well."""


class Planner:
    """Plans one account's requests. Keeps its quota in memory as long as the lease is ours."""

    def __init__(
        self,
        account: str,
        fingerprint: str,
        stores: Collection[str],
        limits: dict[Kind, int],
        lease: Lease,
        clock: Callable[[], datetime],
        probed: set[Lane],
    ) -> None:
        self.pacing = Pacing(single_limit=limits["single"], batch_limit=limits["batch"])
        self._account = account
        self._fingerprint = fingerprint
        self._stores = stores
        self._turns = StoreTurns(account, stores)
        self._limits = limits
        self._lease = lease
        self._clock = clock
        self._probed = probed
        self._ledger_of = 0

    def look(self, connection: Connection) -> Outlook | Rest:
        """What to send next, or how long there is nothing to send."""
        now = self._clock()
        found = sending.outlook(connection, self._account, now, _COUNTED)
        if found is None or not found.live + found.other:
            return Rest()
        self._learn(connection, found)
        trouble = Trouble(
            found.paused_since is not None,
            found.outage_since is not None,
            found.probe_at,
            found.outage_probes,
            found.proved_with == self._fingerprint,
        )
        if trouble.probing:
            return self._probe(connection, trouble, now)
        return self._plan(connection, trouble, Demand(found.live, found.other, found.since), now)

    def _plan(self, connection: Connection, trouble: Trouble, demand: Demand, now: datetime) -> Outlook | Rest:
        plan = self.pacing.decide(now, demand)
        if plan is None or isinstance(plan, Wait):
            return Rest(plan.until if plan else None, live=demand.live > 0)
        wanted = 1 if plan.kind == "single" else plan.orders
        lanes = self._due(connection, now, wanted, live_only=plan.live_only)
        if len(lanes) < wanted and plan.kind == "batch":  # several deliveries are of one order: there is less to do than it seemed
            live = min(demand.live, len(lanes))
            again = self.pacing.decide(now, Demand(live, len(lanes) - live, demand.since))
            if again is None or isinstance(again, Wait):
                return Rest(again.until if again else None, live=demand.live > 0)
            plan, lanes = again, lanes[: again.orders]
        else:
            lanes = self._turns.take(connection, lanes, now, live=demand.live)
        return Outlook(trouble, plan, lanes) if lanes else Rest(now + HOUR, live=True)

    def _probe(self, connection: Connection, trouble: Trouble, now: datetime) -> Outlook | Rest:
        """While the account is in trouble one order is tried from time to time, each time another one."""
        window = self.pacing.windows["single"]
        opens = max(trouble.probe_at or now, window.closed_until or now)
        if opens > now or not window.left(now):
            return Rest(opens if opens > now else window.opens(now, live=True), live=True)
        lanes = self._due(connection, now, len(self._probed) + 1)
        untried = [lane for lane in lanes if lane not in self._probed]
        if not untried:
            self._probed.clear()
        if not lanes:
            return Rest(now + HOUR, live=True)
        lane = (untried or lanes)[0]
        self._probed.add(lane)
        return Outlook(trouble, Plan("single", 1, live_only=False), [lane])

    def due(self, connection: Connection, limit: int) -> list[Lane]:
        """The account's lanes that are due, the oldest first."""
        return self._due(connection, self._clock(), limit)

    def _due(self, connection: Connection, now: datetime, limit: int, *, live_only: bool = False) -> list[Lane]:
        lanes = sending.due_lanes(connection, self._account, now, limit, live_only=live_only)
        # While settings change, another process may still assign a store to this account.
        return [lane for lane in lanes if lane.store in self._stores]

    def _learn(self, connection: Connection, lease: Row[Any]) -> None:
        """Take over the quota from the database: all of it with a new lease, and Drip's own limits at every look."""
        for kind in KINDS:
            window = self.pacing.windows[kind]
            reported = getattr(lease, f"{kind}_limit")
            window.limit = min(self._limits[kind], reported) if reported is not None else self._limits[kind]
            window.closed_until = getattr(lease, f"{kind}_closed_until")
            if self._ledger_of != self._lease.taken:
                entries = ledger.entries(connection, self._account, kind, self._clock() - HOUR)
                window.load((started, ended or started + LONGEST_REQUEST) for started, ended in entries)
        self._ledger_of = self._lease.taken
