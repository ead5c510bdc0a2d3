"""What is kept no longer than the settings say, and what stays."""

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from freezegun import freeze_time
from sqlalchemy import Engine, func, insert, select, update

from adapter.cli import main
from adapter.delivery.maintenance import Maintenance
from adapter.inbox import audit, retention, settling
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.products import keep_products
from adapter.inbox.retention import Purged, Retention, purgeable
from adapter.inbox.tables import attempts, backfills, deliveries, orders, products, requests
from mappings import Product, ProductKey
from tests.support.adapter_under_test import AdapterUnderTest, shopify_order
from tests.support.shoppers import EMAIL, NAME, flushed_traces, order_of, traces


def purge(adapter: AdapterUnderTest) -> Purged:
    *_, purged = Retention(adapter.engine, adapter.settings).purge(adapter.clock())
    return purged


def count(engine: Engine, table: Any) -> int:
    with snapshot(engine) as connection:
        number: int = connection.execute(select(func.count()).select_from(table)).scalar_one()
    return number


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PIECE", 3)


class TestPayloads:
    def test_of_what_was_delivered_they_go_after_thirty_days(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1))
        adapter.settle()
        adapter.clock.advance(days=29, hours=23)
        assert not purge(adapter)
        assert "deliveries.payload" in traces(adapter.engine, EMAIL)
        adapter.clock.advance(hours=1)
        assert purge(adapter) == Purged(payloads=1)
        assert flushed_traces(adapter.engine) == []
        [row] = adapter.rows()
        assert (row.state, row.order_id, row.order_number, row.email_digest) == ("delivered", "1", "1", None)
        assert [attempt.outcome for attempt in adapter.attempts(row.id)] == ["delivered"]

    def test_of_what_was_skipped_too(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1, test=True))
        adapter.read()
        adapter.clock.advance(days=30)
        assert purge(adapter) == Purged(payloads=1)
        assert flushed_traces(adapter.engine) == []

    def test_of_what_was_posted_without_one_too(self, adapter: AdapterUnderTest) -> None:
        adapter.post(order_of(1))
        adapter.settle()
        with transaction(adapter.engine) as connection:
            connection.execute(update(deliveries).values(payload=None, email_digest=None))
        adapter.clock.advance(days=30)
        assert purge(adapter) == Purged(payloads=1)
        assert flushed_traces(adapter.engine) == []

    def test_of_what_is_dead_they_go_after_ninety(self, adapter: AdapterUnderTest) -> None:
        adapter.settings = replace(adapter.settings, row_retention_days=365)
        adapter.tell_drip(status=422, body={"errors": [{"attribute": "email", "message": f"{EMAIL} of {NAME} bounces"}]})
        adapter.post(order_of(1))
        adapter.settle()
        assert adapter.states() == ["dead"]
        assert {"attempts.answer", "deliveries.problems"} <= set(traces(adapter.engine))
        adapter.clock.advance(days=89)
        assert not purge(adapter)
        adapter.clock.advance(days=1)
        assert purge(adapter) == Purged(payloads=1)
        assert flushed_traces(adapter.engine) == []
        assert adapter.states() == ["dead"]

    def test_what_waits_keeps_its_own(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=503)
        adapter.post(shopify_order(1))
        adapter.settle()
        adapter.clock.advance(days=400)
        purge(adapter)
        adapter.drip_recovers()
        adapter.settle()
        assert adapter.states() == ["delivered"]

    def test_in_pieces_and_only_once(self, adapter: AdapterUnderTest) -> None:
        for number in range(8):
            adapter.post(shopify_order(number + 1))
        adapter.settle()
        adapter.clock.advance(days=30)
        keeper = Retention(adapter.engine, adapter.settings)
        pieces = [replace(purged).payloads for purged in keeper.purge(adapter.clock())]
        assert sorted({*pieces}) == [0, 3, 6, 8]
        assert len(list(keeper.purge(adapter.clock()))) < len(pieces), "what is erased is looked at again"
        adapter.post(shopify_order(99))
        adapter.settle()
        adapter.clock.advance(days=30)
        assert list(keeper.purge(adapter.clock()))[-1].payloads == 1

    def test_an_order_whose_payload_is_erased_is_still_updated(self, adapter: AdapterUnderTest) -> None:
        adapter.post(shopify_order(1))
        adapter.settle()
        adapter.clock.advance(days=100)
        purge(adapter)
        assert adapter.rows() == []
        adapter.post(shopify_order(1))
        adapter.post(shopify_order(1, minutes=5, total="120.00"))
        adapter.settle()
        assert adapter.states() == ["skipped:superseded", "delivered"]
        assert adapter.actions() == [("created", 100.0), ("updated", 120.0)]

    def test_what_was_held_is_not_opened_without_its_payload(self, adapter: AdapterUnderTest) -> None:
        cancelled = {"cancelled_at": "2026-09-30T12:01:00Z", "financial_status": "voided"}
        adapter.post(shopify_order(1, minutes=1, **cancelled))
        adapter.read()
        assert adapter.states() == ["skipped:never_placed"]
        adapter.clock.advance(days=30)
        purge(adapter)
        adapter.post(shopify_order(1))
        adapter.settle()
        assert adapter.states() == ["skipped:never_placed", "delivered"]


