"""What waits and what happened lately, in figures: what the dashboard's overview and `status --json` say alike."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from adapter.inbox import charts, figures
from adapter.inbox.charts import Span
from adapter.settings import Settings
from mappings import timestamp


@dataclass(frozen=True, kw_only=True, slots=True)
class Recent:
    """The figures of a span of time, and of now."""

    waits: Mapping[str, tuple[int, int]]
    """Per store how many could be sent now or are to be read, and how many wait for their time."""
    oldest: datetime | None
    """Since when the oldest of those that could be sent, or are to be read, has waited."""
    counts: Mapping[str, list[int]]
    """Kept, delivered, skipped, dead -> how many in each step of the span."""
    starts: list[datetime]
    times: tuple[timedelta, timedelta] | None
    """From a webhook to Drip: the median, and within which 95 of 100 were there."""
    quotas: Mapping[str, list[figures.Quota]]


def recent(connection: Connection, configured: Settings, stores: list[str], span: Span, at: datetime) -> Recent:
    """Look into the database for them."""
    unread = figures.unread(connection)
    backlogs = {name: figures.backlog(connection, name, at) for name in stores}
    since = [moment for _, moment in unread.values()] + [each.due_since for each in backlogs.values() if each.due_since]
    begin = span.begin(at)
    leases = {row.account: row for row in figures.all_leases(connection)}
    return Recent(
        waits={name: (backlogs[name].due + unread.get(name, (0, None))[0], backlogs[name].later) for name in stores},
        oldest=min(since, default=None),
        counts=charts.over_time(connection, stores, span, at),
        starts=[begin + span.step * index for index in range(span.steps)],
        times=charts.times_to_drip(connection, begin),
        quotas={name: figures.quotas(connection, configured, name, leases.get(name), at) for name in configured.accounts},
    )


def document(found: Recent, span: Span) -> dict[str, Any]:
    """What was found, as `status --json` prints it."""
    return {
        "waiting": {name: {"now": now, "later": later} for name, (now, later) in found.waits.items()},
        "oldest_waiting": timestamp(found.oldest) if found.oldest else None,
        "quotas": {
            name: {quota.kind: {key: value for key, value in asdict(quota).items() if key != "kind"} for quota in quotas}
            for name, quotas in found.quotas.items()
        },
        "to_drip": {"median_s": _seconds(found.times[0]), "within_95_of_100_s": _seconds(found.times[1])} if found.times else None,
        "over_time": {"span": span.name, "from": [timestamp(moment) for moment in found.starts], **found.counts},
    }


def _seconds(length: timedelta) -> float:
    return round(length.total_seconds(), 3)
