"""What stands in the log: codes and counts for operators, and nothing that is anybody's secret."""

import json
import logging
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import requests

from adapter.logs import LineFormatter
from adapter.sandbox import running_sandbox
from tests.adapter_under_test import shopify_order, signed
from tests.test_serve import serving, wait_until

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


def test_no_secret_address_token_or_payload_stands_in_any_line_of_a_debug_log(tmp_path: Path) -> None:
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
