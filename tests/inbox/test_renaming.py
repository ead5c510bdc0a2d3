"""A store that was renamed keeps its address and its memory through `aliases`."""

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, text

from adapter.inbox import adoption
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.tables import deliveries, orders
from adapter.settings import Settings
from tests.support.adapter_under_test import AdapterUnderTest, shopify_order


def renamed(settings: Settings, old: str, new: str) -> Settings:
    """The settings after a store got another name, and the old one as an alias."""
    stores = dict(settings.stores)
    store = stores.pop(old)
    return replace(settings, stores={new: replace(store, name=new, aliases=(old,)), **stores})


def after_renaming(adapter: AdapterUnderTest, old: str = "shopify", new: str = "eu") -> AdapterUnderTest:
    """The adapter started again with the new settings, on the same database."""
    return AdapterUnderTest(adapter.engine, renamed(adapter.settings, old, new), adapter.sandbox_url, clock=adapter.clock)


def stores_in(engine: Engine, table: Any) -> set[str]:
    with snapshot(engine) as connection:
        return set(connection.execute(select(table.c.store)).scalars())


def test_an_order_that_drip_has_is_not_created_again(adapter: AdapterUnderTest) -> None:
    adapter.post(shopify_order())
    adapter.settle()
    later = after_renaming(adapter)
    later.post(shopify_order(minutes=5, total="120.00"), store="eu")
    later.settle()
    assert later.actions() == [("created", 100.0), ("updated", 120.0)]
    assert stores_in(adapter.engine, deliveries) == stores_in(adapter.engine, orders) == {"eu"}


def test_the_old_address_still_takes_webhooks(adapter: AdapterUnderTest) -> None:
    later = after_renaming(adapter)
    answer = later.web.post("/webhooks/shopify", data=b"{}", headers={})
    assert answer.status_code == 401  # known, and not proved
    from tests.support.adapter_under_test import signed

    payload = json.dumps(shopify_order()).encode()
    assert later.web.post("/webhooks/shopify", data=payload, headers=signed(payload)).status_code == 200
    assert [row.store for row in later.rows()] == ["eu"]


def test_what_waited_under_the_old_name_is_sent_after_what_waits_for_it(adapter: AdapterUnderTest) -> None:
    """The old name's snapshot is the newer one: the lane is one, and Drip gets the newest only."""
    adapter.post(shopify_order(minutes=9, total="90.00"))
    adapter.read()
    later = after_renaming(adapter)
    later.post(shopify_order(minutes=3, total="130.00"), store="eu")
    later.settle()
    assert later.actions() == [("created", 90.0)]
    assert sorted(later.states()) == ["delivered", "skipped:superseded"]


def test_a_web_process_of_before_may_still_add_to_the_old_name(adapter: AdapterUnderTest) -> None:
    later = after_renaming(adapter)
    later.settle()
    adapter.post(shopify_order())  # by the settings of before
    later.settle()
    assert later.actions() == []
    later.clock.advance(minutes=2)
    later.settle()
    assert later.actions() == [("created", 100.0)]


def test_equal_keys_under_both_names_are_both_kept(adapter: AdapterUnderTest) -> None:
    adapter.post(shopify_order(), webhook_id="same")
    later = after_renaming(adapter)
    later.post(shopify_order(), store="eu", webhook_id="same")
    later.settle()
    assert later.actions() == [("created", 100.0)]
    assert sorted(later.states()) == ["delivered", "skipped:superseded"]


def test_of_two_memories_the_newer_one_stays(adapter: AdapterUnderTest) -> None:
    adapter.post(shopify_order(minutes=1))
    adapter.settle()
    with transaction(adapter.engine) as connection:
        [row] = connection.execute(select(orders)).mappings().all()
        connection.execute(
            insert(orders).values(**{**row, "store": "eu", "digest": "older", "updated_at": row["created_at"].replace(year=2020)})
        )
    after_renaming(adapter).settle()
    with snapshot(adapter.engine) as connection:
        [kept] = connection.execute(select(orders)).all()
    assert (kept.store, kept.digest) == ("eu", row["digest"])


@pytest.mark.slow
def test_many_rows_are_taken_over_in_pieces(adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption, "_PIECE", 7)
    for number in range(20):
        adapter.post(shopify_order(100 + number))
    adapter.settle()
    later = after_renaming(adapter)
    later.settle()
    assert stores_in(adapter.engine, deliveries) == stores_in(adapter.engine, orders) == {"eu"}
    assert len(later.rows()) == 20
    with snapshot(adapter.engine) as connection:
        assert connection.execute(text("select count(*) from orders")).scalar() == 20


def test_another_accounts_memory_is_left_to_its_own_sender(adapter: AdapterUnderTest) -> None:
    adapter.post(shopify_order())
    adapter.settle()
    with transaction(adapter.engine) as connection:
        [row] = connection.execute(select(orders)).mappings().all()
        connection.execute(insert(orders).values(**{**row, "account": "another"}))
    after_renaming(adapter).settle()
    with snapshot(adapter.engine) as connection:
        found = {(row.account, row.store) for row in connection.execute(select(orders))}
    assert found == {("9999999", "eu"), ("another", "shopify")}
