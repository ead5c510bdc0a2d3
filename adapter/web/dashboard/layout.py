"""What all pages share: the blueprint, the way to the database, and what the frame around each page shows."""

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
from adapter.settings import Settings
from adapter.web.database import Inbox

blueprint = Blueprint("dashboard", __name__)
Result = TypeVar("Result")
# A process has three connections. However many people look, the stores keep two of them.
_ONE_AT_A_TIME = BoundedSemaphore()
_PATIENCE_S = 8.0


def settings() -> Settings:
    """The app's settings."""
    found: Settings = current_app.extensions["settings"]
    return found


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def read(work: Callable[[Connection], Result]) -> Result:
    """What `work` finds in the database; the page is a 503 where that does not answer."""
    return _run(lambda engine: _within(snapshot, engine, work))


def write(work: Callable[[Connection], Result]) -> Result:
    """Do `work` in a transaction of its own; the page is a 503 where the database does not answer."""
    return _run(lambda engine: _within(transaction, engine, work))


def back_to(endpoint: str, **values: Any) -> Response:
    """The answer to a change: the page that shows it, to be fetched by GET."""
    return redirect(url_for(f"dashboard.{endpoint}", **values), 303)


def frame_variables() -> dict[str, Any]:
    """What the frame around each page shows."""
    if request.blueprint != blueprint.name:
        return {}
    return {"settings": settings(), "now": now(), "version": __version__}


def _within(way: Callable[[Engine], Any], engine: Engine, work: Callable[[Connection], Result]) -> Result:
    with way(engine) as connection:
        return work(connection)


def _run(work: Callable[[Engine], Result]) -> Result:
    inbox: Inbox = current_app.extensions["inbox"]
    if not _ONE_AT_A_TIME.acquire(timeout=_PATIENCE_S):
        abort(503, "Other pages keep the database busy. Try again in a moment.")
    try:
        return inbox.run(work)
    except DatabaseAway as error:
        abort(503, str(error))
    finally:
        _ONE_AT_A_TIME.release()
