"""Is the process alive, can a delivery be kept, do orders move."""

import hmac
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from flask import Blueprint, Response, abort, current_app, jsonify, request
from sqlalchemy import Engine, select

from adapter.errors import DatabaseAway
from adapter.inbox.database import snapshot
from adapter.inbox.tables import deliveries
from adapter.overview import overview
from adapter.settings import Settings
from adapter.web.inbox import Inbox

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process answers."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """A delivery can be kept. A trouble with Drip must not take the receiver out of rotation, so it plays no part here."""
    inbox: Inbox = current_app.extensions["inbox"]
    try:
        inbox.run(_can_read)
    except DatabaseAway as error:
        return jsonify(status="not ready", why=str(error)), 503
    return jsonify(status="ready"), 200


@blueprint.get("/status")
def status() -> tuple[Response, int]:
    """Whether orders move, and why not; 503 when they are stuck. Open to METRICS_TOKEN and on loopback."""
    settings: Settings = current_app.extensions["settings"]
    if not _may_look(settings):
        abort(401, "set METRICS_TOKEN and send it as Authorization: Bearer")
    inbox: Inbox = current_app.extensions["inbox"]
    try:
        report = inbox.run(lambda engine: _report(engine, settings))
    except DatabaseAway as error:
        return jsonify(ok=False, why=[str(error)]), 503
    return jsonify(report), 200 if report["ok"] else 503


def _can_read(engine: Engine) -> None:
    with snapshot(engine) as connection:
        connection.execute(select(deliveries.c.id).limit(1)).all()


def _report(engine: Engine, settings: Settings) -> dict[str, Any]:
    with snapshot(engine) as connection:
        return overview(connection, settings, datetime.now(UTC))


def _may_look(settings: Settings) -> bool:
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ").encode("latin-1", "replace")
    if settings.metrics_token and hmac.compare_digest(sent, settings.metrics_token.encode()):
        return True
    # A proxy on this machine speaks for somebody else.
    forwarded = any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "Via"))
    try:
        return not forwarded and ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False
