"""Receiving: a request is verified, and stored by one committed insert before it gets a 2xx. Nothing else happens here.

Webhooks are handled by plain WSGI in front of Flask. Flask's routing, sessions and hooks are for pages; they would cost more than the
verification and the insert together, and a process that only receives webhooks doesn't even load it.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from sqlalchemy.exc import DBAPIError

from adapter.errors import DatabaseAway
from adapter.inbox.group_commit import Keeper, Learned, Refusal
from adapter.inbox.public_address import AgreedAddress, is_needed
from adapter.inbox.receiving import Arrival, Receipt
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
# Judging and packing a body of this length takes a millisecond, in which the loop reads nothing else.
_SMALL = 32_768


class _Unkept(Exception):  # noqa: N818 - it ends a request early; it is not an error of the adapter
    """The answer to a request that is not stored."""

    def __init__(self, status: int, document: Mapping[str, str], *headers: tuple[str, str]) -> None:
        super().__init__(status)
        self.answer = Answer(status, document, headers)


class _Refused(_Unkept):
    """The answer to a request that isn't genuine, which is counted."""

    def __init__(self, status: int, store: Store, verdict: Verdict, why: str) -> None:
        super().__init__(status, {"error": why})
        self.store, self.verdict, self.why = store, verdict, why


class _Genuine(NamedTuple):
    """A verified request."""

    store: Store
    headers: Mapping[str, str]
    payload: bytes


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
        if not _is_webhook(environ):
            return self._app(environ, start_response)
        with named(environ) as request_id:
            return _answer(lambda: self._receive(environ)).send(environ, start_response, request_id)

    def begin(self, environ: "WSGIEnvironment", ready: Callable[[], None]) -> "BegunWebhook | None":
        """Begin to store a webhook if that takes no longer than judging a small one; None for any other request, which is to be called.

        So is one that turns out not to be genuine: it is judged again there, logged and counted.
        """
        if not _is_webhook(environ) or not self._is_quick(environ):
            return None
        try:
            genuine = self._judge(environ)
            job = self._keeper.begin(_arrival(genuine), ready)
        except Exception:  # noqa: BLE001 - it comes again in the call, which reports it
            return None
        return BegunWebhook(environ, job.until, lambda: self._receipt(genuine, lambda: self._keeper.outcome(job), environ))

    def _is_quick(self, environ: "WSGIEnvironment") -> bool:
        length: str = environ.get("CONTENT_LENGTH", "")
        store = self._settings.store(_name(environ))
        # A platform's public key may have to be fetched first.
        return length.isdecimal() and int(length) <= _SMALL and store is not None and store.provider.scheme(store.auth).can_sign

    def _receive(self, environ: "WSGIEnvironment") -> Mapping[str, str]:
        """The receipt for a stored request; raises `_Unkept` for any other."""
        try:
            genuine = self._judge(environ)
        except _Refused as refused:
            self._count(refused)
            raise
        return self._receipt(genuine, lambda: self._keeper.keep(_arrival(genuine)), environ)

    def _judge(self, environ: "WSGIEnvironment") -> _Genuine:
        """A genuine request; raises `_Unkept` for any other."""
        name = _name(environ)
        store = self._settings.store(name)
        if store is None:
            raise _Unkept(404, {"error": unknown_store(name)})
        payload = self._read(environ)
        headers = _headers(environ)
        if store.provider.is_ping(headers, payload):
            raise _Unkept(200, {"status": "pong"})
        verdict = store.verify(headers, payload)
        if verdict is Verdict.UNJUDGED:
            log.error("the key to verify it can't be fetched now", extra={"action": "not_judged", "store": store.name})
            raise _Unkept(503, {"error": "the signature can't be verified now; send it again"}, _RETRY_AFTER)
        if verdict is not Verdict.GENUINE:
            raise _Refused(401, store, verdict, _unproved(store, verdict))
        if why := self._origins.why_foreign(store, headers, payload):
            raise _Refused(403, store, Verdict.OTHER_SHOP, why)
        return _Genuine(store, headers, payload)

    def _read(self, environ: "WSGIEnvironment") -> bytes:
        most = self._settings.max_payload_bytes
        try:
            return read_body(environ, most)
        except BodyTooLong:
            raise _Unkept(413, {"error": f"the body is longer than MAX_PAYLOAD_BYTES, {most} bytes"}) from None
        except BodyCut:
            raise _Unkept(400, {"error": "the body ended early, or is malformed"}) from None

    def _receipt(self, genuine: _Genuine, outcome: Callable[[], Receipt], environ: "WSGIEnvironment") -> Mapping[str, str]:
        """The receipt of a request whose storing has this outcome."""
        store, headers, payload = genuine
        try:
            delivery, new, reopened = outcome()
        except (DatabaseAway, DBAPIError) as error:
            why = str(error) if isinstance(error, DatabaseAway) else f"the database rejects every row: {type(error).__name__}"
            log.error(why, extra={"action": "not_kept", "store": store.name})
            raise _Unkept(503, {"error": "the webhook can't be stored now; send it again"}, _RETRY_AFTER) from None
        about = {"delivery": delivery, "store": store.name}
        log.info("kept" if new else "a copy", extra={"action": "kept" if new else "duplicate", **about})
        if reopened:
            log.info("a copy of a dead delivery, which is tried again", extra={"action": "reopened", **about})
        if self._agreed and new and self._agreed.agreed(address := _address(environ)):
            self._keeper.learn(Learned(address, datetime.now(UTC)))
        receipt = {"delivery": str(delivery), "status": "kept" if new else "duplicate"}
        return store.provider.acknowledgement(headers, payload, receipt)

    def _count(self, refused: _Refused) -> None:
        name, reason = refused.store.name, str(refused.verdict)
        try:
            self._keeper.count(Refusal(name, reason, datetime.now(UTC)))
        except (DatabaseAway, DBAPIError) as error:
            log.error(str(error), extra={"action": "not_counted", "store": name})
        log.warning(refused.why, extra={"action": "refused", "store": name, "reason": reason})


