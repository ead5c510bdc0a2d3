"""Databases that the tests of this folder may hurt."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
