"""The overview: is it working, what waits, and what happened lately."""

from datetime import datetime
from typing import Any

from flask import render_template, request
from sqlalchemy import Connection

from adapter.inbox.charts import SPANS, Span
from adapter.operations.activity import recent
from adapter.operations.health import overview
from adapter.settings import Settings
from adapter.web.dashboard.layout import blueprint, now, read, settings


@blueprint.get("/")
def show_overview() -> str:
    """Is it working?"""
    span = SPANS.get(request.args.get("span", ""), SPANS["day"])
    found = read(lambda connection: _look(connection, settings(), span, now()))
    return render_template("overview.html", span=span, spans=SPANS, **found)


def _look(connection: Connection, configured: Settings, span: Span, at: datetime) -> dict[str, Any]:
    report = overview(connection, configured, at)
    found = recent(connection, configured, list(report["stores"]), span, at)
    return {
        "report": report,
        "waits": found.waits,
        "oldest": found.oldest,
        "counts": found.counts,
        "starts": found.starts,
        "times": found.times,
        "quotas": found.quotas,
        "last": {name: _moment(store["last_at"]) for name, store in report["stores"].items()},
    }


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
