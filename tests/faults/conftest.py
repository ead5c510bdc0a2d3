"""Databases that the tests of this folder may hurt."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from adapter.cli import main
from tests.faults.harness import running_site
from tests.faults.stage import PASSWORD, TOKEN, Stage
from tests.support.adapter_under_test import ACCOUNT, SECRET
from tests.support.listener import listening
from tests.support.postgresql import PostgresqlServer


@pytest.fixture(scope="session")
def killable_postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server that may be killed, as long as it is started again."""
    server = PostgresqlServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def new_database(killable_postgresql: PostgresqlServer, tmp_path: Path) -> Callable[[str], str]:
    """Makes a fresh database of a kind, and tells its DATABASE_URL."""

    def make(kind: str) -> str:
        return killable_postgresql.new_database() if kind == "postgresql" else f"sqlite:///{tmp_path / secrets.token_hex(4)}.db"

    return make


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Nothing runs yet, and the commands have the settings of the processes to come."""
    with listening() as chat:
        variables = {
            "ADMIN_PASSWORD": PASSWORD, "METRICS_TOKEN": TOKEN, "ALERT_URL": f"http://{chat.address}/", "WEB_CONCURRENCY": "1",
        }  # fmt: skip
        with running_site(f"sqlite:///{tmp_path / 'adapter.db'}", tmp_path, variables) as site:
            site.variables["PUBLIC_URL"] = f"http://{site.address}"  # not https: the visitor's cookies are sent
            for name, value in {
                "DATABASE_URL": site.database_url, "DRIP_API_URL": site.drip.url, "DRIP_ACCOUNT_ID": ACCOUNT.id,
                "DRIP_API_KEY": ACCOUNT.token,
                "SHOPIFY_WEBHOOK_SECRET": SECRET, "PUBLIC_URL": f"http://{site.address}",
            }.items():  # fmt: skip
                monkeypatch.setenv(name, value)
            yield Stage(
                site,
                chat,
                lambda *arguments: CliRunner().invoke(main, arguments, catch_exceptions=False),
                lambda name, value: monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False),
            )
