"""`export`: what was received, as files that other commands read."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, update

from adapter.cli import main
from adapter.inbox import audit
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.tables import deliveries
from adapter.operations import export
from adapter.sandbox import RunningSandbox
from tests.support.adapter_under_test import SECRET, AdapterUnderTest, make_settings, shopify_order


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


@pytest.fixture
def adapter(engine: Engine, database_url: str, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> AdapterUnderTest:
    """Three deliveries: 1 delivered, 2 skipped, 3 delivered and erased since."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SHOPIFY_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("MAGENTO_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("MAGENTO_STORE_URL", "https://magento-shop.example")
    adapter = AdapterUnderTest(engine, make_settings(sandbox.url), sandbox.url)
    adapter.post(shopify_order(1001), topic="orders/create")
    adapter.post(shopify_order(1002, email=""))
    adapter.post(shopify_order(1003))
    adapter.settle()
    with transaction(engine) as connection:
        connection.execute(update(deliveries).where(deliveries.c.id == 3).values(payload=None))
    return adapter


def test_each_delivery_becomes_a_folder_that_map_reads(adapter: AdapterUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_AT_ONCE", 2)
    folder = tmp_path / "kept" / "inbox"
    result = run("export", str(folder))
    assert (result.exit_code, result.stdout) == (0, f"3 deliveries exported to {folder}; 1 without payload, which has been erased\n")
    assert folder.stat().st_mode & 0o077 == 0
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    names = {f"shopify/shopify-{number}/{name}.json" for number in (1, 2, 3) for name in ("headers", "payload", "delivery")}
    assert files == names - {"shopify/shopify-3/payload.json"}
    first = folder / "shopify" / "shopify-1"
    assert json.loads((first / "payload.json").read_bytes()) == shopify_order(1001)
    assert "orders/create" in json.loads((first / "headers.json").read_bytes()).values()
    [delivered, skipped, erased] = (json.loads((folder / f"shopify/shopify-{number}/delivery.json").read_bytes()) for number in (1, 2, 3))
    assert (delivered["state"], delivered["tries"][0]["body"]["order_id"]) == ("delivered", "1001")
    assert (skipped["state"], skipped["reason"], erased["state"]) == ("skipped", "no_email", "delivered")
    assert json.loads(run("map", "shopify", str(first / "payload.json")).stdout)["order_id"] == "1001"
    with snapshot(adapter.engine) as connection:
        [entry] = audit.noted(connection, 10)
    assert (entry.actor, entry.action, entry.subject) == ("command line", "exported, with personal data", "3 deliveries")


def test_a_folder_that_holds_something_is_left_alone(adapter: AdapterUnderTest, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    result = run("export", str(tmp_path / "full"))
    assert (result.exit_code, [path.name for path in (tmp_path / "full").iterdir()]) == (1, ["mine.txt"])
    assert "isn't empty" in result.stderr
    nothing = run("export", str(tmp_path / "none"), "--store", "magento", "--json")
    assert json.loads(nothing.stdout) == {"exported": 0, "without_payload": 0, "unreadable": 0, "folder": str(tmp_path / "none")}
