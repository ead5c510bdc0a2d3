"""The log: codes and counts for operators, and no secrets or personal data."""

import ast
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import Engine

from adapter.inbox.erasure import FORGOTTEN
from adapter.monitoring.logs import REQUEST_ID, LineFormatter
from adapter.operations.forget import erase_found
from adapter.sandbox import running_sandbox
from adapter.web.database import Inbox
from tests.process.test_serve import serving
from tests.support.adapter_under_test import AdapterUnderTest, make_settings, shopify_order, signed
from tests.support.waiting import wait_until
from tests.support.whole_app import create_app
from tests.web.conftest import Visitor, with_dashboard

SECRETS = {
    "SHOPIFY_WEBHOOK_SECRET": "hush-shopify",
    "SHOPIFY_WEBHOOK_SECRET_PREVIOUS": "hush-previous",
    "DRIP_API_KEY": "hush-drip",
    "METRICS_TOKEN": "hush-metrics",
}
EMAIL = "grace.hopper@navy.example"
# Words that stand in payloads, and in what Drip answers, and nowhere else.
PRIVATE = ("grace", "hopper", "navy.example", "Quenchless Kettle", "4711 Elm Street", "+1 555 0100", "Not JSON at all", "drip-said")
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (DEBUG|INFO|WARNING|ERROR) .")


def order(number: int, **more: Any) -> bytes:
    line = {"id": 1, "product_id": 7, "title": "Quenchless Kettle", "price": "5.00", "quantity": 1}
    address = {"first_name": "Grace", "last_name": "Hopper", "address1": "4711 Elm Street", "phone": "+1 555 0100"}
    document: dict[str, Any] = {"email": EMAIL, "billing_address": address, "shipping_address": address, "line_items": [line], **more}
    return json.dumps(shopify_order(number, **document)).encode()


