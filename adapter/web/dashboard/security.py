"""Browser security: headers on whatever Flask answers, and for the dashboard HTTPS, session cookies and CSRF protection."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

from flask import Flask, Response, abort, current_app, redirect, request
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_wtf.csrf import CSRFProtect
from werkzeug.wrappers import Response as Redirect

from adapter.settings import Settings
from adapter.web.dashboard.layout import blueprint, is_refresh
from adapter.web.greeting import blueprint as webhooks
from adapter.web.proxies import REPORTED_SCHEME

_HEADERS = {
    "Permissions-Policy": "browsing-topics=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_HSTS = "max-age=31556926"
_SALT = b"drip-order-adapter sessions"
_MAX_FORM_BYTES = 500_000
"""Anyone can post to the login page, and a form is read into memory before it is checked."""


def content_policy(picture_hosts: Sequence[str] = ()) -> str:
    """What a page may load: our own files, and pictures from these origins."""
    images = " ".join(("'self'", *picture_hosts))
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src {images}; connect-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )


def are_cookies_secure() -> bool:
    """Whether the browser is to return cookies over https only."""
    return current_app.session_interface.get_cookie_secure(current_app)


def cookie_name(name: str) -> str:
    """The name of a cookie of ours. Over https it has the prefix that keeps other hosts and http pages from setting it (RFC 6265bis)."""
    return f"__Host-{name}" if are_cookies_secure() else name


def secure(app: Flask) -> None:
    """Set up sessions, security headers and CSRF tokens."""
    settings: Settings = app.extensions["settings"]
    is_https = settings.public_url.startswith("https://")
    app.secret_key = _secret_key(settings)
    app.session_interface = _Sessions()
    app.config.update(
        SESSION_COOKIE_NAME="drip_adapter",
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=is_https,
        PERMANENT_SESSION_LIFETIME=timedelta(days=settings.session_days),
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,  # `_refuse_foreign_forms` does that, also behind a proxy that replaces the Host header
    )
    if is_https:
        app.before_request(_redirect_to_https)
    app.before_request(_refuse_foreign_forms)
    app.before_request(_refuse_unusable_input)
    app.after_request(_add_headers)
    CSRFProtect(app).exempt(webhooks)


def _redirect_to_https() -> Redirect | None:
    # Only if a trusted proxy reports that the visitor used http: behind one that reports nothing, the redirect would loop.
    if request.blueprint != blueprint.name or request.environ[REPORTED_SCHEME] != "http":
        return None
    settings: Settings = current_app.extensions["settings"]
    asked = urlsplit(request.url)
    return redirect(f"{settings.public_url}{asked.path}{f'?{asked.query}' if asked.query else ''}")


def _add_headers(response: Response) -> Response:
    response.headers.update(_HEADERS)
    response.headers.setdefault("Content-Security-Policy", content_policy())
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = _HSTS
    response.headers.setdefault("Cache-Control", "no-store")  # no order stays in the browser after logging out
    return response


class _Sessions(SecureCookieSessionInterface):
    """Sessions for the dashboard only: no other response gets a cookie or a header for caches about one."""

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if request.blueprint == blueprint.name:
            super().save_session(app, session, response)

    def get_cookie_name(self, app: Flask) -> str:
        return cookie_name(super().get_cookie_name(app))

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        """A page that refreshes itself doesn't prolong the session: only what a person does counts as use."""
        return session.modified or (not is_refresh() and super().should_set_cookie(app, session))

    def get_cookie_secure(self, app: Flask) -> bool:
        """Whether the browser returns the cookie over https only: also if PUBLIC_URL isn't set but a proxy reports https."""
        return super().get_cookie_secure(app) or request.is_secure


def _refuse_foreign_forms() -> None:
    """Beside the CSRF token: a form was sent from one of our own pages, if the browser says from where."""
    if request.blueprint != blueprint.name or request.method != "POST":
        return
    settings: Settings = current_app.extensions["settings"]
    ours = {request.host.lower(), urlsplit(settings.public_url).netloc.lower()}
    for name in ("Origin", "Referer"):
        sent = request.headers.get(name, "")
        if sent and sent != "null" and urlsplit(sent).netloc.lower() not in ours:
            abort(400, f"The {name} header names another site.")


def _refuse_unusable_input() -> None:
    if request.blueprint != blueprint.name:
        return
    request.max_content_length = _MAX_FORM_BYTES
    # PostgreSQL can't store NUL in text, and no name, number or topic contains one.
    if any("\0" in text for text in (request.path, *request.values.values())):
        abort(400, "NUL characters are not allowed.")


def _secret_key(settings: Settings) -> bytes:
    """The key that signs sessions: the same in all workers and after a restart, if there is a SECRET_KEY or a password to derive it from.

    It isn't derived from the password alone: everyone gets a signed cookie from the login page and could use it to guess a weak password
    offline, past all throttling. An installation with a store or an account has other, strong secrets.
    """
    if settings.secret_key:
        return settings.secret_key.encode()
    if settings.admin_password:
        known = [settings.admin_password, settings.metrics_token, settings.database_url]
        known += [account.token for account in settings.accounts.values()]
        known += [secret for store in settings.stores.values() for secret in store.credentials.secrets]
        return hashlib.scrypt("\0".join(known).encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=32)
    return secrets.token_bytes(32)
