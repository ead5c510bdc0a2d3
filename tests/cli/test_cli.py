"""The commands, as people and programs use them: what they print, and how they exit."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, delete, text, update

from adapter.cli import main
from adapter.inbox import audit
from adapter.inbox.database import connect, snapshot, transaction
from adapter.inbox.schema_version import is_migrated
from adapter.inbox.tables import attempts, deliveries
from adapter.operations.masking import HIDDEN
from adapter.process.supervisor import free_port
from adapter.sandbox import running_sandbox
from tests.support import terminal
from tests.support.adapter_under_test import ACCOUNT, SECRET, AdapterUnderTest, make_settings, shopify_order
from tests.support.commands import COMMANDS
from tests.support.fixture_cases import FIXTURES, Case

FREE = f"127.0.0.1:{free_port('127.0.0.1')}"
KEYS = ["id", "store", "topic", "order_id", "state", "reason", "attempts", "received_at", "settled_at"]


def run(*arguments: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(main, arguments, input=stdin, catch_exceptions=False)


def lines(result: Result) -> list[Any]:
    return [json.loads(line, parse_float=Decimal) for line in result.stdout.splitlines()]


# Help and wrong usage


@pytest.mark.parametrize("path", list(COMMANDS), ids=" ".join)
def test_every_command_explains_itself_and_its_options(path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: main {' '.join(path)}".rstrip())
    assert run(*path, "-h").stdout == result.stdout
    command = COMMANDS[path]
    unexplained = [each.name for each in command.params if isinstance(each, click.Option) and not each.hidden and not each.help]
    assert command.hidden or not unexplained


def test_summaries_fit_a_narrow_terminal() -> None:
    _, shown = terminal.run_in_terminal(80, "--help")
    summaries = shown.partition("Try it:\n")[2].splitlines()
    assert summaries
    assert all(len(line) <= 80 and not line.endswith("...") for line in summaries)


def test_the_list_of_commands_gives_each_one_the_summary_of_its_own_help() -> None:
    listed = run("--help").stdout.partition("Try it:")[2].splitlines()
    for path, command in COMMANDS.items():
        if len(path) == 1 and not command.hidden:
            [line] = [line for line in listed if line.startswith(f"  {path[0]} ")]
            assert (command.help or "").partition("\n\n")[0] == line.split(maxsplit=1)[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["sorcery"],
        ["deliveries", "sorcery"],
        ["map"],
        ["map", "oscommerce", str(FIXTURES / "shopify/paid-order/payload.json")],
        ["map", "shopify", "no-such-file.json"],
        ["map", "shopify", "-", "--header", "no colon"],
        ["map", "shopify", "-", "--store-url", "shop.example"],
        ["replay", str(FIXTURES / "shopify/paid-order")],
        ["replay", str(FIXTURES / "shopify/paid-order"), "--to", "localhost:8000"],
        ["replay", str(FIXTURES / "shopify/paid-order"), "--to", "http://127.0.0.1:9", "--repeat", "0"],
        ["deliveries", "list", "--state", "lost"],
        ["deliveries", "list", "--limit", "0"],
        ["deliveries", "show", "seven"],
        ["deliveries", "show", "99999999999999999999"],
        ["deliveries", "retry"],
        ["serve", "--bind", "8000"],
        ["serve", "--bind", "127.0.0.1:99999"],
        ["sandbox", "--bind", "nowhere"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage:" in result.stderr


@pytest.mark.parametrize(
    "command", [["check"], ["status"], ["migrate"], ["send"], ["serve"], ["deliveries", "list"], ["deliveries", "retry", "1"]]
)
def test_wrong_settings_exit_with_2_and_name_every_problem(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("LOG_LEVEL", "y")
    result = run(*command)
    assert (result.exit_code, result.stdout) == (2, "")
    assert [line[: line.index(": ", 10)] for line in result.stderr.splitlines()] == ["settings: PORT", "settings: LOG_LEVEL"]


def test_an_unknown_command_is_refused_with_the_one_that_was_meant() -> None:
    assert "No such command 'stauts'. Did you mean 'status'?" in run("stauts").stderr
    assert "No such command 'xyzzy'.\n" in run("xyzzy").stderr
    assert "No such option '--sorcery'." in run("--sorcery").stderr


@pytest.mark.slow
def test_a_long_message_is_broken_between_words_on_a_terminal_and_nowhere_else() -> None:
    variables = {"STORES": '[stores.eu]\nprovider = "magento"\nsecret = "the-secret"\n'}
    _, shown = terminal.run_in_terminal(80, "status", variables=variables)
    whole = terminal.run("status", variables=variables).stderr.decode()
    assert len(whole.splitlines()) == 1
    assert len(shown.splitlines()) > 1
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert shown.split() == whole.split()


@pytest.mark.slow
def test_a_process_exits_with_0_1_and_2() -> None:
    skipped = (FIXTURES / "shopify/abandoned-checkout/payload.json").read_bytes()
    assert terminal.run("map", "shopify", "-", "--topic", "checkouts/update", stdin=skipped).returncode == 0
    broken = terminal.run("map", "shopify", "-", stdin=b"\xff{")
    assert (broken.returncode, list(json.loads(broken.stdout)), broken.stderr) == (1, ["rejected"], b"")
    wrong = terminal.run("migrate", DATABASE_URL="mysql://x/y")
    assert (wrong.returncode, wrong.stdout) == (2, b"")
    assert wrong.stderr.startswith(b"settings: DATABASE_URL: ")


@pytest.mark.slow
def test_the_sandbox_is_refused_together_with_credentials_for_drip() -> None:
    result = terminal.run("serve", "--sandbox", DRIP_ACCOUNT_ID="1", DRIP_API_KEY="key-of-drip")
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"DRIP_ACCOUNT_ID" in result.stderr


# map


def map_case(name: str, *options: str, stdin: bool = False) -> Result:
    case = Case(FIXTURES / name)
    named = [part for header, value in case.headers.items() for part in ("--header", f"{header}: {value}")]
    file = "-" if stdin else str(case.folder / "payload.json")
    return run("map", case.provider.name, file, *named, *options, stdin=case.payload if stdin else b"")


@pytest.mark.parametrize("stdin", [False, True])
@pytest.mark.parametrize(
    ("name", "options", "status"),
    [
        ("shopify/paid-order", (), 0),
        ("shopify/id-beyond-2-53", (), 0),
        ("shopify/draft-order", (), 0),
        ("shopify/id-missing", (), 1),
        ("shopify/not-json", (), 1),
        ("woocommerce/paid-order", (), 0),
        ("woocommerce/quantity-fractional", (), 0),
        ("magento/bundle-fixed-price", ("--store-url", "https://magento-shop.example"), 0),
        ("magento/adobe-io-batch", ("--store-url", "https://magento-shop.example"), 0),
        ("magento/search-page", ("--store-url", "https://magento-shop.example"), 0),
    ],
)
def test_map_prints_a_line_for_each_order_and_fails_if_one_was_rejected(
    name: str, options: tuple[str, ...], status: int, stdin: bool
) -> None:
    result = map_case(name, *options, stdin=stdin)
    assert (result.exit_code, result.stderr) == (status, "")
    expected = Case(FIXTURES / name).expected
    assert len(result.stdout.splitlines()) == len(expected)
    assert lines(result) == expected


def test_map_prints_over_several_lines_on_a_terminal() -> None:
    status, shown = terminal.run_in_terminal(80, "map", "shopify", str(FIXTURES / "shopify/paid-order/payload.json"))
    assert status == 0
    assert len(shown.splitlines()) > 20
    assert json.loads(shown, parse_float=Decimal) == lines(map_case("shopify/paid-order"))[0]


def test_map_takes_several_files_in_their_order() -> None:
    names = ("woocommerce/paid-order", "woocommerce/id-missing", "woocommerce/guest-checkout")
    result = run("map", "woocommerce", *(str(FIXTURES / name / "payload.json") for name in names), "--topic", "order.created")
    assert result.exit_code == 1
    assert [next(iter(line)) for line in lines(result)] == ["provider", "rejected", "provider"]


def test_map_takes_the_topic() -> None:
    payload = Case(FIXTURES / "shopify/paid-order").payload
    [sent] = lines(run("map", "shopify", "-", "--topic", "orders/updated", stdin=payload))
    [skipped] = lines(run("map", "shopify", "-", "--topic", "refunds/create", stdin=payload))
    assert (sent["action"], skipped) == ("created", {"skipped": "not_an_order"})


def test_map_uses_the_lifecycle_vocabulary_on_request() -> None:
    [line] = lines(map_case("shopify/lifecycle-refund-partial", "--vocabulary", "lifecycle"))
    assert [line] == Case(FIXTURES / "shopify/lifecycle-refund-partial").expected
    [plain] = lines(map_case("shopify/lifecycle-refund-partial"))
    assert (line["action"], plain["action"], "billing_address" in plain) == ("placed", "created", False)


def test_map_takes_the_stores_address_and_says_when_it_assumes_one() -> None:
    told = map_case("magento/grouped-product", "--store-url", "https://told.example")
    untold = map_case("magento/grouped-product")
    assert (untold.exit_code, lines(told)[0]["store_url"]) == (0, "https://told.example")
    assert "--store-url" in untold.stderr
    assert lines(untold)[0]["store_url"].split("/")[2] in untold.stderr


def test_map_needs_no_settings_and_touches_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "nonsense")
    assert map_case("shopify/paid-order").exit_code == 0
    assert list(tmp_path.iterdir()) == []


# deliveries


@pytest.fixture
def adapter(engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[AdapterUnderTest]:
    """Four deliveries: 1 delivered, 2 a newer state of the same order, 3 skipped, 4 dead."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SHOPIFY_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("WOOCOMMERCE_WEBHOOK_SECRET", SECRET)
    with running_sandbox() as sandbox:
        adapter = AdapterUnderTest(engine, make_settings(sandbox.url), sandbox.url)
        adapter.post(shopify_order(1001), topic="orders/create")
        adapter.settle()
        adapter.post(shopify_order(1001, minutes=5, total="90.00"))
        adapter.settle()
        adapter.post(shopify_order(1002, email=""))
        adapter.post(shopify_order(1003, total="free"))
        adapter.settle()
        assert adapter.states() == ["delivered", "delivered", "skipped:no_email", "dead"]
        yield adapter


