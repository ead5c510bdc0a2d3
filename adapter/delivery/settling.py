"""Applies Drip's answer to the orders that were posted and to their account."""

import json
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from adapter.delivery.answers import Answer, Outcome
from adapter.delivery.backoff import delay_after, throttle_delay
from adapter.delivery.pacing import Kind
from adapter.delivery.planning import Trouble
from adapter.delivery.posts import Post, about, memory, supersede
from adapter.delivery.queues import OUTCOME_UNKNOWN
from adapter.inbox import accounts, ledger, proofs, settling
from adapter.inbox.counters import count
from adapter.inbox.sending import Lane

log = logging.getLogger(__name__)
PROBE_INTERVAL = timedelta(minutes=5)
SMALLEST_BATCH = 50
"""The orders of a failed batch are sent singly once its parts would be no larger than this."""
_OUTAGE_AFTER = 3
_OUTAGE_FIRST, _OUTAGE_LONGEST = timedelta(seconds=5), timedelta(seconds=60)
_REFUSALS_IN_A_ROW = 10
_NO_BATCHES_FOR = timedelta(hours=24)
_AGAIN_SOON = timedelta(seconds=5)
# The adapter sets these attributes, so a refusal that names one is never the order's fault.
_NEVER_THE_ORDERS_FAULT = ("action", "provider")
_ADVICE = {
    401: "check DRIP_API_KEY or DRIP_ACCESS_TOKEN",
    402: "the Drip account's plan needs attention",
    403: "the token of DRIP_API_KEY or DRIP_ACCESS_TOKEN may not write to DRIP_ACCOUNT_ID",
    404: "check DRIP_ACCOUNT_ID and DRIP_API_URL",
    410: "check DRIP_API_URL",
}


