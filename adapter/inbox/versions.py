"""Which of two snapshots of an order is newer."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Row

_CLOCK_TOLERANCE = timedelta(minutes=10)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, order=True, slots=True)
class Version:
    """The store's own time of a snapshot, then the provider's rank of progress, then the order of arrival.

    Stores stamp whole seconds, so that two changes within one second carry the same time.
    """

    snapshot_at: datetime
    progress: tuple[Decimal, ...]
    delivery_id: int


def trusted(snapshot_at: datetime | None, received_at: datetime) -> datetime | None:
    """A snapshot's time, or None if it is too far ahead of our clock to be true."""
    return snapshot_at if snapshot_at is not None and snapshot_at <= received_at + _CLOCK_TOLERANCE else None


def newest_known(rows: Iterable[Row[Any]], has: Row[Any] | None) -> datetime:
    """The newest time among an order's snapshots. A snapshot without a time counts as equal to it."""
    times = [row.snapshot_at for row in (*rows, has) if row is not None and row.snapshot_at is not None]
    return max(times, default=_LONG_AGO)


def version_of(row: Row[Any], newest: datetime) -> Version:
    """The version of a delivery, or of what Drip has; `newest` is the newest time among the order's snapshots."""
    delivery_id = row.delivery_id if hasattr(row, "delivery_id") else row.id
    return Version(row.snapshot_at or newest, progress_of(row), delivery_id)


def progress_of(row: Row[Any]) -> tuple[Decimal, ...]:
    """The rank of progress that the reader found in a delivery."""
    ranks: Sequence[str] = json.loads(row.progress or "[]")
    return tuple(Decimal(rank) for rank in ranks)
