"""Times as people read them: in this machine's zone, or in UTC on request. Programs always get UTC."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

IN_UTC = click.option("--utc", "in_utc", is_flag=True, help="Show times in UTC instead of this machine's time zone.")
_WHEN = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d) UTC")


def shown(moment: datetime, *, in_utc: bool) -> str:
    """A time to the second, with its zone."""
    return f"{moment.astimezone(UTC if in_utc else None):%Y-%m-%d %H:%M:%S %Z}"


def in_short(moment: datetime, *, in_utc: bool) -> str:
    """The same where there is little room: without the date if it is today's, else without the time."""
    zone = UTC if in_utc else None
    there, today = moment.astimezone(zone), datetime.now(UTC).astimezone(zone).date()
    return f"{there:%H:%M:%S %Z}" if there.date() == today else f"{there:%Y-%m-%d}"


def localized(text: str, *, in_utc: bool) -> str:
    """A text with its times, which `adapter.operations.verdict.when` writes, in this machine's zone."""
    return text if in_utc else _WHEN.sub(_in_zone, text)


def _in_zone(found: re.Match[str]) -> str:
    return f"{datetime.fromisoformat(found[1]).replace(tzinfo=UTC).astimezone():%Y-%m-%d %H:%M %Z}"


def with_times(document: Mapping[str, Any], *, in_utc: bool) -> dict[str, Any]:
    """A document for people: its times, which are ISO 8601 in UTC for programs, as `shown` writes them."""
    return {
        name: of_text(value, in_utc=in_utc) if name.endswith("at") and isinstance(value, str) else value for name, value in document.items()
    }


def of_text(text: str, *, in_utc: bool) -> str:
    """A time in ISO 8601 as `shown` writes it."""
    return shown(datetime.fromisoformat(text), in_utc=in_utc)
