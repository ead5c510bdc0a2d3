"""The types and options that several commands share."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import click

from adapter.cli import completion

MOST = 2**63 - 1  # the largest whole number of both databases
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document per line, for programs.")
PARENT = click.option("--parent", type=int, hidden=True, help="End when this process is gone.")
SANDBOX_URL = click.option("--sandbox-url", default="", hidden=True, help="Send to the sandbox at this address.")
STORE = click.option("--store", default="", metavar="NAME", shell_complete=completion.stores, help="Only this store.")


class Moment(click.ParamType[datetime]):
    """A time in ISO 8601, in UTC unless it has an offset."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time, in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} isn't a time such as 2026-01-31, 2026-01-31T12:00 (UTC) or 2026-01-31T12:00+02:00", param, ctx)


class WholeNumber(click.ParamType[int]):
    """A whole number, in digits only."""

    name = "number"

    def __init__(self, lowest: int, highest: int = MOST, what: str = "") -> None:
        """`what` is what such a number is, for a message."""
        self._lowest, self._highest = lowest, highest
        self._what = what or (f"a whole number from {lowest:,}" + (f" to {highest:,}" if highest < MOST else ""))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        text = str(value)
        if not (text.isascii() and text.isdecimal() and len(text) < 20 and self._lowest <= int(text) <= self._highest):
            self.fail(f"{text!r} isn't {self._what}", param, ctx)
        return int(text)


TIME = Moment()
TIME_HELP = "2026-01-31 or 2026-01-31T12:00 in UTC, or with an offset such as 2026-01-31T12:00+02:00."
ROW = WholeNumber(0, what="an id")
"""A row's id."""
LIMIT = click.option("--limit", default=50, show_default=True, type=WholeNumber(1, 1_000_000), metavar="N", help="At most this many.")


def url(value: str) -> str:
    """An absolute http(s) address, or nothing."""
    from mappings import absolute_url  # noqa: PLC0415 - it comes with marshmallow, which not every user of this module needs

    if value and not (absolute_url(value) and _has_port(value)):
        raise click.BadParameter(f"{value!r} isn't an address such as http://127.0.0.1:8000")
    return value


def listening_address(value: str) -> str:
    """Where to listen; without a host, at every address of the machine."""
    if not value:
        return ""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise click.BadParameter(f"{value!r} isn't HOST:PORT, such as 127.0.0.1:8000")
    return f"{host or '0.0.0.0'}:{port}"  # noqa: S104 - asked for


def require_period(since: datetime | None, until: datetime | None) -> None:
    """Refuse a period that can contain nothing: it would look as if nothing were there."""
    if since is not None and since > datetime.now(UTC):
        raise click.BadParameter(f"{since:%Y-%m-%dT%H:%M} is in the future", param_hint="--since")
    if since is not None and until is not None and until <= since:
        raise click.BadParameter("isn't later than --since", param_hint="--until")


def _has_port(url: str) -> bool:
    """Whether the port can be one, and the host has no space in it."""
    try:
        parts = urlsplit(url)
        return parts.port != 0 and " " not in parts.netloc
    except ValueError:
        return False
