"""What people type by mistake, and where they run it: a plain sentence, a status that isn't 0, no traceback, no secret, nothing changed."""

import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from adapter.cli import main
from adapter.inbox.database import connect
from adapter.inbox.migration import migrate
from tests.support import terminal
from tests.support.fixture_cases import FIXTURES

PAID = FIXTURES / "shopify/paid-order"
CREDENTIALS = {
    "SHOPIFY_WEBHOOK_SECRET": "hush-secret", "DRIP_ACCOUNT_ID": "9999999", "DRIP_API_KEY": "hush-key", "DRIP_API_URL": "http://127.0.0.1:1"
}  # fmt: skip


def run(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(main, arguments, env=variables)


def migrated(path: str) -> None:
    engine = connect(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()


def fails_plainly(result: Result, status: int, *words: str) -> None:
    """One or two sentences on standard error that contain the words, and nothing else."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    assert [word for word in words if word not in result.stderr] == [], result.stderr
    assert len([line for line in result.stderr.splitlines() if line and not line.startswith(("Usage: ", "Try "))]) <= 2
    assert "hush" not in result.stderr


READ = (["deliveries", "list"], ["orders", "list"], ["deliveries", "retry", "1"], ["export", "out"], ["purge"], ["send"], ["unlock"])


def contents(folder: Path) -> dict[str, bytes]:
    """What the folder contains."""
    return {each.name: each.read_bytes() if each.is_file() else b"" for each in folder.iterdir()}


def _newer(path: str) -> None:
    migrated(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()


def _truncated(path: str) -> None:
    migrated(path)
    os.truncate(path, 5000)


FILES: dict[str, tuple[Callable[[str], object], str]] = {
    "folder": (os.mkdir, "it is a folder, not a file"),
    "text": (lambda path: Path(path).write_text("kettle " * 999), "file is not a database"),
    "truncated": (_truncated, "malformed"),
    "newer": (_newer, "newer version"),
    "empty": (lambda path: Path(path).write_bytes(b""), "drip-adapter migrate"),
    "missing": (lambda path: None, "no x.db here; is this the right folder"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_database_that_is_none_is_named_and_left_alone(tmp_path: Path, kind: str) -> None:
    make, words = FILES[kind]
    make("x.db")
    before = contents(tmp_path)
    for command in READ:
        fails_plainly(run(*command, DATABASE_URL="sqlite:///x.db", **CREDENTIALS), 1, words)
    assert contents(tmp_path) == before


SETTINGS = {
    "SHOPIFY_WEBHOOK_SECRET": ("", "is blank"),
    "DRIP_API_KEY": ("  ", "User Settings"),
    "DRIP_ACCOUNT_ID": ("", "General Info"),
    "DATABASE_URL": ("mongodb://user:hush@host/name", "must begin with sqlite:/// or postgresql://"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_is_blank_or_wrong_is_named(tmp_path: Path, name: str) -> None:
    value, words = SETTINGS[name]
    for command in (*READ, ["migrate"], ["connect", "shopify"], ["resume", "9999999"], ["serve"]):
        fails_plainly(run(*command, **CREDENTIALS | {name: value}), 2, f"settings: {name}: ", words)
    assert list(tmp_path.iterdir()) == []


NO_STORE = "no store is named 'nope'; there is shopify"
WRONG: list[tuple[str, int, str]] = [
    *((f"{command} --store nope", 1, NO_STORE) for command in (
        "deliveries list", "deliveries tail", "deliveries retry", "deliveries retry --dry-run", "orders list", "orders show 1",
        "export out",
        f"replay {PAID} --to http://127.0.0.1:1",
    )),
    *((f"{command}", 1, NO_STORE) for command in ("backfill nope --since 2026-01-01", "reconcile nope", "connect nope")),
    (f"replay {FIXTURES}/magento/guest-checkout --to http://127.0.0.1:1 --store shopify", 1, "store shopify is no store of Magento"),
    ("deliveries show 99", 1, "there is no delivery 99"),
    ("deliveries retry 98 99", 1, "there is no delivery 98, 99"),
    ("deliveries retry 99 --dry-run", 1, "there is no delivery 99"),
    ("orders show 99", 1, "no order '99'"),
    ("resume 99", 1, "there is 9999999"),
    *((f"deliveries show {odd}", 2, f"'{odd}' isn't an id") for odd in ("x", "1.5", "1_0", "٣", "9" * 30)),
    ("deliveries list --before x", 2, "'x' isn't an id"),
    *((f"deliveries list --limit {odd}", 2, "isn't a whole number from 1 to 1,000,000") for odd in ("0", "-1", "1e3", "99999999")),
    ("reconcile --days 366", 2, "isn't a whole number from 1 to 365"),
    *((f"deliveries list --since {odd}", 2, "isn't a time such as 2026-01-31") for odd in ("now", "2026-02-30", "0001-01-01T00+09")),
    ("deliveries list --since 2026-02-01 --until 2026-01-01", 2, "isn't later than --since"),
    ("backfill shopify --since 2999-01-01", 2, "is in the future"),
    ("deliveries list --reason nope", 2, "'no_email'"),
    ("deliveries list --email nope", 2, "isn't an e-mail address"),
    ("forget nope", 2, "isn't an e-mail address"),
    *((f"replay {PAID} --to {odd}", 2, "isn't an address") for odd in ("localhost:80", "http://", "http://127.0.0.1:99999")),
    *((f"replay {PAID} --to http://127.0.0.1:1 --rate {odd}", 2, "isn't a number above 0") for odd in ("0", "nan", "inf", "x")),
    ("replay no-json --to http://127.0.0.1:1", 1, "headers.json isn't JSON"),
    ("replay no-object --to http://127.0.0.1:1", 1, "headers.json isn't a JSON object"),
    ("replay folders --to http://127.0.0.1:1", 1, "folders contains no fixtures"),
    ("replay missing --to http://127.0.0.1:1", 2, "'missing' does not exist"),
    ("map shopify missing", 2, "'missing' does not exist"),
    ("map shopify folders", 2, "is a directory"),
    ("map nope -", 2, "is not one of 'bigcommerce', 'magento', 'shopify', 'woocommerce'"),
    ("map shopify /proc/self/mem", 1, "Input/output error"),
    ("export out-file", 2, "is a file"),
    ("export /proc/nope", 1, "/proc/nope"),
    ("serve --bind no-such-host.invalid:8000", 1, "no-such-host.invalid:8000"),
    ("encrypt", 2, "PAYLOAD_KEYS is not set"),
    ("forget ada.shopper@example.com \udcff", 2, "isn't UTF-8 text"),
]  # fmt: skip


def test_odd_arguments_are_named(tmp_path: Path) -> None:
    migrated("adapter.db")
    (tmp_path / "out-file").touch()
    for folder, headers in (("no-json", "nope"), ("no-object", '["x"]')):
        case = tmp_path / folder / "shopify" / "case"
        case.mkdir(parents=True)
        (case / "headers.json").write_text(headers)
        (case / "payload.json").write_text("{}")
    (tmp_path / "folders" / "shopify" / "case" / "payload.json").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    for line, status, words in WRONG:
        result = run(*line.split(" "), **CREDENTIALS)
        fails_plainly(result, status, words)
        assert sorted(tmp_path.rglob("*")) == before, line


@pytest.mark.parametrize("time_", ["2026-01-31", "2026-01-31T12:00", "2026-01-31T12:00:00Z", "2026-01-31T12:00+02:00", "2026-01-31 12:00"])
def test_a_time_may_have_an_offset(time_: str) -> None:
    migrated("adapter.db")
    assert run("deliveries", "list", "--since", time_).stdout == "No deliveries match.\n"


@pytest.mark.parametrize(
    ("content", "outcome"),
    [(b"", "rejected"), (bytes(range(256)), "rejected"), (b"hello", "rejected"), (b"null", "skipped"), (b"[]", "skipped")],
)
def test_a_file_that_is_no_order_is_rejected_or_skipped(tmp_path: Path, content: bytes, outcome: str) -> None:
    (tmp_path / "order.json").write_bytes(content)
    result = run("map", "shopify", "order.json")
    assert (result.exit_code, list(json.loads(result.stdout)), result.stderr) == (outcome == "rejected", [outcome], "")


# In processes of their own


def shell(script: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A command line as a shell runs it, with $A for the command."""
    env = terminal.environment(A=" ".join(terminal.COMMAND), P=str(PAID / "payload.json"), **CREDENTIALS | variables)
    return subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, env=env, timeout=60, check=False)


@pytest.mark.parametrize(
    ("script", "status", "words"),
    [
        ("$A map shopify - <&-", 1, ""),
        ("$A orders show 1 >&- 2>&-", 1, ""),
        ("$A deliveries list >/dev/full", 1, "Error: reading or writing failed: No space left on device\n"),
    ],
    ids=["no input", "no output", "full disk"],
)
def test_a_closed_or_full_stream_is_no_traceback(script: str, status: int, words: str) -> None:
    migrated("adapter.db")
    done = shell(script)
    assert (done.returncode, done.stderr) == (status, words)


def test_what_the_locale_does_not_have_becomes_json_escapes(tmp_path: Path) -> None:
    payload = json.loads((PAID / "payload.json").read_bytes())
    payload["line_items"][0]["title"] = "Lamp 💡"
    (tmp_path / "order.json").write_text(json.dumps(payload))
    done = shell("$A map shopify order.json", PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\ud83d" in done.stdout
    assert json.loads(done.stdout)["items"][0]["name"] == "Lamp 💡"
