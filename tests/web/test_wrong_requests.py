"""Every route with methods, bodies and values that it doesn't take: an answer below 500, no traceback, no secret."""

import re
from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest
import requests

from tests.faults.harness import Site
from tests.support.adapter_under_test import ACCOUNT, SECRET, make_settings, signed
from tests.support.description import describe
from tests.support.whole_app import create_app
from tests.web.conftest import PASSWORD
from tests.web.test_every_route import REQUESTS, Client, site

__all__ = ["site"]
METHODS = ("PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "get", "*")
KNOWN = {"name": "shopify", "store": "shopify", "order_id": "1001", "delivery": "1", "account": ACCOUNT.id, "filename": "dashboard.css"}
# Percent-encoded: NUL, a lone surrogate, no UTF-8, an overlong slash, a line break, a number no database holds, none at all.
VALUES = ("%00", "%ED%A0%80", "%FF%FE", "%C0%AF", "%0D%0AX-Injected:%20a", "9" * 400, "-1", "NaN", "%D9%A1", "a" * 3_000, "")
BODIES: Mapping[str, bytes] = {
    "application/json": b'{"q": ["\\ud800"], "id": {"a": 1}}',
    "application/x-www-form-urlencoded": b"&".join(b"id=%d" % number for number in range(20_000)),
    "application/x-www-form-urlencoded; charset=utf-7": b"id=%00&q=%ED%A0%80&since=%FF&below=&done=x&which=%00&csrf_token=%00",
    "multipart/form-data; boundary=b": b'--b\r\nContent-Disposition: form-data; name="id"; filename="\x00"\r\n\r\n1\r\n--b--\r\n',
    "multipart/form-data": b"--\r\n",
    "multipart/form-data; boundary=c": b"".join(
        b'--c\r\nContent-Disposition: form-data; name="id"\r\n\r\n%d\r\n' % number for number in range(2_000)
    ),
    "text/plain": b"\x00" * 2_000,
    "": b"\xff",
}
_HIDDEN = (SECRET, PASSWORD, ACCOUNT.token)


def _attack(site: Site, client: Client, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> int:
    request = requests.Request(method, data=body, headers={**(headers or {}), "Referer": client.url})
    prepared = client.prepare_request(_at(request, client.url))
    prepared.method = method
    prepared.url = f"{client.url}{path}"  # as it is: nothing is quoted again
    answer = client.send(prepared, allow_redirects=False, timeout=30)
    assert answer.status_code < 500 or (answer.status_code == 503 and path.startswith(("/status", "/readyz"))), (method, path, answer.text)
    shown = f"{answer.text} {answer.headers}"
    assert not any(secret in shown for secret in _HIDDEN), (method, path)
    assert "Traceback" not in answer.text
    assert "X-Injected" not in answer.headers
    return answer.status_code


def _at(request: requests.Request, url: str) -> requests.Request:
    request.url = url
    return request


def _known(path: str) -> str:
    return re.sub(r"{(\w+)}", lambda found: KNOWN[found[1]], path)


def _wrong_methods(site: Site, client: Client, paths: Mapping[str, Any]) -> None:
    for method, path in product(METHODS, paths):
        _attack(site, client, method, _known(path))


def _wrong_bodies(site: Site, client: Client, paths: Mapping[str, Any]) -> None:
    for path in (path for path, operations in paths.items() if "post" in operations):
        for kind, body in BODIES.items():
            _attack(site, client, "POST", _known(path), {"Content-Type": kind, "X-CSRFToken": client.token}, body)


def _wrong_values(site: Site, client: Client, paths: Mapping[str, Any]) -> None:
    for (path, operations), value in product(paths.items(), VALUES):
        taken = [each["name"] for each in operations.get("get", {}).get("parameters", ()) if each["in"] == "query"]
        if "{" in path:
            _attack(site, client, "GET", re.sub(r"{(\w+)}", value, path))
        if taken:
            _attack(site, client, "GET", f"{_known(path)}?{'&'.join(f'{name}={value}' for name in taken)}")
            for name in taken if REQUESTS else ():
                _attack(site, client, "GET", f"{_known(path)}?{name}={value}")


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"] if REQUESTS else ["sqlite"], indirect=True)
def test_no_request_is_a_fault_of_the_adapter_or_reveals_a_secret(site: Site) -> None:
    app = create_app(make_settings(site.drip.url), site.engine)
    paths = describe(app, {name: [value] for name, value in KNOWN.items()}, logged_in=True)["paths"]
    paths = {path: operations for path, operations in paths.items() if path != "/logout"}
    outsider, administrator = Client(site), Client(site)
    administrator.log_in()
    for client in (outsider, administrator):
        _wrong_methods(site, client, paths)
        _wrong_bodies(site, client, paths)
    _wrong_values(site, administrator, paths)
    for body in BODIES.values():
        assert _attack(site, outsider, "POST", "/webhooks/shopify", signed(body), body) == 200
    assert site.is_up
    logs = "".join(path.read_text() for path in site.folder.glob("*.log"))
    assert "Traceback" not in logs
    assert not any(secret in logs for secret in _HIDDEN)
