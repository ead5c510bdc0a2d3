"""What a store's deliveries show about its webhooks that the store's own list of them does not."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from adapter.errors import DatabaseAway
from adapter.inbox import arrivals, figures
from adapter.inbox.database import snapshot
from adapter.inbox.lost_orders import lost_orders
from adapter.inbox.schema_version import is_migrated
from adapter.operations.verdict import when
from adapter.operations.wording import counted
from adapter.settings import Store
from adapter.stores.api import Registry, Webhook
from adapter.stores.registration import Fault
from mappings import Verdict

# A store records a delivery shortly after it has arrived here.
_NOTED_WITHIN = timedelta(seconds=20)
_REFUSED = "webhooks are signed with another secret, and refused"


@dataclass(frozen=True, slots=True)
class Experience:
    """What has arrived by a store's webhooks."""

    fault: Fault | None = None
    last_at: datetime | None = None
    """When the newest genuine one arrived."""

    def failing(self, webhook: Webhook) -> str:
        """Why deliveries by a webhook that looks right seem to be failing; "" if they don't.

        WooCommerce saves a webhook after each delivery, whether it succeeded or not (`log_delivery`), but lists no count of failures.
        """
        if webhook.failures:
            return f"{counted(webhook.failures)} in a row {'has' if webhook.failures == 1 else 'have'} failed"
        made, used = webhook.created_at, webhook.used_at
        if made is None or used is None or used - made <= _NOTED_WITHIN:
            return ""
        if self.last_at is not None and used - self.last_at <= _NOTED_WITHIN:
            return ""
        arrived = f"since {when(self.last_at)}" if self.last_at else "yet"
        return f"the store last used it at {when(used)}, and nothing has arrived here {arrived}"


def experience_of(engine: Engine, store: Store, registry: Registry) -> Experience:
    """What a store's deliveries show; nothing if the database can't be read."""
    try:
        if not is_migrated(engine):
            return Experience()
        with snapshot(engine) as connection:
            last_at = arrivals.last_arrival(connection, store.name)
            return Experience(_fault(connection, store, registry, last_at), last_at)
    except DatabaseAway:
        return Experience()


def refused_since(last_refusal: datetime, last_at: datetime | None) -> bool:
    """Whether nothing genuine has arrived since the last refusal."""
    return last_at is None or last_refusal > last_at


def _fault(connection: Connection, store: Store, registry: Registry, last_at: datetime | None) -> Fault | None:
    if lost := lost_orders(connection, [store.name]).get(store.name):
        return Fault(lost.why, lost.last_at)
    if not registry.chooses_secret:
        return None
    refused = [row.last_at for row in figures.all_refusals(connection) if row.store == store.name and row.reason == Verdict.MISMATCH]
    return next((Fault(_REFUSED, moment) for moment in refused if refused_since(moment, last_at)), None)
