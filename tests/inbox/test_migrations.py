"""A database of each earlier revision, with rows in all of its tables, is migrated and used."""

import json
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, column, insert, select, table

from adapter.inbox import counters, login_attempts, troubles
from adapter.inbox.database import connect, snapshot, transaction
from adapter.inbox.migration import alembic_config, migrate
from adapter.inbox.schema_version import is_migrated, newest_revision
from adapter.inbox.sqlite_file import create_file
from adapter.inbox.tables import (
    alerts,
    attempts,
    audit,
    backfills,
    deliveries,
    hours,
    leases,
    metadata,
    orders,
    products,
    refusals,
    requests,
)
from tests.support.adapter_under_test import ACCOUNT, AdapterUnderTest, make_settings, shopify_order
from tests.support.contract_example import EXAMPLE

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
NOON = 1_790_000_000_000_000
"""A time in microseconds since 1970."""
SENT = {"paid": True, "fulfilled": False, "canceled": False, "refunded": "5.00"}

Rows = list[tuple[str, dict[str, Any]]]
ADDED: dict[str, Rows] = {
    "0001": [
        (
            "deliveries",
            {
                "store": "shopify", "key": "k1", "topic": "orders/updated", "headers": "{}", "received_at": NOON, "due_at": NOON,
                "payload": json.dumps(shopify_order()).encode(), "read_at": NOON, "order_id": "1001", "snapshot_at": NOON,
                "progress": "[]", "placed": True, "begun": 2, "attempts": 1,
            },
        ),
        (
            "deliveries",
            {
                "store": "shopify", "key": "k2", "topic": "orders/updated", "headers": "{}", "received_at": NOON, "due_at": NOON,
                "state": "dead", "problems": '{"": ["x"]}', "settled_at": NOON,
            },
        ),
        (
            "orders",
            {
                "account": ACCOUNT.id, "store": "shopify", "order_id": "1001", "snapshot_at": NOON - 1, "progress": "[]", "delivery_id": 1,
                "digest": "d", "created_at": NOON, "updated_at": NOON,
            },
        ),
        ("requests", {"account": ACCOUNT.id, "kind": "single", "begun_at": NOON}),
        (
            "attempts",
            {
                "delivery_id": 1, "request_id": 1, "action": "updated", "body": EXAMPLE, "digest": "d2",
                "outcome": "in_doubt",
            },
        ),
        ("leases", {"account": ACCOUNT.id, "single_limit": 1800}),
        ("refusals", {"store": "shopify", "reason": "missing", "times": 3, "last_at": NOON}),
    ],
    "0002": [
        (
            "products",
            {
                "store": "shopify", "view": "", "product_id": "7", "variant_id": "", "found": True, "url": "https://shop.example/lamp",
                "image_url": "", "brand": "", "categories": "[]", "tags": "[]", "source": "webhook", "fetched_at": NOON,
            },
        ),
        ("backfills", {"store": "shopify", "window": "{}", "begun_at": NOON, "found": 9, "kept": 8}),
    ],
    "0003": [
        ("audit", {"at": NOON, "actor": "administrator", "action": "logged in", "subject": "dashboard", "detail": ""}),
        ("knocks", {"visitor": "*", "times": 4, "since": NOON}),
    ],
    "0004": [
        ("counters", {"name": "attempts", "labels": '{"account": "1", "kind": "single", "outcome": "in_doubt"}', "slot": 0, "value": 12}),
        ("counters", {"name": "attempts", "labels": '{"account": "1", "kind": "single", "outcome": "retry"}', "slot": 0, "value": 5}),
        (
            "alerts",
            {"kind": "dead", "subject": "shopify", "since": NOON, "told_at": NOON + 1, "over_at": NOON + 2, "words": "1 dead letter"},
        ),
    ],
    "0005": [("hours", {"begun_at": NOON, "kind": "kept", "number": 7})],
    "0008": [("public_address", {"id": 1, "address": "https://adapter.example", "learned_at": NOON})],
}  # fmt: skip
RENAMED_BY_0006 = {
    "begun": "starts", "told": "lifecycle", "told_at": "sent_at", "over_at": "ended_at", "words": "message", "knocks": "login_attempts",
}  # fmt: skip


