"""One log line per event, for people and for `grep`: `action=` first, then the ids involved.

No line may contain a secret, an email address or a payload: messages are fixed texts, and fields are ids, counts and names.
"""

import logging
import sys
import time
from contextvars import ContextVar
from typing import Any

from adapter.printable import one_line
from adapter.tracebacks import shown

FIELDS = (
    "action", "delivery", "store", "order", "account", "reason", "attempt", "seconds", "status", "drip_request_id", "source", "orders",
    "count", "request_id",
)  # fmt: skip
"""The fields of a line beside its message, in this order."""
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the current web request, included in all its lines."""


class LineFormatter(logging.Formatter):
    """`2026-01-31T12:00:00Z INFO action=delivered delivery=17 store=shopify created at Drip`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(fields)s%(message)s", "%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        known = {"request_id": REQUEST_ID.get(), **record.__dict__}
        pairs = ((name, known.get(name)) for name in FIELDS)
        record.fields = "".join(f"{name}={_quoted(value)} " for name, value in pairs if value is not None)
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """One line, whatever the message and the fields contain."""
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is logging's
        """Where an exception happened, without a message that may quote anything."""
        return shown(ei[1])


def set_up(level: str) -> None:
    """Log to standard error, as hosting platforms expect."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # The last two would log the tokens and bodies they sign.
    for noisy in ("alembic", "urllib3", "werkzeug", "oauthlib", "requests_oauthlib"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # A line for each request that waits a moment for a thread; how long webhooks take is in the metrics.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    # Their lines may quote the address alerts or errors are sent to; failures are logged by the adapter itself.
    for silenced in ("apprise", "sentry_sdk.errors"):
        logging.getLogger(silenced).setLevel(logging.CRITICAL + 1)


def _quoted(value: object) -> str:
    text = str(value)
    return text if text and not any(character.isspace() or character in '="' for character in text) else repr(text)
