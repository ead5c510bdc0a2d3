"""Commands start fast because they import only what they use. Timers lie on a busy machine, so the imports are counted."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapter.cli import startup
from adapter.inbox.database import connect
from adapter.inbox.migration import migrate
from adapter.settings import Settings, read_settings
from tests.support import terminal
from tests.support.adapter_under_test import SECRET, signed
from tests.support.fixture_cases import FIXTURES

LIBRARIES = frozenset(
    {
        "alembic", "apprise", "cryptography", "environs", "flask", "gunicorn", "jinja2", "marshmallow", "prometheus_client", "psycopg",
        "requests", "rich", "sentry_sdk", "msgspec", "sqlalchemy", "urllib3", "werkzeug",
    }
)  # fmt: skip
_LIST_IMPORTS = """
import atexit, json, runpy, sys
atexit.register(lambda: print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr))
sys.argv[0] = "drip-adapter"
runpy.run_module("adapter", run_name="__main__", alter_sys=True)
"""


def imported_by(*arguments: str) -> frozenset[str]:
    """Which of the libraries a command has imported when it ends."""
    result = subprocess.run(
        [sys.executable, "-c", _LIST_IMPORTS, *arguments], capture_output=True, env=terminal.environment(), timeout=60, check=False
    )
    modules = set(json.loads(result.stderr.splitlines()[-1]))
    assert "click" in modules
    return LIBRARIES & modules


@pytest.mark.parametrize("arguments", [(), ("--version",), ("--help",), ("-h",), ("sorcery",)], ids=" ".join)
def test_without_a_command_no_library_is_imported(arguments: tuple[str, ...]) -> None:
    assert imported_by(*arguments) == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completing_a_command_imports_no_library(shell: str) -> None:
    asked = {"_DRIP_ADAPTER_COMPLETE": f"{shell}_complete", "COMP_WORDS": "drip-adapter de", "COMP_CWORD": "de" if shell == "fish" else "1"}
    result = subprocess.run(
        [sys.executable, "-c", _LIST_IMPORTS], capture_output=True, env=terminal.environment(**asked), timeout=60, check=True
    )
    assert LIBRARIES.isdisjoint(json.loads(result.stderr.splitlines()[-1]))
    said = result.stdout.decode()
    assert ("demo" in said, "deliveries" in said, "status" in said) == (True, True, False)


@pytest.mark.parametrize(
    "arguments", [("status",), ("deliveries", "list"), ("orders", "list"), ("check",), ("orders", "show", "1")], ids=" ".join
)
def test_only_migrating_loads_alembic(arguments: tuple[str, ...]) -> None:
    assert imported_by(*arguments).isdisjoint(
        {"alembic", "flask", "gunicorn", "apprise", "sentry_sdk", "cryptography", "prometheus_client"}
    )


@pytest.mark.parametrize("name", ["shopify/paid-order", "woocommerce/paid-order", "magento/guest-checkout", "shopify/not-json"])
def test_mapping_imports_only_what_maps(name: str) -> None:
    assert imported_by("map", name.partition("/")[0], str(FIXTURES / name / "payload.json")) == {"marshmallow", "msgspec"}


_LIST_NEW = """
import importlib, json, sys
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""
SETTINGS = {"environs", "marshmallow", "msgspec"}
PROCESSES = {
    "send": (["adapter.cli.commands.send"], SETTINGS | {"requests", "sqlalchemy", "urllib3"}),
    "web, which watches over its workers": (["adapter.cli.commands.web"], {"gunicorn"}),
    "a worker of web": (
        ["adapter.cli.startup", "adapter.web.app"],
        SETTINGS | {"sqlalchemy"},
    ),
    "sandbox": (["adapter.cli.commands.sandbox"], {"flask", "gunicorn", "jinja2", "marshmallow", "msgspec", "werkzeug"}),
}


