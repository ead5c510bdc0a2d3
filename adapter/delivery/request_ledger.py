"""Records an account's requests: each with its bodies before it is made, and its outcome afterwards.

A batch is recorded in parts, since on SQLite webhooks wait while one is written. Only what follows needs all of them on disk: Drip gets the
request once the last part is synced, and its end is recorded with the last part of the outcome. If the sender dies in between, the orders
without an outcome are sent again from their bodies.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine

from adapter.delivery.answers import Answer, Outcome
from adapter.delivery.lease import Lease
from adapter.delivery.pacing import Kind, Pacing
from adapter.delivery.planning import Trouble
from adapter.delivery.posts import Post
from adapter.delivery.settling import Settler
from adapter.errors import DatabaseAway
from adapter.inbox import accounts, ledger
from adapter.inbox.database import Clock, transaction
from adapter.inbox.write_turn import in_turns

log = logging.getLogger(__name__)
AT_ONCE = 50
"""So many orders are written in one transaction."""
_OTHERS_SPEND = timedelta(minutes=1)
# Less than the sender's pulse, so that the lease is kept meanwhile. SQLite is away, too, while others keep it busy.
_ENDING_S = 20.0
_BETWEEN_TRIES_S = 0.5


class RequestLedger:
    """Records the requests of the account whose lease the caller holds."""

    def __init__(self, engine: Engine, lease: Lease, settler: Settler, pacing: Pacing, limits: Mapping[Kind, int], clock: Clock) -> None:
        self._engine = engine
        self._lease = lease
        self._settler = settler
        self._pacing = pacing
        self._limits = limits
        self._clock = clock

    def begin(
        self, kind: Kind, posts: Sequence[Post], started: datetime, found: Callable[[Connection], None]
    ) -> tuple[int | None, list[Post]]:
        """Store a request with its bodies, and what `found` writes; the id, and the orders in it. None if none is left to send.

        A shopper's data may just have been erased, so an order that isn't pending any more is left out.
        """
        request: int | None = None
        sent: list[Post] = []
        for some in in_turns(self._engine, posts, AT_ONCE):
            with transaction(self._engine, synced=some[-1] is posts[-1]) as connection:
                self._lease.guard(connection)
                found(connection)
                there = ledger.take_up(connection, [post.queue.target.id for post in some])
                if there and request is None:
                    request = ledger.begin_request(connection, self._lease.account, kind, started)
                if request is not None and there:
                    ledger.begin_attempts(connection, request, [_attempt(post) for post in some if post.queue.target.id in there])
                ledger.count_attempts(connection, [post.queue.target.id for post in some if _ended_unseen(post)])
            sent += [post for post in some if post.queue.target.id in there]
        return request, sent

    def end(self, request: int, kind: Kind, posts: Sequence[Post], answer: Answer, trouble: Trouble) -> None:
        """Record how a request ended, trying again while the database is away: nobody else knows, and Drip would get the orders twice."""
        until = time.monotonic() + _ENDING_S
        most = AT_ONCE if answer.outcome == Outcome.DELIVERED and not trouble.probing else len(posts)
        has_ids = len(answer.request_ids) == len(posts)
        for place, some in enumerate(in_turns(self._engine, posts, most)):
            ids = answer.request_ids[place * most :][: len(some)] if has_ids else ()
            about_some = replace(answer, request_ids=ids)
            if some[-1] is posts[-1]:
                self._write(partial(self._end, request, kind, some, about_some, trouble), until, synced=True)
            else:
                self._write(partial(self._accept, request, some, about_some), until, synced=False)

    def _write(self, write: Callable[[Connection], None], until: float, *, synced: bool) -> None:
        while True:
            try:
                with transaction(self._engine, synced=synced) as connection:
                    # A holder that was stopped in the middle may find that another has repeated its request, and moved on.
                    self._lease.guard(connection)
                    write(connection)
                return
            except DatabaseAway as error:
                if time.monotonic() >= until:
                    raise
                log.warning(str(error), extra={"action": "database_away"})
                time.sleep(_BETWEEN_TRIES_S)

    def _accept(self, request: int, posts: Sequence[Post], answer: Answer, connection: Connection) -> None:
        # If their outcome is recorded already, only the confirmation of that commit was lost.
        if ledger.is_open(connection, request, posts[0].queue.target.id):
            self._settler.accept(connection, request, posts, answer)

    def _end(self, request: int, kind: Kind, posts: Sequence[Post], answer: Answer, trouble: Trouble, connection: Connection) -> None:
        # As above.
        if ledger.end_request(connection, request, answer.status, self._clock()):
            self._settler.settle(connection, request, kind, posts, answer, trouble)
            self._note_quota(connection, kind, answer)

    def _note_quota(self, connection: Connection, kind: Kind, answer: Answer) -> None:
        """Obey a limit of Drip's that is lower than ours, and leave room for others who spend the same quota."""
        account, window = self._lease.account, self._pacing.windows[kind]
        if answer.limit is not None and 0 < answer.limit != window.limit and answer.limit <= self._limits[kind]:
            accounts.set_trouble(connection, account, **{f"{kind}_limit": answer.limit})
        now = self._clock()
        if answer.remaining == 0 and answer.outcome != Outcome.THROTTLED and window.left(now) > 1 and not window.is_closed(now):
            accounts.set_trouble(connection, account, **{f"{kind}_closed_until": now + _OTHERS_SPEND})


def _ended_unseen(post: Post) -> bool:
    """Whether its last request is one whose end a sender that died did not record, and so did not count."""
    return post.queue.unconfirmed is not None and post.queue.unconfirmed.outcome is None


def _attempt(post: Post) -> dict[str, Any]:
    return {
        "delivery_id": post.queue.target.id,
        "action": post.action,
        "body": post.packed,
        "digest": post.digest,
        "lifecycle": post.lifecycle,
        "looked_up": post.looked_up,
    }
