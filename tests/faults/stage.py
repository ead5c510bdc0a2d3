"""One adapter in real processes with everything that reports the verdict, for tests that stage troubles."""

import html
import json
import re
from collections.abc import Callable
from typing import Any

import requests

from tests.faults.harness import Site
from tests.support.adapter_under_test import ACCOUNT, SECRET, shopify_order, signed
from tests.support.listener import Listener
from tests.support.waiting import wait_until

PASSWORD, TOKEN = "correct horse battery", "metrics-token-1"
TITLES = {"ok": "", "attention": "Attention: ", "stuck": "Stuck: "}


class Stage:
    """The adapter's processes, everything that reports on them, and a store that posts."""

    def __init__(self, site: Site, chat: Listener, run: Callable[..., Any], set_variable: Callable[[str, str], None]) -> None:
        self.site, self.chat, self._run, self._set_variable = site, chat, run, set_variable
        self.url = f"http://{site.address}"
        self._order = 1000
        self._browser = requests.Session()

    def configure(self, **variables: str) -> None:
        """Change settings, for commands at once and for processes that are started from now on. A blank one is unset."""
        self.site.variables.update(variables)
        for name, value in variables.items():
            self._set_variable(name, value)

    def start(self) -> None:
        """Start a web process and a sender, and log in."""
        self.site.start_web()
        self.site.start_sender()
        self.await_web()

    def await_web(self) -> None:
        wait_until(lambda: self.site.is_up, what="the web side is up")
        self.log_in()

    def stop(self) -> None:
        """End all processes."""
        for process in (self.site.web, *self.site.senders):
            if process is not None and process.runs:
                process.kill()

    def restart(self, **variables: str) -> None:
        """Start again with other settings."""
        self.stop()
        self.configure(**variables)
        self.start()

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
