"""Commands run beside `serve --sandbox` describe what it does: they find it without a setting of their own."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.process.supervisor import free_port
from tests.process.test_serve import Served, is_up, serving
from tests.stand_ins.woocommerce import running_woocommerce
from tests.stand_ins.woocommerce_shop import KEY, SECRET, Shop
from tests.support import terminal
from tests.support.adapter_under_test import shopify_order
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with running_woocommerce(orders=5) as shop:
        yield shop


@pytest.fixture(scope="module")
def variables(shop: Shop) -> dict[str, str]:
    """A real shop's settings, as for its own adapter, but without an account at Drip."""
    return {
        "WOOCOMMERCE_WEBHOOK_SECRET": "the-secret",
        "WOOCOMMERCE_STORE_URL": shop.url,
        "WOOCOMMERCE_CONSUMER_KEY": KEY,
        "WOOCOMMERCE_CONSUMER_SECRET": SECRET,
        "SHOPIFY_WEBHOOK_SECRET": "sandbox",
    }


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with serving(folder, "--sandbox", "--sandbox-port", str(free_port("127.0.0.1")), **variables) as served:
        wait_until(lambda: is_up(f"{served.sandbox_url}/received"))
        served.post(shopify_order(1001))
        wait_until(served.received)
        yield served


def run(served: Served, variables: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    result = terminal.run(*arguments, variables=variables, DATABASE_URL=served.database_url)
    assert f"note: using drip-adapter serve --sandbox at {served.url}" in result.stderr.decode()
    return result


def test_status_says_that_orders_reach_the_sandbox(served: Served, variables: dict[str, str]) -> None:
    result = run(served, variables, "status")
    assert (result.returncode, result.stdout.splitlines()[0]) == (0, b"Orders are reaching the sandbox.")
    report = json.loads(run(served, variables, "status", "--json").stdout)
    assert (report["ok"], report["sandbox"], list(report["accounts"])) == (True, True, ["sandbox"])


def test_an_order_is_shown_with_what_the_sandbox_has_of_it(served: Served, variables: dict[str, str]) -> None:
    order: dict[str, Any] = json.loads(run(served, variables, "orders", "show", "1001", "--json").stdout)
    assert [each["account"] for each in order["at_drip"]] == ["sandbox"]


def test_check_looks_at_the_sandbox_and_at_the_adapters_address(served: Served, variables: dict[str, str]) -> None:
    shown = run(served, variables, "check").stdout.decode()
    assert f"{served.sandbox_url} accepts the credentials" in shown
    assert f"{served.url}/webhooks/woocommerce" in shown
    assert "no Drip account" not in shown


def test_a_backfill_reaches_the_sandbox(served: Served, variables: dict[str, str], shop: Shop) -> None:
    result = run(served, variables, "backfill", "woocommerce", "--since", "2000-01-01", "--wait")
    assert result.returncode == 0, result.stderr
    assert b"waiting for a Drip account" not in result.stdout
    wait_until(lambda: {order["provider"] for order in served.received()} == {"shopify", "woocommerce"})


def test_with_an_account_at_drip_the_settings_are_those_of_the_real_adapter(served: Served, variables: dict[str, str]) -> None:
    real = variables | {"SHOPIFY_WEBHOOK_SECRET": "the-secret", "DRIP_ACCOUNT_ID": "1", "DRIP_API_KEY": "key-of-drip"}
    result = terminal.run("status", "--json", DATABASE_URL=served.database_url, variables=real)
    report = json.loads(result.stdout)
    assert (report["sandbox"], list(report["accounts"]), result.stderr) == (False, ["1"], b"")


def test_a_stopped_sandbox_is_said_to_be_stopped(tmp_path: Path) -> None:
    assert terminal.run("migrate", DATABASE_URL="sqlite:///sandbox.db").returncode == 0
    result = terminal.run("status", "--json")
    assert b"note: using sandbox.db; drip-adapter serve --sandbox isn't running" in result.stderr
    assert json.loads(result.stdout)["sandbox"] is True
    checked = terminal.run("check")
    assert b"sandbox: not running: start it with drip-adapter serve --sandbox" in checked.stdout
    assert checked.returncode == 1
    assert {path.name for path in tmp_path.iterdir() if path.suffix == ".db"} == {"sandbox.db"}
