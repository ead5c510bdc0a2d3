"""An id for each web request: the one that the platform or proxy sent, if it is well-formed, else a new one.

It stands in the answer and in all log lines of the request. It is not kept with the delivery: the line `kept` holds both ids, and all that
becomes of the delivery later carries the delivery's.
"""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from adapter.monitoring.logs import REQUEST_ID

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

HEADER = "X-Request-ID"
# The ids of common platforms: letters, digits and a few marks. An email address, or text that forges a log line, does not match.
_SOUND = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+/=:-]{7,199}")


def request_id(sent: str) -> str:
    """The id of a request whose header contains `sent`."""
    return sent if _SOUND.fullmatch(sent) else uuid.uuid4().hex


@contextmanager
def named(environ: "WSGIEnvironment") -> Iterator[str]:
    """Give all log lines of the block the request's id."""
    name = request_id(environ.get("HTTP_X_REQUEST_ID", ""))
    token = REQUEST_ID.set(name)
    try:
        yield name
    finally:
        REQUEST_ID.reset(token)
