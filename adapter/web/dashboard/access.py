"""Who may see the dashboard: the administrator after the log-in, and whoever sits at this machine while the stand-in is in Drip's place."""

import hmac
import logging
from hashlib import sha256
from urllib.parse import urlsplit

from flask import Flask, abort, current_app, redirect, render_template, request, session, url_for
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from adapter.inbox import audit, login_attempts
from adapter.web.dashboard.layout import back_to, blueprint, now, read, settings, write
from adapter.web.health import is_from_here

log = logging.getLogger(__name__)
_LOG_IN = "dashboard.log_in"
_TRIES_EACH, _TRIES_OF_ALL = 5, 60
"""Failed log-ins in a quarter of an hour: of one visitor, and of all, since an address can be forged where there is no proxy."""


class _Administrator(UserMixin):  # type: ignore[misc]
    """Whoever knew the password. The id is made from it, so that another password ends every session."""

    def __init__(self, identity: str) -> None:
        self.id = identity


def guard(app: Flask) -> None:
    """Let nobody in who may not see: to be called before anything else looks at a request."""
    manager = LoginManager(app)
    manager.user_loader(_load)
    app.before_request(_refuse)
    app.extensions["may_see"] = may_see
    app.context_processor(lambda: {"is_logged_in": current_user.is_authenticated})


def may_see() -> bool:
    """Whether the visitor may see the dashboard."""
    return _is_open() or (bool(settings().admin_password) and bool(current_user.is_authenticated))


@blueprint.route("/login", methods=["GET", "POST"])
def log_in() -> Response | str | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """Ask for the password."""
    if may_see():
        return redirect(_wanted())
    if request.method == "GET":
        return render_template("login.html", next=request.args.get("next", ""))
    visitor = _visitor()
    # Looked at first: whoever goes on trying at a shut door makes no rows, and holds up no webhook.
    if read(lambda connection: _is_shut(connection, visitor)) or not write(lambda connection: _may_try(connection, visitor)):
        log.warning("too many tries", extra={"action": "log_in_refused"})
        wait = int(login_attempts.WINDOW.total_seconds())
        return (
            render_template("login.html", next=_next(), fault="Too many tries. Wait a quarter of an hour."),
            429,
            {"Retry-After": str(wait)},
        )
    given, password = request.form.get("password", ""), settings().admin_password
    # Digests, so that not even the length of the password can be told by the time that it takes.
    if not hmac.compare_digest(sha256(given.encode()).digest(), sha256(password.encode()).digest()):
        log.warning("not the password", extra={"action": "log_in_refused"})
        return render_template("login.html", next=_next(), fault="That is not the password."), 401
    write(lambda connection: _let_in(connection, visitor))
    session.clear()
    session.permanent = True
    login_user(_Administrator(_identity()))
    return redirect(_wanted(), 303)


@blueprint.post("/logout")
def log_out() -> Response:
    """End the session."""
    logout_user()
    session.clear()
    return back_to("log_in")


def _refuse() -> Response | None:
    if request.blueprint != blueprint.name:
        return None
    if _is_open():
        return None
    if not settings().admin_password:
        abort(404)
    if may_see() or request.endpoint == _LOG_IN:
        return None
    if request.accept_mimetypes.best == "application/json":
        abort(401)
    wanted = request.full_path.rstrip("?") if request.method == "GET" else "/"
    return back_to("log_in", next=None if wanted == "/" else wanted)


def _is_open() -> bool:
    return settings().sandbox and not settings().admin_password and is_from_here()


def _load(identity: str) -> _Administrator | None:
    ours = bool(settings().admin_password) and hmac.compare_digest(identity, _identity())
    return _Administrator(identity) if ours else None


def _identity() -> str:
    return _digest(f"administrator {sha256(settings().admin_password.encode()).hexdigest()}")


def _visitor() -> str:
    """A keyed digest of the visitor's address: the one that the nearest proxy saw, where there is a proxy."""
    forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    return _digest(f"visitor {forwarded or request.remote_addr}")


def _digest(text: str) -> str:
    key = current_app.secret_key
    return hmac.new(key if isinstance(key, bytes) else str(key).encode(), text.encode(), sha256).hexdigest()[:32]


def _is_shut(connection: Connection, visitor: str) -> bool:
    at = now()
    own, all_ = (login_attempts.recent(connection, who, at) for who in (visitor, login_attempts.EVERYONE))
    return own >= _TRIES_EACH or all_ >= _TRIES_OF_ALL


def _may_try(connection: Connection, visitor: str) -> bool:
    # Counted before the password is looked at, so that no number of tries at once gets round it.
    at = now()
    if login_attempts.add(connection, visitor, at) > _TRIES_EACH:
        return False
    return login_attempts.add(connection, login_attempts.EVERYONE, at) <= _TRIES_OF_ALL


def _let_in(connection: Connection, visitor: str) -> None:
    login_attempts.clear(connection, visitor)
    audit.note(connection, "logged in", "dashboard", "", now())


def _next() -> str:
    return request.form.get("next", "")


def _wanted() -> str:
    """The page that was asked for before the log-in: only one of ours."""
    wanted = request.values.get("next", "")
    parted = urlsplit(wanted)
    ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and not parted.netloc and wanted.isprintable()
    return wanted if ours else url_for("dashboard.show_overview")
