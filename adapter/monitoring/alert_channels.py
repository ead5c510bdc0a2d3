"""Sends alerts to a webhook that accepts Slack's JSON, or to any service the Apprise library supports."""

import queue
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import requests

from adapter import __version__
from adapter.errors import WorkFailed
from adapter.process.http_transport import within

TIMEOUT_S = 20.0
_REQUEST_TIMEOUT_S = 8.0
_TITLE = "Drip order adapter"


def why_no_address(url: str) -> str:
    """What is wrong with an ALERT_URL, without quoting it; blank if it is valid."""
    if _accepts_slack_json(url):
        with suppress(ValueError):
            if urlsplit(url).hostname:
                return ""
        return "isn't a valid address; it should look like https://hooks.example/T000/B000/XXXX"
    if _service(url) is not None:
        return ""
    return "is neither an https:// address that accepts Slack's JSON nor an Apprise address such as mailtos://USER:PASSWORD@HOST?to=ADDRESS"


def send(url: str, text: str) -> None:
    """Send a text; raises `WorkFailed`, without quoting the address, if it wasn't accepted within `TIMEOUT_S`."""
    deliver = _post if _accepts_slack_json(url) else _notify
    try:
        why = within(TIMEOUT_S, lambda: _outcome(deliver, url, text), "alert")
    except queue.Empty:
        why = f"no response within {TIMEOUT_S:g} s"
    if why:
        raise WorkFailed(f"the alert could not be sent to ALERT_URL: {why}")


def _outcome(deliver: Callable[[str, str], str], url: str, text: str) -> str:
    """Why it failed; blank if it did not."""
    try:
        return deliver(url, text)
    except Exception as error:  # noqa: BLE001 - no failure here may stop the sender; a message could quote the address
        return type(error).__name__


def _post(url: str, text: str) -> str:
    headers = {"User-Agent": f"drip-order-adapter/{__version__}"}
    # A redirect would take the text to an address nobody configured.
    with requests.post(
        url, json={"text": f"{_TITLE}: {text}"}, headers=headers, timeout=_REQUEST_TIMEOUT_S, allow_redirects=False, stream=True
    ) as answer:
        return "" if 200 <= answer.status_code < 300 else f"it returned {answer.status_code}"


def _notify(url: str, text: str) -> str:
    return "" if _service(url).notify(title=_TITLE, body=text) else "the service did not accept it"


def _service(url: str) -> Any:
    """The Apprise service for an address; None if there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from Apprise, when it loads its services
        from apprise import Apprise  # noqa: PLC0415 - slow to load, and few installations need it

        return Apprise.instantiate(url, suppress_exceptions=True)


def _accepts_slack_json(url: str) -> bool:
    return url.startswith(("https://", "http://"))