def listed(*options: str) -> list[str]:
    result = run("deliveries", "list", "--json", *options)
    assert result.exit_code == 0
    return [line["id"] for line in lines(result)]


def test_the_list_is_one_json_document_per_line_with_exactly_these_keys(adapter: AdapterUnderTest) -> None:
    result = run("deliveries", "list", "--json")
    assert [list(line) for line in lines(result)] == [KEYS] * 4
    dead, skipped, second, first = lines(result)
    assert [dead["state"], skipped["state"], second["state"], first["state"]] == ["dead", "skipped", "delivered", "delivered"]
    assert (first["id"], first["store"], first["topic"], first["order_id"], first["reason"]) == (
        "1", "shopify", "orders/create", "1001", None,
    )  # fmt: skip
    assert (skipped["reason"], dead["reason"]) == ("no_email", None)
    assert first["received_at"].endswith("Z")
    assert first["settled_at"].endswith("Z")


def test_a_pending_delivery_has_no_settled_at(adapter: AdapterUnderTest) -> None:
    adapter.post(shopify_order(1004))
    [line] = lines(run("deliveries", "list", "--json", "--state", "pending"))
    assert (line["order_id"], line["settled_at"]) == (None, None)


FILTERS: dict[tuple[str, ...], list[str]] = {
    (): ["4", "3", "2", "1"],
    ("--limit", "2"): ["4", "3"],
    ("--state", "delivered"): ["2", "1"],
    ("--reason", "no_email"): ["3"],
    ("--order", "1001"): ["2", "1"],
    ("--topic", "orders/create"): ["1"],
    ("--store", "shopify", "--state", "dead"): ["4"],
    ("--store", "woocommerce"): [],
    ("--number", "#1001"): ["2", "1"],
    ("--email", "Ada.Shopper@example.com"): ["4", "2", "1"],
    ("--email", "nobody@example.com"): [],
    ("--before", "3"): ["2", "1"],
    ("--before", "3", "--limit", "1"): ["2"],
}


