"""The web application: settings in, app out."""

from flask import Flask, Response, jsonify
from sqlalchemy import Engine
from werkzeug.exceptions import HTTPException

from adapter.inbox.database import connect
from adapter.settings import Settings
from adapter.web import health, webhooks
from adapter.web.inbox import Inbox


def create_app(settings: Settings, engine: Engine | None = None) -> Flask:
    """The adapter's web side, for any WSGI server."""
    app = Flask(__name__)
    app.extensions["settings"] = settings
    app.extensions["inbox"] = Inbox(engine or connect(settings.database_url))
    app.register_blueprint(webhooks.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_error_handler(HTTPException, _error)
    return app


def _error(error: HTTPException) -> tuple[Response, int]:
    return jsonify(error=error.description), error.code or 500