class TestRows:
    def test_they_go_with_their_attempts_and_requests(self, adapter: AdapterUnderTest) -> None:
        for number in range(5):
            adapter.post(shopify_order(number + 1))
        adapter.settle()
        adapter.clock.advance(days=90)
        adapter.post(shopify_order(9))
        adapter.settle()
        purged = purge(adapter)
        assert (purged.deliveries, purged.payloads) == (5, 0)
        assert [row.order_id for row in adapter.rows()] == ["9"]
        assert count(adapter.engine, attempts) == 1
        assert count(adapter.engine, requests) == 1
        assert count(adapter.engine, orders) == 6

    def test_a_request_stays_while_anything_of_it_does(self, adapter: AdapterUnderTest) -> None:
        adapter.tell_drip(status=503)
        adapter.post(shopify_order(1))
        adapter.settle()
        adapter.clock.advance(days=100)
        assert purge(adapter).requests == 0
        assert count(adapter.engine, requests) == 1

    def test_the_catalog_and_ended_backfills_go(self, adapter: AdapterUnderTest) -> None:
        now = adapter.clock()
        with transaction(adapter.engine) as connection:
            told = [Product(key=ProductKey(str(number)), url="https://shop.example/p") for number in range(7)]
            keep_products(connection, "shopify", told, "webhook", now - timedelta(days=90))
            keep_products(connection, "shopify", told[:2], "webhook", now)
            for window, ended in (("old", now - timedelta(days=91)), ("new", now), ("running", None)):
                values = {"store": "shopify", "window": window, "begun_at": now - timedelta(days=200), "ended_at": ended}
                connection.execute(insert(backfills).values(values))
        purged = purge(adapter)
        assert (purged.products, purged.backfills) == (5, 1)
        assert (count(adapter.engine, products), count(adapter.engine, backfills)) == (2, 2)


