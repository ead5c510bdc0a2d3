"""Receiving: a request is proved genuine, and kept by one committed insert before it is answered 2xx. Nothing else happens here."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from flask import Blueprint, Response, abort, current_app, jsonify, request
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from adapter.errors import DatabaseAway
from adapter.inbox import receiving
from adapter.inbox.database import transaction
from adapter.inbox.receiving import Receipt
from adapter.process.wake_up import wake_senders
from adapter.settings import Settings, Store
from adapter.web.database import Inbox
from mappings import PROVIDERS, Key, Verdict

log = logging.getLogger(__name__)
blueprint = Blueprint("webhooks", __name__)
_RETRY_AFTER_S = 10
_LONGEST_TOPIC = 200
_LONGEST_HEADER = 500


@blueprint.get("/webhooks/<name>", strict_slashes=False)
def greet(name: str) -> Response:
    """Echo a platform's challenge; a person who opens the address learns what it is for."""
    store = _store(name)
    challenge = request.args.get("challenge")
    if challenge is None or not store.provider.echoes_challenge:
        abort(405, description=f"this is where {store.provider.title} posts webhooks of store {store.name}; there is nothing to see")
    response = Response(challenge, mimetype="text/plain")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@blueprint.post("/webhooks/<name>", strict_slashes=False)
def receive(name: str) -> tuple[Response, int]:
    """Keep an authentic request, or say why not."""
    store = _store(name)
    settings: Settings = current_app.extensions["settings"]
    payload = _read(settings.max_payload_bytes)
    headers = {header.lower(): value for header, value in request.headers.items()}
    if store.provider.is_ping(headers, payload):
        return jsonify(status="pong"), 200
    verdict = store.verify(headers, payload)
    if verdict is Verdict.UNJUDGED:
        return _later(store)
    if verdict is not Verdict.GENUINE:
        return _refuse(store, verdict)
    try:
        delivery, new, reopened = _inbox().run(lambda engine: _keep(engine, store, headers, payload))
    except (DatabaseAway, DBAPIError) as error:
        why = str(error) if isinstance(error, DatabaseAway) else f"the database refuses every row: {type(error).__name__}"
        log.error(why, extra={"action": "not_kept", "store": store.name})
        answer = jsonify(error="the delivery could not be kept just now; send it again")
        answer.headers["Retry-After"] = str(_RETRY_AFTER_S)
        return answer, 503
    if new:
        wake_senders(current_app.extensions["settings"].database_url)
    log.info("kept" if new else "a copy", extra={"action": "kept" if new else "duplicate", "delivery": delivery, "store": store.name})
    if reopened:
        log.info("a copy of a dead delivery: it is tried again", extra={"action": "reopened", "delivery": delivery, "store": store.name})
    receipt = {"delivery": str(delivery), "status": "kept" if new else "duplicate"}
    return jsonify(store.provider.acknowledgement(headers, payload, receipt)), 200


def _later(store: Store) -> tuple[Response, int]:
    """Neither proved nor refused: the platform is to send it again."""
    log.error("the key that it is signed with cannot be fetched just now", extra={"action": "not_judged", "store": store.name})
    answer = jsonify(error="the signature cannot be judged just now; send it again")
    answer.headers["Retry-After"] = str(_RETRY_AFTER_S)
    return answer, 503


def _read(most: int) -> bytes:
    """The body, counted while it is read: a chunked one does not say how long it will be, and Werkzeug would cut it off silently."""
    request.max_content_length = most + 1
    payload = request.get_data(cache=False)
    if len(payload) > most:
        abort(413, f"the body is longer than MAX_PAYLOAD_BYTES, {most} bytes")
    return payload


def _store(name: str) -> Store:
    settings: Settings = current_app.extensions["settings"]
    store = settings.store(name)
    if store is None:
        how = f"set {name.upper()}_WEBHOOK_SECRET" if name in PROVIDERS else "add it to STORES"
        abort(404, f"no store is called {name[:80]!r} here: {how}")
    return store


def _inbox() -> Inbox:
    inbox: Inbox = current_app.extensions["inbox"]
    return inbox


def _refuse(store: Store, verdict: Verdict) -> tuple[Response, int]:
    header = store.provider.scheme(store.auth).header(store.credentials)
    why = (
        f"the request carries no {header}: is it from {store.provider.title}, and has its webhook a secret?"
        if verdict is Verdict.MISSING
        else f"{header} does not match: {_what_to_compare(store)}"
    )
    try:
        _inbox().run(lambda engine: _count(engine, store.name, verdict))
    except DatabaseAway as error:
        log.error(str(error), extra={"action": "not_counted", "store": store.name})
    log.warning(why, extra={"action": "refused", "store": store.name, "reason": str(verdict)})
    return jsonify(error=why), 401


def _what_to_compare(store: Store) -> str:
    if store.provider.scheme(store.auth).can_sign:
        return f"the secret in {store.secret_setting} is not the one that {store.provider.title} signs with"
    return f"compare {store.secret_setting} with what Adobe shows; every event must be addressed to it, and be signed by Adobe's key"


def _count(engine: Engine, store: str, verdict: Verdict) -> None:
    with transaction(engine) as connection:
        receiving.count_refusal(connection, store=store, reason=str(verdict), at=datetime.now(UTC))


def _keep(engine: Engine, store: Store, headers: Mapping[str, str], payload: bytes) -> Receipt:
    provider = store.provider
    kept = {name: _storable(headers[name], _LONGEST_HEADER) for name in provider.kept_headers if name in headers}
    key = provider.key(headers, payload)
    key = Key(value=_storable(key.value, _LONGEST_HEADER), expires=key.expires)
    topic = _storable(provider.topic(headers), _LONGEST_TOPIC)
    now = datetime.now(UTC)
    try:
        with transaction(engine) as connection:
            return receiving.keep(connection, store=store.name, key=key, topic=topic, headers=kept, payload=payload, at=now)
    except DBAPIError as error:
        # Not the connection but the row was refused: the payload is what matters, and bytes are always taken.
        log.error(
            "the database refused a row; kept without its headers",
            extra={"action": "kept_bare", "store": store.name, "reason": type(error).__name__},
        )
        with transaction(engine) as connection:
            return receiving.keep(connection, store=store.name, key=_bare(key), topic="", headers={}, payload=payload, at=now)


def _bare(key: Key) -> Key:
    return Key(value=key.value.encode("ascii", "backslashreplace").decode(), expires=key.expires)


def _storable(text: str, longest: int) -> str:
    """A header's value as every database takes it: Latin-1 as WSGI hands it over, without control characters, and of bounded length."""
    return "".join(character for character in text if character.isprintable())[:longest].strip()
