"""Troubles staged one after the other in one set of real processes, and what every outlet reports about each."""

import resource
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from flask import Flask
from sqlalchemy import update
from werkzeug.serving import make_server

from adapter.inbox.database import transaction
from adapter.inbox.tables import leases
from adapter.process.supervisor import free_port
from tests.faults.harness import AT_LENGTH
from tests.faults.stage import Stage
from tests.support.adapter_under_test import ACCOUNT
from tests.support.certificate import self_signed
from tests.support.waiting import wait_until

REFUSAL = {"errors": [{"code": "validation_error", "attribute": "email", "message": "is invalid"}]}


def test_every_outlet_tells_the_truth_about_drip_and_the_store(stage: Stage) -> None:
    a_key_that_drip_rejects_before_the_first_order_and_a_mended_one(stage)
    a_wrong_secret_from_the_first_request_on(stage)
    a_rate_limit_until_a_known_time(stage)
    a_rate_limit_without_a_time(stage)
    a_page_instead_of_an_answer(stage)
    a_page_with_an_error(stage)
    a_key_that_drip_rejects_in_the_middle(stage)
    a_secret_that_is_wrong_after_a_rotation(stage)
    ten_refusals_in_a_row(stage)


def test_every_outlet_tells_the_truth_about_this_side(stage: Stage, tmp_path: Path) -> None:
    stage.site.start_web()
    stage.site.start_sender()
    wait_until(lambda: stage.site.is_up, what="the web side is up")
    stage.log_in()
    assert stage.post() == 200
    stage.expect("ok")
    a_disk_that_is_full(stage)
    a_database_that_is_locked_or_gone(stage, tmp_path / "adapter.db")
    orders_that_are_refused_or_can_not_be_mapped(stage)
    a_sender_that_is_killed(stage)


def a_key_that_drip_rejects_before_the_first_order_and_a_mended_one(stage: Stage) -> None:
    stage.site.tell_drip(status=401)
    stage.site.start_web()
    sender = stage.site.start_sender()
    wait_until(lambda: stage.site.is_up, what="the web side is up")
    stage.log_in()
    paused = stage.expect("stuck", "paused")["paused"]
    assert "returned 401: check DRIP_API_KEY" in paused["text"]
    assert (paused["account"], bool(paused["since"]), bool(paused["until"])) == (ACCOUNT.id, True, True)
    wait_until(lambda: any("401" in text for text in stage.chat.texts()), 30, "an alert")
    assert stage.post() == 200
    sender.kill()
    stage.drip_recovers()
    stage.site.variables["DRIP_API_KEY"] = "another-key-9"
    stage.site.start_sender()
    stage.expect("ok", within_s=10)
    stage.site.settle(60)  # the sender began to rest before Drip had accepted the key


def a_wrong_secret_from_the_first_request_on(stage: Stage) -> None:
    assert stage.post(secret="not the secret") == 401
    assert requests.post(f"{stage.url}/webhooks/shopify", data=b"{}", timeout=5).status_code == 401
    assert requests.post(f"{stage.url}/webhooks/nowhere", data=b"{}", timeout=5).status_code == 404
    stage.expect("attention", "signature_mismatch", "signature_missing")
    assert stage.post() == 200
    stage.expect_soon("ok")


def a_rate_limit_until_a_known_time(stage: Stage) -> None:
    stage.site.tell_drip(status=429, headers={"Retry-After": "1200"})
    assert stage.post() == 200
    throttled = stage.expect("attention", "throttled")["throttled"]
    assert throttled["until"] > throttled["since"]
    stage.drip_recovers_and_is_tried()
    stage.expect_soon("ok", within_s=10)


def a_page_instead_of_an_answer(stage: Stage) -> None:
    """As a captive portal's."""
    stage.site.tell_drip(status=200, body="<html><title>Log in to the network</title></html>", record=False)
    for _ in range(3):
        assert stage.post() == 200
    assert "something other than Drip" in stage.expect("stuck", "outage")["outage"]["text"]
    stage.drip_recovers_and_is_tried()
    stage.expect_soon("ok")


def a_rate_limit_without_a_time(stage: Stage) -> None:
    stage.site.tell_drip(status=429)
    assert stage.post() == 200
    assert stage.expect("attention", "throttled")["throttled"]["until"]
    stage.drip_recovers_and_is_tried()
    stage.expect_soon("ok", within_s=10)


def a_page_with_an_error(stage: Stage) -> None:
    """As a proxy's, whose server is down."""
    stage.site.tell_drip(status=502, body="<html><title>Bad gateway</title></html>")
    for _ in range(3):
        assert stage.post() == 200
    assert "502" in stage.expect("stuck", "outage")["outage"]["text"]
    stage.drip_recovers_and_is_tried()
    stage.expect_soon("ok")


