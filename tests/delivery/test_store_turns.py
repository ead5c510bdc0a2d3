"""Stores that share an account take turns."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from adapter.delivery import store_turns
from adapter.delivery.store_turns import StoreTurns
from adapter.inbox.database import snapshot
from adapter.inbox.sending import due_lanes
from adapter.settings import Settings
from tests.support.adapter_under_test import ACCOUNT, AdapterUnderTest, make_settings, shopify_order

FLOOD = 8


def sharing(settings: Settings, names: Iterable[str]) -> Settings:
    """Stores of these names, all with one account."""
    like = settings.stores["shopify"]
    return replace(settings, stores={name: replace(like, name=name) for name in names})


@pytest.fixture
def adapter(engine: Engine, sandbox_url: str) -> AdapterUnderTest:
    """Three stores: one with a flood of orders, and two others that posted two each after it."""
    adapter = AdapterUnderTest(engine, sharing(make_settings(sandbox_url), ("busy", "calm", "mild")), sandbox_url)
    for order_id in range(1, FLOOD + 1):
        adapter.post(shopify_order(order_id), store="busy")
    for order_id in (101, 102):
        adapter.post(shopify_order(order_id), store="calm")
        adapter.post(shopify_order(order_id + 100), store="mild")
    adapter.read()
    return adapter


def sent(adapter: AdapterUnderTest) -> list[int]:
    return [int(order["order_id"]) for order in adapter.received()]


def test_a_flood_of_one_store_does_not_hold_up_the_others(adapter: AdapterUnderTest) -> None:
    adapter.settle()
    assert sent(adapter) == [1, 101, 201, 2, 102, 202, *range(3, FLOOD + 1)]


def test_a_store_whose_orders_come_during_a_flood_has_its_turn_next(adapter: AdapterUnderTest) -> None:
    [sender] = adapter.senders.values()
    while len(sent(adapter)) < 7:
        assert sender.step()
    adapter.post(shopify_order(301), store="mild")
    adapter.read()
    adapter.settle()
    assert sent(adapter).index(301) <= 8


def test_a_batch_contains_an_order_of_each_store(adapter: AdapterUnderTest) -> None:
    turns = StoreTurns(ACCOUNT.id, adapter.settings.stores)
    with snapshot(adapter.engine) as connection:
        oldest = due_lanes(connection, ACCOUNT.id, adapter.clock(), 5)
        lanes = turns.take(connection, oldest, adapter.clock(), live=FLOOD + 4)
    assert [(lane.store, lane.order_id) for lane in lanes] == [
        ("busy", "1"),
        ("calm", "101"),
        ("mild", "201"),
        ("busy", "2"),
        ("busy", "3"),
    ]


def test_with_very_many_stores_turns_take_as_few_looks(adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step into the index for each store, however many orders are sent in between: here a round only after six more."""
    monkeypatch.setattr(store_turns, "_STORES_AN_ORDER", 0.5)
    adapter.senders[ACCOUNT.id] = adapter.new_sender(ACCOUNT)
    adapter.settle()
    assert sent(adapter) == [1, 101, 201, 2, 3, 4, 5, 102, 202, 6, *range(7, FLOOD + 1)]
