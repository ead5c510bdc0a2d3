"""The web application, built from settings."""

from flask import Flask
from sqlalchemy import Engine

from adapter.inbox.database import connect
from adapter.inbox.group_commit import Keeper
from adapter.inbox.readiness import Readiness
from adapter.monitoring.metrics import Metrics
from adapter.process.wake_up import wake_senders
from adapter.settings import Settings
from adapter.stores.magento.adobe_keys import with_adobe_keys
from adapter.web import health, webhooks
from adapter.web.dashboard import add_dashboard
from adapter.web.database import Inbox
from adapter.web.errors import add_error_pages
from adapter.web.proxies import TrustedProxies
from adapter.web.request_ids import name_requests


def create_app(settings: Settings, engine: Engine | None = None) -> Flask:
    """The adapter's web side, for any WSGI server."""
    settings = with_adobe_keys(settings)
    app = Flask(__name__)
    # The router's own redirects would go to whatever host the request names.
    app.url_map.strict_slashes = app.url_map.merge_slashes = False
    app.debug = False  # regardless of FLASK_DEBUG: the framework's debug pages would show an order
    app.extensions["settings"] = settings
    engine = engine or connect(settings.database_url, settings.payload_keys)
    app.extensions["inbox"] = Inbox(engine)
    app.extensions["readiness"] = Readiness(engine)
    app.extensions["metrics"] = Metrics(settings)
    name_requests(app)
    add_dashboard(app)
    app.register_blueprint(webhooks.blueprint)
    app.register_blueprint(health.blueprint)
    add_error_pages(app)
    keeper = Keeper(engine, on_kept=lambda: wake_senders(settings.database_url))
    receiver = webhooks.WebhookReceiver(app.wsgi_app, settings, keeper)
    app.wsgi_app = TrustedProxies(receiver, settings.trusted_proxies)  # type: ignore[method-assign]
    return app
