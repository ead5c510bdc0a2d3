"""Receiving: a request is verified, and stored by one committed insert before it gets a 2xx. Nothing else happens here.

Webhooks are handled by plain WSGI in front of Flask. Flask's routing, sessions and hooks are for pages; they would cost more than the
verification and the insert together, and a process that only receives webhooks doesn't even load it.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy.exc import DBAPIError

from adapter.errors import DatabaseAway
from adapter.inbox.group_commit import Keeper, Learned, Refusal
from adapter.inbox.public_address import AgreedAddress, is_needed
from adapter.inbox.receiving import Arrival
from adapter.monitoring.error_reporting import report
from adapter.settings import Settings, Store
from adapter.web.origin import Origins
from adapter.web.plain import Answer, BodyCut, BodyTooLong, read_body
from adapter.web.request_ids import named
from mappings import PROVIDERS, Verdict, absolute_url

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)
_PREFIX = "/webhooks/"
_RETRY_AFTER = ("Retry-After", "10")
_LONGEST_TOPIC = 200
_LONGEST_HEADER = 500


class _Unkept(Exception):  # noqa: N818 - it ends a request early; it is not an error of the adapter
    """The answer to a request that is not stored."""

    def __init__(self, status: int, error: str, *headers: tuple[str, str]) -> None:
        super().__init__(error)
        self.answer = Answer(status, {"error": error}, headers)


class WebhookReceiver:
    """Handles `POST /webhooks/<store>`, with or without a trailing slash, and passes every other request on."""

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
        with named(environ) as request_id:
            return self._answer(path[len(_PREFIX) :].removesuffix("/"), environ).send(environ, start_response, request_id)

    def _answer(self, name: str, environ: "WSGIEnvironment") -> Answer:
        try:
            return Answer(200, self._receive(name, environ))
        except _Unkept as unkept:
            return unkept.answer
        except Exception as error:  # noqa: BLE001 - the server would log its message, which may quote the payload
            report(error)
            log.error("%s while receiving", type(error).__name__, extra={"action": "fault"})
            return Answer(500, {"error": "an internal error; send it again"})

    def _receive(self, name: str, environ: "WSGIEnvironment") -> Mapping[str, str]:
        """The receipt for a stored request; raises `_Unkept` for any other."""
        store = self._settings.store(name)
        if store is None:
            raise _Unkept(404, unknown_store(name))
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
        most = self._settings.max_payload_bytes
        try:
            return read_body(environ, most)
        except BodyTooLong:
            raise _Unkept(413, f"the body is longer than MAX_PAYLOAD_BYTES, {most} bytes") from None
        except BodyCut:
            raise _Unkept(400, "the body ended early, or is malformed") from None

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


def unknown_store(name: str) -> str:
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
