"""Which snapshot of an order is the newest."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Row

TOGETHER = timedelta(minutes=1)
"""Webhooks about one change arrive within this time of each other, in any order."""
_CLOCK_TOLERANCE = timedelta(minutes=10)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A snapshot's place in its order's history."""

    snapshot_at: datetime
    """The store's own time of the snapshot. Stores stamp whole seconds, so two changes may carry the same time."""
    progress: tuple[Decimal, ...]
    """The provider's rank of how far the order had come."""
    received_at: datetime
    delivery_id: int

    def overtakes(self, earlier: "Version") -> bool:
        """Whether this is newer than a version that arrived before it.

        With equal times, progress decides between snapshots that arrived together, since webhooks overtake each other. A snapshot that
        arrived later shows what the store made of the order since, even with less progress: neither deleting a refund nor restoring a line
        moves WooCommerce's `date_modified`.
        """
        if self.snapshot_at != earlier.snapshot_at:
            return self.snapshot_at > earlier.snapshot_at
        return self.progress >= earlier.progress or self.received_at - earlier.received_at > TOGETHER


def newest_of(versions: Iterable[Version]) -> Version:
    """The newest of an order's versions: each is compared, in the order of arrival, with the newest before it."""
    newest, *later = sorted(versions, key=lambda version: (version.received_at, version.delivery_id))
    for version in later:
        if version.overtakes(newest):
            newest = version
    return newest


def trusted(snapshot_at: datetime | None, received_at: datetime) -> datetime | None:
    """A snapshot's time, or None if it is too far ahead of our clock to be true."""
    return snapshot_at if snapshot_at is not None and snapshot_at <= received_at + _CLOCK_TOLERANCE else None


def latest_time(rows: Iterable[Row[Any] | None]) -> datetime:
    """The latest time among an order's snapshots. A snapshot without a time counts as having this one."""
    times = [row.snapshot_at for row in rows if row is not None and row.snapshot_at is not None]
    return max(times, default=_LONG_AGO)


def version_of(row: Row[Any], latest: datetime) -> Version:
    """The version of a row of `deliveries`; `latest` is the latest time among the order's snapshots."""
    return Version(snapshot_at=row.snapshot_at or latest, progress=progress_of(row), received_at=row.received_at, delivery_id=row.id)


def version_at_drip(row: Row[Any], latest: datetime) -> Version:
    """The version in a row of `orders`. Without the time of its arrival it is taken to have arrived when Drip got it, which is later."""
    return Version(
        snapshot_at=row.snapshot_at or latest,
        progress=progress_of(row),
        received_at=row.received_at or row.updated_at,
        delivery_id=row.delivery_id,
    )


def progress_of(row: Row[Any]) -> tuple[Decimal, ...]:
    """The rank of progress that the reader found in a delivery."""
    ranks: Sequence[str] = json.loads(row.progress or "[]")
    return tuple(Decimal(rank) for rank in ranks)
