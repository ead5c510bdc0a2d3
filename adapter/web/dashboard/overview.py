"""The overview: is it working, what waits, and what happened lately."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import render_template, request
from sqlalchemy import Connection

from adapter.inbox import charts, figures
from adapter.inbox.charts import SPANS, Span
from adapter.overview import overview
from adapter.settings import Account, Settings
from adapter.web.dashboard.frame import blueprint, now, read, settings

_AN_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of an account's requests of one kind in this hour."""

    kind: str
    limit: int
    left: int


@blueprint.get("/")
def show_overview() -> str:
    """Is it working?"""
    span = SPANS.get(request.args.get("span", ""), SPANS["day"])
    found = read(lambda connection: _look(connection, settings(), span, now()))
    return render_template("overview.html", span=span, spans=SPANS, **found)


def _look(connection: Connection, configured: Settings, span: Span, at: datetime) -> dict[str, Any]:
    report = overview(connection, configured, at)
    names = list(report["stores"])
    unread = figures.unread(connection)
    backlogs = {name: figures.backlog(connection, name, at) for name in names}
    begin = span.begin(at)
    return {
        "report": report,
        "waits": _waits(report["stores"], unread, backlogs),
        "oldest": min(
            [since for _, since in unread.values()] + [each.due_since for each in backlogs.values() if each.due_since], default=None
        ),
        "counts": charts.over_time(connection, names, span, at),
        "starts": [begin + span.step * index for index in range(span.steps)],
        "times": charts.times_to_drip(connection, begin),
        "quotas": {name: _quotas(connection, configured, account, at) for name, account in configured.accounts.items()},
        "last": {name: _moment(store["last_at"]) for name, store in report["stores"].items()},
    }


def _waits(stores: Sequence[str], unread: Mapping[str, Any], backlogs: Mapping[str, figures.Backlog]) -> dict[str, tuple[int, int]]:
    """Per store how many could be sent now or are to be read, and how many wait for their time."""
    return {name: (backlogs[name].due + unread.get(name, (0, None))[0], backlogs[name].later) for name in stores}


def _quotas(connection: Connection, configured: Settings, account: Account, at: datetime) -> list[Quota]:
    lease = next((row for row in figures.all_leases(connection) if row.account == account.id), None)
    found = []
    for kind, most in (("single", configured.single_requests_per_hour), ("batch", configured.batch_requests_per_hour)):
        told = getattr(lease, f"{kind}_limit", None) if lease else None
        limit = min(most, told) if told is not None else most
        found.append(Quota(kind, limit, max(0, limit - figures.requests_spent(connection, account.id, kind, at))))
    return found


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
