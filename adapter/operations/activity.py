"""What is waiting and what happened recently, in numbers: shown by the dashboard's overview and by `status`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from adapter.inbox import charts, figures
from adapter.inbox.charts import Span
from adapter.operations.facts import Facts
from adapter.operations.waiting import Waiting, oldest
from adapter.operations.wording import instant, instant_or_none
from adapter.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """Numbers for a span of time, and for right now."""

    waiting: Mapping[str, Waiting]
    oldest: datetime | None
    """Since when the oldest unread or due delivery has been waiting."""
    counts: Mapping[str, list[int]]
    """`kept`, `delivered`, `skipped` or `dead` -> how many in each step of the span."""
    starts: list[datetime]
    times: tuple[timedelta, timedelta] | None
    """From webhook to Drip: the median and the 95th percentile."""
    quotas: Mapping[str, list[figures.Quota]]


def read_activity(connection: Connection, configured: Settings, facts: Facts, span: Span) -> Activity:
    """Read the numbers from the database, but for those that the facts already contain."""
    at, waiting = facts.now, {name: store.waiting for name, store in facts.stores.items()}
    begin = span.begin(at)
    leases = {row.account: row for row in figures.all_leases(connection)}
    return Activity(
        waiting=waiting,
        oldest=oldest(each.since for each in waiting.values()),
        counts=charts.over_time(connection, span, at),
        starts=[begin + span.step * index for index in range(span.steps)],
        times=charts.times_to_drip(connection, begin),
        quotas=figures.quotas(connection, configured, leases, at),
    )


def document(found: Activity, span: Span) -> dict[str, Any]:
    """The numbers as `status --json` prints them."""
    return {
        "waiting": {name: {"now": each.now, "later": each.later} for name, each in found.waiting.items()},
        "oldest_waiting": instant_or_none(found.oldest),
        "quotas": {
            name: {quota.kind: {key: value for key, value in asdict(quota).items() if key != "kind"} for quota in quotas}
            for name, quotas in found.quotas.items()
        },
        "to_drip": {"median_s": _seconds(found.times[0]), "within_95_of_100_s": _seconds(found.times[1])} if found.times else None,
        "over_time": {"span": span.name, "from": [instant(moment) for moment in found.starts], **found.counts},
    }


def _seconds(length: timedelta) -> float:
    return round(length.total_seconds(), 3)
