"""What nobody expected to fail: whatever a real process then prints controls no terminal and quotes no order and no secret."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from adapter.process.supervisor import free_port
from tests.support import terminal

UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]")
# In the message and in the line of a log.
PREPARED = r"""
import logging, runpy, sys, threading, warnings
HOSTILE = "\x1b[2J\x9b31m\u202e\u2066\r\nok ada.shopper@example.com hush-secret"
def fails(*arguments, **named):
    try:
        {"a": 1}[HOSTILE]
    except KeyError as error:
        raise ValueError(HOSTILE) from error
def run(*arguments):
    sys.argv = ["drip-adapter", *arguments]
    runpy.run_module("adapter", run_name="__main__", alter_sys=True)
import adapter.cli.startup as startup
"""


def printed(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PREPARED + script], capture_output=True, env=terminal.environment(), timeout=60, check=False
    )
    return (done.stdout + done.stderr).decode()


def is_harmless(output: str) -> None:
    assert UNPRINTABLE.search(output.replace("\n", "")) is None, output
    assert "hush" not in output
    assert "ada.shopper" not in output


THREAD = """
def ends(*arguments, **named):
    threading.Thread(target=fails).start()
    sys.exit(1)
startup.read_settings = ends
run("status")
"""
UNRAISABLE = """
class Broken:
    __del__ = fails
def ends(*arguments, **named):
    broken = Broken()
    del broken
    sys.exit(1)
startup.read_settings = ends
run("status")
"""
LOGGED = """
from adapter.monitoring import logs
def ends(*arguments, **named):
    logs.set_up("DEBUG")
    try:
        fails()
    except ValueError:
        logging.getLogger("adapter").exception("failed")
    sys.exit(1)
startup.read_settings = ends
run("status")
"""
SERVED = """
from adapter.monitoring import logs
from adapter.process.gunicorn_server import WebServer
logs.set_up("WARNING")
WebServer(fails, bind="127.0.0.1:PORT", workers=1, largest_body=100).run()
"""


@pytest.mark.parametrize(
    "script",
    ['startup.read_settings = fails\nrun("status")', THREAD, UNRAISABLE, LOGGED, SERVED],
    ids=["command", "thread", "unraisable", "log", "web worker"],
)
def test_an_exception_shows_where_it_happened_and_no_message(script: str) -> None:
    output = printed(script.replace("PORT", str(free_port("127.0.0.1"))))
    is_harmless(output)
    assert "ValueError: (message left out: it may quote an order or a secret)" in output
    assert "KeyError: (message left out" in output
    assert "in fails" in output


def test_the_installed_command_shows_as_little() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    module, function = project["scripts"]["drip-adapter"].split(":")
    script = f'startup.read_settings = fails\nsys.argv = ["drip-adapter", "status"]\nfrom {module} import {function}\n{function}()'
    output = printed(script)
    is_harmless(output)
    assert "ValueError: (message left out" in output


def test_pythons_own_messages_are_shown() -> None:
    assert "AttributeError: 'int' object has no attribute 'nothing'" in printed(
        'startup.read_settings = lambda *a, **k: (1).nothing\nrun("status")'
    )


def test_a_warning_is_escaped() -> None:
    script = 'from adapter.monitoring import logs\nlogs.set_up("INFO")\nwarnings.simplefilter("always")\n'
    output = printed(
        f"{script}import adapter.tracebacks\nadapter.tracebacks.show_uncaught()\nwarnings.warn('\\x1b[2J\\u202e', stacklevel=1)"
    )
    assert UNPRINTABLE.search(output.replace("\n", "")) is None
    assert "\\u001b[2J" in output


@pytest.mark.parametrize(
    "arguments", [("status", "--\x1b[2J"), ("status", "\u202e\x9b"), ("\x1b[2J",), ("--\u202e",), ("map", "\x1b]0;t\x07", "-")]
)
def test_an_error_quotes_the_command_line_with_escapes(arguments: tuple[str, ...]) -> None:
    done = terminal.run(*arguments)
    output = done.stderr.decode()
    assert done.returncode == 2
    assert "Error: " in output
    assert UNPRINTABLE.search(output.replace("\n", "")) is None, output
