"""Bent payloads through the whole path: posted as signed webhooks, read, mapped, sent to the sandbox, and shown on pages and by commands.

`make fuzz` posts FUZZ_POSTED of them, beginning with FUZZ_SEED.
"""

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from urllib.parse import quote

import pytest
import requests
from click.testing import CliRunner
from sqlalchemy import Row, select

from adapter.cli import main
from adapter.inbox.database import snapshot
from adapter.inbox.tables import deliveries
from mappings import PROVIDERS, OrderActivity, Rejected, parse
from tests.faults.harness import Site, running_site
from tests.stand_ins.bigcommerce import TOKEN, Shop, running_bigcommerce
from tests.support.adapter_under_test import ACCOUNT, SECRET, make_settings, signed
from tests.support.payloads import BentPayload, random_bent
from tests.support.waiting import wait_until
from tests.support.whole_app import create_app
from tests.web.conftest import Visitor, with_dashboard

POSTED = int(os.environ.get("FUZZ_POSTED", "0"))
SECONDS = float(os.environ.get("FUZZ_SECONDS", "inf"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
GROUP = 200
USUAL = 120
SHOWN = 4
TOPICS = {"shopify": "orders/updated", "woocommerce": "order.updated", "magento": "sales_order_save_after", "bigcommerce": ""}
_FIRST = 10_000
_CONTRACT = OrderActivity()
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SETTINGS = {
    **{f"{name.upper()}_WEBHOOK_SECRET": SECRET for name in PROVIDERS},
    "MAGENTO_STORE_URL": "https://magento-shop.example",
    "BIGCOMMERCE_STORE_URL": "https://bigcommerce-shop.example",
    "BIGCOMMERCE_ACCESS_TOKEN": TOKEN,
    "SINGLE_REQUESTS_PER_HOUR": "1",
    "BATCH_REQUESTS_PER_HOUR": "20000",
}


@dataclass(frozen=True)
class Scene:
    """The adapter, and the shop whose API it asks for BigCommerce's orders."""

    site: Site
    shop: Shop

    def post(self, number: int, bent: BentPayload) -> dict[str, str]:
        """What the store gets for a payload; every second one that can be BigCommerce's is served by the shop's API instead."""
        provider, payload = PROVIDERS[bent.base.provider], bent.payload
        if provider.name == "bigcommerce" and number % 2 and _is_json(payload):
            self.shop.raw[_FIRST + number] = payload
            payload = json.dumps({"scope": "store/order/updated", "data": {"type": "order", "id": _FIRST + number}}).encode()
        headers = {**signed(payload, provider.name), provider.topic_headers[0]: TOPICS[provider.name], "X-Shopify-Webhook-Id": f"w{number}"}
        answer = requests.post(f"http://{self.site.address}/webhooks/{provider.name}", data=payload, headers=headers, timeout=30)
        assert answer.status_code == 200, (answer.status_code, answer.text, bent)
        return dict(answer.json())


@pytest.fixture
def scene(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """Web and sender, and the same settings for the commands that run here."""
    with running_bigcommerce() as shop, running_site(database_url, tmp_path, _SETTINGS) as site:
        site.variables["BIGCOMMERCE_API_URL"] = shop.url
        ours = {"DATABASE_URL": database_url, "DRIP_API_URL": site.drip.url, "PUBLIC_URL": "https://adapter.example"}
        for name, value in {**site.variables, **ours, "DRIP_ACCOUNT_ID": ACCOUNT.id, "DRIP_API_KEY": ACCOUNT.token}.items():
            monkeypatch.setenv(name, value)
        site.start_web()
        site.holding_sender()
        wait_until(lambda: site.is_up, what="the web process answers")
        yield Scene(site, shop)


def _is_json(payload: bytes) -> bool:
    try:
        parse(payload)
    except Rejected:
        return False
    return True


def has_ended(row: Row[tuple[object, ...]]) -> bool:
    """Whether a delivery is delivered, or skipped or dead for a reason that is no fault of the adapter."""
    if row.state == "skipped":
        return bool(row.reason)
    problems = json.loads(row.problems) if row.problems else {}
    # Crashes, payloads that end a process and those that take too long ask to be reported.
    return row.state == "delivered" or (row.state == "dead" and bool(problems) and "eport it" not in row.problems)


def keeps_contract(site: Site) -> int:
    """How many bodies Drip got, all of which are as its contract asks."""
    answer = requests.get(f"{site.drip.url}/received", params={"limit": "100000"}, timeout=60)
    bodies = [entry["order"] for entry in json.loads(answer.text, parse_float=Decimal)["orders"]]
    for body in bodies:
        assert _CONTRACT.validate(body) == {}, body
    made = requests.get(f"{site.drip.url}/requests", timeout=60).json()["requests"]
    assert {request["status"] for request in made} <= {200, 201, 202}
    for address in ("received", "requests"):
        requests.delete(f"{site.drip.url}/{address}", timeout=10).raise_for_status()
    return len(bodies)


def can_be_shown(page: Visitor, row: Row[tuple[object, ...]]) -> None:
    """Pages and commands show it without a traceback or a character that controls the terminal."""
    addresses = [f"/deliveries/{row.id}"]
    commands = [("deliveries", "show", str(row.id)), ("deliveries", "show", str(row.id), "--json")]
    if row.order_id:
        addresses.append(f"/orders/{row.store}/{quote(row.order_id, safe='')}")
        commands.append(("orders", "show", "--store", row.store, "--", row.order_id))
    for address in addresses:
        answer = page.get(address)
        assert answer.status_code == 200, (address, answer.status_code, row.id)
    for command in commands:
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, (command, done.output[-500:], done.exception)
        assert _CONTROL.search(done.output.replace("\n", "")) is None, command


def overviews_can_be_shown(page: Visitor, folder: Path) -> None:
    for address in ("/", "/deliveries", "/orders", "/stores", "/status", "/deliveries?state=dead"):
        assert page.get(address).status_code in (200, 503), address
    for command in (("status",), ("status", "--json"), ("deliveries", "list"), ("orders", "list"), ("export", str(folder))):
        done = CliRunner().invoke(main, command)
        assert done.exception is None or isinstance(done.exception, SystemExit), (command, done.output[-500:])
        assert _CONTROL.search(done.output.replace("\n", "")) is None, command


def settled(site: Site, first: int) -> list[Row[tuple[object, ...]]]:
    """The rows of a group, once each has ended."""
    site.settle(300)
    with snapshot(site.engine) as connection:
        return list(connection.execute(select(deliveries).where(deliveries.c.id >= first).order_by(deliveries.c.id)).all())


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"] if POSTED else ["sqlite"], indirect=True)
def test_each_is_delivered_skipped_or_dead_with_a_reason(scene: Scene, tmp_path: Path) -> None:
    site, random, ends = scene.site, Random(SEED), time.monotonic() + SECONDS
    page = Visitor(create_app(with_dashboard(make_settings(site.drip.url)), site.engine).test_client())
    page.log_in()
    wanted, posted, kept, delivered, first = POSTED or USUAL, 0, 0, 0, 1
    ended: Counter[str] = Counter()
    with ThreadPoolExecutor(16) as pool:
        while posted < wanted and time.monotonic() < ends:
            group = [
                random_bent(random, random.choice([*PROVIDERS]), _FIRST + posted + each) for each in range(min(GROUP, wanted - posted))
            ]
            answers = list(pool.map(lambda numbered: scene.post(*numbered), enumerate(group, posted)))
            posted += len(group)
            kept += sum(answer.get("status") != "duplicate" for answer in answers)
            rows = settled(site, first)
            assert [(row.id, row.state, row.reason, row.problems, row.payload) for row in rows if not has_ended(row)] == []
            assert {answer["delivery"] for answer in answers if answer.get("status") == "kept"} <= {str(row.id) for row in rows}
            delivered += keeps_contract(site)
            for row in rows[:: len(rows) // SHOWN]:
                can_be_shown(page, row)
            ended.update(row.state for row in rows)
            first = max(row.id for row in rows) + 1
    assert ended.total() >= kept
    assert delivered >= ended["delivered"] > 0
    assert set(ended) == {"delivered", "skipped", "dead"}
    overviews_can_be_shown(page, tmp_path / "exported")
    assert site.is_up
    log = "".join(path.read_text() for path in site.folder.glob("*.log"))
    assert "Traceback" not in log
    assert _CONTROL.search(log.replace("\n", "")) is None
    print(f"\n{site.kind}: {posted:,} posted, {kept:,} kept; {dict(ended)}")