def a_key_that_drip_rejects_in_the_middle(stage: Stage) -> None:
    """It is mended at Drip, and the account resumed without a restart."""
    stage.site.tell_drip(status=401)
    assert stage.post() == 200
    paused = stage.expect("stuck", "paused")["paused"]
    assert "check DRIP_API_KEY" in paused["text"]
    assert paused["until"]
    stage.drip_recovers_and_is_tried()
    stage.expect_soon("ok", within_s=10)


def a_secret_that_is_wrong_after_a_rotation(stage: Stage) -> None:
    assert stage.post() == 200
    assert stage.post(secret="the new one") == 401
    stage.expect("attention", "signature_mismatch")
    assert stage.post() == 200
    stage.expect_soon("ok")


def a_disk_that_is_full(stage: Stage) -> None:
    """For the web side and the sender; the commands run elsewhere."""
    assert stage.site.web is not None
    processes = [stage.site.senders[-1].pid, *stage.site.web.children]
    for each in processes:
        resource.prlimit(each, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    assert stage.post() == 503
    wait_until(lambda: stage.status()[1:] == ("stuck", ["database"]), 5, "the web side notices")
    for each in processes:
        resource.prlimit(each, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_until(lambda: stage.post() == 200, 10, "webhooks are stored again")
    stage.expect_soon("ok")


def ten_refusals_in_a_row(stage: Stage) -> None:
    """They are no fault of the orders, which wait."""
    stage.site.tell_drip(status=422, body=REFUSAL)
    for _ in range(10):
        assert stage.post() == 200
    assert "10 orders in a row" in stage.expect("stuck", "paused")["paused"]["text"]
    stage.drip_recovers_and_is_tried()
    stage.expect_soon("ok")


def a_database_that_is_locked_or_gone(stage: Stage, file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        stage.expect_no_storing()
        other.execute("ROLLBACK")
    assert stage.post() == 200
    file.rename(file.with_name("aside.db"))
    stage.expect_no_storing()
    file.with_name("aside.db").rename(file)
    assert stage.post() == 200
    stage.expect("ok")


def orders_that_are_refused_or_can_not_be_mapped(stage: Stage) -> None:
    stage.site.settle()
    stage.site.tell_drip(status=422, body=REFUSAL)
    assert stage.post() == 200
    stage.site.settle()
    dead = stage.expect("attention", "dead")["dead"]
    assert (dead["store"], dead["link"]) == ("shopify", f"{stage.url}/deliveries?state=dead&store=shopify")
    stage.drip_recovers()
    assert stage.post(line_items=[{"id": 1, "title": "Lamp", "price": "ten", "quantity": 1}]) == 200
    wait_until(lambda: stage.site.counts().get("dead") == 2, 10, "the second one")
    assert "2 deliveries" in stage.expect("attention", "dead")["dead"]["text"]


def a_sender_that_is_killed(stage: Stage) -> None:
    """Its lease runs out 20 seconds later; only the long test waits for that."""
    stage.site.senders[-1].send(signal.SIGKILL)
    if not AT_LENGTH:
        with transaction(stage.site.engine) as connection:
            connection.execute(update(leases).values(expires_at=datetime.now(UTC) - timedelta(seconds=6)))
    stage.expect("stuck", "dead", "no_sender", within_s=30)


def test_a_drip_that_can_not_be_reached(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drip is asked at the start, before any order is."""
    stage.site.start_web()
    wait_until(lambda: stage.site.is_up, what="the web side is up")
    stage.log_in()
    with answering_with_a_strange_certificate(tmp_path) as strange:
        for url, why in (
            ("https://drip.invalid", "its name could not be looked up"),
            (strange, "its certificate could not be verified"),
            (f"http://127.0.0.1:{free_port('127.0.0.1')}", "the connection was refused"),
        ):
            monkeypatch.setenv("DRIP_API_URL", url)
            stage.site.variables["DRIP_API_URL"] = url
            sender = stage.site.start_sender()
            wait_until(lambda why=why: why in stage.reported(), 20, why)  # type: ignore[misc]
            stage.expect("attention", "unproven")
            if why == "the connection was refused":
                for _ in range(3):
                    assert stage.post() == 200
                assert "could not connect to Drip" in stage.expect("stuck", "outage")["outage"]["text"]
            sender.kill()
    stage.site.variables["DRIP_API_URL"] = stage.site.drip.url
    monkeypatch.setenv("DRIP_API_URL", stage.site.drip.url)
    stage.site.start_sender()
    stage.try_now()
    stage.expect("ok")


@contextmanager
def answering_with_a_strange_certificate(folder: Path) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, Flask(__name__), threaded=True, ssl_context=self_signed(folder))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
