"""`connect` and `check` with a shop and a running adapter: webhooks are registered, repaired and verified."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, update

from adapter.cli import main
from adapter.delivery.reader import Reader
from adapter.inbox.database import transaction
from adapter.inbox.tables import deliveries, refusals
from adapter.process.supervisor import free_port
from adapter.sandbox.running import serving
from adapter.settings import read_settings
from tests.stand_ins.woocommerce import running_woocommerce
from tests.stand_ins.woocommerce_shop import KEY, SECRET, Shop
from tests.support.adapter_under_test import Clock, run_sender
from tests.support.live_adapter import live_adapter

TOPICS = ["order.created", "order.restored", "order.updated", "product.updated"]
WEBHOOK_SECRET = "the-secret"


@pytest.fixture
def shop() -> Iterator[Shop]:
    with running_woocommerce(orders=3) as shop:
        yield shop


@pytest.fixture
def environment(shop: Shop, database_url: str, engine: Engine, sandbox_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of a user, except PUBLIC_URL."""
    variables = {
        "DATABASE_URL": database_url, "DRIP_ACCOUNT_ID": "9999999", "DRIP_API_KEY": "drip-token-1234", "DRIP_API_URL": sandbox_url,
        "WOOCOMMERCE_WEBHOOK_SECRET": WEBHOOK_SECRET, "WOOCOMMERCE_STORE_URL": shop.url, "WOOCOMMERCE_CONSUMER_KEY": KEY,
        "WOOCOMMERCE_CONSUMER_SECRET": SECRET,
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    run_sender(engine)


@pytest.fixture
def url(environment: None, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The running adapter's address, which is PUBLIC_URL."""
    with live_adapter(engine, monkeypatch) as url:
        yield url


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, arguments)


def connect(*arguments: str) -> str:
    done = run("connect", "woocommerce", "--yes", *arguments)
    assert done.exit_code == 0, done.output
    output: str = done.output
    return output


def connected_long_ago(shop: Shop) -> None:
    """Register the webhooks as of an hour ago."""
    connect()
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S")
    for hook in shop.webhooks.values():
        hook.update(date_created_gmt=an_hour_ago, date_modified_gmt=an_hour_ago)


def faults() -> str:
    """What `check` finds wrong."""
    findings = [json.loads(line) for line in run("check", "--json").stdout.splitlines()]
    return "\n".join(f"{finding['what']}: {finding['say']}" for finding in findings if finding["ok"] is False)


def read(engine: Engine) -> None:
    reader = Reader(engine, read_settings(), Clock())
    while reader.step():
        pass


def test_it_registers_and_then_has_nothing_to_do(url: str, shop: Shop) -> None:
    shown = run("connect", "woocommerce", "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "create order.created: is missing" in shown.output
    assert not shop.webhooks
    assert "Done: 4 changed" in connect()
    assert sorted(hook["topic"] for hook in shop.webhooks.values()) == TOPICS
    assert {hook["delivery_url"] for hook in shop.webhooks.values()} == {f"{url}/webhooks/woocommerce"}
    assert {hook["secret"] for hook in shop.webhooks.values()} == {WEBHOOK_SECRET}
    assert not any(hook["pending_delivery"] for hook in shop.webhooks.values()), "the ping was not answered 200"
    assert "Nothing to do." in connect()
    assert faults() == ""


def test_it_asks_before_it_changes_anything(url: str, shop: Shop) -> None:
    done = CliRunner().invoke(main, ["connect", "woocommerce"], input="n\n")
    assert "Nothing was changed." in done.output
    assert not shop.webhooks


@pytest.mark.slow
def test_a_disabled_webhook_is_replaced_and_has_no_failures(url: str, shop: Shop) -> None:
    connect()
    old = next(iter(shop.webhooks.values()))
    old.update(status="disabled", failure_count=6)
    assert "is disabled; run drip-adapter connect woocommerce" in " ".join(run("check").output.split())
    assert "repair" in connect()
    assert old["id"] not in shop.webhooks
    assert [hook["failure_count"] for hook in shop.webhooks.values()] == [0] * 4
    assert faults() == ""


@pytest.mark.parametrize("typo", ["/webhooks/wocommerce", "/webhook/woocommerce", "/webhooks/", "/woocommerce", ""])
def test_a_mistyped_path_is_repaired(url: str, shop: Shop, typo: str) -> None:
    connect()
    first = next(iter(shop.webhooks.values()))
    first["delivery_url"] = f"{url}{typo}"
    assert "points to" in connect()
    assert len(shop.webhooks) == 4
    assert {hook["delivery_url"] for hook in shop.webhooks.values()} == {f"{url}/webhooks/woocommerce"}


# --- webhooks that look right and are not ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_webhooks_whose_owner_lost_access_are_replaced(url: str, shop: Shop, engine: Engine) -> None:
    shop.key_user = "intern"
    shop.readers = {"admin", "intern"}
    connected_long_ago(shop)
    shop.readers = {"admin"}
    shop.key_user = "admin"
    assert [shop.deliver(order) for order in list(shop.orders)] == [[200]] * 3
    read(engine)
    found = " ".join(run("check").output.split())
    assert "Store woocommerce is losing orders: 3 webhooks" in found
    assert "may no longer read orders; run drip-adapter connect woocommerce" in found
    assert run("status").exit_code == 1
    time.sleep(1.1)  # the shop's times are whole seconds
    assert connect().count("repair") == 4
    assert {hook["user"] for hook in shop.webhooks.values()} == {"admin"}
    assert "Nothing to do." in connect()
    assert "is losing orders" in faults(), "until an order arrives"
    assert shop.deliver(next(iter(shop.orders))) == [200]
    read(engine)
    assert faults() == ""


def test_webhooks_of_api_v1_are_replaced_if_the_shop_has_order_tables(url: str, shop: Shop, engine: Engine) -> None:
    connected_long_ago(shop)
    for hook in shop.webhooks.values():
        hook["api_version"] = 1
    assert shop.deliver(next(iter(shop.orders))) == [200]
    read(engine)
    assert "API version v1" in faults()
    connect()
    assert {hook["api_version"] for hook in shop.webhooks.values()} == {3}


@pytest.mark.slow
def test_webhooks_with_another_secret_are_a_problem_and_get_the_right_one(url: str, shop: Shop, engine: Engine) -> None:
    connected_long_ago(shop)
    for hook in shop.webhooks.values():
        hook["secret"] = "another"
    assert shop.deliver(next(iter(shop.orders))) == [401]
    found = faults()
    assert "1 request was refused" in found
    assert "none accepted since" in found
    assert "WOOCOMMERCE_WEBHOOK_SECRET" in found
    time.sleep(1.1)  # the shop's times are whole seconds
    assert "are signed with another secret" in connect()
    assert {hook["secret"] for hook in shop.webhooks.values()} == {WEBHOOK_SECRET}
    assert "Nothing to do." in connect()
    assert shop.deliver(next(iter(shop.orders))) == [200]
    assert "refused" not in run("check").output


@pytest.mark.slow
def test_refusals_before_the_last_order_are_no_longer_mentioned(url: str, shop: Shop, engine: Engine) -> None:
    connect()
    with transaction(engine) as connection:
        long_ago = datetime.now(UTC) - timedelta(hours=1)
        connection.execute(refusals.insert().values(store="woocommerce", reason="mismatch", times=7, last_at=long_ago))
    assert "7 requests were refused" in faults()
    assert shop.deliver(next(iter(shop.orders))) == [200]
    assert "refused" not in run("check").output
    assert "Nothing to do." in connect()


@pytest.mark.slow
def test_a_webhook_that_keeps_failing_is_shown(url: str, shop: Shop, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """WooCommerce doesn't report failures, but it saves the webhook after each, and nothing arrives here."""
    connect()
    first = next(iter(shop.webhooks.values()))
    assert "nothing has arrived" not in run("check").output
    ago = [(datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S") for minutes in (60, 5)]
    first.update(date_created_gmt=ago[0], date_modified_gmt=ago[1])
    found = " ".join(run("check").output.split())
    assert "order.created: the store last used it at" in found
    assert "nothing has arrived here yet; WooCommerce disables a webhook that keeps failing" in found
    assert shop.deliver(next(iter(shop.orders))) == [200]
    assert "nothing has arrived" not in run("check").output
    with transaction(engine) as connection:
        connection.execute(update(deliveries).values(received_at=datetime.now(UTC) - timedelta(minutes=10)))
    first.update(date_modified_gmt=ago[1])
    assert "nothing has arrived here since" in " ".join(run("check").output.split())


# --- the adapter's own address ---------------------------------------------------------------------------------------------------------


def test_nothing_is_registered_for_an_address_that_does_not_answer(environment: None, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", f"http://127.0.0.1:{free_port('127.0.0.1')}")
    done = run("connect", "woocommerce", "--yes")
    assert done.exit_code == 1
    assert "PUBLIC_URL: no answer from" in done.output
    assert not shop.webhooks
    assert run("connect", "woocommerce", "--dry-run").exit_code == 0


def answering(status: int, body: bytes, *headers: tuple[str, str]) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(f"{status} Some", [("Content-Type", "text/html"), *headers])
        return [body]

    return app


@pytest.mark.parametrize(
    ("app", "why"),
    [
        (answering(200, b"<h1>Parked</h1>"), "is not this adapter"),
        (answering(503, b""), "answered 503"),
        (answering(301, b"", ("Location", "https://adapter.example/healthz")), "redirects to https://adapter.example/healthz"),
    ],
    ids=["a parked domain", "a server in trouble", "a redirect"],
)
def test_nothing_is_registered_if_something_else_answers(
    environment: None, shop: Shop, monkeypatch: pytest.MonkeyPatch, app: Any, why: str
) -> None:
    with serving(app) as elsewhere:
        monkeypatch.setenv("PUBLIC_URL", elsewhere)
        done = run("connect", "woocommerce", "--yes")
    assert done.exit_code == 1
    assert why in done.output
    assert not shop.webhooks


def test_nothing_is_registered_if_the_adapter_has_no_such_store(url: str, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORES", f'[stores.tea]\nprovider = "woocommerce"\nsecret = "the-secret"\nstore_url = "{shop.url}"\n'
                       f'consumer_key = "{KEY}"\nconsumer_secret = "{SECRET}"\ndrip_provider = "tea"\n')  # fmt: skip
    done = run("connect", "tea", "--yes")
    assert done.exit_code == 1
    assert "has no such store: restart it" in done.output


# --- what the shop's API says ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("check",), ("connect", "woocommerce", "--yes")])
def test_woocommerces_own_code_and_message_are_passed_on(
    url: str, shop: Shop, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WOOCOMMERCE_CONSUMER_SECRET", "cs_wrong_one")
    done = run(*command)
    assert done.exit_code == 1
    assert "401 woocommerce_rest_authentication_error: Consumer secret is invalid." in " ".join(done.output.split())


def test_a_read_only_key_is_enough_to_check(url: str, shop: Shop) -> None:
    connect()
    shop.permission = "read"
    assert faults() == ""
    next(iter(shop.webhooks.values()))["status"] = "disabled"
    done = run("connect", "woocommerce", "--yes")
    assert done.exit_code == 1
    assert "does not have write permissions" in done.output
    assert "read/write permission" in done.output


# --- by hand ---------------------------------------------------------------------------------------------------------------------------


def test_without_credentials_it_says_what_to_paste(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://adapter.example")
    monkeypatch.delenv("WOOCOMMERCE_CONSUMER_KEY")
    monkeypatch.delenv("WOOCOMMERCE_CONSUMER_SECRET")
    done = run("connect", "woocommerce")
    assert done.exit_code == 0
    assert "https://adapter.example/webhooks/woocommerce" in done.output
    assert WEBHOOK_SECRET not in done.output


def test_for_a_platform_that_is_not_set_up_it_creates_a_secret(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WEBHOOK_SECRET", "STORE_URL", "CONSUMER_KEY", "CONSUMER_SECRET"):
        monkeypatch.delenv(f"WOOCOMMERCE_{name}")
    first, second = run("connect", "woocommerce").output, run("connect", "woocommerce").output
    assert "WOOCOMMERCE_WEBHOOK_SECRET" in first
    assert first != second  # a new one each time
