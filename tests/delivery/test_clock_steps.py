"""A clock that was ahead and is set back delays nothing: neither what arrived meanwhile, nor a retry, nor a probe."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from adapter.delivery.maintenance import Maintenance
from adapter.inbox.database import transaction
from adapter.inbox.tables import deliveries, leases
from tests.support.adapter_under_test import ACCOUNT, AdapterUnderTest, shopify_order

AHEAD = timedelta(hours=3)


def maintain(adapter: AdapterUnderTest) -> None:
    maintenance = Maintenance(adapter.engine, adapter.settings, adapter.clock)
    while maintenance.step():
        pass


def arrive_ahead(adapter: AdapterUnderTest) -> None:
    """An order that arrives while all clocks of this machine are ahead."""
    adapter.clock.now += AHEAD
    adapter.post(shopify_order())
    with transaction(adapter.engine) as connection:
        connection.execute(update(deliveries).values(received_at=adapter.clock(), due_at=adapter.clock()))


@pytest.mark.parametrize("status", [0, 503])
def test_what_arrived_or_failed_under_a_clock_that_was_ahead_is_sent_once_it_is_right(adapter: AdapterUnderTest, status: int) -> None:
    arrive_ahead(adapter)
    adapter.read()
    if status:
        adapter.tell_drip(status=status)
        adapter.settle()
        adapter.drip_recovers()
    adapter.clock.now -= AHEAD
    adapter.settle()
    assert adapter.states() == ["pending"]
    maintain(adapter)
    adapter.settle()
    assert adapter.states() == ["delivered"]


def test_a_paused_account_is_probed_once_the_clock_is_right(adapter: AdapterUnderTest) -> None:
    adapter.clock.now += AHEAD
    adapter.tell_drip(status=401)
    adapter.post(shopify_order())
    adapter.settle()
    adapter.drip_recovers()
    adapter.clock.now -= AHEAD
    maintain(adapter)
    adapter.settle()
    assert adapter.states() == ["delivered"]
    assert adapter.trouble().paused_since is None


def test_a_retry_waits_for_its_time_while_the_clock_is_right(adapter: AdapterUnderTest) -> None:
    adapter.tell_drip(status=503)
    adapter.post(shopify_order())
    adapter.settle()
    with transaction(adapter.engine) as connection:
        connection.execute(update(deliveries).values(due_at=adapter.clock() + timedelta(hours=24)))
        connection.execute(update(leases).where(leases.c.account == ACCOUNT.id).values(probe_at=None))
    adapter.drip_recovers()
    maintain(adapter)
    adapter.settle()
    assert adapter.states() == ["pending"]
