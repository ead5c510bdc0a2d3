"""What is reported to Sentry: an error's type and location, and no data."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import sentry_sdk
from flask import Flask, request

from adapter.cli.startup import settings_for
from adapter.errors import SettingsError
from adapter.inbox import sources
from adapter.monitoring import error_reporting
from adapter.monitoring import sentry as sentry_reports
from tests.support import terminal
from tests.support.listener import Listener, listening
from tests.support.waiting import wait_until

EMAIL, SECRET, BODY = "grace.hopper@navy.example", "hush-secret", "Quenchless Kettle"
PRIVATE = (EMAIL, "grace", "navy", "hush", "Quenchless", "4711")


@pytest.fixture
def sentry() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture
def told(sentry: Listener) -> Iterator[Listener]:
    """With SENTRY_DSN set, until the test ends."""
    sentry_reports._reported.clear()
    error_reporting.set_up(f"http://public@{sentry.address}/1")
    yield sentry
    sentry_sdk.get_client().close(timeout=2)
    sentry_sdk.get_global_scope().set_client(None)


def events(sentry: Listener) -> list[dict[str, Any]]:
    """The events in the envelopes received."""
    sentry_sdk.flush(timeout=5)
    lines = [json.loads(line) for body in sentry.bodies for line in body.splitlines() if line]
    return [line for line in lines if "exception" in line or "message" in line]


def private_words(sentry: Listener) -> list[str]:
    said = b"".join(sentry.bodies).decode().lower()
    return [word for word in PRIVATE if word.lower() in said]


def test_an_error_in_a_web_request(told: Listener) -> None:
    app = Flask("faulty")

    @app.post("/webhooks/<name>")
    def receive(name: str) -> str:
        payload = request.get_json()
        secret = SECRET
        raise ValueError(f"{payload['email']} {secret} {name}")

    headers = {"X-Shopify-Hmac-Sha256": SECRET, "Cookie": f"session={SECRET}", "Authorization": f"Bearer {SECRET}", "User-Agent": EMAIL}
    answer = app.test_client().post(
        f"/webhooks/shopify?email={EMAIL}", json={"email": EMAIL, "item": BODY, "address": "4711 Elm Street"}, headers=headers
    )
    assert answer.status_code == 500
    [event] = events(told)
    [value] = event["exception"]["values"]
    assert (value["type"], value["stacktrace"]["frames"][-1]["function"]) == ("ValueError", "receive")
    assert private_words(told) == []


def test_an_error_in_a_mapping_is_reported_though_the_process_goes_on(told: Listener) -> None:
    def read(payload: dict[str, str]) -> None:
        try:
            raise KeyError(payload["email"])
        except KeyError as error:
            raise RuntimeError(f"{BODY} of {payload['email']}") from error

    try:
        read({"email": EMAIL, "card": SECRET})
    except RuntimeError as error:
        error_reporting.report(error)
        problems = sources.crash(error)
    assert EMAIL not in str(problems)
    [event] = events(told)
    assert [value["type"] for value in event["exception"]["values"]] == ["KeyError", "RuntimeError"]
    assert private_words(told) == []


def test_a_loop_that_keeps_failing_is_reported_once(told: Listener) -> None:
    for number in range(5):
        try:
            raise ValueError(number)
        except ValueError as error:
            error_reporting.report(error)
    assert len(events(told)) == 1


def test_a_log_line_is_not_an_event(told: Listener, caplog: pytest.LogCaptureFixture) -> None:
    import logging

    logging.getLogger("adapter").error("%s is wrong", EMAIL)
    assert events(told) == []


@pytest.mark.slow
def test_a_commands_arguments_are_not_reported(sentry: Listener) -> None:
    code = (
        "import sys\nfrom adapter.cli.startup import settings_for\n"
        f"sys.argv = ['adapter', 'forget', {EMAIL!r}]\nsettings_for()\nlocal = {SECRET!r}\nraise OSError({EMAIL!r})\n"
    )
    environ = terminal.environment(SENTRY_DSN=f"http://public@{sentry.address}/1")
    result = subprocess.run([terminal.COMMAND[0], "-c", code], env=environ, capture_output=True, timeout=30, check=False)
    assert result.returncode == 1
    wait_until(lambda: sentry.bodies)
    assert b'"type":"OSError"' in b"".join(sentry.bodies)
    assert private_words(sentry) == []


def test_without_a_dsn_nothing_is_reported(sentry: Listener) -> None:
    error_reporting.set_up("")
    error_reporting.report(ValueError("x"))
    assert not sentry_sdk.get_client().is_active()
    assert requests.post(f"http://{sentry.address}/", data=b"{}", timeout=5).ok
    assert sentry.bodies == [b"{}"]


@pytest.mark.parametrize("dsn", ["hush", "https://sentry.example/1", "ftp://hush@sentry.example/1", "https://hush@sentry.example/"])
def test_an_invalid_dsn_is_rejected_without_quoting_it(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTRY_DSN", dsn)
    with pytest.raises(SettingsError, match=r"^SENTRY_DSN: isn't a DSN") as caught:
        settings_for()
    assert "hush" not in str(caught.value)
