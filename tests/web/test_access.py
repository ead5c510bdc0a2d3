"""Who may see the dashboard, and what keeps everyone else out."""

import re
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from freezegun import freeze_time
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import Engine, select

from adapter.cli import main
from adapter.errors import SettingsError
from adapter.inbox import audit, login_attempts
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.tables import audit as audit_table
from adapter.inbox.tables import login_attempts as attempts
from adapter.inbox.tables import sessions
from adapter.settings import Settings, read_settings
from adapter.settings.addresses import Networks
from adapter.web.dashboard.security import _secret_key
from tests.support.adapter_under_test import AdapterUnderTest, make_settings
from tests.support.whole_app import create_app
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
    "/deliveries/1/fixture", "/first-run/samples", "/accounts/9999999/resume",
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


def test_only_a_form_is_a_login(settings: Settings, engine: Engine) -> None:
    somebody = visitor(settings, engine)
    for method in ("HEAD", "OPTIONS", "PUT", "FOO"):
        answer = somebody.client.open("/login", method=method, base_url=somebody.base, data={"password": PASSWORD})
        assert answer.status_code in (200, 405), method
    assert somebody.get("/").status_code == 303
    assert audited(engine) == []


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
    assert audited(engine) == [("wrong password", "dashboard"), ("logged in", "dashboard")]
    somebody.post("/logout", at="/")
    assert somebody.get("/").status_code == 303


