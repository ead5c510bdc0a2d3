"""Ctrl-C in the middle of something long: status 130, and a sentence that says what is done and how to do the rest."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from adapter.cli import main
from adapter.inbox.database import connect
from adapter.inbox.migration import migrate
from tests.support.fixture_cases import FIXTURES

COMMANDS: dict[str, tuple[str, str]] = {
    "migrate": ("adapter.cli.commands.migrate.migrate_database", "run drip-adapter migrate again"),
    "purge": ("adapter.cli.commands.purge.Retention.purge", "run drip-adapter purge again"),
    "encrypt": ("adapter.cli.commands.encrypt.encrypt_all", "run drip-adapter encrypt again"),
    "export out": ("adapter.cli.commands.export.export", "out is incomplete: delete it"),
    "deliveries retry --state dead": ("adapter.cli.commands.deliveries.reopen", "none is sent again"),
    "forget ada.shopper@example.com --yes": ("adapter.cli.commands.forget.Search.run", "run the same command again"),
    f"replay {FIXTURES}/shopify/paid-order --to http://127.0.0.1:1": (
        "adapter.process.replay.post",
        "the adapter has what was posted",
    ),
}


def ctrl_c(*arguments: Any, **named: Any) -> Iterator[Any]:
    os.kill(os.getpid(), signal.SIGINT)
    return iter(())


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_says_how_to_do_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    engine = connect("sqlite:///adapter.db")
    migrate(engine)
    engine.dispose()
    where, words = COMMANDS[command]
    monkeypatch.setattr(where, ctrl_c)
    result = CliRunner().invoke(main, command.split(" "), env={"PAYLOAD_KEYS": "ab" * 32, "SHOPIFY_WEBHOOK_SECRET": "the-secret"})
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.startswith("Error: interrupted; ")
    assert words in result.stderr
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_ctrl_c_anywhere_else_ends_a_command_as_shells_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.cli.commands.map.call_forked", ctrl_c)
    result = CliRunner().invoke(main, ["map", "shopify", f"{FIXTURES}/shopify/paid-order/payload.json"])
    assert (result.exit_code, result.stdout, result.stderr.strip()) == (130, "", "interrupted")
