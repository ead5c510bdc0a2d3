"""Where alerts are told: an address that takes Slack's JSON, or any that the library Apprise knows."""

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

PATIENCE_S = 20.0
_TIMEOUT_S = 8.0
_TITLE = "Drip order adapter"


def why_no_address(url: str) -> str:
    """What is wrong with an ALERT_URL, never quoting it; blank if nothing is."""
    if _takes_slack_json(url):
        with suppress(ValueError):
            if urlsplit(url).hostname:
                return ""
        return "is no address such as https://hooks.example/T000/B000/XXXX"
    if _service(url) is not None:
        return ""
    return (
        "is neither an https:// address that takes Slack's JSON nor one that Apprise knows, such as mailtos://USER:PASSWORD@HOST?to=ADDRESS"
    )


def tell(url: str, text: str) -> None:
    """Send a text; raises `WorkFailed`, never quoting the address, if it was not taken within `PATIENCE_S`."""
    send = _post if _takes_slack_json(url) else _notify
    try:
        why = within(PATIENCE_S, lambda: _outcome(send, url, text), "alert")
    except queue.Empty:
        why = f"no answer within {PATIENCE_S:g} s"
    if why:
        raise WorkFailed(f"ALERT_URL could not be told: {why}")


def _outcome(send: Callable[[str, str], str], url: str, text: str) -> str:
    """Why it failed; blank if it did not."""
    try:
        return send(url, text)
    except Exception as error:  # noqa: BLE001 - whatever an address sets off must not stop the sender; a message may quote it
        return type(error).__name__


def _post(url: str, text: str) -> str:
    headers = {"User-Agent": f"drip-order-adapter/{__version__}"}
    # Redirects would take the text to where nobody has asked for it.
    with requests.post(
        url, json={"text": f"{_TITLE}: {text}"}, headers=headers, timeout=_TIMEOUT_S, allow_redirects=False, stream=True
    ) as answer:
        return "" if 200 <= answer.status_code < 300 else f"it answered {answer.status_code}"


def _notify(url: str, text: str) -> str:
    return "" if _service(url).notify(title=_TITLE, body=text) else "its service did not take it"


def _service(url: str) -> Any:
    """What Apprise makes of an address; None if nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its own, when it loads its services
        from apprise import Apprise  # noqa: PLC0415 - with over a hundred services it takes a while, and few need it

        return Apprise.instantiate(url, suppress_exceptions=True)


def _takes_slack_json(url: str) -> bool:
    return url.startswith(("https://", "http://"))
