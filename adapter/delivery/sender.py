"""The loop that sends one account's orders: lanes oldest first, one request at a time, each body stored before it is posted."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, Row

from adapter.delivery import contexts
from adapter.delivery.backoff import delay_after, throttle_delay
from adapter.delivery.drip import Answer, Drip, Outcome
from adapter.delivery.lease import Lease
from adapter.delivery.versions import Version, newest_known, version_of
from adapter.inbox import statements
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.statements import Lane
from adapter.settings import Account, Settings
from mappings import Reason, Rejected, Skip, digest, encode, render

log = logging.getLogger(__name__)
PROBE_INTERVAL = timedelta(minutes=5)
_REFUSALS_IN_A_ROW = 10
# A newer snapshot lets a lane try ahead of its time; if that fails too, at least so long passes before the next try.
_SHORTEST_WAIT = timedelta(seconds=5)
# A refusal that names one of these is no fault of an order.
_NOT_THE_ORDERS_FAULT = ("action", "provider")


@dataclass(frozen=True, slots=True)
class _Queue:
    """A lane as it waits: the rows, the one to send now, and what Drip has."""

    lane: Lane
    rows: Sequence[Row[Any]]
    target: Row[Any]
    doubtful: Row[Any] | None
    """The target's last attempt, where nobody knows whether Drip took it: it is repeated as it was stored."""
    previous: Row[Any] | None
    """The target's last attempt, however it ended."""
    has: Row[Any] | None

    @property
    def newest(self) -> datetime:
        """The newest time that any of its snapshots carries."""
        return newest_known(self.rows, self.has)

    def version(self, row: Row[Any]) -> Version:
        """The version of one of its rows."""
        return version_of(row, self.newest)


@dataclass(frozen=True, slots=True)
class _Post:
    """What is to be posted for a delivery."""

    action: str
    body: bytes
    digest: str


