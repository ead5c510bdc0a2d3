"""Payloads that hang or end whatever process maps them: each costs its own delivery alone, and the pages stay up."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select

from adapter.inbox.database import connect, snapshot
from adapter.inbox.tables import deliveries
from adapter.process.supervisor import free_port
from tests.process.test_serve import is_up, serving
from tests.support.adapter_under_test import shopify_order
from tests.support.waiting import wait_until

# Python imports this in every process of the adapter. It makes a mapping bug of the tags in an order: three that nobody has found yet.
SITE = """
import mappings.shopify.order as order, mappings.shopify.provider as provider
import os, re, signal
def hostile(real):
    def work(loaded, *rest):
        if "loop" in loaded["tags"]:
            while True: pass
        if "match" in loaded["tags"]:
            re.fullmatch(r"(a|aa)+", "a" * 200 + "b")
        if "die" in loaded["tags"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(loaded, *rest)
    return work
order._order_url = hostile(order._order_url)  # called by the sender and by previews
identify = hostile(provider.identify)  # called by the reader
object.__setattr__(provider.PROVIDER, "identify", lambda loaded, context:
    identify(loaded, context) if "read" in loaded.get("tags", "") else provider.identify(loaded, context))
"""


@pytest.mark.parametrize("tags", ["match", "die, read"])
def test_a_payload_that_hangs_or_kills_costs_its_own_delivery_alone(tmp_path: Path, tags: str) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    variables = {"PYTHONPATH": f"{tmp_path / 'site'}:{Path(__file__).parent.parent.parent}", "MAPPING_TIMEOUT_S": "2"}
    with serving(tmp_path, "--sandbox", "--sandbox-port", str(free_port("127.0.0.1")), **variables) as served:
        wait_until(lambda: is_up(f"{served.sandbox_url}/received"))
        served.post(shopify_order(1))
        served.post(shopify_order(2, tags=tags))
        for number in range(3, 8):
            served.post(shopify_order(number))
        engine = connect(served.database_url)

        def dead() -> list[Any]:
            with snapshot(engine) as connection:
                return list(connection.execute(select(deliveries.c.id, deliveries.c.problems).where(deliveries.c.state == "dead")))

        wait_until(lambda: len(served.received()) == 6 and len(dead()) == 1, 60)
        [row] = dead()
        assert row.id == 2
        [[problem]] = json.loads(row.problems).values()
        assert problem.startswith("mapping it ended the process (exit status -9)" if "die" in tags else "mapping it took longer than 2 s")
        assert sorted(order["order_id"] for order in served.received()) == ["1", "3", "4", "5", "6", "7"]
        begun = time.monotonic()
        page = requests.get(f"{served.url}/deliveries/2", timeout=30)
        assert page.status_code == 200
        assert "mapping it" in page.text
        assert time.monotonic() - begun < 10
        assert requests.get(f"{served.url}/deliveries", timeout=30).status_code == 200
        assert served.post(shopify_order(8))["status"] == "kept"
        engine.dispose()
