"""The files that deploy the adapter, each checked by the tool that reads it; and a webhook through each web server."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from adapter.process.supervisor import free_port
from adapter.settings import read_settings
from mappings import PROVIDERS
from tests.support import terminal
from tests.support.adapter_under_test import shopify_order, signed
from tests.support.certificate import self_signed
from tests.support.commands import COMMANDS
from tests.support.listener import listening
from tests.support.waiting import wait_until
from tests.test_docs import ROOT, environment_names, text_of

BIN = Path(sys.executable).parent
# Who may read it, and what the platforms' own files may set beside the settings.
NOT_SETTINGS = {"POSTGRES_USER", "POSTGRES_PASSWORD", "DOMAIN", "ADAPTER"}
SERVERS = ["nginx", "caddy"]
SECRET = "the-secret-of-the-shop"


def run(*command: str, **variables: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **variables}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def needs(tool: str) -> str:
    """The path of a tool that comes from the distribution; without it, the test is skipped."""
    found = shutil.which(tool) or shutil.which(tool, path="/usr/sbin")
    if found is None:
        pytest.skip(f"{tool} is not installed here")
    return found


def test_the_dockerfile_is_linted() -> None:
    assert run(str(BIN / "hadolint"), "Dockerfile") == ""


def test_the_image_contains_what_runs_and_nobody_runs_it_as_root() -> None:
    dockerfile, ignored = text_of("Dockerfile"), text_of(".dockerignore").splitlines()
    copied = {name for line in re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile, re.MULTILINE) for name in line.split()}
    assert "*" in ignored
    assert copied == {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)
    assert re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE) == ["10001:10001"]
    assert dockerfile.count("\nFROM ") == 2
    assert "/readyz" in dockerfile[dockerfile.index("HEALTHCHECK") :]


def test_the_compose_file_fits_its_schema_and_the_settings() -> None:
    run(str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "compose.yaml")
    services = yaml.safe_load(text_of("compose.yaml"))["services"]
    assert named(services) - NOT_SETTINGS - environment_names() == set()
    assert [name for name, service in services.items() if "profiles" not in service] == ["trial"], "docker compose up starts only the trial"
    assert services["trial"]["ports"] == ["127.0.0.1:${PORT:-8000}:8000"], "the trial's password is known to everyone"


def test_the_trial_in_a_container_starts_without_any_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = yaml.safe_load(text_of("compose.yaml"))["services"]["trial"]
    for name, value in trial["environment"].items():
        monkeypatch.setenv(name, value.replace("${PORT:-8000}", "8000"))
    monkeypatch.setenv("PORT", "8000")  # as in the image
    assert trial["command"] == "drip-adapter serve --sandbox"
    settings = read_settings(sandbox=True, sandbox_url="http://127.0.0.1:8001")
    assert (set(settings.stores), settings.admin_password) == (set(PROVIDERS), trial["environment"]["ADMIN_PASSWORD"])
    assert settings.admin_password in text_of("docs/deploying.md")


def named(services: Mapping[str, Any]) -> set[str]:
    return {name for service in services.values() for name in service.get("environment", {})}


def test_the_blueprint_for_render_fits_the_settings() -> None:
    blueprint = yaml.safe_load(text_of("render.yaml"))
    [service], [database] = blueprint["services"], blueprint["databases"]
    variables = {variable["key"]: variable for variable in service["envVars"]}
    assert set(variables) - environment_names() == set()
    assert variables["DATABASE_URL"]["fromDatabase"]["name"] == database["name"]
    assert_served(service["startCommand"], service["healthCheckPath"])
    assert service["plan"] != "free"


def test_the_files_for_fly_and_heroku_fit_the_settings() -> None:
    fly = tomllib.loads(text_of("fly.toml"))
    assert set(fly["env"]) - environment_names() == set()
    assert str(fly["http_service"]["internal_port"]) == fly["env"]["PORT"]
    assert (fly["http_service"]["auto_stop_machines"], fly["http_service"]["min_machines_running"]) == ("off", 1)
    [check] = fly["http_service"]["checks"]
    processes = dict(line.split(": ") for line in text_of("Procfile").splitlines())
    assert_served(processes["web"], check["path"])
    assert all(tuple(command.split()[3:4]) in COMMANDS for command in processes.values())


def assert_served(command: str, health: str) -> None:
    assert command == "python -m adapter serve"
    assert health == "/readyz"


def test_systemd_accepts_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    systemd_analyze = needs("systemd-analyze")
    unit = tmp_path / "drip-order-adapter.service"
    text = text_of("deploy/drip-order-adapter.service")
    assert "\nExecStart=/opt/drip-order-adapter/bin/drip-adapter serve\n" in text
    assert {"User=drip", "After=network-online.target postgresql.service"} <= set(text.splitlines())
    unit.write_text(text.replace("/opt/drip-order-adapter/bin/drip-adapter", "/bin/true"), encoding="utf-8")
    assert run(systemd_analyze, "verify", str(unit)) == ""
    run(systemd_analyze, "security", "--offline=true", "--threshold=20", str(unit))


@contextmanager
def nginx(folder: Path, upstream: str) -> Iterator[str]:
    """nginx with the example's configuration, except for addresses and the certificate; the address that it serves."""
    certificate, key = self_signed(folder)
    plain, secure = free_port("127.0.0.1"), free_port("127.0.0.1")
    text = re.sub(r" *listen \[::\].*\n", "", text_of("deploy/nginx.conf"))
    for there, here in (
        ("server 127.0.0.1:8000", f"server {upstream}"),
        ("listen 80", f"listen 127.0.0.1:{plain}"),
        ("listen 443", f"listen 127.0.0.1:{secure}"),
        ("/etc/letsencrypt/live/orders.example/fullchain.pem", certificate),
        ("/etc/letsencrypt/live/orders.example/privkey.pem", key),
    ):
        assert there in text
        text = text.replace(there, here)
    temporary = "".join(f"{name}_temp_path {folder / name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    around = f"daemon off; user root; pid {folder}/pid; error_log stderr; events {{}}\nhttp {{ access_log off;\n{temporary}"
    config = folder / "nginx.conf"
    config.write_text(f"{around}{text}}}\n", encoding="utf-8")
    run(needs("nginx"), "-t", "-q", "-e", "stderr", "-c", str(config))
    with process(needs("nginx"), "-e", "stderr", "-c", str(config)):
        yield f"https://127.0.0.1:{secure}"


@contextmanager
def caddy(folder: Path, upstream: str) -> Iterator[str]:
    """Caddy with the example's configuration and a certificate of its own making; the address that it serves."""
    url = f"https://127.0.0.1:{free_port('127.0.0.1')}"
    config = folder / "Caddyfile"
    config.write_text(
        "{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n" + text_of("deploy/Caddyfile"), encoding="utf-8"
    )
    variables = {"DOMAIN": url, "ADAPTER": upstream, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    arguments = ("--config", str(config), "--adapter", "caddyfile")
    run(needs("caddy"), "validate", *arguments, **variables)
    with process(needs("caddy"), "run", *arguments, **variables):
        yield url


@contextmanager
def process(*command: str, **variables: str) -> Iterator[None]:
    started = subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait(20)


def answers(get: Callable[[], requests.Response]) -> bool:
    try:
        return get().status_code < 500
    except requests.RequestException:
        return False


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The whole adapter as `serve` runs it; HOST:PORT."""
    address = f"127.0.0.1:{free_port('127.0.0.1')}"
    folder = tmp_path_factory.mktemp("adapter")
    variables = terminal.environment(
        SHOPIFY_WEBHOOK_SECRET=SECRET, WEB_CONCURRENCY="1", DATABASE_URL=f"sqlite:///{folder}/adapter.db", PYTHONPATH=str(ROOT)
    )
    with process(*terminal.COMMAND, "serve", "--bind", address, **variables):
        wait_until(lambda: answers(lambda: requests.get(f"http://{address}/readyz", timeout=5)))
        yield address


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Any:
    return {"nginx": nginx, "caddy": caddy}[request.param]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_large_webhook_arrives_through_the_web_server(server: Any, adapter: str, tmp_path: Path) -> None:
    payload = json.dumps({**shopify_order(), "note": server.__name__, "padding": "x" * 2_000_000}).encode()
    headers = {**signed(payload, secret=SECRET), "X-Shopify-Topic": "orders/create"}
    with server(tmp_path, adapter) as url, requests.Session() as session:
        session.verify = session.trust_env = False
        wait_until(lambda: answers(lambda: session.get(f"{url}/healthz", timeout=5)))
        answer = session.post(f"{url}/webhooks/shopify", data=payload, headers=headers, timeout=10)
        assert (answer.status_code, answer.json()["status"]) == (200, "kept")
        assert session.get(f"{url}/status", timeout=10).status_code == 401, "who comes through the server isn't on this machine"


def test_nginx_redirects_to_its_own_name_whatever_host_is_asked_for(tmp_path: Path) -> None:
    with listening() as listener, nginx(tmp_path, listener.address):
        [plain] = re.findall(r"listen 127.0.0.1:(\d+);", (tmp_path / "nginx.conf").read_text())
        url, forged = f"http://127.0.0.1:{plain}/stores?x=1", {"Host": "evil.example"}
        wait_until(lambda: answers(lambda: requests.get(url, timeout=5, allow_redirects=False)))
        answer = requests.get(url, headers=forged, timeout=5, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (301, "https://orders.example/stores?x=1")


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_the_web_server_says_who_asked_for_what(server: Any, tmp_path: Path) -> None:
    with listening() as listener, server(tmp_path, listener.address) as url, requests.Session() as session:
        session.verify = session.trust_env = False
        wait_until(lambda: answers(lambda: session.post(url, data=b"", timeout=5)))
        forged = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "http", "X-Shopify-Hmac-Sha256": "a+b/c="}
        assert session.post(f"{url}/webhooks/shopify", data=b"{}", headers=forged, timeout=5).status_code == 200
    lines = {line.lower() for line in listener.headers[-1].splitlines()}
    host = url.removeprefix("https://")
    assert {"x-forwarded-for: 127.0.0.1", "x-forwarded-proto: https", "x-shopify-hmac-sha256: a+b/c="} <= lines
    assert lines & {f"host: {host}", f"host: {host.partition(':')[0]}"}
