"""The client for Drip's Order Activity API: bytes in, an `Answer` out.

Source for addresses, authentication and errors: Drip's API documentation, pages "Order Activity", "Errors", "Rate limiting".
"""

import queue
from collections.abc import Iterable
from io import BytesIO

import requests
from requests.auth import AuthBase
from urllib3.exceptions import NewConnectionError

from adapter import __version__
from adapter.delivery.answers import Answer, Outcome, read_answer
from adapter.delivery.pacing import Kind
from adapter.process.http_transport import CuttableAdapter, why_unreachable, within
from adapter.settings import Account

DEADLINES_S = {"single": 8.0, "batch": 60.0}
_LONGEST_ANSWER = 1_000_000


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

    def post_batch(self, bodies: Iterable[bytes], deadline_s: float = DEADLINES_S["batch"]) -> Answer:
        """Post up to 1,000 orders at once."""
        return self._post_within("batch", _together(bodies), deadline_s)

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
                return read_answer(kind, response.status_code, response.headers, content, body)
        except requests.RequestException as error:
            return Answer(outcome=Outcome.RETRY, outcome_unknown=not _never_sent(error), what=_failure(error))
        except Exception as error:  # noqa: BLE001 - urllib3 raises some errors of its own while a raw answer is read
            return Answer(
                outcome=Outcome.RETRY, outcome_unknown=True, what=f"the connection broke while Drip was answering: {type(error).__name__}"
            )


def _together(bodies: Iterable[bytes]) -> bytes:
    """The body of a batch, in memory once: with `join`, all its parts would be there as well."""
    whole = BytesIO()
    separator = b'{"orders":['
    for body in bodies:
        whole.write(separator)
        whole.write(body)
        separator = b","
    whole.write(b"]}")
    return whole.getvalue()


class _Bearer(AuthBase):
    """A token in the Authorization header; passed as `auth`, since requests lets a .netrc override a plain header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


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
    return f"could not connect to Drip: {why_unreachable(error)}"
