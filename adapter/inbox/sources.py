"""Rebuilds from a delivery's row what its provider needs to read the payload."""

import json
import traceback
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from adapter.settings import Settings, Store
from mappings import Context, Provider

MOST_STARTS = 3
"""A delivery on which work was started so often, and never finished, is dead: it crashes senders."""


NOT_FETCHED = "the payload lacks required fields, and the complete order could not be fetched from the store"


@dataclass(frozen=True, slots=True)
class Source:
    """The store of a delivery, and the context that came with its payload."""

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
    """The problem of a delivery that caused an internal error: the exception's type and place. Its message may quote the payload."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "an unknown place"
    what = f"{type(error).__name__} at {place}: an internal error of the adapter"
    return {"": [f"{what}; please report it, and retry the delivery after an update"]}


def not_fetched(why: str) -> dict[str, list[str]]:
    """The problem of a delivery that lacks fields which its store's API didn't return within a day."""
    return {"": [f"{NOT_FETCHED}: {why}"]}


def too_often() -> dict[str, list[str]]:
    """The problem of a delivery on which work was started repeatedly and never finished."""
    what = f"processing was started {MOST_STARTS} times and never finished"
    return {"": [f"{what}: this payload probably crashes the sender. Please report it"]}
