"""Past orders: read from a store's API into the same inbox as its webhooks, at the lowest priority."""

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine

from adapter.catalog.catalog import Catalog
from adapter.errors import DatabaseAway, WorkFailed
from adapter.inbox import backfills
from adapter.inbox.backfills import Past
from adapter.inbox.database import transaction
from adapter.inbox.versions import trusted
from adapter.settings import Settings, Store
from adapter.stores.api import History, Page, Window
from adapter.stores.http import StoreTrouble
from adapter.stores.platforms import history_of, platforms
from mappings import Context, Order, timestamp

log = logging.getLogger(__name__)
TOPIC = ""
KEPT_SO_FAR = "everything read so far is stored; run the same command again to resume"
# Shopify's rate limit allows about 80 variants at once, then as many every nine seconds; a page of orders may need a few hundred.
_CATALOG_TIMEOUT_S = 45.0
_DATABASE_TIMEOUT_S = 60.0
_BETWEEN_TRIES_S = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backfill has got. `total` is None if the store doesn't report it."""

    found: int
    kept: int
    """Those kept to be sent: new to Drip, or changed since."""
    never_heard_of: int
    """Orders read in this run for which no webhook had ever arrived."""
    total: int | None
    note: str = ""


def required_history(store: Store, settings: Settings) -> History:
    """The API of a store's past orders; raises `WorkFailed` naming the missing settings."""
    history = history_of(store, settings)
    if history is None:
        platform = platforms().get(store.provider.name)
        needed = (
            f"set {' or '.join(platform.credentials)}" if platform else f"reading past orders isn't supported for {store.provider.title}"
        )
        raise WorkFailed(f"reading past orders requires the address of store {store.name} and credentials for its API: {needed}")
    return history


class Backfill:
    """One read of a store's past orders, page by page into the inbox; resumes where an earlier run stopped."""

    def __init__(self, engine: Engine, settings: Settings, store: Store, window: Window, *, again: bool = False) -> None:
        self._engine = engine
        self._store = store
        self._window = window
        self._history = required_history(store, settings)
        self._catalog = Catalog(engine, settings, lambda: datetime.now(UTC))
        self._name = _name(window)
        with transaction(engine) as connection:
            self._past = backfills.open_past(connection, store.name, self._name, datetime.now(UTC), again=again)

    @property
    def resumed(self) -> bool:
        """Whether an earlier run had already read some of it."""
        return bool(self._past.cursor)

    def run(self) -> Iterator[Progress]:
        """Store page after page and yield the progress after each; raises `WorkFailed` if the store's API fails."""
        never_heard_of = 0
        try:
            total = self._history.count(self._window)
            yield self._progress(never_heard_of, total)
            for page in self._history.pages(self._window, self._past.cursor):
                never_heard_of += self._keep_with_retries(page)
                yield self._progress(never_heard_of, total)
        except StoreTrouble as trouble:
            raise WorkFailed(f"{trouble}; {KEPT_SO_FAR}") from trouble
        with transaction(self._engine) as connection:
            backfills.close_past(connection, self._store.name, self._name, datetime.now(UTC))
        yield self._progress(never_heard_of, total)

    def _progress(self, never_heard_of: int, total: int | None) -> Progress:
        return Progress(self._past.found, self._past.kept, never_heard_of, total, self._history.note(self._window))

    def _keep_with_retries(self, page: Page) -> int:
        """Store a page, retrying while the database is away: unlike with a webhook, nobody is waiting for a response."""
        until = time.monotonic() + _DATABASE_TIMEOUT_S
        while True:
            try:
                return self._keep(page)
            except DatabaseAway as away:
                if time.monotonic() >= until:
                    raise WorkFailed(f"{away}; {KEPT_SO_FAR}") from away
                time.sleep(_BETWEEN_TRIES_S)

    def _keep(self, page: Page) -> int:
        """Store those of a page's orders that are new or changed; returns how many orders had never been seen before."""
        snapshots = [self._read(payload) for payload in page.orders]
        self._catalog.complete([(self._store, order) for _, order in snapshots if order is not None], _CATALOG_TIMEOUT_S)
        past = [past for past, _ in snapshots]
        account = self._store.account.id if self._store.account else ""
        with transaction(self._engine) as connection:
            known = backfills.known_orders(connection, self._store.names, account, past, datetime.now(UTC))
            new = [each for each in past if not known.covers(each)]
            kept = set(backfills.keep_past(connection, self._store.name, account, TOPIC, new, datetime.now(UTC)))
            # What is kept and then skipped, such as a draft, is not new to Drip.
            to_send = sum(order is not None and each in kept for each, order in snapshots)
            self._past = backfills.move_on(connection, self._past, page.cursor, found=len(past), kept=to_send)
        return sum(order is not None and not known.includes(each) for each, order in snapshots)

    def _read(self, payload: bytes) -> tuple[Past, Order | None]:
        """An order's id and version, and the mapped order for the catalog if it can be mapped."""
        now = datetime.now(UTC)
        provider = self._store.provider
        context = Context(topic=TOPIC, received_at=now, options=self._store.options)
        digest = hashlib.sha256(payload).hexdigest()
        try:
            [reading] = provider.readings(payload, context)
            if reading.identity is None:
                return Past(payload, digest, "", None), None
            moment = trusted(reading.identity.updated_at, now)
            past = Past(payload, digest, reading.identity.order_id, (moment, reading.identity.progress) if moment else None)
            return past, None if reading.skip(placed=reading.placed) else provider.map(reading, context)
        except Exception:  # noqa: BLE001 - the reader records the reasons; one bad order must not stop the rest
            return Past(payload, digest, "", None), None


def _name(window: Window) -> str:
    return json.dumps({key: timestamp(value) for key, value in asdict(window).items() if value is not None}, sort_keys=True)
