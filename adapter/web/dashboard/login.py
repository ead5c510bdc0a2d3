"""Who may see the dashboard: the administrator after logging in, and anyone on this machine while the sandbox is in use."""

import hmac
import logging
import secrets
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from math import ceil
from urllib.parse import urlsplit

from flask import Flask, abort, current_app, g, redirect, render_template, request, session, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from adapter.inbox import audit, login_attempts
from adapter.inbox.keys import keyed_digest
from adapter.inbox.sessions import SessionLimits, begin_session, end_session, is_open, note_use
from adapter.settings.addresses import is_this_machine
from adapter.web.dashboard.layout import back_to, blueprint, is_refresh, now, read, settings, write
from adapter.web.dashboard.visitors import known_visitor, mark_browser, network_digest, new_mark, visitor
from adapter.web.health import is_from_here

log = logging.getLogger(__name__)
_LOG_IN = "dashboard.log_in"
_SESSION = "session"
"""The browser session's key for the id of the session in the database."""
CLOSED = "The dashboard is closed because it has no password. Set ADMIN_PASSWORD where the adapter runs, restart it, and reload this page."


def require_login(app: Flask) -> None:
    """Let in only those who may see the dashboard. Call this first, so that nothing else handles a request before."""
    app.before_request(_refuse)
    app.extensions["may_see"] = may_see
    app.context_processor(lambda: {"is_logged_in": _is_logged_in()})


def may_see() -> bool:
    """Whether the visitor may see the dashboard; aborts with 503 if the database can't tell."""
    return _is_open() or _is_logged_in()


@blueprint.route("/login", methods=["GET", "POST"])
def log_in() -> Response | str | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """The login page."""
    if may_see():
        return redirect(_next_page())
    if request.method != "POST":  # no other method has a CSRF token, so none is an attempt
        return render_template("login.html", next=request.args.get("next", ""))
    given, password = request.form.get("password", "").strip(), settings().admin_password
    # Digests are compared, so that timing doesn't even reveal the password's length.
    is_right = hmac.compare_digest(sha256(given.encode()).digest(), sha256(password.encode()).digest())
    # Read first: further attempts of a visitor who must wait write nothing, and so delay no webhook.
    outcome = read(_must_wait) or write(lambda connection: _attempt(connection, is_right=is_right))
    if outcome.wait:
        log.warning("a login attempt came too soon after others", extra={"action": "log_in_refused"})
        return _refused(f"Too many wrong passwords. Try again in {outcome.wait} s.", 429, {"Retry-After": str(outcome.wait)})
    if not is_right:
        log.warning("wrong password", extra={"action": "log_in_refused"})
        return _refused("Wrong password.", 401, {})
    session.clear()
    session.permanent = True
    session[_SESSION] = outcome.session
    response = redirect(_next_page(), 303)
    mark_browser(response, outcome.mark)
    return response


@blueprint.post("/logout")
def log_out() -> Response:
    """End the session, also where its cookie was copied to."""
    if begun := session.get(_SESSION):
        write(lambda connection: end_session(connection, begun))
    session.clear()
    return back_to("log_in")


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of an attempt: how many seconds it was too early, or the new session and the browser's mark."""

    wait: int = 0
    session: str = ""
    mark: str = ""


def _must_wait(connection: Connection) -> _Outcome | None:
    wait = login_attempts.wait_of(connection, known_visitor(connection), now())
    return _Outcome(wait=ceil(wait.total_seconds())) if wait else None


def _attempt(connection: Connection, *, is_right: bool) -> _Outcome:
    at, who = now(), visitor(connection)
    if wait := login_attempts.wait_of(connection, who, at, lock=True):
        return _Outcome(wait=ceil(wait.total_seconds()))
    where = f"from network {network_digest(connection)}"
    if not is_right:
        login_attempts.add(connection, who, at)
        audit.note(connection, audit.FAILED_LOG_IN, "dashboard", where, at, audit.SOMEBODY)
        return _Outcome()
    login_attempts.clear(connection, who)
    audit.note(connection, "logged in", "dashboard", where, at)
    begun = secrets.token_urlsafe(32)
    begin_session(connection, begun, _identity(), at, _limits())
    return _Outcome(session=begun, mark=new_mark(connection))


def _refused(why: str, status: int, headers: dict[str, str]) -> tuple[str, int, dict[str, str]]:
    return render_template("login.html", next=request.form.get("next", ""), error=why), status, headers


def _refuse() -> Response | None:
    if request.blueprint != blueprint.name or _is_open():
        return None
    if not settings().admin_password:
        abort(404, CLOSED)
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
    if "is_logged_in" not in g:
        g.is_logged_in = False  # if the database is away, the page about that must not ask it again
        g.is_logged_in = _has_session()
    return bool(g.is_logged_in)


def _has_session() -> bool:
    begun = session.get(_SESSION, "")
    if not settings().admin_password or not begun:
        return False
    goes_on, is_due = read(lambda connection: is_open(connection, begun, _identity(), now(), _limits()))
    if is_due and not is_refresh():
        write(lambda connection: note_use(connection, begun, now()))
    return goes_on


def _limits() -> SessionLimits:
    ours = settings()
    return SessionLimits(idle=timedelta(hours=ours.session_idle_hours), total=timedelta(days=ours.session_days))


def _identity() -> str:
    """Made from the password, so that changing it ends every session."""
    key = current_app.secret_key
    text = f"administrator {sha256(settings().admin_password.encode()).hexdigest()}"
    return keyed_digest(key if isinstance(key, bytes) else str(key).encode(), text)


def _next_page() -> str:
    """The page requested before logging in, if it is one of ours."""
    wanted = request.values.get("next", "")
    parted = urlsplit(wanted)
    ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and not parted.netloc and wanted.isprintable()
    return wanted if ours else url_for("dashboard.show_overview")
