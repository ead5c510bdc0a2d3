"""Troubles staged one after the other in one set of real processes, and what every outlet reports about each."""

import html
import json
import re
import resource
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import update
from werkzeug.serving import make_server

from adapter.cli import main
from adapter.inbox.database import transaction
from adapter.inbox.tables import leases
from adapter.process.supervisor import free_port
from tests.faults.harness import AT_LENGTH, Site, running_site
from tests.support.adapter_under_test import ACCOUNT, SECRET, shopify_order, signed
from tests.support.certificate import self_signed
from tests.support.listener import Listener, listening
from tests.support.waiting import wait_until

PASSWORD, TOKEN = "correct horse battery", "metrics-token-1"
REFUSAL = {"errors": [{"code": "validation_error", "attribute": "email", "message": "is invalid"}]}
TITLES = {"ok": "", "attention": "Attention: ", "stuck": "Stuck: "}


class Stage:
    """The adapter's processes, everything that reports on them, and a store that posts."""

    def __init__(self, site: Site, chat: Listener, run: Callable[..., Any]) -> None:
        self.site, self.chat, self._run = site, chat, run
        self.url = f"http://{site.address}"
        self._order = 1000
        self._browser = requests.Session()

    def expect(self, verdict: str, *codes: str, within_s: float = 20) -> dict[str, dict[str, Any]]:
        """Wait until `/status` reports these findings and no others; then every other outlet must agree. The findings by code."""
        found = self.expect_soon(verdict, *codes, within_s=within_s)
        wait_until(lambda: self._metrics() == (verdict, set(codes)), 10, f"metrics: {codes}")
        wait_until(lambda: self._titles() == {TITLES[verdict]}, 10, f"titles: {TITLES[verdict]}")
        return found

    def expect_soon(self, verdict: str, *codes: str, within_s: float = 20) -> dict[str, dict[str, Any]]:
        """The same of the outlets that remember nothing; metrics and titles are read at most every three seconds."""
        wait_until(lambda: self.status()[1:] == (verdict, sorted(codes)), within_s, f"{codes}, not {self.status()}")
        status, *_ = self.status()
        assert status == (503 if verdict == "stuck" else 200)
        report, exit_code = self.command("status", "--json")
        assert (report["verdict"], sorted(finding["code"] for finding in report["findings"])) == (verdict, sorted(codes))
        assert exit_code == (0 if verdict == "ok" else 1)
        text, exit_code = self.command("status")
        assert exit_code == (0 if verdict == "ok" else 1)
        wait_until(lambda: self._headline() == text.splitlines()[0], 10, text.splitlines()[0])
        wait_until(self._text_has_all_findings, 10, "the text with the findings of the JSON")
        assert self._check() == (sorted(codes), 0 if verdict == "ok" else 1)
        for finding in report["findings"]:
            assert finding["text"].endswith(".")
            assert finding["do"]
            assert finding["link"].startswith(self.url)
        return {finding["code"]: finding for finding in report["findings"]}

    def _text_has_all_findings(self) -> bool:
        """Looked at again, because a cause may change between two looks: a refused order, then a refused test of the account."""
        report, text = self.command("status", "--json")[0], self.command("status")[0]
        return all(finding["text"] in text for finding in report["findings"])

    def command(self, *arguments: str) -> tuple[Any, int]:
        result = self._run(*arguments)
        return json.loads(result.stdout) if "--json" in arguments else result.stdout, result.exit_code

    def post(self, secret: str = SECRET, **more: Any) -> int:
        self._order += 1
        payload = json.dumps(shopify_order(self._order, **more)).encode()
        headers = {**signed(payload, secret=secret), "X-Shopify-Topic": "orders/create", "X-Shopify-Webhook-Id": str(self._order)}
        return requests.post(f"{self.url}/webhooks/shopify", data=payload, headers=headers, timeout=10).status_code

    def log_in(self) -> None:
        page = self._browser.get(f"{self.url}/login", timeout=10).text
        found = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert found is not None
        form = {"csrf_token": found[1], "password": PASSWORD}
        self._browser.post(f"{self.url}/login", data=form, headers={"Referer": f"{self.url}/"}, timeout=10)

    def _headline(self) -> str:
        found = re.search(r'<p class="headline">(.*?)</p>', self._browser.get(f"{self.url}/", timeout=10).text)
        assert found is not None
        return html.unescape(found[1])

    def _check(self) -> tuple[list[str], int]:
        """Codes and exit status. It asks Drip itself, which may answer well while the verdict remembers what orders got."""
        result = self._run("check", "--json")
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        return sorted(line["code"] for line in lines if line["ok"] is False and line["code"]), result.exit_code

    def expect_no_storing(self) -> None:
        """Every request is refused, and the outlets that are left say why."""
        assert self.post() == 503
        wait_until(lambda: requests.get(f"{self.url}/readyz", timeout=10).status_code == 503, 10, "readyz")
        assert self.status() == (503, "stuck", ["database"])
        assert requests.get(f"{self.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=15).status_code in (200, 503)
        assert self.command("status")[1] == 1

    def drip_recovers(self) -> None:
        requests.delete(f"{self.site.drip.url}/answers", timeout=5).raise_for_status()

    def drip_recovers_and_is_tried(self) -> None:
        self.drip_recovers()
        self.try_now()

    def try_now(self) -> None:
        assert self.command("resume", ACCOUNT.id)[1] == 0

    def status(self) -> tuple[int, str, list[str]]:
        answer = requests.get(f"{self.url}/status", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=15)
        report = answer.json()
        return answer.status_code, report["verdict"], sorted(finding["code"] for finding in report["findings"])

    def reported(self) -> str:
        """The findings' sentences."""
        report = requests.get(f"{self.url}/status", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=15).json()
        return " ".join(finding["text"] for finding in report["findings"])

    def _metrics(self) -> tuple[str, set[str]]:
        text = requests.get(f"{self.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10).text
        [verdict] = re.findall(r'drip_adapter_verdict\{verdict="(\w+)"\} 1\.0', text)
        return verdict, set(re.findall(r'drip_adapter_findings\{code="(\w+)"\} [1-9]', text))

    def _titles(self) -> set[str]:
        pages = (self._browser.get(f"{self.url}{path}", timeout=10).text for path in ("/", "/stores"))
        return {re.sub(r"(Overview|Stores) .*", "", re.findall(r"<title>(.*?)</title>", page)[0]) for page in pages}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with listening() as chat:
        variables = {
            "ADMIN_PASSWORD": PASSWORD, "METRICS_TOKEN": TOKEN, "ALERT_URL": f"http://{chat.address}/", "WEB_CONCURRENCY": "1",
        }  # fmt: skip
        with running_site(f"sqlite:///{tmp_path / 'adapter.db'}", tmp_path, variables) as site:
            site.variables["PUBLIC_URL"] = f"http://{site.address}"  # not https: the visitor's cookies are sent
            for name, value in {
                "DATABASE_URL": site.database_url, "DRIP_API_URL": site.drip.url, "DRIP_ACCOUNT_ID": ACCOUNT.id,
                "DRIP_API_KEY": ACCOUNT.token,
                "SHOPIFY_WEBHOOK_SECRET": SECRET, "PUBLIC_URL": f"http://{site.address}",
            }.items():  # fmt: skip
                monkeypatch.setenv(name, value)
            yield Stage(site, chat, lambda *arguments: CliRunner().invoke(main, arguments, catch_exceptions=False))


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
