"""Finds and erases the personal data of one shopper. The rows stay, and so does the record of what Drip has of each order.

It finds deliveries with the shopper's address, deliveries of the given orders, and every payload or body that contains the address; then
all other deliveries of the same orders, and the bodies they were split from.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, func, select, true

from adapter.inbox.database import snapshot, transaction
from adapter.inbox.email_digests import digests_of
from adapter.inbox.erasure import erase, give_up, is_request
from adapter.inbox.packing import is_locked
from adapter.inbox.sql import parts
from adapter.inbox.tables import attempts, deliveries
from mappings import Rejected, lookup, parse, texts_in, written_forms

log = logging.getLogger(__name__)
_AT_ONCE = 50
"""Payloads in memory at a time; each may be 5 MB."""
_PIECE = 200


@dataclass(frozen=True, kw_only=True)
class Shopper:
    """How a shopper is identified. None of it is ever logged."""

    address: str = field(default="", repr=False)
    order_ids: Sequence[str] = ()
    marks: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Path -> value found there only in this shopper's payloads."""

    def is_in(self, content: bytes) -> bool:
        """Whether a payload or body contains the address, in any case, encoding and escaping, or one of the marks."""
        text = content.decode("utf-8", "replace")
        if not self._may_be_in(text):
            return False
        try:
            document = parse(content)
        except Rejected:
            return self._is_named(text.replace("\\u0040", "@").replace("\\/", "/"))
        return any(self._is_named(each) for each in texts_in(document)) or any(
            str(value) == mark for path, mark in self.marks.items() if (value := lookup(document, path)) is not None
        )

    def _may_be_in(self, text: str) -> bool:
        """A quick check that saves parsing most payloads."""
        if any(mark in text for mark in self.marks.values()):
            return True
        if not self.address:
            return False
        lower = text.replace("\\/", "/").lower()
        return "\\u" in text or "%40" in text or any(form in lower for form in self._forms)

    def _is_named(self, text: str) -> bool:
        if not self.address or ("@" not in text and "%40" not in text):
            return False
        return bool(self._whole.search(text) or ("%40" in text and self._whole.search(unquote(text))))

    @cached_property
    def _forms(self) -> list[str]:
        return sorted(written_forms(self.address))

    @cached_property
    def _whole(self) -> re.Pattern[str]:
        """The address, but not as part of a longer one."""
        forms = "|".join(map(re.escape, self._forms))
        return re.compile(rf"(?<![\w.+-])(?:{forms})(?![\w-]|\.\w)", re.IGNORECASE)


