"""The audit page: what people did in the dashboard or on the command line."""

from flask import render_template, request

from adapter.inbox import audit
from adapter.web.dashboard.deliveries import whole
from adapter.web.dashboard.layout import blueprint, read

_PAGE = 50


@blueprint.get("/audit")
def show_audit() -> str:
    """Every change made by a person, and every time someone viewed personal data."""
    before = whole(request.args.get("before", ""))
    rows = read(lambda connection: audit.noted(connection, _PAGE + 1, before))
    return render_template("audit.html", rows=rows[:_PAGE], before=rows[_PAGE - 1].id if len(rows) > _PAGE else None)
