"""Headers about the visitor: believed from trusted proxies only, in the webhooks' path and on the pages alike."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import Engine

from adapter.inbox.database import snapshot
from adapter.inbox.public_address import learned
from adapter.process.supervisor import free_port
from adapter.settings import read_settings
from adapter.settings.addresses import NOBODY, Networks, networks_of
from adapter.web.proxies import WAS_FORWARDED, TrustedProxies
from tests.process.test_serve import serving
from tests.support.adapter_under_test import make_settings, signed
from tests.support.waiting import wait_until
from tests.support.whole_app import create_app

FORGED = {
    "HTTP_X_FORWARDED_FOR": "198.51.100.1",
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_HOST": "evil.example",
    "HTTP_X_FORWARDED_PREFIX": "/evil",
    "HTTP_X_FORWARDED_PORT": "1",
    "HTTP_FORWARDED": "for=198.51.100.1;proto=https;host=evil.example",
    "HTTP_X_REAL_IP": "198.51.100.1",
    "HTTP_X_SCRIPT_NAME": "/evil",
    "HTTP_SCRIPT_NAME": "/evil",
    "SCRIPT_NAME": "/evil",
}


def seen_by_the_app(trusted: Networks, peer: str, **headers: str) -> dict[str, Any]:
    """The environment that the app gets."""
    seen: dict[str, Any] = {}

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.update(environ)
        return []

    given = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", "HTTP_HOST": "adapter.example", "HTTP_ACCEPT": "*/*", **headers}
    list(TrustedProxies(app, trusted)(given, lambda *_: lambda _: None))
    return seen


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "10.0.0.7", "203.0.113.9"])
def test_without_the_setting_nothing_that_a_header_says_is_believed(peer: str) -> None:
    seen = seen_by_the_app(NOBODY, peer, **FORGED)
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"], seen["HTTP_HOST"], seen["SCRIPT_NAME"]) == (peer, "http", "adapter.example", "")
    assert seen[WAS_FORWARDED]
    assert not set(FORGED) - {"SCRIPT_NAME"} & set(seen)
    assert seen["HTTP_ACCEPT"] == "*/*"


def test_a_trusted_proxy_is_believed_but_for_the_path() -> None:
    seen = seen_by_the_app(networks_of("127.0.0.1"), "127.0.0.1", **FORGED)
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"], seen["HTTP_HOST"]) == ("198.51.100.1", "https", "evil.example")
    assert seen["SCRIPT_NAME"] == ""
    assert not set(FORGED) - {"SCRIPT_NAME"} & set(seen)


@pytest.mark.parametrize(
    ("sent", "visitor"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("127.0.0.1, 198.51.100.1", "198.51.100.1"),  # the first was sent by the visitor
        ("198.51.100.1, 10.1.2.3, 127.0.0.1", "198.51.100.1"),  # two more trusted proxies
        ("10.1.2.3, 127.0.0.1", "10.1.2.3"),
        ("", "127.0.0.1"),
        (" , ", "127.0.0.1"),
        ("unknown", "unknown"),
        ("::ffff:198.51.100.1", "::ffff:198.51.100.1"),
    ],
)
def test_the_visitor_is_the_last_that_is_no_proxy(sent: str, visitor: str) -> None:
    seen = seen_by_the_app(networks_of("127.0.0.0/8, 10.0.0.0/8"), "127.0.0.1", HTTP_X_FORWARDED_FOR=sent)
    assert seen["REMOTE_ADDR"] == visitor


@pytest.mark.parametrize(
    ("setting", "inside", "outside"),
    [
        ("private", ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "100.64.0.1", "::ffff:10.0.0.1"], ["203.0.114.9", "2606:4700::1", "x", ""]),
        ("203.0.113.7", ["203.0.113.7", "203.0.113.7:443", "::ffff:203.0.113.7"], ["203.0.113.8", "127.0.0.1"]),
        ("2001:db8::/32, private", ["2001:db8::9", "[2001:db8::9]:443", "10.1.1.1"], ["2606:4700::1"]),
    ],
)
def test_the_setting(monkeypatch: pytest.MonkeyPatch, setting: str, inside: list[str], outside: list[str]) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", setting)
    trusted = read_settings().trusted_proxies
    assert [address in trusted for address in (*inside, *outside)] == [True] * len(inside) + [False] * len(outside)


def test_a_platforms_router_is_trusted_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().trusted_proxies == NOBODY
    monkeypatch.setenv("ALLOW_EPHEMERAL", "1")
    monkeypatch.setenv("DYNO", "web.1")
    assert "10.1.2.3" in read_settings().trusted_proxies


def test_forged_hosts_reach_no_link_redirect_or_cookie(engine: Engine) -> None:
    settings = replace(make_settings("http://127.0.0.1:1"), admin_password="correct horse", status_open_to="")
    client = create_app(settings, engine).test_client()
    headers = {"Host": "evil.example", **{name[5:].replace("_", "-"): value for name, value in FORGED.items() if name.startswith("HTTP_")}}
    for path in ("/", "//", "//login", "/login/", "/deliveries?x=1", "/static//dashboard.css", "/webhooks//shopify", "/webhooks/shopify/"):
        answer = client.get(path, headers=headers)
        assert "evil" not in f"{answer.headers}{answer.get_data(as_text=True)}", path
        assert "Domain" not in answer.headers.get("Set-Cookie", "")


def test_a_forged_host_is_not_learned_as_the_adapters_address(engine: Engine) -> None:
    settings = replace(make_settings("http://127.0.0.1:1"), public_url="http://127.0.0.1:8000")
    client = create_app(settings, engine).test_client()
    for number in range(4):
        payload = b'{"id": %d}' % number
        forged = {"Host": "127.0.0.1:8000", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
        assert client.post("/webhooks/shopify", data=payload, headers={**signed(payload), **forged}).status_code == 200
    with snapshot(engine) as connection:
        assert learned(connection) == ""


@contextmanager
def nginx(folder: Path, upstream: str, *directives: str) -> Iterator[str]:
    """nginx in front of an address, as an unprivileged process of its own; its URL."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        pytest.skip("nginx is not installed here: apt-get install nginx-light")
    port = free_port("127.0.0.1")
    paths = "".join(f"{name}_temp_path {folder / name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}} http {{ access_log off; {paths}"
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {upstream}; {' '.join(directives)} }} }} }}\n"
    )
    process = subprocess.Popen([found, "-e", "stderr", "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def is_up(url: str) -> bool:
    with suppress(requests.ConnectionError):
        return requests.get(f"{url}/healthz", timeout=5).ok
    return False


@pytest.mark.slow
def test_behind_a_real_nginx(tmp_path: Path) -> None:
    settings = {
        "ADMIN_PASSWORD": "correct horse", "PUBLIC_URL": "https://orders.example", "TRUSTED_PROXIES": "127.0.0.1",
        "METRICS_TOKEN": "monitor-token",
        "SHOPIFY_WEBHOOK_SECRET": "the-secret", "WEB_CONCURRENCY": "1",
    }  # fmt: skip
    bare, telling = tmp_path / "bare", tmp_path / "telling"
    bare.mkdir()
    telling.mkdir()
    passed_on = ("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", "proxy_set_header X-Forwarded-Proto $scheme;")
    with serving(tmp_path, **settings) as served, nginx(bare, served.url) as silent, nginx(telling, served.url, *passed_on) as url:
        wait_until(lambda: is_up(silent) and is_up(url))
        for path in ("/status", "/metrics"):
            assert requests.get(f"{silent}{path}", timeout=5).status_code == 401, "everyone seems to be on this machine"
            assert requests.get(f"{url}{path}", timeout=5, headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 401
            assert requests.get(f"{url}{path}", timeout=5, headers={"Authorization": "Bearer monitor-token"}).status_code in (200, 503)
        moved = requests.get(
            f"{url}/login", timeout=5, headers={"Host": "evil.example", "X-Forwarded-Proto": "https"}, allow_redirects=False
        )
        assert (moved.status_code, moved.headers["Location"]) == (302, "https://orders.example/login")
        for name in ("X-Script-Name", "SCRIPT_NAME", "X-Forwarded-Prefix"):
            page = requests.get(f"{silent}/login", timeout=5, headers={name: "/evil"})
            assert page.status_code == 200
            assert "/evil" not in page.text
        payload = b'{"id": 1}'
        answer = requests.post(f"{url}/webhooks/shopify", data=payload, headers=signed(payload, secret="the-secret"), timeout=5)
        assert answer.json()["status"] == "kept"
