"""Past orders, from a store's own API through the same inbox as its webhooks, at the lowest priority."""

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
KEPT_SO_FAR = "what has been read so far is kept, and the same command goes on from there"
# Shopify lets an app ask for some 80 variants, and then for as many each nine seconds; a page of orders may be of some hundred.
_CATALOG_PATIENCE_S = 45.0
_DATABASE_PATIENCE_S = 60.0
_BETWEEN_TRIES_S = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backfill has come. `total` is None where the store does not say."""

    found: int
    kept: int
    never_heard_of: int
    """Orders of which no webhook had ever come, among those that this run has read."""
    total: int | None
    note: str = ""


def required_history(store: Store, settings: Settings) -> History:
    """The way to a store's past orders; raises `WorkFailed` with the settings that are missing."""
    history = history_of(store, settings)
    if history is None:
        platform = platforms().get(store.provider.name)
        needed = f"set {' or '.join(platform.credentials)}" if platform else f"{store.provider.title} has none that we know"
        raise WorkFailed(f"past orders are read from the API of store {store.name}, which needs its address and credentials: {needed}")
    return history


class Backfill:
    """One reading of a store's past orders: page by page into the inbox, from where it broke off."""

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
        """Whether an earlier run had begun it."""
        return bool(self._past.cursor)

    def run(self) -> Iterator[Progress]:
        """Keep page after page, and tell after each how far it has come; raises `WorkFailed` if the store's API fails."""
        never_heard_of = 0
        try:
            total = self._history.count(self._window)
            yield self._progress(never_heard_of, total)
            for page in self._history.pages(self._window, self._past.cursor):
                never_heard_of += self._keep_patiently(page)
                yield self._progress(never_heard_of, total)
        except StoreTrouble as trouble:
            raise WorkFailed(f"{trouble}; {KEPT_SO_FAR}") from trouble
        with transaction(self._engine) as connection:
            backfills.close_past(connection, self._store.name, self._name, datetime.now(UTC))
        yield self._progress(never_heard_of, total)

    def _progress(self, never_heard_of: int, total: int | None) -> Progress:
        return Progress(self._past.found, self._past.kept, never_heard_of, total, self._history.note(self._window))

    def _keep_patiently(self, page: Page) -> int:
        """Keep a page as soon as the database takes it: unlike with a webhook nobody waits for our answer."""
        until = time.monotonic() + _DATABASE_PATIENCE_S
        while True:
            try:
                return self._keep(page)
            except DatabaseAway as away:
                if time.monotonic() >= until:
                    raise WorkFailed(f"{away}; {KEPT_SO_FAR}") from away
                time.sleep(_BETWEEN_TRIES_S)

    def _keep(self, page: Page) -> int:
        """Keep a page's orders that tell anything new; how many of them nobody had heard of."""
        snapshots = [self._read(payload) for payload in page.orders]
        self._catalog.complete([(self._store, order) for _, order in snapshots if order is not None], _CATALOG_PATIENCE_S)
        past = [past for past, _ in snapshots]
        account = self._store.account.id if self._store.account else ""
        with transaction(self._engine) as connection:
            known = backfills.known_orders(connection, self._store.names, account, past)
            new = [each for each in past if not known.covers(each)]
            kept = backfills.keep_past(connection, self._store.name, account, TOPIC, new, datetime.now(UTC))
            self._past = backfills.move_on(connection, self._past, page.cursor, found=len(past), kept=kept)
        return sum(order is not None and not known.includes(each) for each, order in snapshots)

    def _read(self, payload: bytes) -> tuple[Past, Order | None]:
        """An order's id and version, and the order itself for the catalog where it can be mapped."""
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
        except Exception:  # noqa: BLE001 - the reader will say so, with the reasons; one order must not keep all others from being read
            return Past(payload, digest, "", None), None


def _name(window: Window) -> str:
    return json.dumps({key: timestamp(value) for key, value in asdict(window).items() if value is not None}, sort_keys=True)