class BegunWebhook:
    """A genuine webhook that is being stored."""

    def __init__(self, environ: "WSGIEnvironment", until: float, receipt: Callable[[], Mapping[str, str]]) -> None:
        self.until = until
        self._environ = environ
        self._receipt = receipt

    def response(self) -> tuple[str, Sequence[tuple[str, str]], bytes]:
        """The answer, by what has come of it until now."""
        with named(self._environ) as request_id:
            return _answer(self._receipt).response(request_id)


def _answer(receipt: Callable[[], Mapping[str, str]]) -> Answer:
    try:
        return Answer(200, receipt())
    except _Unkept as unkept:
        return unkept.answer
    except Exception as error:  # noqa: BLE001 - the server would log its message, which may quote the payload
        report(error)
        log.error("%s while receiving", type(error).__name__, extra={"action": "fault"})
        return Answer(500, {"error": "an internal error; send it again"})


def _is_webhook(environ: "WSGIEnvironment") -> bool:
    path: str = environ.get("PATH_INFO", "")
    return environ["REQUEST_METHOD"] == "POST" and path.startswith(_PREFIX)


def _name(environ: "WSGIEnvironment") -> str:
    """The store that a webhook's address names."""
    path: str = environ["PATH_INFO"]
    return path[len(_PREFIX) :].removesuffix("/")


def _arrival(genuine: _Genuine) -> Arrival:
    store, headers, payload = genuine
    provider = store.provider
    key = provider.key(headers, payload)
    value = _storable(key.value, _LONGEST_HEADER) or uuid4().hex
    return Arrival(
        store=store.name,
        key=key if key.value == value else replace(key, value=value),
        topic=_storable(provider.topic(headers), _LONGEST_TOPIC),
        headers={name: _storable(headers[name], _LONGEST_HEADER) for name in provider.kept_headers if name in headers},
        payload=payload,
        at=datetime.now(UTC),
    )


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
