"""Who may see the dashboard: the administrator after logging in, and anyone on this machine while the sandbox is in use."""

import hmac
import logging
from hashlib import sha256
from urllib.parse import urlsplit

from flask import Flask, abort, current_app, redirect, render_template, request, session, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from adapter.inbox import audit, login_attempts
from adapter.settings.addresses import is_this_machine
from adapter.web.dashboard.layout import back_to, blueprint, now, read, settings, write
from adapter.web.health import is_from_here

log = logging.getLogger(__name__)
_LOG_IN = "dashboard.log_in"
_ADMINISTRATOR = "administrator"
"""The session's key for the digest of the password the visitor logged in with."""
_TRIES_EACH, _TRIES_OF_ALL = 5, 60
"""Failed logins allowed in 15 minutes: per visitor, and in total, because an address can be forged where there is no proxy."""


def require_login(app: Flask) -> None:
    """Let in only those who may see the dashboard. Call this first, so that nothing else handles a request before."""
    app.before_request(_refuse)
    app.extensions["may_see"] = may_see
    app.context_processor(lambda: {"is_logged_in": _is_logged_in()})


def may_see() -> bool:
    """Whether the visitor may see the dashboard."""
    return _is_open() or _is_logged_in()


@blueprint.route("/login", methods=["GET", "POST"])
def log_in() -> Response | str | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """The login page."""
    if may_see():
        return redirect(_next_page())
    if request.method == "GET":
        return render_template("login.html", next=request.args.get("next", ""))
    visitor = _visitor()
    # Read first: further attempts of a throttled visitor write no rows, and so delay no webhook.
    if read(lambda connection: _is_throttled(connection, visitor)) or not write(lambda connection: _may_try(connection, visitor)):
        log.warning("too many login attempts", extra={"action": "log_in_refused"})
        wait = int(login_attempts.WINDOW.total_seconds())
        page = render_template("login.html", next=request.form.get("next", ""), error="Too many attempts. Try again in 15 minutes.")
        return page, 429, {"Retry-After": str(wait)}
    given, password = request.form.get("password", ""), settings().admin_password
    # Digests are compared, so that timing doesn't even reveal the password's length.
    if not hmac.compare_digest(sha256(given.encode()).digest(), sha256(password.encode()).digest()):
        log.warning("wrong password", extra={"action": "log_in_refused"})
        return render_template("login.html", next=request.form.get("next", ""), error="Wrong password."), 401
    write(lambda connection: _let_in(connection, visitor))
    session.clear()
    session.permanent = True
    session[_ADMINISTRATOR] = _identity()
    return redirect(_next_page(), 303)


@blueprint.post("/logout")
def log_out() -> Response:
    """End the session."""
    session.clear()
    return back_to("log_in")


def _refuse() -> Response | None:
    if request.blueprint != blueprint.name or _is_open():
        return None
    if not settings().admin_password:
        abort(404)
    if _is_logged_in() or request.endpoint == _LOG_IN:
        return None
    if request.accept_mimetypes.best == "application/json":
        abort(401)
    wanted = request.full_path.rstrip("?") if request.method == "GET" else "/"
    return back_to("log_in", next=None if wanted == "/" else wanted)


def _is_open() -> bool:
    # A proxy on this machine makes everyone a visitor from here, so a sandbox that is published is open to nobody.
    ours = settings()
    return ours.sandbox and not ours.admin_password and is_this_machine(ours.public_url) and is_from_here()


def _is_logged_in() -> bool:
    return bool(settings().admin_password) and hmac.compare_digest(session.get(_ADMINISTRATOR, ""), _identity())


def _identity() -> str:
    """Made from the password, so that changing it ends every session."""
    return _digest(f"administrator {sha256(settings().admin_password.encode()).hexdigest()}")


def _visitor() -> str:
    """A keyed digest of the visitor's address."""
    return _digest(f"visitor {request.remote_addr}")


def _digest(text: str) -> str:
    key = current_app.secret_key
    return hmac.new(key if isinstance(key, bytes) else str(key).encode(), text.encode(), sha256).hexdigest()[:32]


def _is_throttled(connection: Connection, visitor: str) -> bool:
    at = now()
    own, total = (login_attempts.recent(connection, who, at) for who in (visitor, login_attempts.EVERYONE))
    return own >= _TRIES_EACH or total >= _TRIES_OF_ALL


def _may_try(connection: Connection, visitor: str) -> bool:
    # Counted before the password is checked, so that simultaneous attempts can't get around the limit.
    at = now()
    if login_attempts.add(connection, visitor, at) > _TRIES_EACH:
        return False
    return login_attempts.add(connection, login_attempts.EVERYONE, at) <= _TRIES_OF_ALL


def _let_in(connection: Connection, visitor: str) -> None:
    login_attempts.clear(connection, visitor)
    audit.note(connection, "logged in", "dashboard", "", now())


def _next_page() -> str:
    """The page requested before logging in, if it is one of ours."""
    wanted = request.values.get("next", "")
    parted = urlsplit(wanted)
    ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and not parted.netloc and wanted.isprintable()
    return wanted if ours else url_for("dashboard.show_overview")
