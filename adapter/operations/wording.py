"""Numbers with their nouns, for messages; times, for programs."""

from datetime import datetime

from mappings import timestamp


def counted(number: int, one: str = "delivery", many: str = "deliveries") -> str:
    """A number with its noun: `1 delivery`, `2,000 deliveries`."""
    return f"{number:,} {one if number == 1 else many}"


def instant(moment: datetime) -> str:
    """A time in JSON: ISO 8601 in UTC, always to the second, as in `2026-01-31T12:00:00Z`."""
    return timestamp(moment.replace(microsecond=0))


def instant_or_none(moment: datetime | None) -> str | None:
    """The same where there may be none."""
    return instant(moment) if moment else None