class Sender:
    """Sends for one account. `step` does one thing and returns; the caller holds the lease and loops."""

    def __init__(
        self, engine: Engine, settings: Settings, account: Account, *, lease: Lease, drip: Drip, clock: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._account = account.id
        self._lease = lease
        self._drip = drip
        self._clock = clock
        self._stores = [name for store in settings.stores_of(account) for name in (store.name, *store.aliases)]
        self._throttled = 0
        self._probed: set[Lane] = set()
        self._begun: int | None = None

    def step(self) -> bool:
        """Settle or send one snapshot; whether there was anything to do."""
        self._lease.confirm()
        self._forgive()
        with snapshot(self._engine) as connection:
            trouble = statements.lease(connection, self._account)
            lanes = statements.due_lanes(connection, self._stores, self._clock(), limit=len(self._probed) + 1)
        if trouble is None or self._must_wait(trouble) or not lanes:
            return False
        paused = trouble.paused_since is not None
        lane = self._untried(lanes) if paused else lanes[0]
        with transaction(self._engine) as connection:
            waiting = self._choose(connection, lane)
            if waiting is None:
                return True
            statements.begin(connection, [waiting.target.id])
        self._begun = waiting.target.id
        post = self._prepare(waiting)
        if post is not None:
            self._send(waiting, post, paused=paused)
        self._begun = None
        return True

    def _forgive(self) -> None:
        """A delivery whose turn the database broke off, and not its payload, was not begun in vain."""
        if self._begun is not None:
            with transaction(self._engine) as connection:
                statements.forgive(connection, [self._begun])
            self._begun = None

    # --- choosing ------------------------------------------------------------------------------------------------------------------

    def _must_wait(self, trouble: Row[Any]) -> bool:
        now = self._clock()
        closed = trouble.closed_until is not None and trouble.closed_until > now
        return closed or (trouble.paused_since is not None and trouble.probe_at > now)

    def _untried(self, lanes: Sequence[Lane]) -> Lane:
        """While the account is paused, each probe is made with another order."""
        untried = [lane for lane in lanes if lane not in self._probed]
        if not untried:
            self._probed.clear()
        lane = (untried or lanes)[0]
        self._probed.add(lane)
        return lane

    def _choose(self, connection: Connection, lane: Lane) -> _Queue | None:
        """The delivery of a lane that goes next; None if it has to wait, or was settled here."""
        rows = statements.waiting(connection, lane)
        if not rows:
            return None
        has = statements.what_drip_has(connection, self._account, lane)
        tried = statements.last_attempts(connection, self._account, [row.id for row in rows])
        doubtful = {row.id: tried[row.id] for row in rows if row.id in tried and tried[row.id].outcome in (None, "in_doubt")}
        newest = newest_known(rows, has)
        order = sorted(rows, key=lambda row: version_of(row, newest), reverse=True)
        target = next((row for row in rows if row.id in doubtful), order[0])
        now = self._clock()
        others_due = any(row.due_at <= now and version_of(row, newest) > version_of(target, newest) for row in rows)
        if target.due_at > now and not others_due:
            statements.postpone(connection, [row.id for row in rows], target.due_at)
            return None
        if target.begun >= contexts.BEGUN_TOO_OFTEN:
            statements.kill(connection, target.id, contexts.too_often(), now)
            return None
        return _Queue(lane, rows, target, doubtful.get(target.id), tried.get(target.id), has)

    # --- preparing -----------------------------------------------------------------------------------------------------------------

    def _prepare(self, waiting: _Queue) -> _Post | None:
        """What to post; None if the delivery was settled without a request."""
        if waiting.doubtful is not None and waiting.doubtful.body is not None:
            return _Post(waiting.doubtful.action, waiting.doubtful.body, waiting.doubtful.digest)
        try:
            result = self._map(waiting)
        except Rejected as rejected:
            self._kill(waiting, rejected.problems)
            return None
        except Exception as error:  # noqa: BLE001 - whatever a payload sets off in the mapping must not stop the others
            self._kill(waiting, contexts.crash(error))
            return None
        if isinstance(result, Skip):
            self._skip(waiting, result)
            return None
        return self._compare(waiting, result)

    def _map(self, waiting: _Queue) -> _Post | Skip:
        source = contexts.source_of(waiting.target, self._settings)
        [reading] = source.provider.readings(waiting.target.payload, source.context)
        if skip := reading.skip(placed=True):
            return skip
        order = source.provider.map(reading, source.context)
        if order.discrepancy and abs(order.discrepancy) > _tolerance(len(order.items)):
            self._log(waiting, "sums_differ", "the payload's own sums differ from its total")
        action, occurred_at = ("created", order.created_at) if waiting.has is None else ("updated", order.updated_at)
        body = render(order, action=action, occurred_at=occurred_at, options=source.context.options)
        return _Post(action, encode(body), digest(body))

    def _compare(self, waiting: _Queue, post: _Post) -> _Post | None:
        """Hold a body against what Drip has: post it, or settle it as stale or unchanged."""
        has, target = waiting.has, waiting.target
        if has is None:
            return post
        if waiting.version(target) < version_of(has, waiting.newest):
            self._skip(waiting, Skip(Reason.STALE, "older than what Drip has of this order"))
            return None
        if post.digest != has.digest or target.forced:
            return post
        with transaction(self._engine) as connection:
            self._remember(connection, waiting, post.digest)
            statements.skip(connection, target.id, Skip(Reason.UNCHANGED, "Drip has exactly this of the order already"), self._clock())
            self._supersede(connection, waiting)
        self._log(waiting, "skipped", "nothing new for Drip", reason="unchanged")
        return None

    # --- sending -------------------------------------------------------------------------------------------------------------------

    def _send(self, waiting: _Queue, post: _Post, *, paused: bool) -> None:
        with transaction(self._engine) as connection:
            request_id = statements.begin_request(connection, self._account, "single", self._clock())
            attempt_id = statements.begin_attempt(
                connection, waiting.target.id, request_id, action=post.action, body=post.body, digest=post.digest
            )
        self._lease.still_fresh()
        answer = self._drip.post_order(post.body)
        with transaction(self._engine) as connection:
            statements.end_request(connection, request_id, answer.status, self._clock())
            outcome = "in_doubt" if answer.in_doubt else str(answer.outcome)
            errors = json.dumps(answer.errors, ensure_ascii=False) if answer.errors else None
            statements.end_attempt(connection, attempt_id, outcome, drip_request_id=answer.request_id, answer=errors)
            self._settle(connection, waiting, post, answer, paused=paused)

    def _settle(self, connection: Connection, waiting: _Queue, post: _Post, answer: Answer, *, paused: bool) -> None:
        if answer.outcome != Outcome.THROTTLED:
            self._throttled = 0
        match answer.outcome:
            case Outcome.DELIVERED:
                self._delivered(connection, waiting, post, answer, paused=paused)
            case Outcome.THROTTLED:
                self._throttled += 1
                until = self._clock() + (answer.retry_after or throttle_delay(self._throttled))
                statements.set_trouble(connection, self._account, closed_until=until)
                self._log(waiting, "throttled", answer.what)
            case Outcome.BLOCKED:
                self._blocked(connection, waiting, answer)
            case Outcome.REFUSED:
                self._refused(connection, waiting, answer, paused=paused)
            case Outcome.RETRY:
                self._failed(connection, waiting, answer)
        if paused and answer.outcome not in (Outcome.DELIVERED, Outcome.THROTTLED):
            statements.set_trouble(connection, self._account, probe_at=self._clock() + PROBE_INTERVAL)

    def _delivered(self, connection: Connection, waiting: _Queue, post: _Post, answer: Answer, *, paused: bool) -> None:
        statements.deliver(connection, waiting.target.id, self._clock())
        self._remember(connection, waiting, post.digest)
        self._supersede(connection, waiting)
        self._log(waiting, "delivered", f"{post.action} at Drip", drip_request_id=answer.request_id)
        if paused:
            statements.set_trouble(connection, self._account, paused_since=None, pause_reason=None, probe_at=None)
            self._probed.clear()
            log.warning("Drip takes orders again", extra={"action": "resumed", "account": self._account})

    def _failed(self, connection: Connection, waiting: _Queue, answer: Answer) -> None:
        now, target = self._clock(), waiting.target
        if target.due_at > now:  # tried ahead of its time for a newer snapshot's sake
            statements.postpone(connection, [row.id for row in waiting.rows], max(target.due_at, now + _SHORTEST_WAIT))
            return
        statements.spend_attempt(connection, target.id)
        delay = delay_after(target.attempts + 1)
        if delay is None:
            statements.kill(connection, target.id, {"": [f"{answer.what}; given up after {target.attempts + 1} attempts"]}, now)
            self._log(waiting, "dead", answer.what)
            return
        statements.postpone(connection, [row.id for row in waiting.rows], now + delay)
        self._log(waiting, "retrying", answer.what, attempt=target.attempts + 1, seconds=round(delay.total_seconds()))

    def _blocked(self, connection: Connection, waiting: _Queue, answer: Answer) -> None:
        """The account's trouble, unless this order keeps failing so while others pass."""
        if self._alone(connection, waiting, "blocked"):
            statements.kill(
                connection, waiting.target.id, {"": [f"{answer.what} to this order alone, while it takes others"]}, self._clock()
            )
            self._log(waiting, "dead", answer.what)
            return
        self._pause(connection, waiting, f"{answer.what}: {_ADVICE.get(answer.status or 0, 'check the Drip account')}")

    def _refused(self, connection: Connection, waiting: _Queue, answer: Answer, *, paused: bool) -> None:
        attributes = {str(error.get("attribute")) for error in answer.errors}
        if attributes & set(_NOT_THE_ORDERS_FAULT):
            self._pause(
                connection, waiting, f"{answer.what} and names {', '.join(sorted(attributes))}: the adapter or the account is at fault"
            )
            return
        alone = self._alone(connection, waiting, "refused")
        if paused and not alone:
            return
        statements.kill(connection, waiting.target.id, _problems(answer), self._clock())
        self._log(waiting, "dead", answer.what)
        if alone:
            return
        run = statements.drip_refused(connection, self._account, _REFUSALS_IN_A_ROW)
        if len(set(run)) >= _REFUSALS_IN_A_ROW:
            statements.take_back(connection, run)
            self._pause(connection, waiting, f"Drip refused {_REFUSALS_IN_A_ROW} orders in a row: the contract or the account has changed")

    def _alone(self, connection: Connection, waiting: _Queue, outcome: str) -> bool:
        """Whether this delivery ended so before, and Drip took others since."""
        previous = waiting.previous
        return (
            previous is not None
            and previous.outcome == outcome
            and statements.took_others_since(connection, self._account, previous.request_id)
        )

    def _pause(self, connection: Connection, waiting: _Queue, why: str) -> None:
        now = self._clock()
        statements.pause(connection, self._account, why=why, since=now, probe_at=now + PROBE_INTERVAL)
        self._probed.add(waiting.lane)
        log.error(why, extra={"action": "paused", "account": self._account, "delivery": waiting.target.id})

    # --- settling ------------------------------------------------------------------------------------------------------------------

    def _remember(self, connection: Connection, waiting: _Queue, body_digest: str) -> None:
        version = waiting.version(waiting.target)
        statements.remember(
            connection,
            self._account,
            waiting.lane,
            delivery_id=version.delivery_id,
            snapshot_at=version.snapshot_at,
            progress=version.progress,
            digest=body_digest,
            at=self._clock(),
        )

    def _supersede(self, connection: Connection, waiting: _Queue) -> None:
        """Older snapshots that still waited have nothing left to tell."""
        mine = waiting.version(waiting.target)
        reason = Skip(Reason.SUPERSEDED, f"delivery {waiting.target.id} holds a newer state of this order")
        for row in waiting.rows:
            if waiting.version(row) < mine:
                statements.skip(connection, row.id, reason, self._clock())

    def _skip(self, waiting: _Queue, skip: Skip) -> None:
        with transaction(self._engine) as connection:
            statements.skip(connection, waiting.target.id, skip, self._clock())
        self._log(waiting, "skipped", skip.detail, reason=str(skip.reason))

    def _kill(self, waiting: _Queue, problems: dict[str, list[str]]) -> None:
        with transaction(self._engine) as connection:
            statements.kill(connection, waiting.target.id, problems, self._clock())
        self._log(waiting, "dead", "cannot be mapped")

    def _log(self, waiting: _Queue, action: str, message: str, **more: Any) -> None:
        level = logging.WARNING if action in ("dead", "retrying", "throttled") else logging.INFO
        row = waiting.target
        log.log(level, message, extra={"action": action, "delivery": row.id, "store": row.store, "order": row.order_id, **more})


_ADVICE = {
    401: "check DRIP_API_KEY or DRIP_ACCESS_TOKEN",
    402: "the Drip account's plan needs attention",
    403: "the token of DRIP_API_KEY or DRIP_ACCESS_TOKEN may not write to DRIP_ACCOUNT_ID",
    404: "check DRIP_ACCOUNT_ID and DRIP_API_URL",
    410: "check DRIP_API_URL",
}


def _tolerance(lines: int) -> Decimal:
    """A cent a line."""
    return Decimal("0.01") * max(1, lines)


def _problems(answer: Answer) -> dict[str, list[str]]:
    problems: dict[str, list[str]] = {}
    for error in answer.errors:
        problems.setdefault(str(error.get("attribute") or ""), []).append(str(error.get("message") or error.get("code") or answer.what))
    return problems or {"": [answer.what]}