class Search:
    """One search for a shopper, in one store or all of them.

    Requests about personal data that are still waiting are not included: each erases itself once done.
    """

    def __init__(self, engine: Engine, shopper: Shopper, *, store: str = "") -> None:
        self._engine = engine
        self._shopper = shopper
        self._of_store: ColumnElement[bool] = deliveries.c.store == store if store else true()
        self.found: set[int] = set()
        self.orders = 0
        """How many orders the deliveries found belong to."""
        self._locked: set[int] = set()
        self.seen = 0
        self.total = 0
        """How much has been searched, and how much there is, for a progress bar."""

    def run(self) -> Iterator[None]:
        """Search piece by piece."""
        with snapshot(self._engine) as connection:
            ends = [connection.execute(select(func.max(table.c.id))).scalar() or 0 for table in (deliveries, attempts)]
            self.total = sum(ends)
            self.found |= self._by_index(connection)
        yield
        for scan, before in ((_some_payloads, 0), (_some_bodies, ends[0])):
            after: int | None = 0
            while after is not None:
                with snapshot(self._engine) as connection:
                    rows = scan(connection, self._of_store, after)
                self._locked |= {row.delivery for row in rows if is_locked(row.content)}
                self.found |= {row.delivery for row in rows if row.delivery not in self.found and self._shopper.is_in(row.content)}
                after = rows[-1].place if len(rows) == _AT_ONCE else None
                self.seen = before + (after or 0)
                yield
        with snapshot(self._engine) as connection:
            self._extend(connection)
        self.seen = self.total

    @property
    def locked(self) -> int:
        """How many other deliveries may hold data of the shopper: no key opens their payload or body."""
        return len(self._locked - self.found)

    def _by_index(self, connection: Connection) -> set[int]:
        chosen: set[int] = set()
        chosen |= self._ids(connection, deliveries.c.email_digest.in_(digests_of(connection, self._shopper.address)))
        for some in parts(self._shopper.order_ids):
            chosen |= self._ids(connection, deliveries.c.order_id.in_(some))
        return chosen

    def _ids(self, connection: Connection, which: ColumnElement[bool]) -> set[int]:
        return set(connection.execute(select(deliveries.c.id).where(which, self._of_store)).scalars())

    def _extend(self, connection: Connection) -> None:
        """Add the other deliveries of the orders found, and the bodies they were split from."""
        lanes: dict[str, set[str]] = {}
        for row in self._rows(connection, self.found):
            if row.order_id is not None:
                lanes.setdefault(row.store, set()).add(row.order_id)
        for store, order_ids in lanes.items():
            for some in parts(sorted(order_ids)):
                self.found |= self._ids(connection, and_(deliveries.c.store == store, deliveries.c.order_id.in_(some)))
        parents = {row.parent_id for row in self._rows(connection, self.found) if row.parent_id is not None}
        self.found |= {row.id for row in self._rows(connection, parents)}
        self.orders = sum(len(order_ids) for order_ids in lanes.values())

    def _rows(self, connection: Connection, ids: set[int]) -> Iterator[Row[Any]]:
        columns = (deliveries.c[name] for name in ("id", "store", "order_id", "parent_id"))
        chosen = select(*columns)
        for some in parts(sorted(ids)):
            yield from connection.execute(chosen.where(deliveries.c.id.in_(some)))


@dataclass(frozen=True, slots=True)
class _Content:
    """A payload or body and its delivery; blank once erased."""

    place: int
    delivery: int
    content: bytes = field(repr=False)


def _some_payloads(connection: Connection, which: ColumnElement[bool], after: int) -> list[_Content]:
    columns = (deliveries.c[name] for name in ("id", "state", "read_at", "order_id", "payload"))
    rows = connection.execute(select(*columns).where(deliveries.c.id > after, which).order_by(deliveries.c.id).limit(_AT_ONCE))
    return [_Content(row.id, row.id, b"" if is_request(row) else row.payload or b"") for row in rows]


def _some_bodies(connection: Connection, which: ColumnElement[bool], after: int) -> list[_Content]:
    joined = select(attempts.c.id, attempts.c.delivery_id, attempts.c.body).join(deliveries, deliveries.c.id == attempts.c.delivery_id)
    rows = connection.execute(joined.where(attempts.c.id > after, which).order_by(attempts.c.id).limit(_AT_ONCE))
    return [_Content(row.id, row.delivery_id, row.body or b"") for row in rows]


def erase_found(engine: Engine, found: set[int], why: str, at: datetime) -> Iterator[int]:
    """Erase these deliveries' personal data in batches, yielding the size of each. Pending ones can no longer be sent and become dead."""
    for some in parts(sorted(found), _PIECE):
        with snapshot(engine) as connection:
            waiting = and_(deliveries.c.id.in_(some), deliveries.c.state == "pending")
            pending = connection.execute(select(deliveries.c.id).where(waiting)).scalars().all()
        for delivery in pending:  # one at a time, to avoid a deadlock with a sender settling several of them
            with transaction(engine) as connection:
                given_up = give_up(connection, delivery, why, at)
            if given_up:
                log.warning(why, extra={"action": "dead", "delivery": delivery})
        with transaction(engine) as connection:
            erase(connection, some)
        yield len(some)
