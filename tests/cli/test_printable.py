"""What a store, a shopper or whoever answers in Drip's place sends can't control the terminal or the log."""

import io
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from adapter.cli import main
from adapter.monitoring.logs import LineFormatter
from adapter.printable import one_line, printable
from tests.support.adapter_under_test import SECRET, AdapterUnderTest, shopify_order
from tests.support.commands import COMMANDS

CLI = Path(__file__).parent.parent.parent / "adapter" / "cli"
# Clear the screen, C1's "control sequence introducer", right-to-left override, a forged line, a line separator, an invisible tag.
HOSTILE = "A\x1b[2J\x9b31m\u202e\u2066B\r\nok\u2028\x07\x7f\U000e0041C"
UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff\U000e0000-\U000e007f]")


def run(*arguments: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zoë 20 € 👩‍👧 می‌خواهم", "Zoë 20 € 👩‍👧 می‌خواهم"),
        ("a\x1b[31m", "a\\u001b[31m"),
        ("\u202e", "\\u202e"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("a\nb\tc", "a\nb\\u0009c"),
    ],
)
def test_such_characters_become_escapes_and_all_others_stay(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert one_line(text) == shown.replace("\n", "\\n")


def test_json_stays_the_same_json() -> None:
    for ensure_ascii in (False, True):
        assert json.loads(printable(json.dumps({HOSTILE: HOSTILE}, ensure_ascii=ensure_ascii))) == {HOSTILE: HOSTILE}


@pytest.fixture
def hostile(
    adapter: AdapterUnderTest, database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> AdapterUnderTest:
    """An inbox in which everything that others can choose is hostile."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SHOPIFY_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("WOOCOMMERCE_WEBHOOK_SECRET", SECRET)
    line = {"id": HOSTILE, "title": HOSTILE, "sku": HOSTILE, "vendor": HOSTILE, "price": "1", "quantity": 1}
    texts = {"name": HOSTILE, "tags": HOSTILE, "note": HOSTILE, "source_name": HOSTILE, "cancel_reason": HOSTILE, "currency": HOSTILE}
    more: dict[str, Any] = {**texts, "line_items": [line], "landing_site": f"/{HOSTILE}", "discount_codes": [{"code": HOSTILE}]}
    adapter.post(shopify_order(f"{HOSTILE}1", **more), topic="orders/create")  # type: ignore[arg-type]
    adapter.post(shopify_order(2, **more), headers={"X-Shopify-Topic": "orders/create"})
    adapter.settle()
    answer = {"errors": [{"code": HOSTILE, "attribute": HOSTILE, "message": HOSTILE}]}
    adapter.tell_drip(status=422, body=answer, times=1)
    adapter.post(shopify_order(3, **more))
    adapter.settle()
    adapter.tell_drip(status=200, body=HOSTILE, times=1)
    adapter.post(shopify_order(4, **more))
    adapter.settle()
    adapter.post(shopify_order(5, line_items={HOSTILE: {"price": HOSTILE, "quantity": 1}}))
    adapter.post({"code": f"woocommerce_{HOSTILE}", "message": HOSTILE}, store="woocommerce", topic="order.updated")
    adapter.post(shopify_order(6), topic=f"orders/{HOSTILE}".replace("\r\n", "").encode("ascii", "replace").decode())
    adapter.settle()
    assert {row.state for row in adapter.rows()} >= {"delivered", "skipped", "dead"}
    return adapter


def commands(adapter: AdapterUnderTest) -> list[tuple[str, ...]]:
    """Every command that reads the inbox, with each way to print."""
    numbers = [str(row.id) for row in adapter.rows()]
    orders = sorted({row.order_id for row in adapter.rows() if row.order_id})
    return [
        ("deliveries", "list"),
        ("deliveries", "list", "--json"),
        *(("deliveries", "show", number, *options) for number in numbers for options in ((), ("--json",))),
        ("orders", "list"),
        ("orders", "list", "--json"),
        *(("orders", "show", *options, "--", order) for order in orders for options in ((), ("--json",))),
        ("status",),
        ("status", "--json"),
        ("check",),
        ("check", "--json"),
        ("audit",),
        ("audit", "--json"),
        ("deliveries", "retry", "--state", "dead", "--dry-run"),
        ("deliveries", "show", HOSTILE),
        ("orders", "show", HOSTILE),
        ("forget", f"{HOSTILE}@example.com", "--dry-run"),
        ("purge", "--dry-run"),
        ("connect", "shopify"),
        ("backfill", "shopify", "--since", "2026-01-01"),
        ("reconcile",),
        ("map", "shopify", "-"),
    ]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_command_shows_them_as_escapes(hostile: AdapterUnderTest) -> None:
    payloads = [row.payload for row in hostile.rows() if row.payload]
    seen = ""
    for arguments in commands(hostile):
        for payload in payloads if arguments[0] == "map" else [b""]:
            result = run(*arguments, stdin=payload)
            found = UNPRINTABLE.search(result.output.replace("\n", ""))
            assert found is None, (arguments, result.output[max(0, found.start() - 60) :][:150])
            assert "Traceback" not in result.output
            if "--json" in arguments or arguments[0] == "map":
                for line in result.stdout.splitlines():
                    json.loads(line)
            seen += result.output
    assert "\\u001b[2J" in seen
    assert "\\u202e" in seen
    assert {arguments[0] for arguments in commands(hostile)} >= {path[0] for path in COMMANDS if len(path) == 1} - WITHOUT_CONTENT


# These print the adapter's own words only, or start processes, whose lines go through the log.
WITHOUT_CONTENT = {"demo", "replay", "sandbox", "serve", "send", "web", "migrate", "encrypt", "export", "resume", "unlock"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_line_of_the_log_contains_one(hostile: AdapterUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    lines = [LineFormatter().format(record) for record in caplog.get_records("setup")]
    assert len(lines) > 10
    for line in lines:
        assert UNPRINTABLE.search(line.replace("\n", "")) is None, line


def test_a_log_line_stays_one_line_whatever_it_quotes() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.warning("message %s", HOSTILE, extra={"action": "skipped", "order": HOSTILE, "store": f"a{HOSTILE}"})
    [line] = stream.getvalue().splitlines()
    assert UNPRINTABLE.search(line) is None
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logger.exception("failed")
    assert UNPRINTABLE.search(stream.getvalue().replace("\n", "")) is None


def test_commands_print_by_the_functions_that_escape() -> None:
    """`click.echo` and `print` don't. The exceptions: those functions themselves, and the payload exactly as it was received."""
    allowed = {"text.py": 1, "__init__.py": 1, "deliveries.py": 1}
    found: dict[str, int] = {}
    for path in CLI.rglob("*.py"):
        calls: list[Any] = re.findall(r"\b(?:click\.s?echo|print|sys\.std(?:out|err)\.write)\(", path.read_text())
        own = [call for call in calls if call != "print("]
        if own:
            found[path.name] = len(own)
    assert found == allowed