class Settler:
    """Settles one account's requests. Remembers which orders failed in a row, to tell an outage of Drip from a fault of one order."""

    def __init__(self, account: str, fingerprint: str, clock: Callable[[], datetime]) -> None:
        self._account = account
        self._fingerprint = fingerprint
        self._clock = clock
        self._throttled: dict[Kind, int] = {"single": 0, "batch": 0}
        self._failing: set[Lane] = set()
        self._failed_probe: int | None = None
        self.probed: set[Lane] = set()
        """The lanes tried since the account was paused or Drip was down: each probe uses another one."""

    def settle(self, connection: Connection, request_id: int, kind: Kind, posts: Sequence[Post], answer: Answer, trouble: Trouble) -> None:
        """Record what became of a request's orders, in the caller's transaction."""
        self._end_attempts(connection, request_id, kind, posts, answer)
        count(connection, "requests", account=self._account, kind=kind, status=str(answer.status or "none"))
        if answer.outcome != Outcome.THROTTLED:
            self._throttled[kind] = 0
        if answer.from_drip:
            self._failing.clear()
            if trouble.outage:
                self._end_outage(connection, posts, trouble)
        if answer.outcome == Outcome.DELIVERED:
            self._accepted(connection, posts, answer)
            self._resume(connection, trouble)
        elif answer.outcome == Outcome.THROTTLED:
            self._close(connection, kind, answer)
        elif answer.outcome == Outcome.BLOCKED:
            self._blocked(connection, kind, posts, answer)
        elif kind == "batch":
            self._batch_failed(connection, posts, answer)
        elif answer.outcome == Outcome.REFUSED:
            self._refused(connection, posts[0], answer, trouble)
        else:
            self._failed(connection, posts[0], answer, trouble)
        if trouble.paused and answer.outcome not in (Outcome.DELIVERED, Outcome.THROTTLED):
            accounts.set_trouble(connection, self._account, probe_at=self._clock() + PROBE_INTERVAL)

    def _end_attempts(self, connection: Connection, request_id: int, kind: Kind, posts: Sequence[Post], answer: Answer) -> None:
        outcome = _outcome(kind, answer)
        ledger.end_attempts(connection, request_id, outcome, _attempts(posts, answer))
        delivered = answer.outcome == Outcome.DELIVERED
        ledger.count_attempts(connection, [post.queue.target.id for post in posts if not (delivered and post.last)])
        count(connection, "attempts", len(posts), account=self._account, kind=kind, outcome=outcome)

    # --- accepted ---------------------------------------------------------------------------------------------------------------------

    def accept(self, connection: Connection, request_id: int, posts: Sequence[Post], answer: Answer) -> None:
        """Record that Drip accepted these orders of a batch, in the caller's transaction; `settle` is given the last of them."""
        self._end_attempts(connection, request_id, "batch", posts, answer)
        self._accepted(connection, posts, answer)

    def _accepted(self, connection: Connection, posts: Sequence[Post], answer: Answer) -> None:
        now = self._clock()
        settling.deliver(connection, [post.queue.target.id for post in posts if post.last], now, requests=1)
        settling.remember(connection, [memory(self._account, post) for post in posts], now)
        for post, drip_request_id in zip(posts, _request_ids(posts, answer), strict=True):
            supersede(connection, post.queue, now)
            waited = round((now - post.queue.target.received_at).total_seconds(), 1)
            _log(logging.INFO, post, "delivered", f"{post.action} at Drip", drip_request_id=drip_request_id, seconds=waited)

    def _resume(self, connection: Connection, trouble: Trouble) -> None:
        """Drip accepts orders: what was wrong with the account is over."""
        if not trouble.is_proved:
            proofs.set_proved(connection, self._account, self._fingerprint)
        if trouble.paused:
            accounts.set_trouble(connection, self._account, paused_since=None, pause_reason=None, probe_at=None)
            self.probed.clear()
            log.warning("Drip accepts orders again", extra={"action": "resumed", "account": self._account})

    # --- failed, not the order's fault -------------------------------------------------------------------------------------

    def _close(self, connection: Connection, kind: Kind, answer: Answer) -> None:
        """429: pause this kind of request for a while; the other kind continues."""
        self._throttled[kind] += 1
        wait = answer.retry_after if answer.retry_after is not None else throttle_delay(self._throttled[kind])
        accounts.set_trouble(connection, self._account, **{f"{kind}_closed_until": self._clock() + wait})
        log.warning(answer.what, extra={"action": "throttled", "account": self._account, "seconds": round(wait.total_seconds())})

    def _batch_failed(self, connection: Connection, posts: Sequence[Post], answer: Answer) -> None:
        """Retry in smaller batches until a bad order stands alone; no order is charged an attempt."""
        if answer.outcome == Outcome.NO_BATCHES:
            accounts.set_trouble(connection, self._account, batch_closed_until=self._clock() + _NO_BATCHES_FOR)
            log.warning(
                "Drip has no batch endpoint for this account: sending single orders",
                extra={"action": "no_batches", "account": self._account},
            )
            return
        ids = [post.queue.target.id for post in posts]
        settling.limit_batches(connection, ids, max(1, len(posts) // 2))
        if answer.outcome == Outcome.RETRY:
            settling.postpone(connection, ids, self._clock() + _AGAIN_SOON)
        log.warning(answer.what, extra={"action": "split", "account": self._account, "orders": len(posts)})

    def _failed(self, connection: Connection, post: Post, answer: Answer, trouble: Trouble) -> None:
        """No answer, or one that may differ next time."""
        if trouble.outage:
            self._failed_probe = post.queue.target.id
            wait = min(_OUTAGE_FIRST * (1 << min(trouble.outage_probes + 1, 10)), _OUTAGE_LONGEST)
            probes = trouble.outage_probes + 1
            accounts.set_trouble(connection, self._account, probe_at=self._clock() + wait, outage_probes=probes)
            return
        self._back_off(connection, post, answer)
        if answer.from_drip:
            return
        self._failing.add(post.queue.lane)
        if len(self._failing) >= _OUTAGE_AFTER:
            now = self._clock()
            accounts.set_trouble(connection, self._account, outage_since=now, outage_probes=0, probe_at=now + _OUTAGE_FIRST)
            if not trouble.paused:
                accounts.set_trouble(connection, self._account, pause_reason=answer.what)
            self.probed = set(self._failing)
            log.error(f"Drip seems to be down: {answer.what}", extra={"action": "outage", "account": self._account})

    def _end_outage(self, connection: Connection, posts: Sequence[Post], trouble: Trouble) -> None:
        accounts.set_trouble(connection, self._account, outage_since=None, outage_probes=0, probe_at=None)
        if not trouble.paused:
            accounts.set_trouble(connection, self._account, pause_reason=None)
        settling.free_batches(connection, self._account)
        self.probed.clear()
        # The previous probe failed and this one passed, so that order itself may be the cause.
        if self._failed_probe is not None and self._failed_probe not in [post.queue.target.id for post in posts]:
            settling.spend_attempt(connection, self._failed_probe)
            settling.postpone(connection, [self._failed_probe], self._clock() + _AGAIN_SOON)
        self._failed_probe = None
        log.warning("Drip answers again", extra={"action": "outage_over", "account": self._account})

    def _back_off(self, connection: Connection, post: Post, answer: Answer) -> None:
        now, target = self._clock(), post.queue.target
        waiting = [row.id for row in post.queue.rows]
        if target.due_at > now:  # sent early, ahead of a newer snapshot, because its outcome was unknown
            settling.postpone(connection, waiting, max(target.due_at, now + _AGAIN_SOON))
            return
        failed = target.failed + 1
        settling.spend_attempt(connection, target.id)
        delay = delay_after(failed)
        if delay is None:
            settling.kill(connection, target.id, {"": [f"{answer.what}; given up after {failed} attempts"]}, now, why=settling.GIVEN_UP)
            _log(logging.WARNING, post, "dead", answer.what)
            return
        settling.postpone(connection, waiting, now + delay)
        _log(logging.WARNING, post, "retrying", answer.what, attempt=failed, seconds=round(delay.total_seconds()))

    def _blocked(self, connection: Connection, kind: Kind, posts: Sequence[Post], answer: Answer) -> None:
        """Pause the account, unless this order alone keeps failing this way while others pass."""
        if kind == "single" and self._alone(connection, posts[0], Outcome.BLOCKED):
            problems = {"": [f"{answer.what} to this order alone, while it accepts others"]}
            settling.kill(connection, posts[0].queue.target.id, problems, self._clock(), why=settling.REFUSED)
            _log(logging.WARNING, posts[0], "dead", answer.what)
            return
        advice = f": {_ADVICE.get(answer.status or 0, 'check the Drip account')}" if answer.from_drip else ""
        self._pause(connection, posts, f"{answer.what}{advice}")

    # --- failed, the order's fault ------------------------------------------------------------------------------------------

    def _refused(self, connection: Connection, post: Post, answer: Answer, trouble: Trouble) -> None:
        attributes = {str(error.get("attribute")) for error in answer.errors}
        if attributes & set(_NEVER_THE_ORDERS_FAULT):
            named = ", ".join(sorted(attributes))
            self._pause(connection, [post], f"{answer.what} and named {named}: the adapter or the Drip account is at fault, not the order")
            return
        alone = self._alone(connection, post, Outcome.REFUSED)
        if trouble.paused and not alone:
            return
        settling.kill(connection, post.queue.target.id, _problems(answer), self._clock(), why=settling.REFUSED)
        _log(logging.WARNING, post, "dead", answer.what)
        if alone:
            return
        run = ledger.drip_refused(connection, self._account, _REFUSALS_IN_A_ROW)
        if len(set(run)) >= _REFUSALS_IN_A_ROW:
            for delivery in settling.take_back(connection, run):
                log.info(
                    "reopened: the order was not at fault", extra={"action": "reopened", "delivery": delivery, "account": self._account}
                )
            self._pause(connection, [post], f"Drip refused {_REFUSALS_IN_A_ROW} orders in a row: its API or the account may have changed")

    def _alone(self, connection: Connection, post: Post, outcome: Outcome) -> bool:
        """Whether this delivery failed this way before, in a single request, and Drip has accepted others since."""
        previous = post.queue.previous
        if previous is None or previous.outcome != outcome or previous.kind != "single":
            return False
        return ledger.took_others_since(connection, self._account, previous.request_id)

    def _pause(self, connection: Connection, posts: Sequence[Post], why: str) -> None:
        now = self._clock()
        accounts.pause(connection, self._account, why=why, since=now, probe_at=now + PROBE_INTERVAL)
        self.probed.update(post.queue.lane for post in posts[:1])
        log.error(why, extra={"action": "paused", "account": self._account, "delivery": posts[0].queue.target.id})


def _outcome(kind: Kind, answer: Answer) -> str:
    if answer.outcome_unknown:
        return OUTCOME_UNKNOWN
    # A refused batch does not show which of its orders is at fault.
    return "split" if kind == "batch" and answer.outcome in (Outcome.REFUSED, Outcome.NO_BATCHES) else str(answer.outcome)


def _attempts(posts: Sequence[Post], answer: Answer) -> list[dict[str, Any]]:
    said = {"what": answer.what} | ({"errors": answer.errors} if answer.errors and len(posts) == 1 else {})
    text = json.dumps(said, ensure_ascii=False)
    return [
        {"of": post.queue.target.id, "drip_request_id": request_id, "answer": text}
        for post, request_id in zip(posts, _request_ids(posts, answer), strict=True)
    ]


def _request_ids(posts: Sequence[Post], answer: Answer) -> Sequence[str | None]:
    """Drip's id for each order; none if it did not return one for each."""
    return answer.request_ids if len(answer.request_ids) == len(posts) else [None] * len(posts)


def _problems(answer: Answer) -> dict[str, list[str]]:
    problems: dict[str, list[str]] = {}
    for error in answer.errors:
        problems.setdefault(str(error.get("attribute") or ""), []).append(str(error.get("message") or error.get("code") or answer.what))
    return problems or {"": [answer.what]}


def _log(level: int, post: Post, action: str, message: str, **more: Any) -> None:
    log.log(level, message, extra={"action": action, **about(post.queue), **more})
