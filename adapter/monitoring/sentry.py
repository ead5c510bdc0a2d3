"""What Sentry receives of an internal error.

A report contains the error's type and location only. Its message, local variables, the request and everything else may quote an order or a
secret, so none of that leaves the process.
"""

import json
import time
from collections.abc import Iterable
from typing import Any

import sentry_sdk
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.excepthook import ExcepthookIntegration
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.integrations.threading import ThreadingIntegration
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import BadDsn, Dsn

from adapter import __version__

_KEPT = ("event_id", "timestamp", "platform", "level", "release", "environment", "transaction", "sdk")
_KEPT_OF_FRAMES = ("filename", "abs_path", "function", "module", "lineno", "in_app")
_FLUSH_S = 2
REPEATED_AFTER_S = 300.0
_MOST_REMEMBERED = 100
_reported: dict[str, float] = {}


def why_no_dsn(dsn: str) -> str:
    """What is wrong with a DSN; blank if it is valid."""
    try:
        Dsn(dsn)
    except (BadDsn, ValueError):  # their messages may quote the key
        return "isn't a DSN such as https://KEY@HOST/PROJECT; Sentry shows yours under Settings > Projects > Client Keys (DSN)"
    return ""


def set_up(dsn: str) -> None:
    """Report errors to Sentry from now on."""
    sentry_sdk.init(
        dsn=dsn,
        release=f"drip-order-adapter@{__version__}",
        before_send=_stripped,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        server_name="",
        auto_session_tracking=False,
        send_client_reports=False,
        shutdown_timeout=_FLUSH_S,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            FlaskIntegration(),
            ExcepthookIntegration(),
            ThreadingIntegration(propagate_scope=False),
            DedupeIntegration(),
            AtexitIntegration(callback=lambda pending, timeout: None),
        ],
    )


def report(error: BaseException) -> None:
    """Report an error that doesn't stop the process."""
    sentry_sdk.capture_exception(error)


def _stripped(event: Event, hint: Hint) -> Event | None:
    """An event reduced to the error's type and location; None if it was reported recently."""
    values: Iterable[dict[str, Any]] = event.get("exception", {}).get("values", ())
    places = [_place(value) for value in values]
    if _was_reported(json.dumps(places, sort_keys=True)):
        return None
    kept: Any = {name: event[name] for name in _KEPT if name in event}  # type: ignore[literal-required]
    kept["exception"] = {"values": places}
    return kept  # type: ignore[no-any-return]


def _was_reported(error: str) -> bool:
    """Whether the same error was reported recently: a failing loop fails every two seconds."""
    now = time.monotonic()
    if now - _reported.get(error, float("-inf")) < REPEATED_AFTER_S:
        return True
    if len(_reported) >= _MOST_REMEMBERED:
        _reported.clear()
    _reported[error] = now
    return False


def _place(value: dict[str, Any]) -> dict[str, Any]:
    frames = (value.get("stacktrace") or {}).get("frames", ())
    kept = [{name: frame[name] for name in _KEPT_OF_FRAMES if name in frame} for frame in frames]
    return {"type": value.get("type"), "module": value.get("module"), "stacktrace": {"frames": kept}}
