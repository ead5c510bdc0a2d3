"""Every route of a running web process, with known values and any text in every place that its OpenAPI description names.

Each answer has a status, a content type and a body that the description names, and nothing raises. `make fuzz` sends FUZZ_REQUESTS to each
method of each route.
"""

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from mappings import PROVIDERS
from tests.faults.harness import Site, running_site
from tests.support.adapter_under_test import ACCOUNT, SECRET, AdapterUnderTest, make_settings, shopify_order, signed
from tests.support.description import ROUTES, describe, described_methods
from tests.support.waiting import wait_until
from tests.support.whole_app import create_app
from tests.web.conftest import PASSWORD

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "0"))
schemathesis = pytest.importorskip("schemathesis", reason="install what requirements-dev.txt has")
checks = pytest.importorskip("schemathesis.specs.openapi.checks")
_SETTINGS = {"ADMIN_PASSWORD": PASSWORD, "MAGENTO_WEBHOOK_SECRET": SECRET, "MAGENTO_STORE_URL": "https://shop.example"}
_CHECKS = [checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance]
_KNOWN = {
    "name": ["shopify", "magento"],
    "store": ["shopify"],
    "order_id": ["1001", "1002", "a/b"],
    "delivery": ["1", "2", "3", "4", "0", "9223372036854775808"],
    "account": [ACCOUNT.id],
    "filename": ["style.css", "../pages.py", "%2e%2e/pages.py"],
}
_WHOLE = settings(
    max_examples=REQUESTS or 3,
    deadline=None,
    database=None,
    derandomize=not REQUESTS,
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
)


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    """A web process on a database with a delivered order, a dead one, and one of which only the webhook is there."""
    with running_site(database_url, tmp_path) as site:
        adapter = AdapterUnderTest(site.engine, make_settings(site.drip.url), site.drip.url)
        for number in (1001, "a/b"):
            assert adapter.post(shopify_order(1) | {"id": number}).status_code == 200
        assert adapter.post(shopify_order(1002, total="none")).status_code == 200
        adapter.settle()
        assert {"delivered", "dead"} <= set(adapter.states())
        adapter.post(shopify_order(1003))
        site.variables |= {**_SETTINGS, "PUBLIC_URL": f"http://{site.address}"}
        site.start_web()
        wait_until(lambda: site.is_up, what="the web process answers")
        yield site


class Client(requests.Session):
    """Someone with a browser, who sends what schemathesis made; the administrator, if it logs in."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.url = f"http://{site.address}"
        self.token = ""

    def log_in(self) -> None:
        """Log in, if it isn't."""
        page = self.get(f"{self.url}/audit")
        if 'name="password"' in page.text:
            form = {"csrf_token": _token(page), "password": PASSWORD}
            page = self.post(f"{self.url}/login", data=form, headers={"Referer": self.url})
            assert page.status_code == 200, page.text
        self.token = _token(page)

    def answer(self, case: Any) -> requests.Response:
        """The answer to a case; a form gets its token, and a webhook is signed, if this is the administrator."""
        if self.token and isinstance(case.body, dict):
            case.body["csrf_token"] = self.token
        request = self.prepare_request(requests.Request(**case.as_transport_kwargs(base_url=self.url)))
        if self.token and request.path_url.startswith("/webhooks/") and case.path_parameters["name"] in PROVIDERS:
            body = request.body.encode() if isinstance(request.body, str) else request.body or b""
            request.headers.update(signed(body, case.path_parameters["name"]))
        return self.send(request, allow_redirects=False, timeout=20)


def _token(page: requests.Response) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def attack(operation: Any, client: Client, answers: Counter[int]) -> None:
    """Send what the description allows: known values, and any text instead of them."""

    def run(case: Any) -> None:
        answer = client.answer(case)
        answers[answer.status_code] += 1
        case.validate_response(answer, checks=_CHECKS)

    cases: SearchStrategy[Any] = operation.as_strategy()
    _WHOLE(given(cases)(run))()


def test_every_route_is_described() -> None:
    app = create_app(make_settings("http://127.0.0.1:9"))
    assert described_methods(app) == set(ROUTES)


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"] if REQUESTS else ["sqlite"], indirect=True)
def test_every_answer_is_as_described(site: Site) -> None:
    app, answers, begun = create_app(make_settings(site.drip.url), site.engine), Counter[int](), time.monotonic()
    for logged_in in (True, False):
        client = Client(site)
        for operation in schemathesis.openapi.from_dict(describe(app, _KNOWN, logged_in=logged_in)).get_all_operations():
            if logged_in:
                client.log_in()
            attack(operation.ok(), client, answers)
    assert site.is_up
    assert "Traceback" not in "".join(path.read_text() for path in site.folder.glob("*.log"))
    print(f"{site.kind}: {answers} in {time.monotonic() - begun:.1f} s")
