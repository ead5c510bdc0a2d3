"""Real databases for every test that touches one: an SQLite file, and a PostgreSQL server from a wheel."""

import gc
import hashlib
import logging
import os
import signal
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Engine, make_url

from adapter.sandbox import RunningSandbox, running_sandbox
from adapter.web import database as web_database
from tests.support.adapter_under_test import AdapterUnderTest, make_settings, restart
from tests.support.databases import ReusedDatabase, ReusedPostgresql, ReusedSqlite
from tests.support.postgresql import PostgresqlServer, new_folder, remove_server, shared_server

# A busy machine must not fail a property.
hypothesis_settings.register_profile("adapter", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("adapter")
# Nor a page that waits for a stalled disk: within the test process, it waits as long as it takes.
web_database._DEADLINE_S = 60.0

_OURS = ("DRIP_", "SHOPIFY_", "MAGENTO_", "WOOCOMMERCE_", "HEROKU_")
_NAMES = {
    "STORES", "DATABASE_URL", "PUBLIC_URL", "METRICS_TOKEN", "ADMIN_PASSWORD", "SECRET_KEY", "ALERT_URL", "PORT", "WEB_CONCURRENCY",
    "STATUS_OPEN_TO", "TRUSTED_PROXIES", "SESSION_IDLE_HOURS", "SESSION_DAYS",
    "LOG_LEVEL", "SENTRY_DSN", "DYNO", "K_SERVICE", "RENDER", "RAILWAY_ENVIRONMENT", "RAILWAY_PUBLIC_DOMAIN", "RENDER_EXTERNAL_URL",
    "FLY_APP_NAME", "ALLOW_EPHEMERAL",
    "MAX_PAYLOAD_BYTES", "MAX_ORDERS_PER_PAYLOAD", "MAX_LINES_PER_ORDER", "MAX_NESTING", "MAPPING_TIMEOUT_S",
    "SINGLE_REQUESTS_PER_HOUR", "BATCH_REQUESTS_PER_HOUR",
    "PAYLOAD_KEYS", "PAYLOAD_RETENTION_DAYS", "DEAD_RETENTION_DAYS", "ROW_RETENTION_DAYS",
}  # fmt: skip

_SERVER = pytest.StashKey[Path]()
_WITH_SQL = Path(__file__).parent / "inbox"
_WITH_SQL = Path(__file__).parent / "inbox"


def pytest_configure(config: pytest.Config) -> None:
    """Give this run a folder for its PostgreSQL server; xdist's workers get the folder of the process that started them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts a background job with SIGINT ignored, and every process that a test starts would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    given = getattr(config, "workerinput", {}).get("postgresql")
    config.stash[_SERVER] = Path(given) if given else new_folder()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the folder to an xdist worker."""
    node.workerinput["postgresql"] = str(node.config.stash[_SERVER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server once all workers are done."""
    if not hasattr(config, "workerinput"):
        remove_server(config.stash[_SERVER])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs PostgreSQL.

    Outside the inbox it runs the same lines as on SQLite. They are not counted in the coverage again: counting makes a test take twice as
    long. For the same reason tests with many examples of one thing are marked `no_cover`.
    """
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec") and "postgresql" in item.callspec.params.values():
            item.add_marker("postgresql")
            if _WITH_SQL not in item.path.parents:
                item.add_marker("no_cover")


def pytest_collection_finish() -> None:
    """Let the garbage collector leave the libraries and the tests alone: looking through them again and again costs a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(scope="session", autouse=True)
def remembered_work() -> Iterator[None]:
    """Compute once what is the same for every app: the key derived from a password, and compiled templates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashlib, "scrypt", cache(hashlib.scrypt))
        patch.setattr(Flask, "jinja_options", {**Flask.jinja_options, "bytecode_cache": _Templates()})
        yield


class _Templates(BytecodeCache):
    """Compiled templates, kept in memory."""

    def __init__(self) -> None:
        self._codes: dict[str, Bucket] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if kept := self._codes.get(bucket.key):
            bucket.code = kept.code

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key] = bucket


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the settings of the machine it runs on, or leaves a file behind."""
    for name in list(os.environ):
        if name in _NAMES or name.startswith(_OURS):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Commands set logging up; the next test must not log to a stream that is closed by then."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def postgresql(pytestconfig: pytest.Config) -> PostgresqlServer:
    """The PostgreSQL server that all processes of this run share."""
    return shared_server(pytestconfig.stash[_SERVER])


@pytest.fixture(scope="session")
def reused_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReusedDatabase]:
    database = ReusedSqlite(tmp_path_factory.mktemp("sqlite"))
    yield database
    database.engine.dispose()


@pytest.fixture(scope="session")
def reused_postgresql(postgresql: PostgresqlServer) -> Iterator[ReusedDatabase]:
    database = ReusedPostgresql(postgresql)
    yield database
    database.engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A DATABASE_URL: once of SQLite, once of PostgreSQL. The database has no tables, or with `engine` our tables without rows."""
    if "engine" in request.fixturenames:
        reused: ReusedDatabase = request.getfixturevalue(f"reused_{request.param}")
        reused.reset()
        yield reused.url
    elif request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'adapter.db'}"
    else:
        server: PostgresqlServer = request.getfixturevalue("postgresql")
        url = server.new_database()
        yield url
        server.drop(url)


@pytest.fixture
def engine(request: pytest.FixtureRequest, database_url: str) -> Iterator[Engine]:
    """A migrated database without rows."""
    reused: ReusedDatabase = request.getfixturevalue(f"reused_{make_url(database_url).get_backend_name()}")
    yield reused.engine
    reused.engine.dispose()


@pytest.fixture(scope="session")
def sandbox() -> Iterator[RunningSandbox]:
    """The sandbox that stands in for Drip, without a quota."""
    with running_sandbox(enforce_limits=False) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox_url(sandbox: RunningSandbox) -> Iterator[str]:
    """The address of a sandbox that has received nothing yet."""
    restart(sandbox)
    yield sandbox.url
    restart(sandbox)


@pytest.fixture
def adapter(engine: Engine, sandbox_url: str) -> AdapterUnderTest:
    """The whole adapter on a fresh database, sending to the sandbox."""
    return AdapterUnderTest(engine, make_settings(sandbox_url), sandbox_url)
