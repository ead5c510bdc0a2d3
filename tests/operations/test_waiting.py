"""What is waiting is counted once, and since when it has been due."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import true

from adapter.inbox import settling
from adapter.inbox.database import snapshot, transaction
from adapter.operations.health import status_report
from adapter.operations.waiting import Waiting, read_waiting
from mappings import timestamp
from tests.support.adapter_under_test import AdapterUnderTest, shopify_order

NOTHING = Waiting()


def waiting(adapter: AdapterUnderTest, now: datetime) -> Waiting:
    with snapshot(adapter.engine) as connection:
        return read_waiting(connection, ["shopify"], now)["shopify"]


def test_unread_due_and_later_deliveries(adapter: AdapterUnderTest) -> None:
    now = datetime.now(UTC) + timedelta(minutes=1)
    assert waiting(adapter, now) == NOTHING
    adapter.post(shopify_order(1001))
    [row] = adapter.rows()
    assert waiting(adapter, now) == Waiting(unread=1, unread_since=row.due_at, live_unread_since=row.due_at)
    adapter.read()
    assert waiting(adapter, now) == Waiting(due=1, due_since=row.due_at, live_due_since=row.due_at)
    assert waiting(adapter, row.due_at - timedelta(seconds=1)).later == 1
    adapter.settle()
    assert waiting(adapter, now) == NOTHING


def test_a_retried_delivery_has_been_waiting_since_the_retry(adapter: AdapterUnderTest) -> None:
    adapter.post(shopify_order(1001))
    adapter.settle()
    retried = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    with transaction(adapter.engine) as connection:
        assert settling.reopen(connection, true(), at=retried)
    assert waiting(adapter, retried).since == retried
    with snapshot(adapter.engine) as connection:
        report = status_report(connection, adapter.settings, retried)
    assert (report["ok"], report["oldest_due"], report["stores"]["shopify"]["deliveries"]["pending"]) == (True, timestamp(retried), 1)
