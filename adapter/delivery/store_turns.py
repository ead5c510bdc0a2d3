"""Lets the stores of one account take turns: a store's flood of live orders doesn't hold up the orders of another."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection

from adapter.inbox import sending
from adapter.inbox.sending import Lane

_STORES_AN_ORDER = 50
"""Finding each store's oldest order takes a step into the index for each store: so many steps for an order sent, at most."""


class StoreTurns:
    """The turns of one account's stores, where more live orders are due than go into the next request."""

    def __init__(self, account: str, stores: Collection[str]) -> None:
        self._account = account
        self._stores = sorted(stores)
        self._round: list[Lane] = []
        """Those of the current round whose turn is still to come."""
        self._left = 0
        """How many orders are sent, the oldest first, until the next round may begin."""

    def take(self, connection: Connection, oldest: list[Lane], now: datetime, *, live: int) -> list[Lane]:
        """As many lanes as `oldest`, the account's oldest ones; those of the stores whose turn it is come first.

        `live` is how many live orders are due. If all of them are among the oldest, nobody waits for a turn.
        """
        if len(self._stores) < 2 or live <= len(oldest):
            self._round = []
            return oldest
        if not self._round and self._left <= 0:
            self._round = sending.oldest_of_each(connection, self._account, self._stores, now)
            self._left = len(self._stores) // _STORES_AN_ORDER
        lanes = list(dict.fromkeys([*self._round, *oldest]))[: len(oldest)]
        self._round = self._round[len(oldest) :]
        self._left -= len(oldest)
        return lanes
