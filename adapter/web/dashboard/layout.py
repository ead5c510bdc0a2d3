"""What all pages share: the blueprint, access to the database, and the variables of the page layout."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from threading import BoundedSemaphore
from typing import Any, TypeVar

from flask import Blueprint, abort, current_app, redirect, request, url_for
from sqlalchemy import Connection, Engine
from werkzeug.wrappers import Response

from adapter import __version__
from adapter.errors import DatabaseAway
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.readiness import Readiness
from adapter.settings import Settings
from adapter.web.database import UNUSABLE, Inbox

log = logging.getLogger(__name__)
blueprint = Blueprint("dashboard", __name__)
Result = TypeVar("Result")
# A process has three database connections. However many people use the dashboard, two stay free for webhooks.
_ONE_AT_A_TIME = BoundedSemaphore()
_TIMEOUT_S = 8.0


def settings() -> Settings:
    """The app's settings."""
    found: Settings = current_app.extensions["settings"]
    return found


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def read(work: Callable[[Connection], Result]) -> Result:
    """The result of `work` on a read-only snapshot; the page is a 503 if the database doesn't respond."""
    return _run(lambda engine: _inside(snapshot, engine, work))


def write(work: Callable[[Connection], Result]) -> Result:
    """The result of `work` in a transaction of its own; the page is a 503 if the database doesn't respond."""
    return _run(lambda engine: _inside(transaction, engine, work))


def is_refresh() -> bool:
    """Whether a page asks for itself again, as it does every few seconds, rather than a person for it."""
    return "X-Refresh" in request.headers


def back_to(endpoint: str, **values: Any) -> Response:
    """The response to a change: a redirect to the page that shows the result."""
    return redirect(url_for(f"dashboard.{endpoint}", **values), 303)


def layout_variables() -> dict[str, Any]:
    """Variables for the layout around every page."""
    if request.blueprint != blueprint.name:
        return {}
    return {"settings": settings(), "now": now(), "version": __version__, "is_refresh": is_refresh()}


def why_not_storing() -> str:
    """Why webhooks can't be stored; blank if they can."""
    inbox: Inbox = current_app.extensions["inbox"]
    readiness: Readiness = current_app.extensions["readiness"]
    try:
        return inbox.run(lambda _: readiness.why_not())
    except DatabaseAway as error:
        return str(error)


def _inside(opened: Callable[[Engine], Any], engine: Engine, work: Callable[[Connection], Result]) -> Result:
    with opened(engine) as connection:
        return work(connection)


def _run(work: Callable[[Engine], Result]) -> Result:
    inbox: Inbox = current_app.extensions["inbox"]
    if not _ONE_AT_A_TIME.acquire(timeout=_TIMEOUT_S):
        abort(503, "The database is busy with other pages. Try again in a moment.")
    try:
        return inbox.run(work)
    except DatabaseAway as error:
        log.error(str(error), extra={"action": "database_away"})
        abort(503, f"{UNUSABLE[0].upper()}{UNUSABLE[1:]}.")
    finally:
        _ONE_AT_A_TIME.release()
