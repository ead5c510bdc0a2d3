"""The client of Drip: what an answer means, and that no request lasts longer than its deadline."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from adapter.delivery.answers import Outcome
from adapter.delivery.drip import Drip
from adapter.sandbox import running_sandbox
from adapter.settings import Account

BASIC = Account(id="123", token="secret-token")
BEARER = Account(id="123", token="secret-token", auth="bearer")
BODY = (
    b'{"provider":"my_store","email":"a@example.com","action":"created","order_id":"1","order_url":"https://shop.example/1",'
    b'"grand_total":1.50,"items":[]}'
)


@pytest.fixture
def sandbox() -> Iterator[str]:
    with running_sandbox() as running:
        yield running.url


def read_request(connection: socket.socket) -> None:
    """Read head and body to their end: closing a socket with unread bytes resets it, and the client may lose the answer."""
    with connection.makefile("rb") as stream:
        length = 0
        for line in iter(stream.readline, b"\r\n"):
            if not line:
                return
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        stream.read(length)


@contextmanager
def raw_server(*pieces: bytes, pause_s: float = 0.0) -> Iterator[str]:
    """A server of our own that writes exactly these bytes, with a pause before each."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                read_request(connection)
                try:
                    for piece in pieces:
                        if stop.wait(pause_s):
                            return
                        connection.sendall(piece)
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@contextmanager
def drip(url: str, account: Account = BASIC) -> Iterator[Drip]:
    client = Drip(url, account, "https://adapter.example")
    yield client
    client.close()


@pytest.mark.parametrize("account", [BASIC, BEARER])
def test_an_order_is_taken_with_either_authentication(sandbox: str, account: Account) -> None:
    with drip(sandbox, account) as client:
        answer = client.post_order(BODY)
    assert (answer.outcome, answer.status, answer.outcome_unknown) == (Outcome.DELIVERED, 202, False)
    assert len(answer.request_ids) == 1
    [seen] = requests.get(f"{sandbox}/requests", timeout=5).json()["requests"]
    assert (seen["auth"], seen["account"]) == (account.auth, "123")