def imports_of(*modules: str) -> set[str]:
    """The top-level packages that importing the modules imports, in a process of its own."""
    command = [sys.executable, "-c", _LIST_NEW, *modules]
    result = subprocess.run(command, capture_output=True, env=terminal.environment(), timeout=60, check=True)
    return set(json.loads(result.stdout))


@pytest.mark.slow
@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_that_stays_loads_no_library_that_it_does_not_use(process: str) -> None:
    modules, libraries = PROCESSES[process]
    assert LIBRARIES & imports_of(*modules) == libraries


_RECEIVE = """
import io, json, sys
from wsgiref.util import setup_testing_defaults
from adapter.cli.startup import settings_for
from adapter.web.app import App
app = App(settings_for())
def answer(method, path, body=b"", headers={}):
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), **headers}
    setup_testing_defaults(environ)
    statuses = []
    b"".join(app(environ, lambda status, headers: statuses.append(status)))
    return statuses[0]
sent = json.loads(sys.argv[1])
statuses = [answer("POST", "/webhooks/shopify", sent["body"].encode(), headers) for headers in (sent["headers"], {})]
statuses += [answer("GET", path) for path in ("/healthz", "/readyz")]
received = sorted({name.partition(".")[0] for name in sys.modules})
statuses.append(answer("GET", "/login"))
print(json.dumps([statuses, received, "flask" in sys.modules]))
"""


def test_a_worker_that_only_receives_webhooks_loads_nothing_of_the_pages(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'adapter.db'}"
    engine = connect(url)
    migrate(engine)
    engine.dispose()
    body = '{"id": 1}'
    headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in signed(body.encode()).items()}
    environment = terminal.environment(DATABASE_URL=url, SHOPIFY_WEBHOOK_SECRET=SECRET, ADMIN_PASSWORD="correct horse battery")
    command = [sys.executable, "-c", _RECEIVE, json.dumps({"body": body, "headers": headers})]
    result = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=True)
    statuses, received, flask_at_last = json.loads(result.stdout)
    assert [status[:3] for status in statuses] == ["200", "401", "200", "200", "200"]
    assert LIBRARIES.intersection(received) == SETTINGS | {"sqlalchemy"}
    assert flask_at_last


def test_the_supervisor_loads_nothing_but_the_standard_library() -> None:
    assert imports_of("adapter.monitoring.logs", "adapter.process.supervisor") - set(sys.stdlib_module_names) == {"adapter"}


@pytest.mark.parametrize("database_url", ["", "sqlite:///other.db"])
def test_the_settings_of_a_thousand_stores_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    """With an account at Drip they can't be those of a sandbox, unless one has left its database behind and there is no other."""
    reads: list[Settings] = []

    def read(**options: Any) -> Settings:
        reads.append(read_settings(**options))
        return reads[-1]

    monkeypatch.setattr(startup, "read_settings", read)
    monkeypatch.setattr(startup, "_set_up_reporting", lambda settings: None)
    monkeypatch.chdir(tmp_path)
    variables = {"SHOPIFY_WEBHOOK_SECRET": SECRET, "DRIP_ACCOUNT_ID": "9999999", "DRIP_API_KEY": "key-of-the-account"}
    for name, value in {**variables, "DATABASE_URL": database_url}.items():
        monkeypatch.setenv(name, value)
    assert startup.current_settings() == reads[0]
    assert len(reads) == 1


def test_the_garbage_collector_leaves_alone_what_a_command_imports() -> None:
    count = "import atexit, gc, sys; atexit.register(lambda: print(gc.get_freeze_count(), gc.isenabled(), file=sys.stderr)); "
    script = f"{count}import runpy; runpy.run_module('adapter', run_name='__main__', alter_sys=True)"
    result = subprocess.run(
        [sys.executable, "-c", script, "status"], capture_output=True, env=terminal.environment(), timeout=60, check=False
    )
    frozen, enabled = result.stderr.splitlines()[-1].split()
    assert int(frozen) > 10_000
    assert enabled == b"True"
