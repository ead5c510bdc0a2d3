"""Thousands of past orders, and a kill in their midst."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.harness import AT_LENGTH
from tests.operations.test_backfill import credentials_of, kept, opened, sellable, without_page_or_picture
from tests.stand_ins.woocommerce import running_woocommerce
from tests.support.adapter_under_test import AdapterUnderTest

ORDERS = 5000 if AT_LENGTH else 1500


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # where one who writes may keep all others waiting
def test_each_past_order_arrives_once_through_a_kill_in_the_middle(adapter: AdapterUnderTest, database_url: str, tmp_path: Path) -> None:
    with running_woocommerce(orders=ORDERS) as shop:
        adapter = AdapterUnderTest(adapter.engine, opened(adapter.settings, shop), adapter.sandbox_url)
        variables = {**os.environ, **credentials_of(shop, database_url)}
        command = [sys.executable, "-m", "adapter", "backfill", "woocommerce", "--since", "2000-01-01"]
        with subprocess.Popen(command, env=variables, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as first:
            deadline = time.monotonic() + 60
            while kept(adapter.engine) < ORDERS * 0.3 and time.monotonic() < deadline:
                time.sleep(0.05)
            os.kill(first.pid, signal.SIGKILL)
        broken_off_at = kept(adapter.engine)
        assert ORDERS * 0.3 <= broken_off_at < ORDERS
        done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
        assert "resuming where the last run was interrupted" in done.stderr
        adapter.settle()
        received = adapter.received()
        assert Counter(order["order_id"] for order in received) == dict.fromkeys(sellable(shop), 1)
        assert {order["action"] for order in received} == {"created"}
        assert without_page_or_picture(adapter) == []
