"""What people did by the dashboard."""

from flask import render_template, request

from adapter.inbox import audit
from adapter.web.dashboard.frame import blueprint, read

_PAGE = 50


@blueprint.get("/audit")
def show_audit() -> str:
    """Each change made by a person, and each look at personal data."""
    text = request.args.get("before", "")
    before = int(text) if text.isascii() and text.isdecimal() and int(text) < 2**63 else None
    rows = read(lambda connection: audit.noted(connection, _PAGE + 1, before))
    return render_template("audit.html", rows=rows[:_PAGE], before=rows[_PAGE - 1].id if len(rows) > _PAGE else None)
