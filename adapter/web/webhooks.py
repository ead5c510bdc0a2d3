"""Receiving: a request is verified, and stored by one committed insert before it gets a 2xx. Nothing else happens here.

Webhooks are handled by plain WSGI in front of Flask. Flask's routing, sessions and hooks are for pages; they would cost more than the
verification and the insert together.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import uuid4

from flask import Blueprint, Response, abort, current_app, request
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wsgi import get_input_stream

from adapter.errors import DatabaseAway
from adapter.inbox.group_commit import Keeper, Learned, Refusal
from adapter.inbox.public_address import AgreedAddress, is_needed
from adapter.inbox.receiving import Arrival
from adapter.monitoring.error_reporting import report
from adapter.monitoring.logs import REQUEST_ID
from adapter.settings import Settings, Store
from adapter.web.origin import Origins
from adapter.web.request_ids import HEADER as REQUEST_ID_HEADER
from adapter.web.request_ids import request_id
from mappings import PROVIDERS, Verdict, absolute_url

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)
blueprint = Blueprint("webhooks", __name__)
_PREFIX = "/webhooks/"
_RETRY_AFTER = ("Retry-After", "10")
_LONGEST_TOPIC = 200
_LONGEST_HEADER = 500
_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


@blueprint.get("/webhooks/<name>", strict_slashes=False)
def greet(name: str) -> Response:
    """Echo a platform's challenge, or tell a person who opens the address what it is for."""
    settings: Settings = current_app.extensions["settings"]
    store = settings.store(name)
    if store is None:
        abort(404, _unknown(name))
    challenge = request.args.get("challenge")
    if challenge is None or not store.provider.echoes_challenge:
        abort(405, description=f"{store.provider.title} posts the webhooks of store {store.name} to this address; there is no page here")
    response = Response(challenge, mimetype="text/plain")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    document: Mapping[str, str]
    headers: Sequence[tuple[str, str]] = ()


class _Unkept(Exception):  # noqa: N818 - it ends a request early; it is not an error of the adapter
    """The answer to a request that is not stored."""

    def __init__(self, status: int, error: str, *headers: tuple[str, str]) -> None:
        super().__init__(error)
        self.answer = _Answer(status, {"error": error}, headers)