def test_the_list_is_newest_first_and_filtered(adapter: AdapterUnderTest) -> None:
    assert {options: listed(*options) for options in FILTERS} == FILTERS


def test_the_table_shows_each_state_and_why(adapter: AdapterUnderTest) -> None:
    table = run("deliveries", "list").stdout.splitlines()
    assert len(table) == 5
    assert [word in line for word, line in zip(("total_price", "no_email", "1001", "orders/create"), table[1:], strict=True)] == [True] * 4
    assert run("deliveries", "list", "--store", "woocommerce").stdout == "No deliveries match.\n"
    assert run("deliveries", "list", "--store", "nobody").stderr == "Error: no store is named 'nobody'; there is shopify, woocommerce\n"


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_table_fits_the_terminal_and_cuts_nothing_important(adapter: AdapterUnderTest, database_url: str, columns: int) -> None:
    adapter.post(shopify_order(1002, minutes=1, email=""), topic="com.adobe.commerce.observer.sales_order_save_commit_after")
    adapter.settle()
    status, shown = terminal.run_in_terminal(columns, "deliveries", "list", variables={"DATABASE_URL": database_url})
    assert status == 0
    assert all(len(line) <= columns for line in shown.splitlines())
    rows = {row[1]: row[0].split() for row in re.finditer(r".* (\d+) +20\d\d-.*", shown)}
    assert (rows["5"][-2:], rows["3"][-2:]) == (["skipped", "not_an_order"], ["skipped", "no_email"])
    assert (rows["1"][:3], rows["2"][:3]) == (["#1001", "100.00", "USD"], ["#1001", "90.00", "USD"])
    assert [("shopify" in rows[number]) for number in "12345"] == [columns == 140] * 5
    assert ("sales_order_save_commit_after" in shown) == (columns == 140)


