"""The list of orders: each once, however often its webhooks come."""

from sqlalchemy import Engine

from adapter.inbox.database import snapshot
from adapter.operations.order_history import history, leading
from adapter.operations.order_list import document, list_orders
from tests.support.adapter_under_test import AdapterUnderTest, make_settings, shopify_order


def listed(adapter: AdapterUnderTest, limit: int, store: str = "") -> list[list[str]]:
    """The order ids of all pages."""
    pages, before = [], None
    with snapshot(adapter.engine) as connection:
        while True:
            found, before = list_orders(connection, adapter.settings, limit, before=before, store=store)
            pages.append([each.newest.order_id for each in found])
            if before is None:
                return pages


def test_each_order_is_on_one_page(engine: Engine, sandbox_url: str) -> None:
    adapter = AdapterUnderTest(engine, make_settings(sandbox_url), sandbox_url)
    for minutes, number in enumerate((1, 2, 3, 1, 4, 2, 2, 5)):
        adapter.post(shopify_order(number, minutes=minutes))
    adapter.read()
    assert listed(adapter, 2) == [["5", "2"], ["4", "1"], ["3"]]
    assert listed(adapter, 10) == [["5", "2", "4", "1", "3"]]
    assert listed(adapter, 10, "magento") == [[]]


def test_an_outdated_webhook_does_not_stand_for_its_order(engine: Engine, sandbox_url: str) -> None:
    adapter = AdapterUnderTest(engine, make_settings(sandbox_url), sandbox_url)
    adapter.post({**shopify_order(7, minutes=5, total="50.00"), "name": "#1042"})
    adapter.settle()
    adapter.post(shopify_order(7, minutes=1, total="40.00"))
    adapter.settle()
    with snapshot(adapter.engine) as connection:
        [found], _ = list_orders(connection, adapter.settings, 10)
    said = document(found)
    assert (said["order_number"], str(said["total"]), said["currency"], said["items"]) == ("1042", "50.00", "USD", 1)
    assert (said["shopper"], said["action"], said["state"]) == ("a•••@e•••.com", "created", "delivered")


def test_page_and_list_show_the_same_state_however_many_webhooks_change_nothing(engine: Engine, sandbox_url: str) -> None:
    adapter = AdapterUnderTest(engine, make_settings(sandbox_url), sandbox_url)
    adapter.post({**shopify_order(7), "current_total_price": "ten", "total_price": "ten"})
    adapter.post(shopify_order(8))
    adapter.settle()
    for number in range(2):
        adapter.post({**shopify_order(8), "note_attributes": [], "token": f"t{number}"})
        adapter.settle()
    adapter.post(shopify_order(9))
    adapter.settle()
    assert adapter.states() == ["dead", "delivered", "skipped:unchanged", "skipped:unchanged", "delivered"]
    with snapshot(adapter.engine) as connection:
        for limit in (1, 2, 10):
            newest = list_orders(connection, adapter.settings, limit, before=5)[0][0].newest
            assert (newest.order_id, newest.state, newest.id) == ("8", "delivered", 2)
            shown = leading(history(connection, adapter.settings, "shopify", "8"))
            assert shown is not None
            assert (shown.state, shown.id) == (newest.state, newest.id)
