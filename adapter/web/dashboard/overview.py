"""The overview: whether orders are reaching Drip, what is waiting, and what happened recently."""

from datetime import datetime
from typing import Any

from flask import render_template, request
from sqlalchemy import Connection

from adapter.inbox.charts import SPANS, Span
from adapter.operations.activity import read_activity
from adapter.operations.health import all_stores, status_report
from adapter.operations.waiting import read_waiting
from adapter.settings import Settings
from adapter.web.dashboard.layout import blueprint, now, read, settings


@blueprint.get("/")
def show_overview() -> str:
    """The start page."""
    span = SPANS.get(request.args.get("span", ""), SPANS["day"])
    found = read(lambda connection: _look(connection, settings(), span, now()))
    return render_template("overview.html", span=span, spans=SPANS, **found)


def _look(connection: Connection, configured: Settings, span: Span, at: datetime) -> dict[str, Any]:
    waiting = read_waiting(connection, all_stores(connection, configured), at)
    report = status_report(connection, configured, at, waiting)
    return {
        "report": report,
        "activity": read_activity(connection, configured, waiting, span, at),
        "last": {name: _moment(store["last_at"]) for name, store in report["stores"].items()},
    }


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