def test_orders_are_listed_with_number_total_items_and_last_action(adapter: AdapterUnderTest) -> None:
    unmappable, first, other = lines(run("orders", "list", "--json"))
    assert (unmappable["order_number"], unmappable["state"], unmappable["total"]) == ("1003", "dead", None)
    assert (first["order_number"], first["state"], first["action"], str(first["total"])) == ("1002", "skipped", None, "100.00")
    assert list(other) == [
        "store", "order_id", "order_number", "total", "currency", "items", "shopper", "action", "action_at", "delivery", "state", "reason",
        "received_at",
    ]  # fmt: skip
    said = (other["order_number"], str(other["total"]), other["currency"], other["items"], other["shopper"], other["action"])
    assert said == ("1001", "90.00", "USD", 1, "a•••@e•••.com", "updated")
    assert "#1001" in (table := run("orders", "list", "--limit", "3", "--utc").stdout)
    assert re.search(r"90\.00 USD +1 +a•••@e•••\.com +updated, 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC", table)
    assert run("orders", "list", "--store", "woocommerce").stdout == "No orders.\n"
    with transaction(adapter.engine) as connection:
        connection.execute(text("""UPDATE deliveries SET state = 'dead', reason = NULL, problems = '{"total": ["Missing."]}'"""))
    assert "dead total: Missing." in run("orders", "list").stdout


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_tail_prints_what_arrives_and_what_becomes_of_it_until_ctrl_c(
    adapter: AdapterUnderTest, database_url: str, options: tuple[str, ...]
) -> None:
    command = [*terminal.COMMAND, "deliveries", "tail", "--lines", "1", *options]
    settings = {"DATABASE_URL": database_url, "SHOPIFY_WEBHOOK_SECRET": SECRET, "TZ": "Asia/Tokyo"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=terminal.environment(**settings))
    with process as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        said = [follower.stdout.readline()]  # the last of the four
        adapter.post(shopify_order(1009))
        said.append(follower.stdout.readline())
        adapter.settle()
        said.append(follower.stdout.readline())
        follower.send_signal(signal.SIGINT)
        try:
            assert (follower.wait(20), follower.stderr.read()) == (0, "")
        finally:
            follower.kill()
    if options:
        states = [(line["id"], line["state"]) for line in map(json.loads, said)]
        assert states == [("4", "dead"), ("5", "pending"), ("5", "delivered")]
        assert [list(json.loads(line)) for line in said] == [KEYS] * 3
    else:
        assert "\\u001b" not in "".join(said)
        assert [word in line for word, line in zip(("dead", "pending", "delivered"), said, strict=True)] == [True] * 3
        assert re.search(r" JST  #1009 +100\.00 USD  shopify ", said[2])


