"""The dashboard on real databases, with visitors who keep cookies."""

import json
import re
from dataclasses import dataclass, replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from adapter.inbox import audit
from adapter.inbox.database import snapshot
from adapter.operations.preview import MAPPER
from adapter.settings import Settings
from tests.support.adapter_under_test import AdapterUnderTest, make_settings
from tests.support.whole_app import create_app

PASSWORD = "correct horse battery"


@dataclass
class Visitor:
    """Someone with a browser."""

    client: FlaskClient
    base: str = "https://adapter.example"

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.client.get(path, base_url=self.base, **more)

    def post(self, path: str, form: dict[str, Any] | None = None, *, at: str = "/login", **more: Any) -> TestResponse:
        """Post a form with the CSRF token of the page `at`."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.get(at).text)
        assert token is not None, at
        return self.bare_post(path, {"csrf_token": token[1], **(form or {})}, **more)

    def bare_post(self, path: str, form: dict[str, Any], **more: Any) -> TestResponse:
        headers = {"Referer": f"{self.base}/", **more.pop("headers", {})}
        return self.client.post(path, data=form, base_url=self.base, headers=headers, **more)

    def log_in(self, password: str = PASSWORD, **more: Any) -> TestResponse:
        return self.post("/login", {"password": password, **more})


def with_dashboard(settings: Settings, **changed: Any) -> Settings:
    return replace(settings, **{"admin_password": PASSWORD, **changed})


def visitor(settings: Settings, engine: Engine, base: str = "https://adapter.example") -> Visitor:
    return Visitor(create_app(settings, engine).test_client(), base)


def audited(engine: Engine) -> list[tuple[str, str]]:
    """The audit entries, oldest first."""
    with snapshot(engine) as connection:
        return [(row.action, row.subject) for row in reversed(audit.noted(connection, 100))]


@pytest.fixture(scope="session", autouse=True)
def mapper() -> None:
    """Pages don't wait long for the process that maps payloads; here it has started before the first one."""
    assert MAPPER.start()


@pytest.fixture
def adapter(engine: Engine, sandbox_url: str) -> AdapterUnderTest:
    return AdapterUnderTest(engine, with_dashboard(make_settings(sandbox_url)), sandbox_url)


@pytest.fixture
def page(adapter: AdapterUnderTest) -> Visitor:
    """The administrator, logged in."""
    visitor_ = Visitor(adapter.web)
    assert visitor_.log_in().status_code == 303
    return visitor_


def delivery_of(response: TestResponse) -> int:
    """The delivery id in a webhook's response."""
    return int(json.loads(response.text)["delivery"])
