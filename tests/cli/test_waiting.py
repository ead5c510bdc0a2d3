"""A database server that starts after the adapter is waited for, and the log says so."""

import logging
import subprocess
import threading

import pytest
from sqlalchemy import make_url

from adapter.cli.waiting import await_database
from adapter.errors import DatabaseAway
from adapter.inbox.database import connect
from adapter.inbox.migration import migrate
from adapter.inbox.schema_version import require_schema
from tests.support import terminal
from tests.support.postgresql import PostgresqlServer
from tests.support.waiting import wait_until


def test_a_sender_waits_for_postgresql_and_logs_why() -> None:
    environ = terminal.environment(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", SHOPIFY_WEBHOOK_SECRET="secret-1234")
    with subprocess.Popen([*terminal.COMMAND, "send"], env=environ, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        assert "action=database_away waiting for the database: the database of DATABASE_URL can't be used" in line
        assert process.poll() is None
        process.terminate()


@pytest.mark.postgresql
def test_it_goes_on_as_soon_as_the_tables_are_there(postgresql: PostgresqlServer, caplog: pytest.LogCaptureFixture) -> None:
    url = postgresql.new_database()
    engine = connect(url)
    with caplog.at_level(logging.WARNING):
        waiting = threading.Thread(target=await_database, args=(engine, require_schema))
        waiting.start()
        wait_until(lambda: "run drip-adapter migrate" in caplog.text)
        migrate(engine)
        waiting.join(10)
    assert not waiting.is_alive()
    engine.dispose()
    postgresql.drop(url)


@pytest.mark.postgresql
def test_a_database_that_does_not_exist_is_not_waited_for(postgresql: PostgresqlServer) -> None:
    url = postgresql.new_database()
    engine = connect(make_url(url).set(database="nowhere").render_as_string(hide_password=False))
    with pytest.raises(DatabaseAway, match="nowhere"):
        await_database(engine)
    engine.dispose()
    postgresql.drop(url)
