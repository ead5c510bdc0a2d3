"""Troubles with settings, files and stores, staged in real processes, and what every outlet reports about each."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import func, select, update

from adapter.inbox import receiving
from adapter.inbox.database import snapshot, transaction
from adapter.inbox.receiving import Arrival
from adapter.inbox.tables import BACKFILL, deliveries
from mappings import Key
from tests.faults.harness import AT_LENGTH
from tests.faults.stage import Stage
from tests.operations.test_backfill import credentials_of
from tests.stand_ins.woocommerce import running_woocommerce
from tests.support.adapter_under_test import ACCOUNT, SECRET
from tests.support.terminal import COMMAND
from tests.support.waiting import wait_until

OLD, NEW = "00" * 32, "11" * 32
# root may read and write everything, unless the capability to do so is gone.
AS_A_USER = "import ctypes, os, sys; [ctypes.CDLL(None).prctl(24, each, 0, 0, 0) for each in (1, 2)]; os.execv(sys.argv[1], sys.argv[1:])"


def test_every_outlet_tells_the_truth_about_the_settings(stage: Stage) -> None:
    nothing_configured_and_an_unknown_store(stage)
    a_store_without_an_account(stage)
    a_sender_with_an_old_key(stage)
    the_only_store_removed_while_its_orders_wait(stage)
    a_missing_encryption_key(stage)


def nothing_configured_and_an_unknown_store(stage: Stage) -> None:
    stage.restart(SHOPIFY_WEBHOOK_SECRET="", DRIP_ACCOUNT_ID="", DRIP_API_KEY="")
    no_store = stage.expect("attention", "no_store")["no_store"]
    assert "SHOPIFY_WEBHOOK_SECRET" in no_store["do"]
    wait_until(lambda: any("No store is configured" in text for text in stage.chat.texts()), what="an alert")
    answer = requests.post(f"{stage.url}/webhooks/shopify", data=b"{}", timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (404, "there is no store named 'shopify': set SHOPIFY_WEBHOOK_SECRET")
    assert requests.post(f"{stage.url}/webhooks/nope", data=b"{}", timeout=10).json()["error"].endswith("add it to STORES")
    assert stage.command("orders", "list", "--store", "nope")[1] == 1
    stage.expect_soon("attention", "no_store")


def a_store_without_an_account(stage: Stage) -> None:
    stage.restart(SHOPIFY_WEBHOOK_SECRET=SECRET)
    assert stage.post() == 200
    assert "DRIP_API_KEY" in stage.expect("stuck", "no_account")["no_account"]["do"]
    stage.restart(DRIP_ACCOUNT_ID=ACCOUNT.id, DRIP_API_KEY="the-old-key-1")
    stage.expect_soon("ok")
    stage.site.settle()


def a_sender_with_an_old_key(stage: Stage) -> None:
    """The setting was changed, and Drip accepts the new key; but the sender runs with the old one."""
    stage.configure(DRIP_API_KEY="the-new-key-2")
    stage.site.tell_drip(status=401, kind="single")
    assert stage.post() == 200
    paused = stage.expect("stuck", "paused")["paused"]
    assert "DRIP_API_KEY" in paused["text"]
    assert "restart the adapter if you changed a setting" in paused["do"]
    stage.drip_recovers()
    stage.restart()
    stage.expect_soon("ok")
    stage.site.settle()


def the_only_store_removed_while_its_orders_wait(stage: Stage) -> None:
    stage.site.senders[-1].kill()
    assert stage.post() == 200
    stage.restart(SHOPIFY_WEBHOOK_SECRET="")
    waiting = stage.expect("stuck", "no_store", "not_configured")["not_configured"]
    assert (waiting["store"], "aliases" in waiting["do"]) == ("shopify", True)
    stage.restart(SHOPIFY_WEBHOOK_SECRET=SECRET)
    stage.expect_soon("ok")
    stage.site.settle()


def a_missing_encryption_key(stage: Stage) -> None:
    stage.site.senders[-1].kill()
    stage.restart(PAYLOAD_KEYS=OLD)
    stage.site.senders[-1].kill()
    assert stage.post() == 200
    stage.restart(PAYLOAD_KEYS=NEW)
    locked = stage.expect("stuck", "locked")["locked"]
    assert (locked["store"], "PAYLOAD_KEYS" in locked["do"], bool(locked["until"])) == ("shopify", True, True)
    stage.restart(PAYLOAD_KEYS=f"{NEW},{OLD}")
    stage.expect_soon("ok")
    stage.site.settle()


def test_a_drip_that_never_answers_and_a_sender_that_died_on_another_host(stage: Stage) -> None:
    stage.site.tell_drip(hang=90, kind="single")
    stage.start()
    for _ in range(3):
        assert stage.post() == 200
    assert "did not answer within 8 s" in stage.expect("stuck", "outage", within_s=90)["outage"]["text"]
    stage.drip_recovers_and_is_tried()
    stage.expect_soon("ok")
    stage.site.settle()
    killed = stage.site.senders[-1]
    killed.kill()
    assert stage.post() == 200
    # Nobody looks at the process: its lease ends 20 s after it was last renewed.
    stage.expect("stuck", "no_sender", within_s=90)
    stage.site.start_sender()
    stage.expect_soon("ok")


def test_past_orders_are_no_trouble_and_hide_no_silent_store(stage: Stage) -> None:
    with running_woocommerce(orders=60) as shop:
        credentials = credentials_of(shop, stage.site.database_url)
        stage.configure(**{name: value for name, value in credentials.items() if name.startswith("WOOCOMMERCE_")})
        arrivals_until_yesterday(stage, "woocommerce")
        stage.site.tell_drip(hang=0.5, kind="single")
        stage.start()
        wait_until(lambda: stage.status() == (200, "attention", ["silent"]), what="the finding")
        stage.command("backfill", "woocommerce", "--since", "2000-01-01")
        assert past_orders_waiting(stage) > 0
        assert stage.status() == (200, "attention", ["silent"])
        assert "Store woocommerce has sent no webhook since" in stage.command("status")[0]
        wait_until(lambda: any("has sent no webhook since" in text for text in stage.chat.texts()), what="an alert")


def arrivals_until_yesterday(stage: Stage, store: str) -> None:
    """Nine days with a webhook every hour, the last one 30 hours ago."""
    now = datetime.now(UTC)
    with transaction(stage.site.engine) as connection:
        for hour in range(24 * 9):
            key, at = Key(value=str(hour), expires=False), now - timedelta(hours=30 + hour, minutes=1)
            receiving.keep(connection, Arrival(store=store, key=key, topic="", headers={}, payload=b"{}", at=at))
        connection.execute(update(deliveries).values(state="delivered", settled_at=now))


def past_orders_waiting(stage: Stage) -> int:
    of_them = (deliveries.c.state == "pending") & (deliveries.c.priority == BACKFILL)
    with snapshot(stage.site.engine) as connection:
        return int(connection.execute(select(func.count()).select_from(deliveries).where(of_them)).scalar_one())


def test_every_outlet_tells_the_truth_about_a_read_only_file(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "adapter.db"
    stage.site.engine.dispose()
    file.chmod(0o400)
    with web_process_as_a_user(stage):
        wait_until(lambda: answers(stage), what="the web side answers")
        assert stage.post() == 503
        wait_until(lambda: stage.status() == (503, "stuck", ["database", "no_sender"]), what="the finding")
        assert "may not read and write it" in stage.reported()
        assert requests.get(f"{stage.url}/readyz", timeout=10).status_code == 503
        for command in ("status", "check"):
            done = as_a_user(stage, command)
            assert (done.returncode, "may not read and write it" in done.stdout) == (1, True)
        for each in tmp_path.glob("adapter.db*"):
            each.chmod(0o600)
        wait_until(lambda: stage.post() == 200, what="webhooks are stored again")


def answers(stage: Stage) -> bool:
    try:
        return requests.get(f"{stage.url}/healthz", timeout=2).ok
    except requests.RequestException:
        return False


@contextmanager
def web_process_as_a_user(stage: Stage) -> Iterator[None]:
    command = [sys.executable, "-c", AS_A_USER, *COMMAND, "web", "--bind", stage.site.address]
    with subprocess.Popen(command, env={**os.environ, **stage.site.variables}, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def as_a_user(stage: Stage, command: str) -> "subprocess.CompletedProcess[str]":
    arguments = [sys.executable, "-c", AS_A_USER, *COMMAND, command]
    variables = {**os.environ, **stage.site.variables}
    return subprocess.run(arguments, env=variables, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(not AT_LENGTH, reason="a message a minute: set FAULTS_AT_LENGTH")
def test_alerts_are_sent_at_the_start_and_the_end_of_troubles_also_by_a_web_process(stage: Stage) -> None:
    stage.start()
    assert stage.post(secret="not the secret") == 401
    alerted(stage, "signature doesn't match")
    assert stage.post() == 200
    alerted(stage, "Resolved after 1 min: 1 request was refused for store shopify")
    stage.site.settle()
    stage.site.tell_drip(status=422, body={"errors": [{"attribute": "email", "message": "is invalid"}]})
    assert stage.post() == 200
    alerted(stage, "Drip refused 1.")
    stage.site.senders[-1].kill()
    alerted(stage, f"No sender is running for Drip account {ACCOUNT.id}.")
    stage.drip_recovers()
    stage.site.start_sender()
    alerted(stage, f"No sender is running for Drip account {ACCOUNT.id}.", "Resolved after ")


def alerted(stage: Stage, *words: str) -> None:
    def there() -> bool:
        return any(all(word in line for word in words) for text in stage.chat.texts() for line in text.splitlines())

    wait_until(there, 240, f"an alert with {words}, not {stage.chat.texts()}")
