"""An id for each web request: the one that the platform or proxy sent, if it is well-formed, else a new one.

It stands in the answer and in all log lines of the request. It is not kept with the delivery: the line `kept` holds both ids, and all that
becomes of the delivery later carries the delivery's.
"""

import re
import uuid

from flask import Flask, Response, g, request

from adapter.monitoring.logs import REQUEST_ID

HEADER = "X-Request-ID"
# The ids of common platforms: letters, digits and a few marks. An email address, or text that forges a log line, does not match.
_SOUND = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+/=:-]{7,199}")


def request_id(sent: str) -> str:
    """The id of a request whose header contains `sent`."""
    return sent if _SOUND.fullmatch(sent) else uuid.uuid4().hex


def name_requests(app: Flask) -> None:
    """Give each request an id."""

    @app.before_request
    def begin() -> None:
        g.request_id = request_id(request.headers.get(HEADER, ""))
        REQUEST_ID.set(g.request_id)

    @app.after_request
    def echo(response: Response) -> Response:
        response.headers[HEADER] = g.request_id
        return response

    @app.teardown_request
    def end(error: BaseException | None) -> None:
        REQUEST_ID.set(None)
