"""While no sender runs, the web side sends the alerts."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, update

from adapter.inbox.database import transaction
from adapter.inbox.tables import leases
from adapter.monitoring.sender_watch import SenderWatch
from adapter.settings import Settings
from tests.support.adapter_under_test import ACCOUNT, AdapterUnderTest, shopify_order
from tests.support.listener import Listener, listening


@pytest.fixture
def chat() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture
def settings(adapter: AdapterUnderTest, chat: Listener) -> Settings:
    adapter.post(shopify_order(1001))
    adapter.settle()
    return replace(adapter.settings, alert_url=f"http://{chat.address}/")


def last_renewed(engine: Engine, **ago: float) -> None:
    with transaction(engine) as connection:
        connection.execute(update(leases).where(leases.c.account != "#web").values(expires_at=datetime.now(UTC) - timedelta(**ago)))


def test_one_web_process_reports_that_no_sender_runs_and_a_sender_the_rest(engine: Engine, settings: Settings, chat: Listener) -> None:
    first, second = SenderWatch(engine, settings), SenderWatch(engine, settings)
    last_renewed(engine, minutes=-1)
    first.step()
    assert chat.bodies == []
    last_renewed(engine, seconds=70)
    for watch in (first, second, first, second):
        watch.step()
    [text] = chat.texts()
    assert f"No sender is running for Drip account {ACCOUNT.id}." in text
    last_renewed(engine, minutes=-1)
    first.step()
    assert len(chat.bodies) == 1


def test_a_sender_that_has_just_gone_may_be_restarting(engine: Engine, settings: Settings, chat: Listener) -> None:
    last_renewed(engine, seconds=30)
    SenderWatch(engine, settings).step()
    assert chat.bodies == []
