"""Whether orders reach Drip, and the metrics."""

import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, abort, current_app, jsonify, request
from sqlalchemy import Engine

from adapter.errors import DatabaseAway
from adapter.inbox.database import snapshot
from adapter.inbox.readiness import Readiness
from adapter.monitoring.metrics import Metrics
from adapter.operations.health import status_report, without_database
from adapter.operations.verdict import Status
from adapter.settings import Settings
from adapter.settings.addresses import is_loopback
from adapter.web.database import Inbox
from adapter.web.proxies import WAS_FORWARDED

blueprint = Blueprint("health", __name__)


@blueprint.get("/status")
def status() -> tuple[Response, int]:
    """Whether orders are reaching Drip, and what is wrong; 503 when they are stuck. What merely needs attention is reported with a 200."""
    _require_sight()
    settings: Settings = current_app.extensions["settings"]
    inbox: Inbox = current_app.extensions["inbox"]
    readiness: Readiness = current_app.extensions["readiness"]
    try:
        not_storing = inbox.run(lambda _: readiness.why_not())
        report = inbox.run(lambda engine: _report(engine, settings, not_storing))
    except DatabaseAway as error:
        return jsonify(without_database(str(error))), 503
    return jsonify(report), 503 if report["verdict"] == Status.STUCK else 200


@blueprint.get("/metrics")
def metrics() -> Response:
    """The metrics, for Prometheus."""
    _require_sight()
    inbox: Inbox = current_app.extensions["inbox"]
    counted: Metrics = current_app.extensions["metrics"]
    readiness: Readiness = current_app.extensions["readiness"]
    accept = request.headers.get("Accept", "")
    try:
        not_storing = inbox.run(lambda _: readiness.why_not())
        text, content_type = inbox.run(lambda engine: counted.text(engine, accept, not_storing))
    except DatabaseAway as error:
        abort(503, str(error))
    return Response(text, content_type=content_type)


def _report(engine: Engine, settings: Settings, not_storing: str) -> dict[str, Any]:
    with snapshot(engine) as connection:
        return status_report(connection, settings, datetime.now(UTC), not_storing=not_storing)


def _require_sight() -> None:
    """Abort with 401 unless the request contains METRICS_TOKEN, belongs to a logged-in visitor, or STATUS_OPEN_TO lets it in.

    The dashboard says who is logged in: a function without arguments in `app.extensions["may_see"]`.
    """
    may_see: Callable[[], bool] | None = current_app.extensions.get("may_see")
    if not (_has_token() or _is_let_in() or (may_see is not None and may_see())):
        abort(401, "set METRICS_TOKEN and send it as Authorization: Bearer, or set STATUS_OPEN_TO")


def _is_let_in() -> bool:
    settings: Settings = current_app.extensions["settings"]
    return settings.status_open_to == "everyone" or (settings.status_open_to == "loopback" and is_from_here())


def _has_token() -> bool:
    settings: Settings = current_app.extensions["settings"]
    kind, _, sent = request.headers.get("Authorization", "").partition(" ")
    given = sent.strip().encode("latin-1", "replace")
    return bool(settings.metrics_token) and kind.lower() == "bearer" and hmac.compare_digest(given, settings.metrics_token.encode())


def is_from_here() -> bool:
    """Whether a request was made on this machine, as far as it can be told: a proxy here that adds no header hides that it is one."""
    # A website whose name resolves to 127.0.0.1 sends its own name as the host.
    return not request.environ[WAS_FORWARDED] and is_loopback(request.remote_addr or "") and is_loopback(request.host)