def rows_of(revision: str) -> Rows:
    """All rows that a database of this revision holds."""
    rows = [(name, dict(values)) for known in ADDED if known <= revision for name, values in ADDED[known]]
    for name, values in rows if revision >= "0002" else ():
        if name in ("orders", "attempts"):
            values["told"] = json.dumps(SENT)
    if revision < "0006":
        return rows
    return [(RENAMED_BY_0006.get(name, name), _renamed(values)) for name, values in rows]


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    renamed = {RENAMED_BY_0006.get(column, column): value for column, value in values.items()}
    return {column: value.replace("in_doubt", "unknown") if isinstance(value, str) else value for column, value in renamed.items()}


def fill(connection: Connection, revision: str) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    for name, values in rows_of(revision):
        connection.execute(insert(table(name, *(column(each) for each in values))).values(values))


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_rows_of_an_earlier_version_are_all_there(database_url: str, revision: str) -> None:
    engine = connect(database_url)
    create_file(engine)
    with engine.begin() as connection:
        fill(connection, revision)
    assert not is_migrated(engine)
    migrate(engine)
    assert is_migrated(engine)
    kept: dict[str, int] = {}
    for name, _ in rows_of(revision):
        kept[name] = kept.get(name, 0) + 1
    kept["login_attempts"] = kept.pop("knocks", 0) or kept.get("login_attempts", 0)
    with snapshot(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        for declared in metadata.tables.values():
            assert len(connection.execute(select(declared)).all()) == kept.get(declared.name, 0), declared.name
        lifecycle = json.dumps(SENT) if revision >= "0002" else None
        assert connection.execute(select(deliveries.c.starts).order_by(deliveries.c.id)).scalars().all() == [2, 0]
        assert connection.execute(select(orders.c.lifecycle)).scalar_one() == lifecycle
        assert connection.execute(select(attempts.c.lifecycle, attempts.c.outcome)).one() == (lifecycle, "unknown")
        assert connection.execute(select(requests.c.ended_at)).scalar_one() is None
        assert connection.execute(select(leases.c.single_limit)).scalar_one() == 1800
        assert connection.execute(select(refusals.c.times)).scalar_one() == 3
        assert connection.execute(select(products.c.url)).scalars().all() == ["https://shop.example/lamp"] * (revision >= "0002")
        assert connection.execute(select(backfills.c.kept)).scalars().all() == [8] * (revision >= "0002")
        assert connection.execute(select(audit.c.action)).scalars().all() == ["logged in"] * (revision >= "0003")
        assert connection.execute(select(hours.c.number)).scalars().all() == [7] * (revision >= "0005")
    with transaction(engine) as connection:
        assert login_attempts.clear_all(connection) == (1 if revision >= "0003" else 0)
        if revision >= "0004":
            assert sorted((labels["outcome"], value) for _, labels, value in counters.totals(connection)) == [("retry", 5), ("unknown", 12)]
            assert connection.execute(select(alerts.c.message)).scalar_one() == "1 dead letter"
            troubles.forget(connection, [("dead", "shopify")])  # its end has been sent
            assert troubles.known(connection) == []
    engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_request_whose_outcome_an_earlier_version_did_not_learn_is_repeated(database_url: str, revision: str, sandbox_url: str) -> None:
    engine = connect(database_url)
    create_file(engine)
    with engine.begin() as connection:
        fill(connection, revision)
    migrate(engine)
    adapter = AdapterUnderTest(engine, make_settings(sandbox_url), sandbox_url)
    adapter.drip_forgets()
    adapter.settle()
    assert adapter.actions()[:1] == [("created", 19.99)]
    assert adapter.states()[0] == "delivered"
    engine.dispose()


def test_the_newest_revision_is_the_one_that_alembic_migrates_to() -> None:
    assert newest_revision() == ScriptDirectory.from_config(alembic_config()).get_current_head()