def test_signed_store_requests_are_not_in_a_debug_log() -> None:
    script = """
from adapter.monitoring import logs
from requests import Request
from requests_oauthlib import OAuth1
logs.set_up("DEBUG")
names = {"client_secret": "hush", "resource_owner_key": "hush-token", "resource_owner_secret": "hush", "signature_method": "HMAC-SHA256"}
Request("POST", "http://shop.example/x", data={"secret": "hush"}, auth=OAuth1("hush-key", **names)).prepare()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "hush" not in done.stderr + done.stdout


@pytest.mark.slow
def test_no_secret_address_token_or_payload_is_in_a_debug_log(tmp_path: Path) -> None:
    with (
        running_sandbox() as drip,
        serving(tmp_path, LOG_LEVEL="DEBUG", DRIP_API_URL=drip.url, DRIP_ACCOUNT_ID="9999999", **SECRETS) as served,
    ):
        blame = {"errors": [{"code": "email_error", "attribute": "email", "message": f"drip-said {EMAIL} is wrong"}]}
        rules: dict[int, dict[str, Any]] = {
            1002: {"status": 422, "body": blame}, 1003: {"status": 500, "body": blame}, 1004: {"drop": True},
        }  # fmt: skip
        for number, rule in rules.items():
            requests.put(f"{drip.url}/answers", json={"order_id": str(number), "times": 1, **rule}, timeout=10).raise_for_status()
        url = f"{served.url}/webhooks/shopify"
        payloads = [order(number) for number in (1001, 1002, 1003, 1004)]
        payloads += [order(1001), order(1005, current_total_price="Quenchless Kettle"), order(1006, test=True), b"{Not JSON at all"]
        for payload in payloads:
            proof = {**signed(payload, secret="hush-shopify"), "X-Shopify-Topic": "orders/updated"}
            assert requests.post(url, data=payload, headers=proof, timeout=10).status_code == 200
        unproved = {"X-Shopify-Hmac-Sha256": "hush-proof", "Cookie": "hush-cookie", "Authorization": "Bearer hush-bearer"}
        for address in (url, f"{url}?token=hush-query", f"{served.url}/webhooks/nobody", f"{served.url}/status"):
            requests.post(address, data=payloads[0], headers=unproved, timeout=10)
        requests.get(f"{served.url}/status", headers={"Authorization": "Bearer hush-metrics"}, timeout=10)
        expected = ("delivered", "dead", "retrying", "skipped", "kept", "duplicate", "refused")
        wait_until(lambda: all(f"action={action} " in served.errors.read_text() for action in expected))
        served.process.terminate()
        assert served.process.wait(15) == 0
        assert served.process.stdout is not None
        log = served.errors.read_text()
        said = served.banner + served.process.stdout.read().decode() + log
    assert [line for line in log.splitlines() if not LINE.match(line)] == []
    assert [word for word in ("hush", *PRIVATE) if word.lower() in said.lower()] == []


@pytest.fixture
def log() -> tuple[logging.Logger, StringIO]:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter())
    logger = logging.Logger("a log of its own")
    logger.addHandler(handler)
    return logger, stream


def test_a_line_begins_with_time_level_and_action(log: tuple[logging.Logger, StringIO]) -> None:
    logger, stream = log
    logger.info("created at Drip", extra={"order": "1001", "delivery": 17, "store": "shopify", "action": "delivered", "attempt": None})
    assert re.fullmatch(LINE.pattern[:-1] + "action=delivered delivery=17 store=shopify order=1001 created at Drip\n", stream.getvalue())


@pytest.mark.parametrize("value", ["a b", 'a"b', "a=b", "", "a\nINFO action=forged"])
def test_a_value_cannot_forge_another_field_or_line(log: tuple[logging.Logger, StringIO], value: str) -> None:
    logger, stream = log
    logger.warning("said", extra={"action": "refused", "order": value})
    [line] = stream.getvalue().splitlines()
    assert line.endswith(f" action=refused order={value!r} said")


ROOT = Path(__file__).parent.parent.parent


def actions_in_the_source() -> set[str]:
    """Every constant that a log line may carry as its action: in `{"action": ...}`, or given to a helper such as `_log`."""
    found: set[str] = set()
    for path in (ROOT / "adapter").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                extras = [keyword.value for keyword in node.keywords if keyword.arg == "extra"]
                if name == "_log":
                    found |= constants(node.args[2])
                elif name == "_done":
                    found |= constants(node.args[1])
                for extra in extras:
                    found |= actions_of(extra, tree)
    return found


def actions_of(extra: ast.expr, tree: ast.Module) -> set[str]:
    if isinstance(extra, ast.Name):  # put together on a line before
        assigned = [node.value for node in ast.walk(tree) if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == extra.id]
        return {action for each in assigned for action in actions_of(each, tree)}
    if isinstance(extra, ast.IfExp):
        return actions_of(extra.body, tree) | actions_of(extra.orelse, tree)
    if not isinstance(extra, ast.Dict):
        return set()
    spread = {action for key, value in zip(extra.keys, extra.values, strict=True) if key is None for action in actions_of(value, tree)}
    named = [value for key, value in zip(extra.keys, extra.values, strict=True) if isinstance(key, ast.Constant) and key.value == "action"]
    return spread | {action for value in named for action in constants(value)}


def constants(value: ast.expr) -> set[str]:
    return {node.value for node in ast.walk(value) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@pytest.mark.slow
def test_exactly_the_actions_in_use_are_documented() -> None:
    table = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8").partition("\n## The log\n")[2].partition("\n## ")[0]
    explained = {name for row in table.splitlines() if row.startswith("| `") for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert {"kept", "delivered", "dead", "duplicate", "data_request", "paused"} <= actions_in_the_source(), "the search finds too little"
    assert actions_in_the_source() ^ explained == set()


class TestRequestIds:
    def test_a_valid_one_is_returned_and_logged_with_the_delivery(self, adapter: AdapterUnderTest, log_lines: list[str]) -> None:
        answer = adapter.post(shopify_order(1001), headers={"X-Request-ID": "01234567-89ab-cdef-0123-456789abcdef"})
        assert answer.headers["X-Request-ID"] == "01234567-89ab-cdef-0123-456789abcdef"
        assert [line.partition(" action=")[2] for line in log_lines] == [
            "kept delivery=1 store=shopify request_id=01234567-89ab-cdef-0123-456789abcdef kept"
        ]
        log_lines.clear()
        adapter.settle()
        [sent] = [line for line in log_lines if " delivery=1 " in line]
        assert "action=delivered" in sent
        assert "request_id" not in sent.replace("drip_request_id", "")

    @pytest.mark.parametrize("sent", ["", "short", "x" * 201, "grace@navy.example", "a b c d e f g h", "aaaaaaaa\u00e9", '"12345678"'])
    def test_any_other_is_replaced(self, adapter: AdapterUnderTest, log_lines: list[str], sent: str) -> None:
        answer = adapter.web.post("/webhooks/shopify", data=b"{}", headers={"X-Request-ID": sent})
        made = answer.headers["X-Request-ID"]
        assert (answer.status_code, len(made)) == (401, 32)
        assert [f"request_id={made} " in line for line in log_lines] == [True]

    def test_each_request_has_its_own_also_where_the_database_logs(self, engine: Engine, log_lines: list[str]) -> None:
        app = create_app(make_settings("http://127.0.0.1:1"), engine)
        inbox: Inbox = app.extensions["inbox"]
        seen = []

        @app.get("/look")
        def look() -> str:
            seen.append(inbox.run(lambda _: REQUEST_ID.get()))
            return ""

        answers = [app.test_client().get("/look").headers["X-Request-ID"] for _ in range(4)]
        assert (seen, len(set(seen))) == (answers, 4)
        assert REQUEST_ID.get() is None

    def test_a_404_has_one_too(self, adapter: AdapterUnderTest) -> None:
        assert adapter.web.get("/nothing").headers["X-Request-ID"]


class TestEveryChangeOfStateHasALine:
    def changes(self, log_lines: list[str]) -> list[str]:
        """`action delivery` of each line that names a delivery."""
        found = [re.search(r"action=(\w+) delivery=(\d+)", line) for line in log_lines]
        return [f"{match[1]} {match[2]}" for match in found if match]

    def test_superseded_split_and_unchanged(self, adapter: AdapterUnderTest, log_lines: list[str]) -> None:
        adapter.post({"orders": [shopify_order(1001), shopify_order(1002)]})
        adapter.post(shopify_order(1001, minutes=5))
        adapter.settle()
        adapter.post(shopify_order(1001, minutes=9))
        adapter.settle()
        assert sorted(self.changes(log_lines)) == sorted(
            ["kept 1", "kept 2", "kept 3", "kept 4", "skipped 1", "delivered 2", "skipped 3", "delivered 4", "kept 5", "skipped 5"]
        )

    def test_a_dead_delivery_that_arrives_again(self, adapter: AdapterUnderTest, log_lines: list[str]) -> None:
        for _ in range(2):
            adapter.post(b"not JSON", webhook_id="w")
            adapter.settle()
        assert self.changes(log_lines) == ["kept 1", "dead 1", "duplicate 1", "reopened 1", "dead 1"]

    @pytest.mark.slow
    def test_a_retry_from_the_dashboard(self, adapter: AdapterUnderTest, log_lines: list[str]) -> None:
        adapter.post(shopify_order(1001))
        adapter.settle()
        log_lines.clear()
        page = Visitor(create_app(with_dashboard(adapter.settings), adapter.engine).test_client())
        page.log_in()
        page.post("/deliveries/1/retry", at="/deliveries/1", headers={"X-Request-ID": "01234567-89ab"})
        assert [line.partition(" action=")[2] for line in log_lines] == ["reopened delivery=1 request_id=01234567-89ab retry requested"]

    def test_a_delivery_forgotten_before_it_is_sent(self, adapter: AdapterUnderTest, log_lines: list[str]) -> None:
        adapter.post(shopify_order(1001))
        adapter.read()
        for _ in erase_found(adapter.engine, {1}, FORGOTTEN, adapter.clock()):
            pass
        assert self.changes(log_lines) == ["kept 1", "dead 1"]

    def test_a_delivery_held_until_the_order_is_placed(self, adapter: AdapterUnderTest, log_lines: list[str]) -> None:
        adapter.post(shopify_order(1001, cancelled_at="2026-09-30T12:01:00Z", financial_status="voided"))
        adapter.settle()
        adapter.post(shopify_order(1001, minutes=5))
        adapter.settle()
        assert self.changes(log_lines) == ["kept 1", "skipped 1", "kept 2", "reopened 1", "skipped 1", "delivered 2"]


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """What has been logged so far, as it stands in the log."""
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Handler(logging.INFO)
    handler.setFormatter(LineFormatter())
    logger = logging.getLogger("adapter")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(level)
