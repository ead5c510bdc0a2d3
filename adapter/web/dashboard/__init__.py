"""The dashboard, one module per page; the templates are in `web/templates`.

Pages show things and start them; the work itself is in `adapter.operations`.
"""

from flask import Flask

from adapter.operations.preview import MAPPER
from adapter.printable import in_page
from adapter.web.dashboard import (
    accounts,
    actions,
    audit,
    bulk_actions,
    deliveries,
    delivery,
    filters,
    login,
    orders,
    overview,
    samples,
    security,
    stores,
    title,
)
from adapter.web.dashboard.layout import blueprint, layout_variables

__all__ = [
    "accounts",
    "actions",
    "add_dashboard",
    "audit",
    "bulk_actions",
    "deliveries",
    "delivery",
    "orders",
    "overview",
    "samples",
    "stores",
]


# A page has 3.5 s for everything; until the process that maps payloads has started, it does without.
_START_S = 0.6


def add_dashboard(app: Flask) -> None:
    """Add the dashboard to an app. Without ADMIN_PASSWORD every page is a 404, except on this machine with the sandbox."""
    login.require_login(app)
    security.secure(app)
    app.jinja_env.finalize = in_page
    app.jinja_env.filters.update(filters.FILTERS)
    app.context_processor(layout_variables)
    title.show_verdict(app)
    MAPPER.start_within_s = _START_S
    app.register_blueprint(blueprint)
