"""The web side, built from settings: webhooks and health checks in plain WSGI, and behind them the pages."""

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from adapter.inbox.database import connect
from adapter.inbox.group_commit import Keeper
from adapter.inbox.readiness import Readiness
from adapter.process.http_connections import Begun
from adapter.process.wake_up import wake_senders
from adapter.settings import Settings
from adapter.web.database import Inbox
from adapter.web.health_checks import HealthChecks
from adapter.web.proxies import TrustedProxies
from adapter.web.webhooks import WebhookReceiver

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from flask import Flask


class App:
    """The adapter's web side, for any WSGI server."""

    def __init__(self, settings: Settings, engine: Engine | None = None) -> None:
        settings = _with_keys(settings)
        engine = engine or connect(settings.database_url, settings.payload_keys)
        inbox, readiness = Inbox(engine), Readiness(engine)
        keeper = Keeper(engine, on_kept=lambda: wake_senders(settings.database_url))
        self.pages = Pages(settings, inbox, readiness, front=self)
        checks = HealthChecks(self.pages, inbox, readiness)
        self._webhooks = WebhookReceiver(checks, settings, keeper)
        self._wsgi = TrustedProxies(self._webhooks, settings.trusted_proxies)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        return self._wsgi(environ, start_response)

    def begin(self, environ: "WSGIEnvironment", ready: Callable[[], None]) -> Begun | None:
        """Begin a request whose answer takes no thread (`adapter.process.http_connections`): a small webhook that is genuine."""
        self._wsgi.clean(environ)
        return self._webhooks.begin(environ, ready)


class Pages:
    """Loads Flask and the pages when somebody opens the first one: a process that only receives webhooks does without."""

    def __init__(self, settings: Settings, inbox: Inbox, readiness: Readiness, *, front: "WSGIApplication") -> None:
        self._given = (settings, inbox, readiness, front)
        self._loading = threading.Lock()
        self._app: Flask | None = None
        self._wsgi: WSGIApplication | None = None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        pages = self._wsgi or self.load().wsgi_app
        return pages(environ, start_response)

    def load(self) -> "Flask":
        """The Flask app, the same each time; requests that come meanwhile wait for it, but no webhook does."""
        with self._loading:
            if self._app is None:
                from adapter.web.pages import create_pages  # noqa: PLC0415

                self._app = create_pages(*self._given)
                self._wsgi = self._app.wsgi_app
            return self._app


def _with_keys(settings: Settings) -> Settings:
    if all(store.auth != "adobe_io" for store in settings.stores.values()):
        return settings
    from adapter.stores.magento.adobe_keys import with_adobe_keys  # noqa: PLC0415 - its HTTP client is large, and few stores need it

    return with_adobe_keys(settings)
