"""Tab, as Bash asks for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from adapter.cli import main
from tests.support import terminal


def completed(*words: str) -> list[str]:
    *before, incomplete = words
    return [item.value for item in ShellComplete(main, {}, "drip-adapter", "_DRIP_ADAPTER_COMPLETE").get_completions(before, incomplete)]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("deli",), ["deliveries"]),
        (("deliveries", "r"), ["retry"]),
        (("deliveries", "list", "--st"), ["--state", "--store"]),
        (("deliveries", "list", "--state", "de"), ["delivered", "dead"]),
        (("deliveries", "retry", "--reason", "no"), ["not_an_order", "no_email"]),
        (("deliveries", "list", "--store", ""), ["outlet", "shopify"]),
        (("orders", "show", "1", "--store", "o"), ["outlet"]),
        (("backfill", "s"), ["shopify"]),
        (("connect", "s"), ["shopify"]),
        (("connect", "w"), ["woocommerce"]),
        (("resume", ""), ["9999999"]),
        (("status", "--span", "m"), ["month"]),
        (("map", "m"), ["magento"]),
    ],
    ids=" ".join,
)
def test_commands_options_and_values_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], values: list[str]
) -> None:
    monkeypatch.setenv("SHOPIFY_WEBHOOK_SECRET", "the-secret")
    monkeypatch.setenv("STORES", '[stores.outlet]\nprovider = "shopify"\nsecret = "another-secret"\ndrip_provider = "outlet"\n')
    monkeypatch.setenv("DRIP_ACCOUNT_ID", "9999999")
    monkeypatch.setenv("DRIP_API_KEY", "key-of-drip")
    assert completed(*words) == values
    assert list(tmp_path.iterdir()) == []


def test_wrong_settings_complete_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPIFY_WEBHOOK_SECRET", "")
    assert completed("deliveries", "list", "--store", "") == []


@pytest.mark.slow
def test_bash_completes_with_the_documented_line(tmp_path: Path) -> None:
    program = tmp_path / "drip-adapter"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m adapter "$@"\n')
    program.chmod(0o755)
    script = """
        eval "$(_DRIP_ADAPTER_COMPLETE=bash_source drip-adapter)" || exit 1
        COMP_WORDS=(drip-adapter deliveries list --store sh) COMP_CWORD=4
        $(complete -p drip-adapter | sed 's/.*-F \\([^ ]*\\).*/\\1/') drip-adapter sh --store
        echo "${COMPREPLY[@]}"
    """
    env = terminal.environment(SHOPIFY_WEBHOOK_SECRET="the-secret") | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, env=env, timeout=60, check=False)
    assert (done.stdout.strip(), done.returncode) == ("shopify", 0), done.stderr
