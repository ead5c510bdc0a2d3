"""A store that sends errors in place of orders: each counts, and the problem lasts until an order arrives."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, update

from adapter.inbox.database import snapshot, transaction
from adapter.inbox.tables import BACKFILL, deliveries
from adapter.operations.health import status_report
from tests.support.adapter_under_test import AdapterUnderTest, make_settings

NO_ACCESS = {"code": "woocommerce_rest_cannot_view", "message": "Sorry, you cannot view this resource.", "data": {"status": 403}}
NO_TABLES = {"code": "woocommerce_rest_invalid_shop_order_id", "message": "Invalid ID.", "data": {"status": 404}}
GONE = {"code": "woocommerce_rest_shop_order_invalid_id", "message": "Invalid ID.", "data": {"status": 404}}
LEGACY = {"errors": {"woocommerce_api_user_cannot_read_order": ["You do not have permission"]}, "error_data": {"x": {"status": 401}}}
ORDER = {"id": 41, "status": "processing", "total": "5.00", "billing": {"email": "ada@example.com"}, "line_items": [], "currency": "EUR"}


@pytest.fixture
def adapter(engine: Engine) -> AdapterUnderTest:
    return AdapterUnderTest(engine, make_settings("http://127.0.0.1:9"), "http://127.0.0.1:9")


def post(adapter: AdapterUnderTest, document: Any, topic: str = "order.updated") -> str:
    answer = adapter.post(document, store="woocommerce", topic=topic)
    assert answer.status_code == 200
    adapter.read()
    status: str = answer.get_json()["status"]
    return status


def report(adapter: AdapterUnderTest) -> dict[str, Any]:
    with snapshot(adapter.engine) as connection:
        return status_report(connection, adapter.settings, datetime.now(UTC))


def lost(adapter: AdapterUnderTest) -> int:
    found = report(adapter)["stores"]["woocommerce"]["lost"]
    return found["count"] if found else 0


@pytest.mark.parametrize("error", [NO_ACCESS, NO_TABLES, LEGACY], ids=["owner", "v1", "legacy"])
def test_each_error_is_kept_and_counted_although_all_are_identical(adapter: AdapterUnderTest, error: dict[str, Any]) -> None:
    assert [post(adapter, error) for _ in range(3)] == ["kept"] * 3
    assert adapter.states() == ["skipped:store_error"] * 3
    assert lost(adapter) == 3
    found = report(adapter)
    assert not found["ok"]
    [why] = found["why"]
    assert "woocommerce is losing orders: 3 webhooks" in why
    assert next(iter(error.get("errors", [error.get("code")]))) in why
    assert "drip-adapter connect woocommerce" in why
    assert "drip-adapter reconcile woocommerce" in why


def test_it_says_what_the_error_means(adapter: AdapterUnderTest) -> None:
    post(adapter, NO_ACCESS)
    assert "the user who owns its webhooks may no longer read orders" in report(adapter)["why"][0]
    post(adapter, NO_TABLES)
    assert "API version v1" in report(adapter)["why"][0]


def test_it_ends_with_the_next_order_and_may_start_again(adapter: AdapterUnderTest) -> None:
    for _ in range(3):
        post(adapter, NO_ACCESS)
    post(adapter, ORDER)
    assert lost(adapter) == 0
    assert report(adapter)["ok"]
    post(adapter, NO_ACCESS)
    assert lost(adapter) == 1


def test_a_past_order_does_not_end_it(adapter: AdapterUnderTest) -> None:
    """Past orders don't come by webhook."""
    post(adapter, NO_ACCESS)
    post(adapter, ORDER)
    with transaction(adapter.engine) as connection:
        connection.execute(update(deliveries).where(deliveries.c.id == 2).values(priority=BACKFILL))
    assert lost(adapter) == 1


@pytest.mark.parametrize(
    ("document", "topic"),
    [
        (GONE, "order.updated"),
        (NO_ACCESS, "product.updated"),
        ({"id": 41}, "order.deleted"),
        ({"id": 7, "permalink": "x"}, "product.updated"),
    ],
    ids=["an order that is gone", "a product", "a deletion", "a product's webhook"],
)
def test_other_webhooks_neither_start_nor_end_it(adapter: AdapterUnderTest, document: Any, topic: str) -> None:
    post(adapter, document, topic)
    assert report(adapter)["ok"]
    post(adapter, NO_ACCESS)
    post(adapter, document, topic)
    assert lost(adapter) == 1


def test_only_the_store_with_errors_is_reported(adapter: AdapterUnderTest) -> None:
    post(adapter, NO_ACCESS)
    assert {name for name, store in report(adapter)["stores"].items() if store["lost"]} == {"woocommerce"}
