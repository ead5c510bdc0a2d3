"""The web process's access to the database, with a deadline shorter than a store's."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from contextvars import copy_context
from typing import TypeVar

from sqlalchemy import Engine

from adapter.errors import DatabaseAway

Result = TypeVar("Result")
UNUSABLE = "the database of DATABASE_URL can't be used now; the log says why"
"""For those who may be anyone: the reason names paths, hosts and users."""
# Shopify waits 5 s. Statements time out after 3 s; this deadline also covers a connection that hangs.
_DEADLINE_S = 3.5
_THREADS = 3


class Inbox:
    """Runs work on the database, with a deadline."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="inbox")

    def run(self, work: Callable[[Engine], Result]) -> Result:
        """The result of `work`; raises `DatabaseAway` if it is late. Late work may still be committed."""
        future = self._threads.submit(copy_context().run, work, self.engine)  # its log lines contain the request's id
        try:
            return future.result(_DEADLINE_S)
        except TooLate:
            future.cancel()
            raise DatabaseAway(f"the database of DATABASE_URL did not answer within {_DEADLINE_S:g} s") from None