def test_a_netrc_does_not_replace_the_token(sandbox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with drip(sandbox, BEARER) as client:
        client.post_order(BODY)
    [seen] = requests.get(f"{sandbox}/requests", timeout=5).json()["requests"]
    assert seen["auth"] == "bearer"


def test_a_batch_gives_each_order_its_request_id(sandbox: str) -> None:
    with drip(sandbox) as client:
        answer = client.post_batch([BODY, BODY.replace(b'"1"', b'"2"')])
    assert (answer.outcome, len(answer.request_ids)) == (Outcome.DELIVERED, 2)
    assert (answer.limit, answer.remaining) == (50, 49)


@pytest.mark.parametrize(
    ("status", "outcome"), [(404, Outcome.NO_BATCHES), (413, Outcome.REFUSED), (422, Outcome.REFUSED), (401, Outcome.BLOCKED)]
)
def test_what_a_status_means_for_a_batch(sandbox: str, status: int, outcome: Outcome) -> None:
    requests.put(f"{sandbox}/answers", json={"status": status}, timeout=5).raise_for_status()
    with drip(sandbox) as client:
        assert client.post_batch([BODY]).outcome == outcome


MEANINGS = [
    (200, Outcome.DELIVERED, False),
    (202, Outcome.DELIVERED, False),
    (302, Outcome.RETRY, False),
    (400, Outcome.REFUSED, False),
    (401, Outcome.BLOCKED, False),
    (402, Outcome.BLOCKED, False),
    (403, Outcome.BLOCKED, False),
    (404, Outcome.BLOCKED, False),
    (408, Outcome.RETRY, False),
    (409, Outcome.RETRY, False),
    (410, Outcome.BLOCKED, False),
    (422, Outcome.REFUSED, False),
    (425, Outcome.RETRY, False),
    (429, Outcome.THROTTLED, False),
    (451, Outcome.BLOCKED, False),
    (500, Outcome.RETRY, True),
    (503, Outcome.RETRY, True),
    (504, Outcome.RETRY, True),
]


@pytest.mark.parametrize(("status", "outcome", "outcome_unknown"), MEANINGS)
def test_what_a_status_means(sandbox: str, status: int, outcome: Outcome, outcome_unknown: bool) -> None:
    requests.put(
        f"{sandbox}/answers", json={"status": status, "headers": {"Location": "http://127.0.0.1:9/"}}, timeout=5
    ).raise_for_status()
    with drip(sandbox) as client:
        answer = client.post_order(BODY)
    assert (answer.outcome, answer.status, answer.outcome_unknown) == (outcome, status, outcome_unknown)


def test_a_redirect_is_not_followed(sandbox: str) -> None:
    elsewhere = f"{sandbox}/v3/999/shopper_activity/order"
    requests.put(f"{sandbox}/answers", json={"status": 307, "account": "123", "headers": {"Location": elsewhere}}, timeout=5)
    with drip(sandbox) as client:
        client.post_order(BODY)
    assert [seen["account"] for seen in requests.get(f"{sandbox}/requests", timeout=5).json()["requests"]] == ["123"]


@pytest.mark.parametrize(("value", "wait"), [("90", 90), ("0", 0), ("999999", 3600), ("soon", None), ("-5", None), ("", None)])
def test_retry_after_in_seconds(sandbox: str, value: str, wait: int | None) -> None:
    requests.put(f"{sandbox}/answers", json={"status": 429, "headers": {"Retry-After": value}}, timeout=5)
    with drip(sandbox) as client:
        assert client.post_order(BODY).retry_after == (None if wait is None else timedelta(seconds=wait))


def test_retry_after_as_a_date(sandbox: str) -> None:
    requests.put(f"{sandbox}/answers", json={"status": 429, "headers": {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}}, timeout=5)
    with drip(sandbox) as client:
        assert client.post_order(BODY).retry_after == timedelta(0)


def test_nobody_listening_was_surely_not_taken() -> None:
    with drip("http://127.0.0.1:9") as client:
        answer = client.post_order(BODY)
    assert (answer.outcome, answer.status, answer.outcome_unknown) == (Outcome.RETRY, None, False)


def test_a_dropped_connection_is_outcome_unknown(sandbox: str) -> None:
    requests.put(f"{sandbox}/answers", json={"drop": True}, timeout=5)
    with drip(sandbox) as client:
        answer = client.post_order(BODY)
    assert (answer.outcome, answer.outcome_unknown) == (Outcome.RETRY, True)


def test_silence_ends_at_the_deadline(sandbox: str) -> None:
    requests.put(f"{sandbox}/answers", json={"hang": 20}, timeout=5)
    with drip(sandbox) as client:
        begun = time.monotonic()
        answer = client.post_order(BODY, deadline_s=0.3)
        assert time.monotonic() - begun < 2
    assert (answer.outcome, answer.outcome_unknown) == (Outcome.RETRY, True)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000\r\n\r\n"], ids=["in the headers", "in the body"])
def test_a_byte_now_and_then_does_not_stretch_the_deadline(head: bytes) -> None:
    with raw_server(head or b"H", *(b"x" for _ in range(100)), pause_s=0.1) as url, drip(url) as client:
        begun = time.monotonic()
        answer = client.post_order(BODY, deadline_s=0.5)
        assert time.monotonic() - begun < 2
        assert (answer.outcome, answer.outcome_unknown) == (Outcome.RETRY, True)
        # The thread that waited for it ends too, since its connection was cut.
        deadline = time.monotonic() + 5
        while any(thread.name == "drip-post" for thread in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_after_a_deadline_the_next_request_goes_through(sandbox: str) -> None:
    requests.put(f"{sandbox}/answers", json={"hang": 20, "times": 1}, timeout=5)
    with drip(sandbox) as client:
        client.post_order(BODY, deadline_s=0.2)
        assert client.post_order(BODY).outcome == Outcome.DELIVERED


@pytest.mark.parametrize("content", [b'{"errors": 5}', b'{"errors": [5]}', b"{}", b""])
def test_a_refusal_without_usable_errors_is_one(content: bytes) -> None:
    head = b"HTTP/1.1 422 Unprocessable\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(content)
    with raw_server(head + content) as url, drip(url) as client:
        answer = client.post_order(BODY)
    assert (answer.outcome, answer.errors) == (Outcome.REFUSED, ())


@pytest.mark.parametrize("content", [b"<html>", b"[]", b"\xff", b"[" * 5000])
def test_a_refusal_that_is_not_drips_json_is_no_verdict_on_the_order(content: bytes) -> None:
    head = b"HTTP/1.1 422 Unprocessable\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(content)
    with raw_server(head + content) as url, drip(url) as client:
        answer = client.post_order(BODY)
    assert (answer.outcome, answer.status, answer.from_drip) == (Outcome.RETRY, 422, False)


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    head = b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000000000\r\n\r\n"
    with raw_server(head, *(b" " * 100_000 for _ in range(40))) as url, drip(url) as client:
        assert client.post_order(BODY).outcome == Outcome.DELIVERED


def test_nothing_that_is_said_of_an_answer_holds_a_secret(sandbox: str) -> None:
    with drip(sandbox) as client, drip("http://127.0.0.1:9") as nowhere:
        for answer in (client.post_order(BODY), nowhere.post_order(BODY)):
            assert "secret-token" not in repr(answer)
    assert "secret-token" not in repr(BASIC)


PORTAL = "<!doctype html><html><head><title>Hotel WiFi - Log in</title></head><body>Welcome, please pay</body></html>"
STRANGERS = [
    ({"body": PORTAL}, "200 with text/html", '("Hotel WiFi Log in")'),
    ({"body": "Parked domain: this address is for sale.", "headers": {"Content-Type": "text/plain"}}, "with text/plain", "Parked domain"),
    ({"body": '["queued"]', "headers": {"Content-Type": "application/json"}}, "with application/json instead of a JSON object", ""),
    ({"body": '"ok"', "headers": {"Content-Type": "application/json"}}, "with application/json instead of a JSON object", ""),
    ({"body": '{"request_id": "cut o', "headers": {"Content-Type": ""}}, "with no content type", ""),
]


@pytest.mark.parametrize("kind", ["single", "batch"])
@pytest.mark.parametrize(("rule", "kept", "words"), STRANGERS)
def test_an_answer_that_is_not_drips_does_not_count_as_accepted(
    sandbox: str, rule: dict[str, Any], kept: str, words: str, kind: str
) -> None:
    """A captive portal, a parking page or a wrong DRIP_API_URL answers 200 as well."""
    requests.put(f"{sandbox}/answers", json={"status": 200, **rule}, timeout=5).raise_for_status()
    with drip(sandbox) as client:
        answer = client.post_order(BODY) if kind == "single" else client.post_batch([BODY])
    assert (answer.outcome, answer.status, answer.outcome_unknown, answer.from_drip) == (Outcome.RETRY, 200, True, False)
    assert kept in answer.what
    assert words in answer.what
    assert "DRIP_API_URL" in answer.what


PAGE = "<html><title>Sign in</title></html>"
ON_THE_WAY = [
    (
        401,
        {},
        Outcome.BLOCKED,
        'something other than Drip answered 401 with text/html instead of a JSON object ("Sign in"); check DRIP_API_URL',
    ),
    (403, {}, Outcome.BLOCKED, "something other than Drip answered 403"),
    (400, {}, Outcome.RETRY, "something other than Drip answered 400"),
    (
        302,
        {"Location": "https://login.example/?next=x"},
        Outcome.RETRY,
        "answered 302 with a redirect to login.example; check DRIP_API_URL",
    ),
    (301, {}, Outcome.RETRY, "something other than Drip answered 301 with a redirect; check DRIP_API_URL"),
    (502, {}, Outcome.RETRY, 'a server in front of Drip answered 502 with text/html ("Sign in")'),
]


@pytest.mark.parametrize(("status", "headers", "outcome", "words"), ON_THE_WAY)
def test_a_page_of_a_server_on_the_way_is_not_called_drips(
    sandbox: str, status: int, headers: dict[str, str], outcome: Outcome, words: str
) -> None:
    requests.put(f"{sandbox}/answers", json={"status": status, "body": PAGE, "headers": headers}, timeout=5).raise_for_status()
    with drip(sandbox) as client:
        answer = client.post_order(BODY)
    assert (answer.outcome, answer.from_drip) == (outcome, False)
    assert words in answer.what
    assert "Drip answered" not in answer.what.replace("other than Drip answered", "").replace("in front of Drip answered", "")


@pytest.mark.parametrize("body", [{"errors": [{"code": "x", "message": "no"}]}, {"error": "invalid account"}])
def test_errors_are_not_accepted_whatever_the_status(sandbox: str, body: dict[str, Any]) -> None:
    requests.put(f"{sandbox}/answers", json={"status": 200, "body": body}, timeout=5).raise_for_status()
    with drip(sandbox) as client:
        answer = client.post_order(BODY)
    assert (answer.outcome, answer.outcome_unknown, answer.what) == (Outcome.RETRY, True, "Drip answered 200 with errors")


@pytest.mark.parametrize("content", [b"", b" \r\n", b"{}", b'{"request_id": "1"}'])
def test_an_empty_body_or_an_object_is_drips(content: bytes) -> None:
    head = b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(content)
    with raw_server(head + content) as url, drip(url) as client:
        answer = client.post_order(BODY)
    assert (answer.outcome, answer.from_drip) == (Outcome.DELIVERED, True)


@pytest.mark.parametrize("echoed", ["<title>{}</title>", "<p>{}</p>", "{}", "You sent {}"])
def test_a_page_that_echoes_the_request_puts_nothing_of_the_order_into_the_message(echoed: str) -> None:
    body = BODY.replace(b'"items":[]', b'"items":[],"ship_to":"Zo\\u00eb Quill, 5 Elm Road"').replace(b"a@example", b"zoe.quill@example")
    for text in (body.decode(), "Zo\u00eb Quill zoe.quill@example.com 5 Elm Road ELM road"):
        page = echoed.format(text).encode()
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page)
        with raw_server(head + page) as url, drip(url) as client:
            what = client.post_order(body).what
        assert not {"zo\u00eb", "zoe", "quill", "elm", "road"} & set(re.findall(r"\w+", what.casefold())), what
