"""Every command that a document has the reader run is run as it is written, here or by another test."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from adapter.cli import main
from adapter.sandbox import RunningSandbox
from tests.support.adapter_under_test import SECRET, AdapterUnderTest, make_settings, shopify_order
from tests.support.live_adapter import live_adapter
from tests.test_docs import ROOT, WITH_COMMANDS

# Run by other tests: as processes, until they are stopped, or beside a stand-in for the store's API that they need.
ELSEWHERE = ("serve", "demo", "connect", "backfill", "reconcile", "check", "deliveries tail", "map acme")
# What only the reader has, and what he has here.
READERS = {"EMAIL": "ada.shopper@example.com", "FOLDER": "exported"}
# Exit with 1 because of what they find: an order that can't be mapped, an adapter that doesn't run.
FIND_SOMETHING = ("map shopify fixtures/shopify/price-unreadable", "status")
NEWEST = 1042
"""The order that the documents look for; as delivery 18, so that 17 is there too."""


def documented() -> list[str]:
    """The commands in code blocks for a shell and in tables, without comments and redirections."""
    texts = [path.read_text(encoding="utf-8") for path in WITH_COMMANDS]
    blocks = [block for text in texts for block in re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)]
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    lines += [command for text in texts for command in re.findall(r"\| `(\.venv/bin/drip-adapter .+?)` \|$", text, re.MULTILINE)]
    found = (re.match(r"(?:\.venv/bin/)?drip-adapter ([^#>|]+)", line) for line in lines)
    commands = {match[1].strip(): None for match in found if match}
    # What erases comes last.
    return sorted((each for each in commands if not each.startswith(ELSEWHERE)), key=lambda command: command.startswith("forget"))


def test_the_search_finds_what_the_documents_contain() -> None:
    commands = documented()
    assert {"status", "orders show 2041", "deliveries show 17 --payload", "export FOLDER", "forget EMAIL"} <= set(commands)
    assert commands[-1].startswith("forget")


@pytest.mark.slow
def test_documented_commands_do_what_they_are_there_for(
    engine: Engine, database_url: str, sandbox: RunningSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SHOPIFY_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("MAGENTO_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("MAGENTO_STORE_URL", "https://magento-shop.example")
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    adapter = AdapterUnderTest(engine, make_settings(sandbox.url), sandbox.url)
    for number in range(NEWEST - 17, NEWEST + 1):
        adapter.post(shopify_order(number))
    adapter.settle()
    failed: dict[str, tuple[int, str]] = {}
    with live_adapter(engine, monkeypatch) as url:
        for command in documented():
            words = [READERS.get(word, word) for word in shlex.split(command.replace("http://127.0.0.1:8000", url))]
            result = CliRunner().invoke(main, words, input="y\n")
            if result.exit_code != (1 if command.startswith(FIND_SOMETHING) else 0):
                failed[command] = (result.exit_code, result.output)
            if words[0] in ("replay", "deliveries"):
                adapter.settle()
    assert failed == {}
