"""Answers in plain WSGI, for requests that must not wait for Flask or load it: webhooks and health checks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from adapter.web.request_ids import HEADER

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON document, its status, and headers beside the common ones."""

    status: int
    document: Mapping[str, str]
    headers: Sequence[tuple[str, str]] = ()

    def response(self, request_id: str) -> tuple[str, list[tuple[str, str]], bytes]:
        """Status line, headers and body."""
        body = json.dumps(self.document).encode()
        common = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), (HEADER, request_id)]
        return _STATUS[self.status], [*common, *self.headers], body

    def send(self, environ: "WSGIEnvironment", start_response: "StartResponse", request_id: str) -> list[bytes]:
        """Answer a request."""
        status, headers, body = self.response(request_id)
        start_response(status, headers)
        return [body] if environ["REQUEST_METHOD"] != "HEAD" else []


class BodyTooLong(Exception):  # noqa: N818 - it is an answer, not an error of the adapter
    """The request's body is longer than allowed."""


class BodyCut(Exception):  # noqa: N818 - the same
    """The body ended early, or its chunks are malformed."""


def read_body(environ: "WSGIEnvironment", most: int) -> bytes:
    """The body of at most so many bytes; counted, because a chunked request does not state its length.

    Raises `BodyTooLong` or `BodyCut`.
    """
    stated = environ.get("CONTENT_LENGTH") or ""
    if stated and not (stated.isascii() and stated.isdecimal()):
        raise BodyCut
    length = int(stated) if stated else most + 1 if environ.get("wsgi.input_terminated") else 0
    if stated and length > most:
        raise BodyTooLong
    received = bytearray()
    try:
        while len(received) < length and (data := environ["wsgi.input"].read(length - len(received))):
            received += data
    except OSError:
        raise BodyCut from None
    if len(received) > most:
        raise BodyTooLong
    if stated and len(received) < length:
        raise BodyCut
    return bytes(received)
