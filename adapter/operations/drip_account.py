"""Asks Drip whether it accepts an account's credentials, with a request that changes nothing there."""

from dataclasses import dataclass

import requests

from adapter import __version__
from adapter.process.http_transport import why_unreachable
from adapter.settings import Account, Settings

_TIMEOUT_S = 8
_UNAUTHORIZED, _FORBIDDEN = 401, 403


@dataclass(frozen=True, slots=True)
class Proof:
    """Drip's answer. `why` is a sentence without its full stop about what is wrong, and what to do; blank if nothing is."""

    why: str = ""
    status: int | None = None
    """None: no answer."""

    @property
    def is_accepted(self) -> bool:
        """Whether Drip accepts the credentials for this account."""
        return not self.why

    @property
    def is_rejected(self) -> bool:
        """Whether Drip rejects the credentials, and not just this request."""
        return self.status in (_UNAUTHORIZED, _FORBIDDEN)


def ask_drip(settings: Settings, account: Account) -> Proof:
    """Read the account at Drip. Takes at most a few seconds."""
    url = settings.drip_api_url
    # Always passed as `auth`: requests would let a .netrc override a plain header.
    auth = _Bearer(account.token) if account.auth == "bearer" else requests.auth.HTTPBasicAuth(account.token, "")
    headers = {"User-Agent": f"drip-order-adapter/{__version__} ({settings.public_url})"}
    try:
        address = f"{url}/v2/accounts/{account.id}"
        response = requests.get(address, auth=auth, headers=headers, timeout=_TIMEOUT_S, allow_redirects=False)
    except requests.RequestException as error:
        return Proof(f"no response from {url} ({why_unreachable(error)}): check DRIP_API_URL and the network")
    status = response.status_code
    if _describes(response, account.id):
        return Proof(status=status)
    if kind := _of_a_stranger(response):
        return Proof(f"something other than Drip answered {status} at {url}, with {kind}: check DRIP_API_URL and any proxy", status)
    advice = {
        200: "this is not Drip's API, or another account's; check DRIP_API_URL",
        401: f"check {account.token_setting}",
        402: "the Drip account's plan needs attention",
        403: f"the token in {account.token_setting} has no access to this account; check {account.id_setting}",
        404: f"check {account.id_setting} and DRIP_API_URL",
        429: "the hourly request quota is used up; try again later",
    }.get(status, "Drip is having problems; try again later" if status >= 500 else "Drip doesn't answer like this; check DRIP_API_URL")
    return Proof(f"{url} returned {status}: {advice}", status)


def _describes(response: requests.Response, account_id: str) -> bool:
    """Whether a response is Drip's description of the account, and not just any page."""
    try:
        return response.status_code == 200 and str(response.json()["accounts"][0]["id"]) == account_id
    except (ValueError, LookupError, TypeError):
        return False


def _of_a_stranger(response: requests.Response) -> str:
    """The content type of a response that Drip doesn't send, such as a proxy's page; blank for one that it may send."""
    try:
        if not response.content.strip() or isinstance(response.json(), dict):
            return ""
    except ValueError:
        pass
    return response.headers.get("Content-Type", "").partition(";")[0] or "no content type"


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request
