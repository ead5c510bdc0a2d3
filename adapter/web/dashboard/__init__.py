"""The dashboard, one module per page; the templates are in `web/templates`.

Pages show things and start them; the work itself is in `adapter.operations`.
"""

from flask import Flask

from adapter.web.dashboard import (
    access,
    actions,
    audit,
    bulk_actions,
    deliveries,
    delivery,
    first_run,
    orders,
    overview,
    security,
    stores,
    words,
)
from adapter.web.dashboard.layout import blueprint, frame_variables

__all__ = ["actions", "audit", "bulk_actions", "deliveries", "delivery", "first_run", "open_dashboard", "orders", "overview", "stores"]


def open_dashboard(app: Flask) -> None:
    """Add the dashboard to an app. Without ADMIN_PASSWORD all of it answers 404, but under the stand-in on this machine."""
    access.guard(app)
    security.secure(app)
    app.jinja_env.filters.update(words.FILTERS)
    app.context_processor(frame_variables)
    app.register_blueprint(blueprint)