def test_the_session_cookie_is_hidden_from_scripts_and_other_sites(settings: Settings, engine: Engine) -> None:
    for cookie in visitor(settings, engine).log_in().headers.getlist("Set-Cookie"):
        assert cookie.startswith("__Host-drip_adapter")
        assert {"HttpOnly", "SameSite=Lax", "Secure", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        assert "Domain" not in cookie
    plain = replace(settings, public_url="http://127.0.0.1:8000")
    for cookie in visitor(plain, engine, LOCAL).log_in().headers.getlist("Set-Cookie"):
        assert cookie.startswith("drip_adapter")
        assert "Secure" not in cookie


def test_another_password_ends_every_session(settings: Settings, engine: Engine) -> None:
    settings = replace(settings, secret_key="the same in both, so that it is not the signature that fails")
    somebody = visitor(settings, engine)
    somebody.log_in()
    cookie = somebody.client.get_cookie("__Host-drip_adapter", "adapter.example")
    assert cookie is not None
    for password, status in ((PASSWORD, 200), ("another", 303)):
        other = visitor(replace(settings, admin_password=password), engine)
        other.client.set_cookie("__Host-drip_adapter", cookie.value, domain="adapter.example", secure=True)
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
    answer = page.get("/", headers={"Accept": "text/html"})
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


NEAR, NEXT_DOOR, FAR = "2001:db8:1:2::7", "2001:db8:1:2:ffff::8", "2001:db8:9::1"


def from_address(address: str) -> dict[str, Any]:
    return {"environ_base": {"REMOTE_ADDR": address}}


def try_wrong(somebody: Visitor, times: int, address: str = NEAR) -> list[int]:
    return [somebody.post("/login", {"password": f"wrong {n}"}, **from_address(address)).status_code for n in range(times)]


def test_login_attempts_are_slowed_down_across_workers(settings: Settings, engine: Engine) -> None:
    workers = [visitor(settings, engine), visitor(settings, engine)]
    statuses = [workers[index % 2].log_in("wrong").status_code for index in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    refused = workers[0].log_in()
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")


def test_the_wait_doubles_and_is_never_longer_than_half_a_minute() -> None:
    waits = [login_attempts.wait_after(failures).total_seconds() for failures in range(14)]
    assert waits == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert login_attempts.wait_after(10**6) == login_attempts.LONGEST


def test_sixty_wrong_passwords_keep_nobody_else_out_and_the_network_for_half_a_minute(settings: Settings, engine: Engine) -> None:
    with freeze_time("2026-11-29 12:00:00", tick=False) as now:
        attacker = visitor(settings, engine)
        for _ in range(60):
            try_wrong(attacker, 1)
            now.tick(31)
        assert try_wrong(attacker, 3) == [401, 429, 429]
        assert try_wrong(visitor(settings, engine), 1, NEXT_DOOR) == [429], "an address of the same /64"
        owner = visitor(settings, engine)
        assert owner.post("/login", {"password": PASSWORD}, **from_address(FAR)).status_code == 303
        now.tick(30)
        assert visitor(settings, engine).post("/login", {"password": PASSWORD}, **from_address(NEXT_DOOR)).status_code == 303


def test_a_browser_that_has_logged_in_does_not_wait_for_others(settings: Settings, engine: Engine) -> None:
    with freeze_time("2026-11-29 12:00:00", tick=False) as now:
        owner = visitor(settings, engine)
        assert owner.post("/login", {"password": PASSWORD}, **from_address(NEAR)).status_code == 303
        owner.post("/logout", at="/")
        now.tick(200 * 24 * 3600)
        assert try_wrong(visitor(settings, engine), 60)[5:] == [429] * 55
        assert owner.post("/login", {"password": PASSWORD}, **from_address(NEAR)).status_code == 303
        owner.post("/logout", at="/")
        assert try_wrong(owner, 7) == [401] * 5 + [429] * 2, "its own failures count by themselves"


def test_a_forged_mark_of_a_known_browser_is_worth_nothing(settings: Settings, engine: Engine) -> None:
    somebody = visitor(settings, engine)
    try_wrong(somebody, 5)
    for forged in ("x", "ImEi.aaaa.bbbb", URLSafeTimedSerializer(b"guess", salt="known browser").dumps("a")):
        somebody.client.set_cookie("__Host-drip_adapter_known", forged, domain="adapter.example", secure=True)
        assert try_wrong(somebody, 1) == [429]


def test_the_mark_of_a_browser_is_hidden_from_scripts(settings: Settings, engine: Engine) -> None:
    marked = [cookie for cookie in visitor(settings, engine).log_in().headers.getlist("Set-Cookie") if "known" in cookie]
    assert len(marked) == 1
    assert {"HttpOnly", "SameSite=Lax", "Secure"} <= {part.strip() for part in marked[0].split(";")}


def test_attempts_that_come_too_soon_write_nothing(settings: Settings, engine: Engine) -> None:
    somebody = visitor(settings, engine)
    try_wrong(somebody, 5)
    before = audited(engine)
    with transaction(engine) as connection:
        rows = connection.execute(select(attempts)).all()
    assert try_wrong(somebody, 3) == [429] * 3
    with transaction(engine) as connection:
        assert connection.execute(select(attempts)).all() == rows
    assert audited(engine) == before


def test_unlock_ends_the_waiting(settings: Settings, engine: Engine) -> None:
    somebody = visitor(settings, engine)
    assert try_wrong(somebody, 6)[-1] == 429
    url = engine.url.render_as_string(hide_password=False)
    result = CliRunner().invoke(main, ["unlock"], env={"DATABASE_URL": url}, catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (0, "forgot the wrong passwords of 1 visitor\n")
    assert somebody.post("/login", {"password": PASSWORD}, **from_address(NEAR)).status_code == 303
    assert audited(engine)[-2:] == [("unlocked the login", "dashboard"), ("logged in", "dashboard")]


def test_failed_logins_are_on_record_with_a_digest_of_the_network(settings: Settings, engine: Engine) -> None:
    somebody = visitor(settings, engine)
    for address in (NEAR, NEXT_DOOR, FAR):
        try_wrong(somebody, 1, address)
    somebody.post("/login", {"password": PASSWORD}, **from_address(NEAR))
    with snapshot(engine) as connection:
        right, far, next_door, near = audit.noted(connection, 9)
    assert [row.action for row in (near, next_door, far, right)] == ["wrong password"] * 3 + ["logged in"]
    assert near.detail == next_door.detail == right.detail != far.detail
    assert not {"2001", "db8", "wrong 0"} & set(re.split(r"[ :]", f"{near.detail} {far.detail} {near.subject}"))


def test_logging_out_ends_the_session_everywhere(settings: Settings, engine: Engine) -> None:
    owner, thief = visitor(settings, engine), visitor(settings, engine)
    owner.log_in()
    cookie = owner.client.get_cookie("__Host-drip_adapter", "adapter.example")
    assert cookie is not None
    thief.client.set_cookie("__Host-drip_adapter", cookie.value, domain="adapter.example", secure=True)
    assert thief.get("/").status_code == 200
    owner.post("/logout", at="/")
    assert thief.get("/").status_code == 303
    assert thief.get("/status", **from_address(FAR)).status_code == 401


def test_a_session_ends_when_it_is_idle_and_after_its_days(settings: Settings, engine: Engine) -> None:
    settings = replace(settings, session_idle_hours=2, session_days=1)
    with freeze_time("2026-11-29 12:00:00", tick=False) as now:
        owner, idle = visitor(settings, engine), visitor(settings, engine)
        owner.log_in()
        idle.log_in()
        for _ in range(12):
            now.tick(1.9 * 3600)
            assert owner.get("/").status_code == 200
        assert idle.get("/").status_code == 303
        now.tick(1.9 * 3600)
        assert owner.get("/").status_code == 303


def test_the_database_holds_nothing_that_opens_a_session(settings: Settings, engine: Engine) -> None:
    owner = visitor(settings, engine)
    owner.log_in()
    with owner.client.session_transaction(base_url=owner.base) as opened:
        begun = opened["session"]
    with snapshot(engine) as connection:
        for table in (sessions, attempts, audit_table):
            assert begun not in str(connection.execute(select(table)).all())
            assert PASSWORD not in str(connection.execute(select(table)).all())


def test_the_right_password_clears_earlier_failures(settings: Settings, engine: Engine) -> None:
    for _ in range(3):
        somebody = visitor(settings, engine)
        for _ in range(4):
            assert somebody.log_in("wrong").status_code == 401
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


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "DELETE", "FOO"])
def test_so_does_every_other_answer_but_to_webhooks(settings: Settings, engine: Engine, method: str) -> None:
    somebody = visitor(settings, engine)
    for path in (
        *PAGES,
        *CHANGES,
        "/login",
        "/status",
        "/metrics",
        "/nowhere",
        "/static/nothing",
        "/static/dashboard.css",
        "/webhooks/nobody",
    ):
        if method == "POST" and path.startswith("/webhooks"):
            continue
        with somebody.client.open(path, method=method, base_url=somebody.base) as answer:
            headers = answer.headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'"), path
        assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff"), path
        assert headers["Cache-Control"] == ("no-cache" if path.endswith(".css") and method in ("GET", "HEAD") else "no-store"), path


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


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PROGRAMS: tuple[dict[str, str], ...] = ({}, {"Accept": "*/*"}, {"Accept": "application/json"})


def test_an_error_is_a_page_for_browsers_and_json_for_programs(engine: Engine) -> None:
    closed = visitor(make_settings("http://127.0.0.1:1"), engine)
    for path, why in {"/": "Set ADMIN_PASSWORD where the adapter runs", "/nowhere": "nothing at this address", "/status": ""}.items():
        answer = closed.get(path, headers=BROWSER)
        assert (answer.mimetype, why in answer.text, answer.status_code >= 400) == ("text/html", True, True), path
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        for headers in PROGRAMS:
            program = closed.get(path, headers=headers)
            assert (list(program.get_json()), program.status_code) == (["error"], answer.status_code), path
    assert "HTTP" not in closed.get("/webhooks/shopify", headers=BROWSER).text


def test_an_unknown_address_is_a_page_with_a_way_back(adapter: AdapterUnderTest, page: Visitor) -> None:
    answer = page.get("/nowhere", headers=BROWSER)
    assert answer.status_code == 404
    assert ">Go to the overview</a>" in answer.text