def test_a_delivery_is_shown_with_its_attempts_and_the_body_sent(adapter: AdapterUnderTest) -> None:
    [document] = lines(run("deliveries", "show", "2", "--json"))
    assert list(document)[: len(KEYS)] == KEYS
    [attempt] = document["tries"]
    assert (attempt["action"], attempt["status"], attempt["outcome"]) == ("updated", 202, "delivered")
    assert attempt["body"] == adapter.received()[1]
    assert str(attempt["body"]["grand_total"]) == "90.00"
    shown = run("deliveries", "show", "2").stdout
    assert all(word in shown for word in ("delivered", "updated", "202", '"grand_total": 90.00', attempt["drip_request_id"]))


def test_a_dead_delivery_is_shown_with_its_problems(adapter: AdapterUnderTest) -> None:
    [document] = lines(run("deliveries", "show", "4", "--json"))
    assert document["tries"] == []
    assert "total_price" in document["problems"]
    assert "total_price: " in run("deliveries", "show", "4").stdout


def test_a_delivery_is_shown_with_what_todays_mapping_makes_of_it(adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", adapter.settings.public_url)
    today = lines(run("deliveries", "show", "2", "--json"))[0]["today"]
    assert (today["skip"], today["problems"], today["orders"], today["sums_differ"], today["difference"]) == (None, None, 1, None, [])
    assert today["body"]["grand_total"] == Decimal("90.00")
    assert today["made_from"]["email"] == ["email"]
    assert "gives the same body" in run("deliveries", "show", "2").stdout
    assert "cannot map it: total_price: " in run("deliveries", "show", "4").stdout
    assert "skips it: no_email" in run("deliveries", "show", "3").stdout
    with transaction(adapter.engine) as connection:  # as if it had been sent by other code
        connection.execute(
            update(attempts).where(attempts.c.delivery_id == 2).values(body=b'{"action": "updated", "email": "x@y.example"}')
        )
    [changed] = lines(run("deliveries", "show", "2", "--json"))
    assert '-  "email": "x@y.example"' in [line.rstrip(",") for line in changed["today"]["difference"]]
    assert "+  " in run("deliveries", "show", "2").stdout
    with transaction(adapter.engine) as connection:
        connection.execute(update(deliveries).values(payload=None))
    assert lines(run("deliveries", "show", "2", "--json"))[0]["today"] is None


def test_a_split_delivery_names_its_parts(adapter: AdapterUnderTest) -> None:
    adapter.post({"orders": [shopify_order(2001), shopify_order(2002)]})
    adapter.read()
    [whole] = lines(run("deliveries", "show", "5", "--json"))
    assert (whole["became"], whole["today"]["orders"], whole["order_number"]) == (["6", "7"], 2, None)
    [part] = lines(run("deliveries", "show", "6", "--json"))
    assert (part["parent"], part["order_number"], bool(part["read_at"])) == ("5", "2001", True)
    assert "finds 2 orders in it" in run("deliveries", "show", "5").stdout


def test_the_payload_is_printed_byte_for_byte(adapter: AdapterUnderTest) -> None:
    payload = b'\xef\xbb\xbf{"id": "\xc3\xa9\\u0000", "n": 1e1000000}\n\n\xff'
    adapter.post(payload)
    assert run("deliveries", "show", "5", "--payload").stdout_bytes == payload


def test_an_unknown_delivery_exits_with_1(adapter: AdapterUnderTest) -> None:
    for command in (["show", "99"], ["show", "99", "--json"], ["retry", "99"], ["retry", "1", "99"]):
        result = run("deliveries", *command)
        assert (result.exit_code, bool(result.stderr)) == (1, True), command


# orders, audit


def test_an_order_is_shown_with_its_history_and_what_drip_has(adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIP_ACCOUNT_ID", ACCOUNT.id)
    monkeypatch.setenv("DRIP_API_KEY", "key-of-drip")
    [order] = lines(run("orders", "show", "#1001", "--json"))
    assert (order["order_id"], order["order_number"], [row["account"] for row in order["at_drip"]]) == ("1001", "1001", [ACCOUNT.id])
    assert [(row["id"], row["state"], row["tries"][0]["action"]) for row in order["deliveries"]] == [
        ("1", "delivered", "created"), ("2", "delivered", "updated"),
    ]  # fmt: skip
    assert order["deliveries"][0]["tries"][0]["drip_request_id"]
    assert (order["body"]["grand_total"], order["body"]["email"]) == (Decimal("90.00"), HIDDEN)
    shown = run("orders", "show", "1001").stdout
    assert all(word in shown for word in ("order #1001", "at Drip since", "created: delivered"))
    with transaction(adapter.engine) as connection:
        connection.execute(delete(attempts))
        connection.execute(delete(deliveries))
    [remembered] = lines(run("orders", "show", "1001", "--json"))
    assert (remembered["deliveries"], remembered["at_drip"], remembered["body"]) == ([], order["at_drip"], None)
    missing = run("orders", "show", "1001", "--store", "woocommerce")
    assert (missing.exit_code, "none was sent to Drip" in missing.stderr) == (1, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["purge"], ["migrate"], ["replay", "{shopify}", "--to", "http://127.0.0.1:1"]], ids=lambda each: each[0]
)
def test_work_that_may_take_long_shows_progress_on_a_terminal_only(tmp_path: Path, command: list[str]) -> None:
    arguments = [part.format(shopify=FIXTURES / "shopify" / "paid-order") for part in command]
    settings = {"DATABASE_URL": f"sqlite:///{tmp_path / 'adapter.db'}", "SHOPIFY_WEBHOOK_SECRET": SECRET}
    assert terminal.run("migrate", variables=settings).returncode == 0
    _, shown = terminal.run_in_terminal(100, *arguments, variables=settings)
    assert re.search("purging|migrating the database|posting", shown)
    quiet = terminal.run(*arguments, variables=settings)
    assert not re.search(b"purging|migrating the database|posting", quiet.stdout + quiet.stderr)


def test_the_audit_is_printed_newest_first(adapter: AdapterUnderTest) -> None:
    assert run("audit").stdout == "Nothing has been changed yet.\n"
    for delivery in ("4", "3"):
        run("deliveries", "retry", delivery)
    newest, oldest = lines(run("audit", "--json"))
    assert list(newest) == ["id", "at", "actor", "action", "subject", "detail"]
    assert (newest["subject"], oldest["subject"], oldest["actor"]) == ("delivery 3", "delivery 4", "command line")
    assert lines(run("audit", "--json", "--before", newest["id"])) == [oldest]
    assert "delivery 4" in run("audit", "--limit", "2").stdout


# retry


def test_a_retry_maps_the_payload_again_and_sends_what_changed(adapter: AdapterUnderTest) -> None:
    with transaction(adapter.engine) as connection:  # as if the mapping had been mended since
        mended = json.dumps(shopify_order(1003)).encode()
        connection.execute(update(deliveries).where(deliveries.c.id == 4).values(payload=mended))
    result = run("deliveries", "retry", "4")
    assert (result.exit_code, result.stdout) == (0, "1 delivery will be sent again\n")
    adapter.settle()
    assert adapter.row(4).state == "delivered"
    assert adapter.received()[-1]["order_id"] == "1003"


def test_a_retry_is_in_the_audit_and_each_delivery_in_the_log(adapter: AdapterUnderTest) -> None:
    for options in (("4",), ("--state", "skipped"), ("1", "2", "--topic", "orders/create"), ("--state", "pending", "--dry-run")):
        result = run("deliveries", "retry", *options)
    assert result.exit_code == 0
    with snapshot(adapter.engine) as connection:
        noted = [(row.actor, row.action, row.subject) for row in reversed(audit.noted(connection, 9))]
    assert noted == [
        ("command line", "retried", subject)
        for subject in ("delivery 4", "deliveries: state skipped", "deliveries: 2 selected, topic orders/create")
    ]
    line = run("deliveries", "retry", "4").stderr
    assert " action=reopened delivery=4 " in line


def test_a_dry_run_counts_and_changes_nothing(adapter: AdapterUnderTest) -> None:
    before = adapter.rows()
    result = run("deliveries", "retry", "--store", "shopify", "--dry-run")
    assert (result.exit_code, result.stdout) == (0, "4 deliveries would be sent again\n")
    assert lines(run("deliveries", "retry", "--state", "dead", "--dry-run", "--json")) == [{"retried": 1, "dry_run": True}]
    assert adapter.rows() == before
    assert lines(run("deliveries", "retry", "4", "--json")) == [{"retried": 1, "dry_run": False}]


CHOICES: dict[tuple[str, ...], list[int]] = {
    ("--state", "dead"): [4],
    ("--reason", "no_email"): [3],
    ("--order", "1001"): [1, 2],
    ("--topic", "orders/updated", "--state", "delivered"): [2],
    ("1", "2", "--topic", "orders/create"): [1],
    ("--store", "woocommerce"): [],
}


def test_deliveries_are_retried_in_bulk(adapter: AdapterUnderTest) -> None:
    rows = {row.id: {"state": row.state, "reason": row.reason, "problems": row.problems} for row in adapter.rows()}
    for options, chosen in CHOICES.items():
        run("deliveries", "retry", *options)
        assert [row.id for row in adapter.rows() if row.state == "pending"] == chosen, options
        with transaction(adapter.engine) as connection:  # all as it was before
            for delivery, values in rows.items():
                connection.execute(update(deliveries).where(deliveries.c.id == delivery).values(values))


def test_what_drip_has_already_is_sent_again_only_with_force(adapter: AdapterUnderTest) -> None:
    run("deliveries", "retry", "2")
    adapter.settle()
    assert (adapter.states()[1], len(adapter.received())) == ("skipped:unchanged", 2)
    run("deliveries", "retry", "2", "--force")
    adapter.settle()
    assert (adapter.states()[1], len(adapter.received())) == ("delivered", 3)
    assert adapter.received()[2] == adapter.received()[1]


def test_an_erased_payload_cannot_be_retried_and_the_command_says_so(adapter: AdapterUnderTest) -> None:
    with transaction(adapter.engine) as connection:
        connection.execute(update(deliveries).where(deliveries.c.id == 1).values(payload=None))
    result = run("deliveries", "retry", "1", "2")
    assert (result.exit_code, result.stdout) == (1, "1 delivery will be sent again\n")
    assert "1 of these can't be retried" in result.stderr
    assert run("deliveries", "show", "1", "--payload").stdout_bytes == b""


# The database


def test_migrating_twice_is_safe(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    file = f": {database_url.removeprefix('sqlite:///')}" if database_url.startswith("sqlite") else "."
    for _ in range(2):
        assert (run("migrate").exit_code, run("migrate").stdout) == (0, f"The database is up to date{file}\n")
    engine = connect(database_url)
    assert is_migrated(engine)
    engine.dispose()


def test_without_tables_a_command_says_how_to_create_them(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    for command in (["deliveries", "list"], ["deliveries", "show", "1"], ["deliveries", "retry", "1"], ["status"]):
        result = run(*command)
        assert (result.exit_code, result.stdout) == (1, ""), command
        assert "drip-adapter migrate" in result.stderr


@pytest.mark.parametrize("command", [["deliveries", "list"], ["status"], ["orders", "show", "1"], ["purge"], ["audit"], ["send"]])
@pytest.mark.parametrize("url", ["", "sqlite:///inbox.db", "sqlite:////no/such/folder/inbox.db"])
def test_in_the_wrong_folder_a_command_says_so_and_creates_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: list[str], url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    result = run(*command)
    assert (result.exit_code, result.stdout, list(tmp_path.iterdir())) == (1, "", [])
    [line] = result.stderr.splitlines()
    path = url.removeprefix("sqlite:///") or "adapter.db"
    assert line.startswith(f"Error: no {path}")
    assert ("DATABASE_URL" if path.startswith("/") else str(tmp_path)) in line


def test_in_the_wrong_folder_status_has_a_verdict_with_the_error(tmp_path: Path) -> None:
    result = run("status", "--json")
    [report] = lines(result)
    assert (result.exit_code, report["verdict"], [finding["code"] for finding in report["findings"]]) == (1, "stuck", ["database"])
    assert report["error"].startswith("no adapter.db here; is this the right folder")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["deliveries", "list"], ["orders", "show", "1"], ["audit"], ["deliveries", "retry", "1"]])
def test_a_command_that_fails_explains_it_in_json_too(command: list[str]) -> None:
    result = run(*command, "--json")
    [document] = lines(result)
    assert (result.exit_code, result.stderr) == (1, f"Error: {document['error']}\n")


def test_in_the_wrong_folder_check_says_so_and_creates_no_file(tmp_path: Path) -> None:
    result = run("check", "--json")
    [finding] = [finding for finding in lines(result) if finding["what"] == "database"]
    assert (finding["ok"], finding["say"].startswith("no adapter.db here; is this the right folder")) == (False, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["migrate"], ["deliveries", "list"], ["status"], ["serve", "--bind", FREE]])