class TestByItself:
    def test_once_an_hour_and_says_how_much(self, adapter: AdapterUnderTest, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        maintenance = Maintenance(adapter.engine, adapter.settings, adapter.clock)
        adapter.post(order_of(1))
        adapter.settle()
        adapter.clock.advance(days=30)
        while maintenance.step():
            pass
        assert traces(adapter.engine, EMAIL) == [] or adapter.engine.dialect.name == "sqlite"
        [line] = [record for record in caplog.records if getattr(record, "action", "") == "purged"]
        assert line.getMessage() == "1 payloads"
        adapter.clock.advance(minutes=59)
        assert not maintenance.step()
        adapter.clock.advance(minutes=1)
        assert maintenance.step()

    @pytest.mark.slow
    def test_orders_go_on_between_the_pieces(self, adapter: AdapterUnderTest) -> None:
        maintenance = Maintenance(adapter.engine, adapter.settings, adapter.clock)
        for number in range(6):
            adapter.post(shopify_order(number + 1))
        adapter.settle()
        adapter.clock.advance(days=90)
        number = 100
        while maintenance.step():
            number += 1
            adapter.post(shopify_order(number))
            adapter.settle()
            assert adapter.received()[-1]["order_id"] == str(number)
        assert number > 102


def command(*arguments: str, engine: Engine, at: Any) -> str:
    with freeze_time(at):
        url = engine.url.render_as_string(hide_password=False)
        result = CliRunner().invoke(
            main, arguments, env={"DATABASE_URL": url, "SHOPIFY_WEBHOOK_SECRET": "the-secret"}, catch_exceptions=False
        )
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_purges_now_and_says_before_what_it_would(adapter: AdapterUnderTest) -> None:
    adapter.post(order_of(1))
    adapter.post(shopify_order(2))
    adapter.settle()
    with transaction(adapter.engine) as connection:
        connection.execute(update(deliveries).where(deliveries.c.order_id == "2").values(settled_at=adapter.clock() - timedelta(days=60)))
        connection.execute(update(requests).values(begun_at=adapter.clock() - timedelta(days=60)))
    at = adapter.clock() + timedelta(days=31)
    said = command("purge", "--dry-run", engine=adapter.engine, at=at)
    assert said.startswith(
        "1 payload and body of a delivery would be erased\n1 delivery would be deleted\n1 request to Drip would be deleted"
    )
    assert len(adapter.rows()) == 2
    said = command("purge", engine=adapter.engine, at=at)
    assert said.startswith("1 payload and body of a delivery erased\n1 delivery deleted\n1 request to Drip deleted\n0 products")
    assert traces(adapter.engine) == []
    assert [row.order_id for row in adapter.rows()] == ["1"]


def test_what_it_would_purge_is_what_it_purges(adapter: AdapterUnderTest) -> None:
    for days in (0, 29, 30, 31, 89, 90, 91, 120):
        adapter.post(shopify_order(days + 1))
        adapter.settle()
        adapter.clock.advance(days=1)
        with transaction(adapter.engine) as connection:
            when = adapter.clock() - timedelta(days=days)
            connection.execute(update(deliveries).where(deliveries.c.order_id == str(days + 1)).values(settled_at=when))
    with snapshot(adapter.engine) as connection:
        foreseen = purgeable(connection, adapter.settings, adapter.clock())
    assert foreseen.payloads
    assert foreseen.deliveries
    assert purge(adapter) == foreseen


@pytest.fixture
def retried(adapter: AdapterUnderTest) -> AdapterUnderTest:
    adapter.post(shopify_order(1))
    adapter.settle()
    adapter.clock.advance(days=30)
    return adapter


def test_what_was_erased_cannot_be_sent_again(retried: AdapterUnderTest) -> None:
    purge(retried)
    with transaction(retried.engine) as connection:
        assert settling.reopen(connection, deliveries.c.order_id == "1", at=retried.clock()) == []
    assert retried.states() == ["delivered"]


def test_what_was_opened_again_in_the_meantime_keeps_its_payload(retried: AdapterUnderTest) -> None:
    [row] = retried.rows()
    with transaction(retried.engine) as connection:
        settling.reopen(connection, deliveries.c.id == row.id, at=retried.clock(), forced=True)
    with transaction(retried.engine) as connection:
        assert retention.erase_settled(connection, [row.id], ("delivered",), retried.clock()) == 0
    retried.settle()
    assert retried.states() == ["delivered"]
    assert len(retried.received()) == 2


def test_failed_logins_leave_the_audit_log_with_the_rows_and_nothing_else_does(adapter: AdapterUnderTest) -> None:
    with transaction(adapter.engine) as connection:
        for action in (audit.FAILED_LOG_IN, "forgot a shopper"):
            audit.note(connection, action, "", "", adapter.clock())
    adapter.clock.advance(days=91)
    purge(adapter)
    with snapshot(adapter.engine) as connection:
        assert [row.action for row in audit.noted(connection, 9)] == ["forgot a shopper"]
