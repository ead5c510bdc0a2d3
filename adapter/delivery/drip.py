"""The client for Drip's Order Activity API: bytes in, an `Answer` out.

Source for addresses, authentication and errors: Drip's API documentation, pages "Order Activity", "Errors", "Rate limiting".
"""

import json
import queue
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import requests
from requests.auth import AuthBase
from urllib3.exceptions import NewConnectionError
from werkzeug.http import parse_date

from adapter import __version__
from adapter.delivery.pacing import Kind
from adapter.process.http_transport import CuttableAdapter, within
from adapter.settings import Account

DEADLINES_S = {"single": 8.0, "batch": 60.0}
_LONGEST_ANSWER = 1_000_000
_LONGEST_COUNT = 10
_LONGEST_WAIT = timedelta(hours=1)


class Outcome(StrEnum):
    """What an answer means for the order."""

    DELIVERED = "delivered"
    RETRY = "retry"
    """Not the order's fault: retried after a backoff."""
    THROTTLED = "throttled"
    BLOCKED = "blocked"
    """Not the order's fault: the account's credentials or plan."""
    REFUSED = "refused"
    """Drip will never accept this body."""
    NO_BATCHES = "no_batches"
    """Drip has no batch endpoint for this account."""


_SINGLE = {400: Outcome.REFUSED, 422: Outcome.REFUSED, 429: Outcome.THROTTLED} | dict.fromkeys(
    (401, 402, 403, 404, 410, 451), Outcome.BLOCKED
)
# One invalid or oversized order fails the whole batch; a missing batch endpoint does not mean that the account is wrong.
_BATCH = _SINGLE | {413: Outcome.REFUSED, 404: Outcome.NO_BATCHES, 405: Outcome.NO_BATCHES}
_SERVER_ERROR = 500


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The result of one POST."""

    outcome: Outcome
    status: int | None = None
    """None: no answer."""
    outcome_unknown: bool = False
    """Whether Drip may have accepted the order although no answer confirms it."""
    request_ids: tuple[str, ...] = ()
    """Drip's id for each order, in the order posted; empty if it returned none."""
    errors: tuple[Mapping[str, Any], ...] = ()
    retry_after: timedelta | None = None
    limit: int | None = None
    """X-RateLimit-Limit: requests of this kind an hour."""
    remaining: int | None = None
    """X-RateLimit-Remaining."""
    what: str = ""
    """A summary for people and logs; never quotes a body."""


class Drip:
    """One account's connection to Drip. Used by one thread. Redirects are not followed: the credentials would go with them."""

    def __init__(self, base_url: str, account: Account, site: str) -> None:
        self.account = account
        single = f"{base_url}/v3/{account.id}/shopper_activity/order"
        self._addresses = {"single": single, "batch": f"{single}/batch"}
        self._headers = {"User-Agent": f"drip-order-adapter/{__version__} ({site})", "Content-Type": "application/json"}
        self._session, self._adapter = self._connect()

    def post_order(self, body: bytes, deadline_s: float = DEADLINES_S["single"]) -> Answer:
        """Post one order; `deadline_s` limits the whole request, not only the wait between two bytes."""
        return self._post_within("single", body, deadline_s)

    def post_batch(self, bodies: Sequence[bytes], deadline_s: float = DEADLINES_S["batch"]) -> Answer:
        """Post up to 1,000 orders at once."""
        return self._post_within("batch", b'{"orders":[' + b",".join(bodies) + b"]}", deadline_s)

    def _post_within(self, kind: Kind, body: bytes, deadline_s: float) -> Answer:
        session = self._session
        try:
            return within(deadline_s, lambda: self._post(session, kind, body, deadline_s), "drip-post")
        except queue.Empty:
            self._adapter.cut()
            self._session, self._adapter = self._connect()
            return Answer(outcome=Outcome.RETRY, outcome_unknown=True, what=f"Drip did not answer within {deadline_s:g} s")

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _connect(self) -> tuple[requests.Session, CuttableAdapter]:
        session, adapter = requests.Session(), CuttableAdapter(pool_connections=1, pool_maxsize=1)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        session.headers.update(self._headers)
        session.auth = _Bearer(self.account.token) if self.account.auth == "bearer" else (self.account.token, "")
        return session, adapter

    def _post(self, session: requests.Session, kind: Kind, body: bytes, deadline_s: float) -> Answer:
        try:
            with session.post(self._addresses[kind], data=body, timeout=deadline_s, allow_redirects=False, stream=True) as response:
                content = response.raw.read(_LONGEST_ANSWER, decode_content=True)
                return _answer(kind, response.status_code, response.headers, content)
        except requests.RequestException as error:
            return Answer(outcome=Outcome.RETRY, outcome_unknown=not _never_sent(error), what=_failure(error))
        except Exception as error:  # noqa: BLE001 - urllib3 raises some errors of its own while a raw answer is read
            return Answer(
                outcome=Outcome.RETRY, outcome_unknown=True, what=f"the connection broke while Drip was answering: {type(error).__name__}"
            )


class _Bearer(AuthBase):
    """A token in the Authorization header; passed as `auth`, since requests lets a .netrc override a plain header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _answer(kind: Kind, status: int, headers: Mapping[str, str], content: bytes) -> Answer:
    document = _json(content)
    errors = document.get("errors")
    outcome = Outcome.DELIVERED if 200 <= status < 300 else (_BATCH if kind == "batch" else _SINGLE).get(status, Outcome.RETRY)
    return Answer(
        outcome=outcome,
        status=status,
        outcome_unknown=status >= _SERVER_ERROR,
        request_ids=_request_ids(document) if outcome == Outcome.DELIVERED else (),
        errors=tuple(error for error in errors if isinstance(error, dict)) if isinstance(errors, list) else (),
        retry_after=_retry_after(headers) if outcome == Outcome.THROTTLED else None,
        limit=_count(headers, "X-RateLimit-Limit"),
        remaining=_count(headers, "X-RateLimit-Remaining"),
        what=f"Drip answered {status}",
    )


def _request_ids(document: Mapping[str, Any]) -> tuple[str, ...]:
    several = document.get("request_ids")
    if isinstance(several, list):
        return tuple(str(each) for each in several)
    return (str(document["request_id"]),) if document.get("request_id") else ()


def _count(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name, "").strip()
    return int(value) if value.isdecimal() and len(value) < _LONGEST_COUNT else None


def _json(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Seconds or a date, capped at the hour after which any quota has recovered."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal() and len(value) < _LONGEST_COUNT:
        wait = timedelta(seconds=int(value))
    elif (moment := parse_date(value)) is not None:
        wait = moment - datetime.now(UTC)
    else:
        return None
    return min(max(wait, timedelta(0)), _LONGEST_WAIT)


def _never_sent(error: requests.RequestException) -> bool:
    """Whether the request cannot have reached Drip because no connection was made."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, NewConnectionError)


def _failure(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "Drip did not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "no secure connection to Drip: its certificate could not be verified"
    return "could not connect to Drip"