def test_a_file_that_is_not_a_database_exits_with_1_and_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: list[str]
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("shopping list: " + "kettle, " * 500)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{file}")
    before = file.read_bytes()
    result = run(*command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "file is not a database" in result.stderr
    assert file.read_bytes() == before


@pytest.mark.parametrize("command", [["migrate"], ["deliveries", "list"], ["status"]])
def test_an_unreachable_database_exits_with_1_and_names_its_setting(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
    result = run(*command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "DATABASE_URL" in result.stderr


# status


def test_status_names_what_needs_attention_while_orders_reach_drip(adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIP_ACCOUNT_ID", "9999999")
    monkeypatch.setenv("DRIP_API_KEY", "key-of-drip")
    [report] = lines(run("status", "--json"))
    assert (report["ok"], report["verdict"], [finding["code"] for finding in report["findings"]]) == (False, "attention", ["dead"])
    assert report["stores"]["shopify"]["deliveries"] == {"delivered": 2, "skipped": 1, "dead": 1}
    shown = run("status")
    assert (shown.exit_code, shown.stdout.splitlines()[0]) == (1, "Orders are reaching Drip, but something needs attention.")
    assert "store shopify: 1 dead, 2 delivered, 1 skipped" in shown.stdout


def test_status_prints_the_figures_of_the_overview(adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIP_ACCOUNT_ID", ACCOUNT.id)
    monkeypatch.setenv("DRIP_API_KEY", "key-of-drip")
    adapter.post(shopify_order(1009))
    [report] = lines(run("status", "--json", "--span", "month"))
    assert report["waiting"] == {"shopify": {"now": 1, "later": 0}, "woocommerce": {"now": 0, "later": 0}}
    assert report["oldest_waiting"].endswith("Z")
    assert report["quotas"][ACCOUNT.id] == {"single": {"limit": 3600, "left": 3598}, "batch": {"limit": 50, "left": 50}}
    assert 0 < report["to_drip"]["median_s"] <= report["to_drip"]["within_95_of_100_s"]
    over = report["over_time"]
    assert (over["span"], len(over["from"])) == ("month", 30)
    assert {kind: sum(over[kind]) for kind in ("kept", "delivered", "skipped", "dead")} == {
        "kept": 5, "delivered": 2, "skipped": 1, "dead": 1,
    }  # fmt: skip
    shown = run("status").stdout
    assert "waiting: 1 to be sent now, the oldest since " in shown
    assert "last day: 5 kept, 2 delivered, 1 skipped, 1 dead" in shown
    assert f"quota left for account {ACCOUNT.id}: 3598 of 3600 single, 50 of 50 batch requests" in shown


@pytest.mark.slow
def test_status_exits_with_1_and_says_why_orders_are_stuck(adapter: AdapterUnderTest) -> None:
    result = run("status")
    assert result.exit_code == 1
    assert "DRIP_ACCOUNT_ID" in result.stdout
    assert lines(run("status", "--json"))[0]["ok"] is False


def test_status_counts_refused_requests(adapter: AdapterUnderTest) -> None:
    adapter.web.post("/webhooks/shopify", data=b"{}")
    adapter.web.post("/webhooks/shopify", data=b"{}", headers={"X-Shopify-Hmac-Sha256": "x"})
    shown = run("status").stdout
    assert "refused 1 request without a signature" in shown
    assert "refused 1 request with a signature that doesn't match" in shown


def test_a_look_at_personal_data_is_on_record_like_the_pages(adapter: AdapterUnderTest) -> None:
    run("deliveries", "show", "1")
    run("deliveries", "show", "1", "--payload")
    run("deliveries", "list")
    with snapshot(adapter.engine) as connection:
        noted = [(row.actor, row.action, row.subject) for row in audit.noted(connection, 9)]
    assert noted == [("command line", "viewed personal data", "delivery 1")] * 2
