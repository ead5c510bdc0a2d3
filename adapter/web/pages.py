"""What Flask serves: the dashboard, `/status` and `/metrics`."""

from typing import TYPE_CHECKING

from flask import Flask, Response, g, request

from adapter.inbox.readiness import Readiness
from adapter.monitoring.logs import REQUEST_ID
from adapter.monitoring.metrics import Metrics
from adapter.settings import Settings
from adapter.web import greeting, health
from adapter.web.dashboard import add_dashboard
from adapter.web.database import Inbox
from adapter.web.errors import add_error_pages
from adapter.web.request_ids import HEADER, request_id

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def create_pages(settings: Settings, inbox: Inbox, readiness: Readiness, front: "WSGIApplication") -> Flask:
    """The Flask app; `front` is the whole web side, to which pages post sample webhooks."""
    app = Flask(__name__)
    # The router's own redirects would go to whatever host the request names.
    app.url_map.strict_slashes = app.url_map.merge_slashes = False
    app.debug = False  # regardless of FLASK_DEBUG: the framework's debug pages would show an order
    app.extensions["settings"] = settings
    app.extensions["inbox"] = inbox
    app.extensions["readiness"] = readiness
    app.extensions["front"] = front
    app.extensions["metrics"] = Metrics(settings)
    _name_requests(app)
    add_dashboard(app)
    app.register_blueprint(greeting.blueprint)
    app.register_blueprint(health.blueprint)
    add_error_pages(app)
    return app


def _name_requests(app: Flask) -> None:
    """Give each request an id."""

    @app.before_request
    def begin() -> None:
        g.request_id = request_id(request.headers.get(HEADER, ""))
        REQUEST_ID.set(g.request_id)

    @app.after_request
    def echo(response: Response) -> Response:
        response.headers[HEADER] = g.request_id
        return response

    @app.teardown_request
    def end(error: BaseException | None) -> None:
        REQUEST_ID.set(None)