class WebhookReceiver:
    """Handles `POST /webhooks/<store>`, with or without a trailing slash, and passes every other request to Flask."""

    def __init__(self, app: "WSGIApplication", settings: Settings, keeper: Keeper) -> None:
        self._app = app
        self._settings = settings
        self._keeper = keeper
        self._origins = Origins(settings)
        self._agreed = AgreedAddress() if is_needed(settings) else None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] != "POST" or not path.startswith(_PREFIX):
            return self._app(environ, start_response)
        name = request_id(environ.get("HTTP_X_REQUEST_ID", ""))
        token = REQUEST_ID.set(name)
        try:
            answer = _Answer(200, self._receive(path[len(_PREFIX) :].removesuffix("/"), environ))
        except _Unkept as unkept:
            answer = unkept.answer
        except Exception as error:  # noqa: BLE001 - the server would log its message, which may quote the payload
            report(error)
            log.error("%s while receiving", type(error).__name__, extra={"action": "fault"})
            answer = _Answer(500, {"error": "an internal error; send it again"})
        finally:
            REQUEST_ID.reset(token)
        body = json.dumps(answer.document).encode()
        common = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), (REQUEST_ID_HEADER, name)]
        start_response(_STATUS[answer.status], [*common, *answer.headers])
        return [body]

    def _receive(self, name: str, environ: "WSGIEnvironment") -> Mapping[str, str]:
        """The receipt for a stored request; raises `_Unkept` for any other."""
        store = self._settings.store(name)
        if store is None:
            raise _Unkept(404, _unknown(name))
        payload = self._read(environ)
        headers = _headers(environ)
        if store.provider.is_ping(headers, payload):
            return {"status": "pong"}
        verdict = store.verify(headers, payload)
        if verdict is Verdict.UNJUDGED:
            log.error("the key to verify it can't be fetched now", extra={"action": "not_judged", "store": store.name})
            raise _Unkept(503, "the signature can't be verified now; send it again", _RETRY_AFTER)
        if verdict is not Verdict.GENUINE:
            raise self._refuse(store, verdict, _unproved(store, verdict), status=401)
        if why := self._origins.why_foreign(store, headers, payload):
            raise self._refuse(store, Verdict.OTHER_SHOP, why, status=403)
        receipt = self._keep(store, headers, payload)
        if self._agreed and receipt["status"] == "kept" and self._agreed.agreed(address := _address(environ)):
            self._keeper.learn(Learned(address, datetime.now(UTC)))
        return store.provider.acknowledgement(headers, payload, receipt)

    def _read(self, environ: "WSGIEnvironment") -> bytes:
        """The body, counted while it is read, because a chunked request does not state its length."""
        most = self._settings.max_payload_bytes
        try:
            payload: bytes = get_input_stream(environ, max_content_length=most + 1).read()
        except RequestEntityTooLarge:
            payload = b""
            too_long = True
        except HTTPException as error:  # the client disconnected, or its chunks are malformed
            raise _Unkept(400, error.description or "the body is malformed") from None
        else:
            too_long = len(payload) > most
        if too_long:
            raise _Unkept(413, f"the body is longer than MAX_PAYLOAD_BYTES, {most} bytes")
        return payload

    def _keep(self, store: Store, headers: Mapping[str, str], payload: bytes) -> dict[str, str]:
        provider = store.provider
        key = provider.key(headers, payload)
        arrival = Arrival(
            store=store.name,
            key=replace(key, value=_storable(key.value, _LONGEST_HEADER) or uuid4().hex),
            topic=_storable(provider.topic(headers), _LONGEST_TOPIC),
            headers={name: _storable(headers[name], _LONGEST_HEADER) for name in provider.kept_headers if name in headers},
            payload=payload,
            at=datetime.now(UTC),
        )
        try:
            delivery, new, reopened = self._keeper.keep(arrival)
        except (DatabaseAway, DBAPIError) as error:
            why = str(error) if isinstance(error, DatabaseAway) else f"the database rejects every row: {type(error).__name__}"
            log.error(why, extra={"action": "not_kept", "store": store.name})
            raise _Unkept(503, "the webhook can't be stored now; send it again", _RETRY_AFTER) from None
        about = {"delivery": delivery, "store": store.name}
        log.info("kept" if new else "a copy", extra={"action": "kept" if new else "duplicate", **about})
        if reopened:
            log.info("a copy of a dead delivery, which is tried again", extra={"action": "reopened", **about})
        return {"delivery": str(delivery), "status": "kept" if new else "duplicate"}

    def _refuse(self, store: Store, verdict: Verdict, why: str, *, status: int) -> _Unkept:
        try:
            self._keeper.count(Refusal(store.name, str(verdict), datetime.now(UTC)))
        except (DatabaseAway, DBAPIError) as error:
            log.error(str(error), extra={"action": "not_counted", "store": store.name})
        log.warning(why, extra={"action": "refused", "store": store.name, "reason": str(verdict)})
        return _Unkept(status, why)


def _unproved(store: Store, verdict: Verdict) -> str:
    header = store.provider.scheme(store.auth).header(store.credentials)
    if verdict is Verdict.MISSING:
        return f"the request has no {header} header: is it from {store.provider.title}, and does the webhook have a secret?"
    return f"{header} does not match: {_what_to_compare(store)}"


def _address(environ: "WSGIEnvironment") -> str:
    """The address that the store sent a request to."""
    return absolute_url(f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}")


def _headers(environ: "WSGIEnvironment") -> dict[str, str]:
    """The request's headers, with lower-case names."""
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    if content_type := environ.get("CONTENT_TYPE"):
        headers["content-type"] = content_type
    return headers


def _unknown(name: str) -> str:
    how = f"set {name.upper()}_WEBHOOK_SECRET" if name in PROVIDERS else "add it to STORES"
    return f"there is no store named {name[:80]!r}: {how}"


def _what_to_compare(store: Store) -> str:
    if store.provider.scheme(store.auth).can_sign:
        return f"{store.secret_setting} is not the secret that {store.provider.title} signs with"
    return f"compare {store.secret_setting} with the value Adobe shows; events must be addressed to it and signed with Adobe's key"


def _storable(text: str, longest: int) -> str:
    """A header's value that every database accepts: Latin-1, as WSGI passes it, without control characters and of limited length."""
    if not text.isprintable():
        text = "".join(character for character in text if character.isprintable())
    return text[:longest].strip()
