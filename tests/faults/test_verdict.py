"""Troubles staged one after the other in one set of real processes, and what every outlet reports about each."""

import json
import re
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from adapter.cli import main
from tests.faults.harness import Site, running_site
from tests.support.adapter_under_test import ACCOUNT, SECRET, shopify_order, signed
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
        wait_until(lambda: self._status()[1:] == (verdict, sorted(codes)), within_s, f"{codes}, not {self._status()}")
        status, *_ = self._status()
        assert status == (503 if verdict == "stuck" else 200)
        wait_until(lambda: self._metrics() == (verdict, set(codes)), 10, f"metrics: {codes}")
        report, exit_code = self.command("status", "--json")
        assert (report["verdict"], sorted(finding["code"] for finding in report["findings"])) == (verdict, sorted(codes))
        assert exit_code == (0 if verdict == "ok" else 1)
        wait_until(lambda: self._titles() == {TITLES[verdict]}, 10, f"titles: {TITLES[verdict]}")
        for finding in report["findings"]:
            assert finding["text"].endswith(".")
            assert finding["do"]
            assert finding["link"].startswith(self.url)
        return {finding["code"]: finding for finding in report["findings"]}

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

    def expect_no_storing(self) -> None:
        """Every request is refused, and the outlets that are left say why."""
        assert self.post() == 503
        wait_until(lambda: requests.get(f"{self.url}/readyz", timeout=10).status_code == 503, 10, "readyz")
        assert self._status() == (503, "stuck", ["database"])
        assert requests.get(f"{self.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=15).status_code in (200, 503)
        assert self.command("status")[1] == 1

    def drip_recovers(self) -> None:
        requests.delete(f"{self.site.drip.url}/answers", timeout=5).raise_for_status()

    def try_now(self) -> None:
        assert self.command("resume", ACCOUNT.id)[1] == 0

    def _status(self) -> tuple[int, str, list[str]]:
        answer = requests.get(f"{self.url}/status", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=15)
        report = answer.json()
        return answer.status_code, report["verdict"], sorted(finding["code"] for finding in report["findings"])

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


def test_every_outlet_tells_the_truth_about_each_trouble(stage: Stage, tmp_path: Path) -> None:
    a_key_that_drip_rejects_before_the_first_order_and_a_mended_one(stage)
    a_wrong_secret_from_the_first_request_on(stage)
    a_rate_limit_until_a_known_time(stage)
    a_page_instead_of_an_answer(stage)
    ten_refusals_in_a_row(stage)
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
    sender.kill()
    stage.drip_recovers()
    stage.site.variables["DRIP_API_KEY"] = "another-key-9"
    stage.site.start_sender()
    stage.expect("ok", within_s=10)


def a_wrong_secret_from_the_first_request_on(stage: Stage) -> None:
    assert stage.post(secret="not the secret") == 401
    assert requests.post(f"{stage.url}/webhooks/shopify", data=b"{}", timeout=5).status_code == 401
    assert requests.post(f"{stage.url}/webhooks/nowhere", data=b"{}", timeout=5).status_code == 404
    stage.expect("attention", "signature_mismatch", "signature_missing")
    assert stage.post() == 200
    stage.expect("ok")


def a_rate_limit_until_a_known_time(stage: Stage) -> None:
    stage.site.tell_drip(status=429, headers={"Retry-After": "1200"})
    assert stage.post() == 200
    throttled = stage.expect("attention", "throttled")["throttled"]
    assert throttled["until"] > throttled["since"]
    stage.drip_recovers()
    stage.try_now()
    stage.expect("ok", within_s=10)


def a_page_instead_of_an_answer(stage: Stage) -> None:
    """As a captive portal's."""
    stage.site.tell_drip(status=200, body="<html><title>Log in to the network</title></html>", record=False)
    for _ in range(3):
        assert stage.post() == 200
    assert "something other than Drip" in stage.expect("stuck", "outage")["outage"]["text"]
    stage.drip_recovers()
    stage.try_now()
    stage.expect("ok")


def ten_refusals_in_a_row(stage: Stage) -> None:
    """They are no fault of the orders, which wait."""
    stage.site.tell_drip(status=422, body=REFUSAL)
    for _ in range(10):
        assert stage.post() == 200
    assert "10 orders in a row" in stage.expect("stuck", "paused")["paused"]["text"]
    stage.drip_recovers()
    stage.try_now()
    stage.expect("ok")


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
    stage.site.tell_drip(status=422, body=REFUSAL)
    assert stage.post() == 200
    dead = stage.expect("attention", "dead")["dead"]
    assert (dead["store"], dead["link"]) == ("shopify", f"{stage.url}/deliveries?state=dead&store=shopify")
    stage.drip_recovers()
    assert stage.post(line_items=[{"id": 1, "title": "Lamp", "price": "ten", "quantity": 1}]) == 200
    wait_until(lambda: stage.site.counts().get("dead") == 2, 10, "the second one")
    assert "2 deliveries" in stage.expect("attention", "dead")["dead"]["text"]


def a_sender_that_is_killed(stage: Stage) -> None:
    stage.site.senders[-1].send(signal.SIGKILL)
    stage.expect("stuck", "dead", "no_sender", within_s=30)
