"""Headers, sessions and forged requests: what makes the pages safe in a browser. Only the dashboard is touched by any of it."""

import hashlib
import secrets
from datetime import timedelta

from flask import Flask, Response, abort, request
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_talisman import Talisman
from flask_wtf.csrf import CSRFProtect

from adapter.settings import Settings
from adapter.web.dashboard.layout import blueprint
from adapter.web.webhooks import blueprint as webhooks

_CSP = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'", "connect-src": "'self'",
    "form-action": "'self'", "frame-ancestors": "'none'", "base-uri": "'none'",
}  # fmt: skip
_LASTS = timedelta(hours=12)
_SALT = b"drip-order-adapter sessions"
_LARGEST_FORM = 500_000
"""Bytes. Anybody may post to the log-in, and what is posted is gathered before it is looked at."""


def secure(app: Flask) -> None:
    """Set up sessions, security headers, and tokens against forged requests."""
    settings: Settings = app.extensions["settings"]
    is_https = settings.public_url.startswith("https://")
    app.secret_key = _secret_key(settings)
    app.session_interface = _Sessions()
    app.config.update(SESSION_COOKIE_NAME="drip_adapter", WTF_CSRF_TIME_LIMIT=None, PERMANENT_SESSION_LIFETIME=_LASTS)
    _Headers(
        app,
        content_security_policy=_CSP,
        force_https=is_https,
        frame_options="DENY",
        referrer_policy="same-origin",
        session_cookie_secure=False,  # by default it waits for the first request
        strict_transport_security_include_subdomains=False,
    )
    app.config["SESSION_COOKIE_SECURE"] = is_https
    app.before_request(_refuse_what_no_page_sends)
    CSRFProtect(app).exempt(webhooks)


class _Headers(Talisman):  # type: ignore[misc]
    """Talisman for the dashboard alone: webhooks and health checks are read by machines, over whatever their platform uses."""

    def _force_https(self) -> Response | None:
        # Only where a proxy says that the visitor came by http: one that says nothing would be sent round in a circle.
        if request.blueprint != blueprint.name or request.headers.get("X-Forwarded-Proto", "") != "http":
            return None
        answer: Response | None = super()._force_https()
        return answer

    def _set_response_headers(self, response: Response) -> Response:
        if request.blueprint == blueprint.name or request.endpoint == "static":
            super()._set_response_headers(response)
        if request.blueprint == blueprint.name:
            response.headers.setdefault("Cache-Control", "no-store")  # no order stays in a browser after the log-out
        return response


class _Sessions(SecureCookieSessionInterface):
    """Sessions of the dashboard's visitors; no other answer gets a cookie, or a header for caches about one."""

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if request.blueprint == blueprint.name:
            super().save_session(app, session, response)

    def get_cookie_secure(self, app: Flask) -> bool:
        """Whether the browser gives the cookie back over https only: also where nobody set PUBLIC_URL, and a proxy knows better."""
        return super().get_cookie_secure(app) or request.headers.get("X-Forwarded-Proto", "") == "https"


def _refuse_what_no_page_sends() -> None:
    if request.blueprint != blueprint.name:
        return
    request.max_content_length = _LARGEST_FORM
    # PostgreSQL has no NUL in its texts, and no name, number or topic holds one.
    if any("\0" in text for text in (request.path, *request.values.values())):
        abort(400, "A NUL character means nothing here.")


def _secret_key(settings: Settings) -> bytes:
    """The key of the sessions: alike in all workers and after a restart, where it is set or there is a password to make it from.

    Not from the password alone: the log-in page gives everybody a signed cookie, by which a weak password could be guessed at home,
    past all throttling. Who has a store or an account has other secrets, which are not weak.
    """
    if settings.secret_key:
        return settings.secret_key.encode()
    if settings.admin_password:
        known = [settings.admin_password, settings.metrics_token, settings.database_url]
        known += [account.token for account in settings.accounts.values()]
        known += [secret for store in settings.stores.values() for secret in store.credentials.secrets]
        return hashlib.scrypt("\0".join(known).encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=32)
    return secrets.token_bytes(32)
