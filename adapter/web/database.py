"""The web side's way to the database: every use ends within the time that a store waits for its answer."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from contextvars import copy_context
from typing import TypeVar

from sqlalchemy import Engine

from adapter.errors import DatabaseAway

Result = TypeVar("Result")
# Shopify gives 5 s in all. Statements time out by themselves after 3 s; this holds when not even the connection answers.
_DEADLINE_S = 3.5
_THREADS = 3


class Inbox:
    """Runs work on the database, with a deadline."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="inbox")

    def run(self, work: Callable[[Engine], Result]) -> Result:
        """The result of `work`; raises `DatabaseAway` where it is late. Late work may still be committed: then a copy is a duplicate."""
        future = self._threads.submit(copy_context().run, work, self.engine)  # what it logs carries the request's id
        try:
            return future.result(_DEADLINE_S)
        except TooLate:
            future.cancel()
            raise DatabaseAway(f"the database of DATABASE_URL did not answer within {_DEADLINE_S:g} s") from None
