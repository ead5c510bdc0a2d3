"""Work beside reading and sending, in small pieces: stores' requests about personal data, and an hourly purge.

Done by whoever holds the reader's lease. Each piece can be interrupted anywhere and repeated safely.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, and_, select

from adapter.errors import DatabaseAway
from adapter.inbox import reading, settling, sources
from adapter.inbox.clock_steps import end_future, has_future
from adapter.inbox.database import Clock, snapshot, transaction
from adapter.inbox.email_digests import has_plain_digests, key_plain_digests
from adapter.inbox.erasure import REDACTED, erase, flush, is_request, next_request
from adapter.inbox.forgotten import remember_forgotten
from adapter.inbox.packing import LOCKED, is_locked
from adapter.inbox.retention import PIECE, Purged, Retention, delete_products
from adapter.inbox.tables import deliveries, products
from adapter.monitoring.error_reporting import report
from adapter.operations.forget import Search, Shopper, erase_found
from adapter.operations.wording import counted
from adapter.settings import Settings
from mappings import Compliance, Reason, Rejected, Skip, parse

log = logging.getLogger(__name__)
PURGES_EVERY = timedelta(hours=1)
_MOST_IDS = 200
_LOOKED_AT = 50
_LOOKS_AHEAD_EVERY = timedelta(seconds=20)


class Maintenance:
    """Does one piece of work per `step`."""

    def __init__(self, engine: Engine, settings: Settings, clock: Clock) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._stores = settings.stores
        self._retention = Retention(engine, settings)
        self._purged_at: datetime | None = None
        self._looked_ahead_at: datetime | None = None
        self._work: Iterator[None] | None = None
        self._request: int | None = None

    def step(self) -> bool:
        """Do the next piece; whether there may be more to do."""
        try:
            self._work = self._work or self._next()
            if self._work is None:
                return False
            next(self._work)
        except StopIteration:
            self._work = self._request = None
        except DatabaseAway:  # starts over; the request is not to blame
            self._work = None
            raise
        except Exception as error:
            self._work = None
            self._give_up(error)
            raise
        return True

    def _next(self) -> Iterator[None] | None:
        with snapshot(self._engine) as connection:
            self._clock.sync(connection)
            row = next_request(connection, self._stores)
        if row is not None:
            return self._comply(row)
        now = self._clock()
        self._end_future(now)
        if self._purged_at is not None and now - self._purged_at < PURGES_EVERY:
            return None
        self._purged_at = now
        return self._purge(now)

    def _end_future(self, now: datetime) -> None:
        if self._looked_ahead_at is not None and abs(now - self._looked_ahead_at) < _LOOKS_AHEAD_EVERY:
            return
        self._looked_ahead_at = now
        with snapshot(self._engine) as connection:
            found = has_future(connection, now)
        if found:
            with transaction(self._engine) as connection:
                count = end_future(connection, now)
            log.warning("the clock was set back: what it had postponed is due now", extra={"action": "clock_set_back", "count": count})

    def _purge(self, now: datetime) -> Iterator[None]:
        yield from self._key_digests()
        purged = Purged()
        for purged in self._retention.purge(now):  # noqa: B007 - the last one is logged
            yield
        if purged:
            log.info(f"{purged}", extra={"action": "purged"})

    def _key_digests(self) -> Iterator[None]:
        """Replace the digests that an earlier version stored. In pieces: each row is written again, payload and all."""
        while True:
            with snapshot(self._engine) as connection:
                some_left = has_plain_digests(connection)
            if not some_left:
                return
            with transaction(self._engine) as connection:
                key_plain_digests(connection, PIECE)
            yield

    # --- requests about personal data ----------------------------------------------------------------------------------------------------

    def _comply(self, row: Row[Any]) -> Iterator[None]:
        if self._request != row.id:
            self._request = row.id
            if row.starts >= sources.MOST_STARTS:
                return self._refuse(row, sources.too_often())
            with transaction(self._engine) as connection:
                reading.mark_started(connection, [row.id])
        source = sources.source_of(row, self._settings)
        if is_locked(row.payload):
            return self._refuse(row, {"": [LOCKED]})
        asked = source.provider.compliance(parse(row.payload), source.context)
        if asked is None:
            return self._refuse(row, {"": ["no longer recognised as a request about personal data: retry it"]})
        if other := self._other_shop(row.store, asked):
            why = f"it is about {asked.shop[:100]}, but store {row.store} belongs to {other}: send it to the address of that shop's store"
            return self._refuse(row, {"": [why]})
        return self._redact_shop(row) if asked.kind == "shop_redact" else self._about_shopper(row, asked)

    def _about_shopper(self, row: Row[Any], asked: Compliance) -> Iterator[None]:
        shopper = Shopper(address=asked.email, order_ids=asked.order_ids, marks=asked.marks)
        search = Search(self._engine, shopper, store=row.store)
        yield from search.run()
        found = search.found - {row.id}
        if asked.kind != "data_request":
            with transaction(self._engine) as connection:
                remember_forgotten(connection, asked.email, self._clock(), row.store)
            for _ in erase_found(self._engine, found, REDACTED, self._clock()):
                yield
        if search.locked:
            self._refuse(row, {"": [f"{counted(search.locked)} could not be searched: {LOCKED}, and retry this"]})
        elif asked.kind == "data_request":
            self._done(row, "data_request", _answer(found), logging.WARNING)
        else:
            self._done(row, "redacted", f"customers/redact: erased {counted(len(found))} of {counted(search.orders, 'order', 'orders')}")

    def _redact_shop(self, row: Row[Any]) -> Iterator[None]:
        after, erased = 0, 0
        while True:
            with snapshot(self._engine) as connection:
                some = _deliveries_after(connection, row.store, after)
            mine = {each.id for each in some if not is_request(each)}
            for number in erase_found(self._engine, mine, REDACTED, self._clock()):
                erased += number
                yield
            if len(some) < PIECE:
                break
            after = some[-1].id
        while True:
            with transaction(self._engine) as connection:
                gone = delete_products(connection, products.c.store == row.store)
            yield
            if gone < PIECE:
                break
        self._done(row, "redacted", f"shop/redact: erased {counted(erased)} of the store, and its products")

    def _other_shop(self, store: str, asked: Compliance) -> str:
        """The shop that the store's deliveries come from, if it differs: an app sends the requests of all its shops to one address."""
        with snapshot(self._engine) as connection:
            newest = select(deliveries.c.headers).where(deliveries.c.store == store, deliveries.c.order_id.is_not(None))
            rows = connection.execute(newest.order_by(deliveries.c.id.desc()).limit(_LOOKED_AT)).scalars()
            known = {name.lower() for headers in rows if (name := _shop(json.loads(headers), asked))}
        return "" if not known or not asked.shop or asked.shop.lower() in known else min(known)

    def _done(self, row: Row[Any], action: str, detail: str, level: int = logging.INFO) -> None:
        with transaction(self._engine) as connection:
            settling.skip(connection, row.id, Skip(Reason.NOT_AN_ORDER, detail), self._clock())
            erase(connection, [row.id])
        if not flush(self._engine):
            log.warning("the write-ahead log is in use: erased data will be removed from it later", extra={"action": "not_flushed"})
        log.log(level, detail, extra={"action": action, "delivery": row.id, "store": row.store})

    def _refuse(self, row: Row[Any], problems: dict[str, list[str]]) -> Iterator[None]:
        with transaction(self._engine) as connection:
            settling.kill(connection, row.id, problems, self._clock())
        log.warning(
            "a request about personal data could not be fulfilled", extra={"action": "dead", "delivery": row.id, "store": row.store}
        )
        return iter(())

    def _give_up(self, error: Exception) -> None:
        """Settle a request that fails, so that it does not block the others and the purge."""
        if self._request is None:
            return
        if isinstance(error, Rejected):
            problems: Mapping[str, Sequence[str]] = error.problems
        else:
            report(error)
            problems = sources.crash(error)
        with transaction(self._engine) as connection:
            settling.kill(connection, self._request, problems, self._clock())
        log.warning("a request about personal data could not be fulfilled", extra={"action": "dead", "delivery": self._request})


def _deliveries_after(connection: Any, store: str, after: int) -> list[Row[Any]]:
    columns = (deliveries.c[name] for name in ("id", "state", "read_at", "order_id"))
    which: ColumnElement[bool] = and_(deliveries.c.store == store, deliveries.c.id > after)
    return list(connection.execute(select(*columns).where(which).order_by(deliveries.c.id).limit(PIECE)))


def _shop(headers: Mapping[str, str], asked: Compliance) -> str:
    return next((headers[name] for name in asked.shop_headers if headers.get(name)), "")


def _answer(found: set[int]) -> str:
    if not found:
        return "customers/data_request: nothing is stored about this shopper; please tell the merchant"
    ids = ", ".join(str(each) for each in sorted(found)[:_MOST_IDS])
    more = f" and {len(found) - _MOST_IDS} more" if len(found) > _MOST_IDS else ""
    return f"customers/data_request: deliveries {ids}{more} hold data of this shopper; please send their payloads to the merchant"
