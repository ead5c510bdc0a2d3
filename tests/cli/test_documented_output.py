"""The output that docs/stores.md quotes is what the commands print, and its steps by hand are those of `connect`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from adapter.cli import main
from adapter.inbox import receiving
from adapter.inbox.database import connect, transaction
from adapter.inbox.receiving import Arrival
from mappings import Key
from tests.stand_ins.woocommerce import running_woocommerce
from tests.stand_ins.woocommerce_shop import KEY, SECRET, Shop
from tests.support.adapter_under_test import run_sender
from tests.support.live_adapter import live_adapter

PAGE = (Path(__file__).parent.parent.parent / "docs" / "stores.md").read_text(encoding="utf-8")
PUBLIC_URL = "https://adapter.example"


@pytest.fixture
def shop() -> Iterator[Shop]:
    with running_woocommerce(orders=12) as shop:
        yield shop


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sandbox_url: str) -> pytest.MonkeyPatch:
    """A configured Drip account and an empty database."""
    variables = {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'adapter.db'}", "DRIP_ACCOUNT_ID": "1234567", "DRIP_API_KEY": "drip-token-1234",
        "DRIP_API_URL": sandbox_url, "PUBLIC_URL": PUBLIC_URL,
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run("migrate").exit_code == 0
    return monkeypatch


def configure(environment: pytest.MonkeyPatch, shop: Shop, name: str = "woocommerce") -> None:
    environment.setenv(
        "STORES",
        f'[stores.{name}]\nprovider = "woocommerce"\nsecret = "the-secret"\nstore_url = "{shop.url}"\n'
        f'consumer_key = "{KEY}"\nconsumer_secret = "{SECRET}"\n',
    )


def run(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(main, arguments, input=typed)


@contextmanager
def served(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The adapter, running at PUBLIC_URL."""
    engine = connect(f"sqlite:///{tmp_path / 'adapter.db'}")
    run_sender(engine, "1234567")
    with live_adapter(engine, environment) as url:
        yield url
    engine.dispose()


def keep(database_url: str, store: str, times: list[datetime]) -> None:
    engine = connect(database_url)
    with transaction(engine) as connection:
        for number, at in enumerate(times):
            key = Key(value=str(number), expires=False)
            receiving.keep(connection, Arrival(store=store, key=key, topic="order.created", headers={}, payload=b"{}", at=at))
    engine.dispose()


def blocks(language: str = "") -> list[str]:
    """The page's code blocks in a language; without one, what commands print."""
    found: list[tuple[str, str]] = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def quoted(containing: str) -> list[str]:
    """The lines of the block that contains a text, without what differs between runs."""
    [block] = [block for block in blocks() if containing in block]
    return lines(block)


def lines(text: str, url: str = "") -> list[str]:
    """Lines with one form for addresses, times and numbers; `url` is the adapter's own address."""
    text = text.replace("https://YOUR-APP", PUBLIC_URL).replace(url or PUBLIC_URL, PUBLIC_URL)
    text = re.sub(r"http://127\.0\.0\.1:\d+", "https://api.getdrip.com", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z| UTC)", "TIME", text)
    return [re.sub(r"\d+", "N", line.strip()) for line in text.splitlines() if line.strip()]


def test_connect_registers_webhooks(environment: pytest.MonkeyPatch, shop: Shop, tmp_path: Path) -> None:
    configure(environment, shop)
    with served(environment, tmp_path) as url:
        done = run("connect", "woocommerce", typed="y\n")
    assert done.exit_code == 0, done.output
    assert [line for line in quoted("Make these changes?") if line not in lines(done.output, url)] == []


def test_backfill_and_reconcile_end_with_a_summary(environment: pytest.MonkeyPatch, shop: Shop) -> None:
    configure(environment, shop)
    done = run("backfill", "woocommerce", "--since", "2000-01-01")
    assert done.exit_code == 0, done.output
    summaries = [block for block in blocks() if block.startswith("woocommerce: ")]
    assert len(summaries) == 2
    assert [line for block in summaries for line in lines(block) if line not in lines(done.output)] == []


def test_check_of_two_stores(environment: pytest.MonkeyPatch, shop: Shop, tmp_path: Path) -> None:
    [tables] = [block for block in blocks("toml") if "stores.outlet" in block]
    for name, value in (("store_url", shop.url), ("consumer_key", KEY), ("consumer_secret", SECRET)):
        tables = re.sub(rf'{name} = ".*?"', f'{name} = "{value}"', tables, count=1)
    environment.setenv("STORES", tables.replace('"..."', '"the-secret"'))
    with served(environment, tmp_path) as url:
        assert run("connect", "tea", "--yes").exit_code == 0
        looked = run("check")
    assert looked.exit_code == 0, looked.output
    assert lines(looked.output, url) == quoted("ok     store tea")
    environment.setenv("STORES", tables.replace('drip_provider = "tea_outlet"', ""))
    assert lines(run("check").output) == quoted("stores.outlet.drip_provider")


def test_check_of_a_silent_and_of_a_renamed_store(environment: pytest.MonkeyPatch, shop: Shop, tmp_path: Path) -> None:
    database_url = f"sqlite:///{tmp_path / 'adapter.db'}"
    now = datetime.now(UTC)
    keep(database_url, "woocommerce", [now - timedelta(hours=30 + hour) for hour in range(24 * 9)])
    keep(database_url, "tea", [now])
    configure(environment, shop)
    looked = lines(run("check").output)
    assert [line for line in (*quoted("has sent no webhook since"), *quoted("not in the settings")) if line not in looked] == []


@pytest.mark.parametrize(("platform", "title"), [("shopify", "Shopify"), ("woocommerce", "WooCommerce")])
def test_the_readme_counts_the_webhooks_that_connect_asks_for(platform: str, title: str) -> None:
    readme = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")
    topics = import_module(f"adapter.stores.{platform}.registry").TOPICS
    [row] = [line for line in readme.splitlines() if line.startswith(f"| {title} |")]
    assert f"| {('no', 'one', 'two', 'three', 'four', 'five')[len(topics)]}, created" in row


@pytest.mark.parametrize("platform", ["shopify", "woocommerce", "magento"])
def test_the_steps_by_hand_name_the_same_events_as_connect(environment: pytest.MonkeyPatch, platform: str) -> None:
    printed = run("connect", platform).output
    events = {
        "shopify": r"\b(?:Order|Product) (?:creation|update)\b",
        "woocommerce": r"\b(?:Order|Product) (?:created|updated|restored)\b",
        "magento": r"\bsales\.order\.\w+",
    }[platform]
    heading = {"shopify": "### Shopify: by hand", "woocommerce": "### WooCommerce", "magento": "### Magento"}[platform]
    section = PAGE.partition(f"{heading}\n")[2].partition("\n### ")[0]
    assert set(re.findall(events, printed)) == set(re.findall(events, section)) != set()
