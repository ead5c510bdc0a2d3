"""Who may see the dashboard, and what keeps everyone else out."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, update

from adapter.errors import SettingsError
from adapter.inbox import login_attempts
from adapter.inbox.database import transaction
from adapter.inbox.tables import login_attempts as attempts
from adapter.settings import Settings, read_settings
from adapter.settings.addresses import Networks
from adapter.web.app import create_app
from adapter.web.dashboard.security import _secret_key
from tests.support.adapter_under_test import AdapterUnderTest, make_settings
from tests.web.conftest import PASSWORD, Visitor, audited, visitor, with_dashboard

PAGES = (
    "/",
    "/deliveries",
    "/deliveries/1",
    "/orders",
    "/orders/shopify/1001",
    "/stores",
    "/stores/shopify",
    "/stores/shopify/arrivals.json",
    "/audit",
)
CHANGES = (
    "/search", "/logout", "/deliveries/retry", "/deliveries/retry/now", "/deliveries/1/retry", "/deliveries/1/reveal",
    "/deliveries/1/fixture", "/first-run/samples",
)  # fmt: skip
LOCAL = "http://127.0.0.1:8000"


@pytest.fixture
def settings() -> Settings:
    return with_dashboard(make_settings("http://127.0.0.1:1"))


def sandbox(**changed: Any) -> Settings:
    return replace(make_settings("http://127.0.0.1:1"), sandbox=True, **{"public_url": LOCAL, "status_open_to": "", **changed})


def test_the_pages_tested_here_are_all_there_are(settings: Settings, engine: Engine) -> None:
    rules = visitor(settings, engine).client.application.url_map.iter_rules()
    ours = [rule for rule in rules if rule.endpoint.startswith("dashboard.") and rule.endpoint != "dashboard.log_in"]
    assert len(ours) == len(PAGES) + len(CHANGES)


def test_without_a_password_there_is_no_dashboard(settings: Settings, engine: Engine) -> None:
    somebody = visitor(replace(settings, admin_password=""), engine)
    assert {somebody.get(path).status_code for path in (*PAGES, "/login")} == {404}
    assert {somebody.bare_post(path, {}).status_code for path in (*CHANGES, "/login")} == {404}
    assert somebody.get("/").is_json


def test_nothing_can_be_seen_or_done_before_login(settings: Settings, engine: Engine) -> None:
    somebody = visitor(settings, engine)
    for path in PAGES:
        answer = somebody.get(path)
        assert answer.status_code == 303, path
        assert answer.location.startswith("/login"), path
    for path in CHANGES:
        assert somebody.post(path).location == "/login", path
    assert somebody.get("/stores/shopify/arrivals.json", headers={"Accept": "application/json"}).status_code == 401
    assert audited(engine) == []


def test_login_needs_a_csrf_token_too(settings: Settings, engine: Engine) -> None:
    somebody = visitor(settings, engine)
    assert somebody.bare_post("/login", {"password": PASSWORD}).status_code == 400
    assert somebody.get("/").status_code == 303


def test_a_refused_login_is_logged(settings: Settings, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    somebody = visitor(settings, engine)
    for _ in range(6):
        somebody.log_in("hush")
    assert [record.__dict__.get("action") for record in caplog.records] == ["log_in_refused"] * 6
    assert "hush" not in caplog.text


def test_login_and_logout(settings: Settings, engine: Engine) -> None:
    somebody = visitor(settings, engine)
    assert somebody.log_in("wrong").status_code == 401
    assert somebody.get("/").status_code == 303
    assert somebody.log_in().status_code == 303
    assert somebody.get("/").status_code == 200
    assert audited(engine) == [("logged in", "dashboard")]
    somebody.post("/logout", at="/")
    assert somebody.get("/").status_code == 303


def test_the_session_cookie_is_hidden_from_scripts_and_other_sites(settings: Settings, engine: Engine) -> None:
    cookie = visitor(settings, engine).log_in().headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Secure"} <= {part.strip() for part in cookie.split(";")}
    plain = replace(settings, public_url="http://127.0.0.1:8000")
    assert "Secure" not in visitor(plain, engine, LOCAL).log_in().headers["Set-Cookie"]


def test_another_password_ends_every_session(settings: Settings, engine: Engine) -> None:
    settings = replace(settings, secret_key="the same in both, so that it is not the signature that fails")
    somebody = visitor(settings, engine)
    somebody.log_in()
    cookie = somebody.client.get_cookie("drip_adapter", "adapter.example")
    assert cookie is not None
    for password, status in ((PASSWORD, 200), ("another", 303)):
        other = visitor(replace(settings, admin_password=password), engine)
        other.client.set_cookie("drip_adapter", cookie.value, domain="adapter.example", secure=True)
        assert other.get("/").status_code == status


def test_workers_share_the_session_key(settings: Settings) -> None:
    assert _secret_key(settings) == _secret_key(replace(settings))
    assert _secret_key(settings) != _secret_key(replace(settings, admin_password="another"))
    assert _secret_key(replace(settings, secret_key="given")) == b"given"


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/\n/evil.example"]
)
def test_login_redirects_to_no_other_site(settings: Settings, engine: Engine, wanted: str) -> None:
    assert visitor(settings, engine).log_in(next=wanted).location == "/"


def test_login_redirects_to_the_requested_page(settings: Settings, engine: Engine) -> None:
    somebody = visitor(settings, engine)
    assert somebody.get("/deliveries?state=dead").location == "/login?next=/deliveries?state%3Ddead"
    assert somebody.log_in(next="/deliveries?state=dead").location == "/deliveries?state=dead"


def test_the_session_key_doesnt_help_to_guess_passwords_offline(settings: Settings) -> None:
    """Everyone gets a signed cookie from the login page, so its key must not depend on the password alone."""
    [store] = [store for store in settings.stores.values() if store.name == "shopify"]
    other = replace(store, credentials=replace(store.credentials, secrets=["another"]))
    known_but_for_a_secret = replace(settings, stores={**settings.stores, "shopify": other})
    assert _secret_key(known_but_for_a_secret) != _secret_key(settings)
    assert _secret_key(replace(settings, database_url="postgresql://a:b@c/d")) != _secret_key(settings)


def test_the_cookie_is_secure_if_only_a_trusted_proxy_reports_https(settings: Settings, engine: Engine) -> None:
    settings = replace(settings, public_url="http://127.0.0.1:8000", public_url_is_set=False)
    for trusted, expected in ((Networks(private=True), True), (Networks(), False)):
        somebody = visitor(replace(settings, trusted_proxies=trusted), engine, LOCAL)
        assert ("Secure" in somebody.get("/login", headers={"X-Forwarded-Proto": "https"}).headers["Set-Cookie"]) is expected


def test_no_debug_page_is_shown(monkeypatch: pytest.MonkeyPatch, adapter: AdapterUnderTest) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    app = create_app(adapter.settings, adapter.engine)
    assert not app.debug
    page = Visitor(app.test_client())
    page.log_in()

    def fail(*_: Any) -> None:
        raise RuntimeError("hush-hush of ada@example.com")

    monkeypatch.setattr("adapter.web.dashboard.overview.read_health", fail)
    answer = page.get("/")
    assert (answer.status_code, answer.mimetype) == (500, "text/html")
    assert [word for word in ("hush", "ada@", "Traceback", "RuntimeError", "adapter/web") if word in answer.text] == []
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


NUL = "\0"


@pytest.mark.parametrize(
    "path",
    ["/deliveries?q=%00", "/deliveries?topic=a%00", "/orders/shopify/%00", "/orders/%00/1", "/stores/%00", "/stores/%00/arrivals.json"],
)
def test_input_that_no_page_sends_is_refused(page: Visitor, path: str) -> None:
    assert page.get(path).status_code == 400


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("/search", {"q": NUL}, 400),
        ("/deliveries/retry", {"which": "all", "store": NUL}, 400),
        ("/deliveries/retry/now", {"below": "x", "done": "-1"}, 303),
        ("/deliveries/retry/now", {"below": "9" * 30, "done": "9" * 30}, 303),
        ("/deliveries/retry/now", {"id": ["x", "9" * 30]}, 303),
    ],
)
def test_a_nonsensical_form_is_no_internal_error(page: Visitor, path: str, form: dict[str, Any], status: int) -> None:
    assert page.post(path, form, at="/").status_code == status


def test_a_large_login_form_is_refused(settings: Settings, engine: Engine) -> None:
    somebody = visitor(settings, engine)
    assert somebody.post("/login", {"password": "x" * 600_000}).status_code == 413


def test_login_attempts_are_throttled_across_workers(settings: Settings, engine: Engine) -> None:
    workers = [visitor(settings, engine), visitor(settings, engine)]
    statuses = [workers[index % 2].log_in("wrong").status_code for index in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    refused = workers[0].log_in()
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "900")
    elsewhere = workers[1].post("/login", {"password": PASSWORD}, headers={"X-Forwarded-For": "192.0.2.7"})
    assert elsewhere.status_code == 303


def test_the_right_password_clears_earlier_failures(settings: Settings, engine: Engine) -> None:
    somebody = visitor(settings, engine)
    for _ in range(3):
        for _ in range(4):
            assert somebody.log_in("wrong").status_code == 401
        assert somebody.log_in().status_code == 303
        somebody.post("/logout", at="/")


@pytest.mark.slow
def test_forged_addresses_dont_bypass_the_throttle(settings: Settings, engine: Engine) -> None:
    somebody = visitor(settings, engine)
    statuses = {
        somebody.post("/login", {"password": "wrong"}, headers={"X-Forwarded-For": f"192.0.2.{index}"}).status_code for index in range(61)
    }
    assert statuses == {401, 429}


def test_attempts_while_throttled_write_nothing(settings: Settings, engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(insert(attempts).values(visitor=login_attempts.EVERYONE, times=60, since=datetime.now(UTC)))
    somebody = visitor(settings, engine)
    for index in range(3):
        forged = {"X-Forwarded-For": f"192.0.2.{index}"}
        assert somebody.post("/login", {"password": PASSWORD}, headers=forged).status_code == 429
    with transaction(engine) as connection:
        assert [tuple(row) for row in connection.execute(select(attempts.c.visitor, attempts.c.times))] == [("*", 60)]
        connection.execute(update(attempts).values(since=datetime.now(UTC) - login_attempts.WINDOW))
    assert somebody.log_in().status_code == 303


@pytest.mark.slow
def test_a_forged_request_changes_nothing(page: Visitor, adapter: AdapterUnderTest) -> None:
    before = audited(adapter.engine)
    for path in CHANGES:
        assert page.bare_post(path, {}).status_code == 400, path
        assert page.bare_post(path, {"csrf_token": "x"}).status_code == 400, path
        assert page.post(path, {}, at="/", headers={"Referer": "https://evil.example/"}).status_code == 400, path
    assert page.get("/").status_code == 200
    assert audited(adapter.engine) == before


def test_every_page_carries_the_headers(page: Visitor) -> None:
    for path in ("/", "/deliveries", "/deliveries/77", "/login"):
        headers = page.get(path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src", "form-action")} == {"'self'"}
        assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")
        assert headers["Cache-Control"] == "no-store"


def test_no_page_has_inline_scripts_or_styles(page: Visitor) -> None:
    for path in ("/", "/deliveries", "/stores", "/stores/shopify", "/audit"):
        text = page.get(path).text
        assert "style=" not in text, path
        assert "<style" not in text, path
        assert text.count("<script") == text.count('<script src="/static/'), path
        assert " on" not in [text[at : at + 3] for at in range(len(text)) if text[at : at + 7] in (" onclic", " onload", " onerro")], path


def test_webhooks_and_health_get_no_page_headers(adapter: AdapterUnderTest) -> None:
    for answer in (adapter.post({"id": 1}), adapter.web.get("/healthz"), adapter.web.get("/readyz")):
        assert answer.status_code == 200
        assert not {"Set-Cookie", "Vary", "Content-Security-Policy", "X-Frame-Options", "Strict-Transport-Security"} & set(
            answer.headers.keys()
        )


@pytest.mark.parametrize("host", ["adapter.example", "evil.example", "adapter.example:80@evil.example"])
def test_http_is_redirected_to_public_url_if_a_trusted_proxy_reports_it(settings: Settings, engine: Engine, host: str) -> None:
    somebody = visitor(replace(settings, trusted_proxies=Networks(private=True)), engine, "http://adapter.example")
    assert somebody.get("/login").status_code == 200
    reported = {"X-Forwarded-Proto": "http", "Host": host, "X-Forwarded-Host": host}
    moved = somebody.get("/login?next=/audit", headers=reported)
    assert (moved.status_code, moved.location) == (302, "https://adapter.example/login?next=/audit")
    assert somebody.get("/healthz", headers=reported).status_code == 200
    assert visitor(settings, engine, "http://adapter.example").get("/login", headers=reported).status_code == 200, "it isn't trusted"


def test_with_the_sandbox_this_machine_needs_no_password(engine: Engine) -> None:
    somebody = visitor(sandbox(), engine, LOCAL)
    for path in ("/", "/deliveries", "/stores", "/audit"):
        answer = somebody.get(path)
        assert answer.status_code == 200
        assert "never to Drip" in answer.text


@pytest.mark.parametrize(
    ("base", "more"),
    [
        ("http://evil.example:8000", {}),
        ("http://127.0.0.1.evil.example", {}),
        (LOCAL, {"headers": {"X-Forwarded-For": "192.0.2.1"}}),
        (LOCAL, {"headers": {"Forwarded": "for=192.0.2.1"}}),
        (LOCAL, {"environ_base": {"REMOTE_ADDR": "192.0.2.1"}}),
    ],
    ids=["another name", "a longer name", "through a proxy", "through another proxy", "another machine"],
)
def test_with_the_sandbox_nobody_else_gets_in(engine: Engine, base: str, more: dict[str, Any]) -> None:
    somebody = visitor(sandbox(), engine, base)
    assert {somebody.get(path, **more).status_code for path in PAGES} == {404}


def test_a_sandbox_that_is_published_is_open_to_nobody(engine: Engine) -> None:
    """A proxy on this machine may add no header at all, so that everyone seems to be here."""
    assert visitor(sandbox(public_url="https://adapter.example"), engine, LOCAL).get("/").status_code == 404
    assert visitor(sandbox(public_url="http://0.0.0.0:8000"), engine, LOCAL).get("/").status_code == 200


def test_with_the_sandbox_a_password_still_counts(engine: Engine) -> None:
    assert visitor(sandbox(admin_password=PASSWORD), engine, LOCAL).get("/").status_code == 303


def test_the_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", " with spaces ")
    monkeypatch.setenv("SECRET_KEY", "a key of sixteen")
    settings = read_settings()
    assert (settings.admin_password, settings.secret_key) == ("with spaces", "a key of sixteen")
    assert "spaces" not in repr(settings)
    assert not read_settings().sandbox


def test_a_blank_password_is_a_settings_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", " ")
    with pytest.raises(SettingsError, match=r"^ADMIN_PASSWORD: is blank"):
        read_settings()
    monkeypatch.setenv("ADMIN_PASSWORD", "")
    assert read_settings().admin_password == ""


def test_status_is_open_after_login(page: Visitor) -> None:
    far = {"environ_base": {"REMOTE_ADDR": "192.0.2.1"}}
    assert page.get("/status", **far).status_code == 200
    page.post("/logout", at="/")
    assert page.get("/status", **far).status_code == 401
