"""`check` with the sandbox and real databases: what it finds, which setting it names, and its exit status."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result
from flask import Flask, redirect
from sqlalchemy import Engine
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from adapter.cli import main
from adapter.inbox import receiving
from adapter.inbox.database import transaction
from adapter.inbox.receiving import Arrival
from adapter.process.supervisor import free_port
from adapter.sandbox import RunningSandbox, running_sandbox
from mappings import Key
from tests.support import terminal
from tests.support.adapter_under_test import run_sender

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def check(*options: str) -> Result:
    return CliRunner().invoke(main, ["check", *options], catch_exceptions=False)


def found(what: str) -> list[tuple[bool | None, str]]:
    """`ok` and text of each finding about something."""
    result = check("--json")
    findings = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == (1 if any(finding["ok"] is False for finding in findings) else 0)
    return [(finding["ok"], finding["say"]) for finding in findings if finding["what"] == what]


@pytest.fixture
def drip(engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSandbox]:
    """A setup without problems."""
    with running_sandbox() as sandbox:
        for name, value in {
            "DATABASE_URL": database_url,
            "DRIP_ACCOUNT_ID": "9999999",
            "DRIP_API_KEY": "key-of-drip",
            "DRIP_API_URL": sandbox.url,
            "PUBLIC_URL": "https://adapter.example",
            "SHOPIFY_WEBHOOK_SECRET": "the-secret",
        }.items():
            monkeypatch.setenv(name, value)
        run_sender(engine)
        yield sandbox


def tell(drip: RunningSandbox, **rule: Any) -> None:
    requests.put(f"{drip.url}/answers", json=rule, timeout=10).raise_for_status()


@contextmanager
def server_of(answer: Any) -> Iterator[str]:
    """Some other server with the same response for every URL."""
    app = Flask("elsewhere", static_folder=None)
    app.add_url_rule("/<path:path>", "answer", lambda path: answer)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_complete_setup_has_no_problems(drip: RunningSandbox) -> None:
    result = check()
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["ok"] * 3
    assert "https://adapter.example/webhooks/shopify" in result.stdout


@on_sqlite
@pytest.mark.parametrize(("name", "scheme"), [("DRIP_API_KEY", "basic"), ("DRIP_ACCESS_TOKEN", "bearer")])
def test_the_account_is_read_from_drip_and_nothing_is_sent(
    drip: RunningSandbox, monkeypatch: pytest.MonkeyPatch, name: str, scheme: str
) -> None:
    monkeypatch.delenv("DRIP_API_KEY")
    monkeypatch.setenv(name, "credential")
    assert [ok for ok, _ in found("Drip account 9999999")] == [True]
    [seen] = requests.get(f"{drip.url}/requests", timeout=10).json()["requests"]
    assert (seen["path"], seen["auth"], seen["kind"], seen["account"]) == ("/v2/accounts/9999999", scheme, None, "9999999")
    assert seen["user_agent"].startswith("drip-order-adapter/")
    assert requests.get(f"{drip.url}/received", timeout=10).json()["total"] == 0


def test_the_sandbox_returns_accounts_like_drip_and_only_with_a_token() -> None:
    with running_sandbox() as sandbox:
        url = f"{sandbox.url}/v2/accounts/9999999"
        [account] = requests.get(url, auth=("token", ""), timeout=10).json()["accounts"]
        assert (account["id"], account["href"]) == ("9999999", url)
        refused = requests.get(url, timeout=10)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (401, "authentication_error")
        tell(sandbox, status=403, kind="single")
        assert requests.get(url, auth=("token", ""), timeout=10).status_code == 200
        tell(sandbox, status=403, times=1)
        assert [requests.get(url, auth=("token", ""), timeout=10).status_code for _ in range(2)] == [403, 200]


@on_sqlite
@pytest.mark.parametrize(
    ("status", "named"),
    [
        (401, "DRIP_API_KEY"),
        (402, "plan needs attention"),
        (403, "DRIP_ACCOUNT_ID"),
        (404, "DRIP_ACCOUNT_ID"),
        (418, "DRIP_API_URL"),
        (429, "quota"),
        (503, "later"),
    ],
)
def test_a_refusal_names_what_to_check(drip: RunningSandbox, status: int, named: str) -> None:
    tell(drip, status=status)
    [(ok, say)] = found("Drip account 9999999")
    assert ok is False
    assert str(status) in say
    assert named in say
    assert "key-of-drip" not in say


@on_sqlite
def test_a_refusal_names_the_setting_of_the_store_whose_account_it_is(drip: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "STORES",
        '[stores.eu]\nprovider = "shopify"\nsecret = "the-secret"\ndrip_account_id = "111"\ndrip_access_token = "token-of-drip"\n',
    )
    tell(drip, status=401, account="111")
    assert [ok for ok, _ in found("Drip account 9999999")] == [True]
    [(ok, say)] = found("Drip account 111")
    assert ok is False
    assert "stores.eu.drip_access_token" in say


@on_sqlite
@pytest.mark.parametrize("body", ["<html>", '{"accounts": []}', '{"accounts": [{"id": 1}]}'])
def test_a_server_that_is_not_drip_is_a_problem(drip: RunningSandbox, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    with server_of(Response(body)) as url:
        monkeypatch.setenv("DRIP_API_URL", url)
        [(ok, say)] = found("Drip account 9999999")
    assert ok is False
    assert "DRIP_API_URL" in say


@on_sqlite
def test_redirects_are_not_followed(drip: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with server_of(redirect(f"{drip.url}/v2/accounts/9999999")) as url:
        monkeypatch.setenv("DRIP_API_URL", url)
        [(ok, say)] = found("Drip account 9999999")
    assert ok is False
    assert "DRIP_API_URL" in say
    assert requests.get(f"{drip.url}/requests", timeout=10).json()["total"] == 0


@on_sqlite
def test_an_unreachable_drip_is_a_problem(drip: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIP_API_URL", f"http://127.0.0.1:{free_port('127.0.0.1')}")
    [(ok, say)] = found("Drip account 9999999")
    assert ok is False
    assert "DRIP_API_URL" in say


@on_sqlite
def test_no_store_and_no_account_are_problems_that_name_the_settings(drip: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DRIP_ACCOUNT_ID", "DRIP_API_KEY", "SHOPIFY_WEBHOOK_SECRET"):
        monkeypatch.delenv(name)
    [(store_ok, store)] = found("stores")
    [(drip_ok, account)] = found("drip")
    assert (store_ok, drip_ok) == (False, False)
    assert "SHOPIFY_WEBHOOK_SECRET" in store
    assert "DRIP_ACCOUNT_ID" in account


@on_sqlite
def test_a_missing_public_address_is_a_note(drip: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PUBLIC_URL")
    [(ok, say)] = found("address")
    assert ok is None
    assert "PUBLIC_URL" in say
    assert check().exit_code == 0


def test_a_database_without_tables_is_a_problem(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    [(ok, say)] = found("database")
    assert ok is False
    assert "drip-adapter migrate" in say


def test_an_unreachable_database_is_a_problem_and_the_rest_is_still_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://u:hush@127.0.0.1:1/none")
    monkeypatch.setenv("SHOPIFY_WEBHOOK_SECRET", "the-secret")
    [(ok, say)] = found("database")
    assert ok is False
    assert "DATABASE_URL" in say
    assert "hush" not in check().stdout
    assert [ok for ok, _ in found("store shopify")] == [True]


def test_refused_requests_are_found_with_the_setting_to_compare(drip: RunningSandbox, engine: Engine) -> None:
    now = datetime(2026, 10, 1, 12, tzinfo=UTC)
    with transaction(engine) as connection:
        for reason in ("mismatch", "mismatch", "missing"):
            receiving.count_refusal(connection, store="shopify", reason=reason, at=now)
    _, mismatch, missing = found("store shopify")
    assert (mismatch[0], missing[0]) == (False, None), "a wrong signature is most likely the store's, a missing one anybody's"
    assert mismatch[1].startswith(
        "2 requests were refused for store shopify because the signature doesn't match, the last one at 2026-10-01 12:00"
    )
    assert "SHOPIFY_WEBHOOK_SECRET" in mismatch[1]
    assert missing[1].startswith("1 request refused")
    assert "no signature" in missing[1]
    assert all("none accepted since" in say for _, say in (mismatch, missing))
    with transaction(engine) as connection:
        receiving.keep(
            connection,
            Arrival(store="shopify", key=Key(value="k", expires=False), topic="", headers={}, payload=b"{}", at=datetime.now(UTC)),
        )
    assert len(found("store shopify")) == 1, "webhooks are accepted again"


def test_stuck_orders_are_a_problem(drip: RunningSandbox, engine: Engine) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    with transaction(engine) as connection:
        receiving.keep(
            connection, Arrival(store="shopify", key=Key(value="k", expires=False), topic="", headers={}, payload=b"{}", at=long_ago)
        )
    _, (ok, say) = found("store shopify")
    assert ok is False
    assert "have been waiting" in say
    assert "sender" in say


@pytest.mark.slow
@on_sqlite
def test_long_findings_wrap_between_words_on_a_narrow_terminal(drip: RunningSandbox, database_url: str) -> None:
    status, shown = terminal.run_in_terminal(80, "check", variables={"DATABASE_URL": database_url})
    rows = shown.splitlines()
    assert status == 1
    assert all(len(row) <= 80 for row in rows)
    assert [row.split()[0] for row in rows if not row.startswith(" ")] == ["ERROR", "note", "ok", "ERROR"]
    assert "ERROR  stores: no store is configured: set BIGCOMMERCE_WEBHOOK_SECRET," in [row.rstrip() for row in rows]
