"""From a delivery's row back to what its provider reads."""

import json
import traceback
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from adapter.settings import Settings, Store
from mappings import Context, Provider

MOST_STARTS = 3
"""A delivery on which work was started so often, and never finished, is dead: it crashes senders."""


@dataclass(frozen=True, slots=True)
class Source:
    """The store of a delivery and what came with its payload."""

    store: Store
    context: Context

    @property
    def provider(self) -> Provider:
        """The store's platform."""
        return self.store.provider


def source_of(row: Row[Any], settings: Settings) -> Source:
    """The store and context of a delivery; its store must be configured."""
    store = settings.store(row.store)
    if store is None:
        raise LookupError(f"store {row.store} is not configured")
    context = Context(topic=row.topic, headers=json.loads(row.headers), received_at=row.received_at, options=store.options)
    return Source(store, context)


def crash(error: Exception) -> dict[str, list[str]]:
    """An internal error, as a delivery's problem: the exception's type and place, never its message, which may quote the payload."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "an unknown place"
    return {"": [f"{type(error).__name__} at {place}: a fault of the adapter; please report it, and retry the delivery after an update"]}


def too_often() -> dict[str, list[str]]:
    """The problem of a delivery that was begun again and again and ended the sender each time."""
    return {"": [f"begun {MOST_STARTS} times and never ended: it stops the sender that reads it"]}
