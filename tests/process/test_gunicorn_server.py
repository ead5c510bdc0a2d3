"""The web server as it runs: real processes and sockets, with clients that are slow, silent or gone."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedReader

import pytest
import requests

from adapter.process.supervisor import free_port
from tests.process.test_serve import is_up
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

_APP = """
import sys, threading, time
from adapter.process import gunicorn_server, http_connections
http_connections._HEAD_S, http_connections._REQUEST_S, http_connections._KEEP_ALIVE_S = map(float, sys.argv[2:])


class App:
    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read()
        if environ["PATH_INFO"] == "/slow":
            time.sleep(1)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % len(body)]

    def begin(self, environ, ready):
        # /begun/NAME/SECONDS/SECONDS: when it is ready, and when it has to be answered.
        if not environ["PATH_INFO"].startswith("/begun/"):
            environ["wsgi.input"].read()
            return None
        _, _, name, ready_s, until_s = environ["PATH_INFO"].split("/")
        return Begun(name, float(ready_s), time.monotonic() + float(until_s), ready)


class Begun:
    def __init__(self, name, ready_s, until, ready):
        self.name, self.until, self.is_ready = name, until, False
        threading.Timer(ready_s, lambda: (setattr(self, "is_ready", True), ready())).start()

    def response(self):
        return "200 OK", [("Content-Type", "text/plain")], f"<{self.name} {'ready' if self.is_ready else 'late'}>".encode()


gunicorn_server.WebServer(App, bind=f"127.0.0.1:{sys.argv[1]}", workers=2, largest_body=1000).run()
"""
_HALVES = {
    "nothing": b"",
    "half a head": b"POST /webhooks/shopify HTTP/1.1\r\nHost: a.example\r\nX-Shopify-Topic: ord",
    "half a body": b"POST /webhooks/shopify HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100\r\n\r\n{",
    "half a chunk": b"POST /webhooks/shopify HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n{",
}
# RFC 9112, 6.1: chunked once and last, without parameters; nothing else ends where two servers agree that it does.
_CODINGS = [
    b"chunked, chunked", b"chunked,", b",chunked", b"chunked;x", b"chunked;q=1", b"identity", b"chunked, identity", b"chunked, gzip",
    b"xchunked", b"chunked x", b'"chunked"', b"\x0bchunked", b"",
]  # fmt: skip


@dataclass
class Server:
    process: "subprocess.Popen[bytes]"
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


@contextmanager
def serving(head_s: float = 60, request_s: float = 60, keep_alive_s: float = 60) -> Iterator[Server]:
    port = free_port("127.0.0.1")
    command = [sys.executable, "-c", _APP, str(port), str(head_s), str(request_s), str(keep_alive_s)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) as process:
        try:
            wait_until(lambda: is_up(f"http://127.0.0.1:{port}/"))
            yield Server(process, port)
        finally:
            process.send_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def patient() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    with serving(head_s=0.5, request_s=1.5, keep_alive_s=1) as server:
        yield server


def test_a_thousand_clients_that_send_half_a_request_keep_nobody_out(patient: Server) -> None:
    with ExitStack() as stack:
        for number in range(1000):
            client = stack.enter_context(patient.connect())
            client.sendall(list(_HALVES.values())[number % len(_HALVES)])
        for _ in range(5):
            assert requests.post(f"{patient.url}/", data=b"{}", timeout=10).text == "2"


@pytest.mark.parametrize("half", _HALVES.values(), ids=_HALVES)
def test_who_is_late_is_hung_up_on(strict: Server, half: bytes) -> None:
    with strict.connect() as client:
        client.sendall(half)
        assert client.recv(100) == b""


def test_who_sends_a_byte_now_and_then_is_late_all_the_same(strict: Server) -> None:
    with strict.connect() as client:
        client.sendall(_HALVES["half a body"])
        with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe, as the kernel has it
            send_slowly(client)


def send_slowly(client: socket.socket) -> None:
    for _ in range(100):
        client.sendall(b" ")
        time.sleep(0.1)


def test_a_connection_serves_several_requests_until_it_is_idle_for_long(strict: Server) -> None:
    with strict.connect() as client:
        for _ in range(2):
            client.sendall(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc")
            answer = client.recv(1000)
            while not answer.endswith(b"3"):
                answer += client.recv(1000)
        assert client.recv(100) == b""


@pytest.mark.parametrize(
    "target", [b"http://[::1/", b"http://[::1]x/", b"//[::1/", b"http://]/", b"/a b", b"/\x00", b"http://a@b:c:d[/", b"/" + b"[" * 60_000]
)
def test_no_address_is_answered_by_silence_or_a_fault(patient: Server, target: bytes) -> None:
    with patient.connect() as client:
        client.sendall(b"POST %s HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc" % target)
        assert client.recv(1000).split()[1] in (b"400", b"200")


def test_an_address_that_cannot_be_read_is_a_bad_request(patient: Server) -> None:
    with patient.connect() as client:
        client.sendall(b"POST http://[::1/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc")
        assert client.recv(1000).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 5000\r\n\r\n", 413),
        (b"X-Long: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"X-Long: " + b" " * 60_000 + b"\x01\r\n\r\n", 400),
        (b"Content-Length: two\r\n\r\n", 400),
        (b"Content-Length: -1\r\n\r\n", 400),
        (b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n", 413),
        (b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n\xff\xfe\r\nabc\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\nabcdef\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 5_000 + b"\r\nabc", 413),
        (b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 1_500, 400),
        (b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        *((b"Transfer-Encoding: " + coding + b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400) for coding in _CODINGS),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400),
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400),
        (b"Host: b.example\r\nContent-Length: 3\r\n\r\nabc", 400),
        (b"Content-Length: 3\r\n : folded\r\n\r\nabc", 400),
        (b"X-Text: a\r\n folded\r\nContent-Length: 3\r\n\r\nabc", 400),
        (b"Transfer-Encoding:\r\n chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400),
        (b"X-Text: a\0b\r\nContent-Length: 3\r\n\r\nabc", 400),
    ],
)
def test_heads_and_bodies_are_counted(patient: Server, head: bytes, status: int) -> None:
    with patient.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a.example\r\n" + head)
        assert int(client.recv(1000).split()[1]) == status


@pytest.mark.parametrize("head", [b"Content-Length: 30000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n1c9c380\r\n"])
def test_a_client_that_sends_all_of_a_long_body_gets_the_answer(patient: Server, head: bytes) -> None:
    with patient.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a.example\r\n" + head)
        client.sendall(b"x" * 30_000_000)
        answer = b"".join(iter(lambda: client.recv(10_000), b""))
        assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_client_that_goes_on_sending_is_cut_off(patient: Server) -> None:
    with patient.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3000000000\r\n\r\n")
        with pytest.raises(ConnectionError):
            client.sendall(b"x" * 1_000_000_000)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"", 400), (b"Host: a b\r\n", 400), (b"Host: a/b\r\n", 400), (b"Host: a@b\r\n", 400), (b"Host: [::1\r\n", 400),
        (b"Host: a:b\r\n", 400), (b"Host: a\\b\r\n", 400), (b"Host: \xe9\r\n", 400),
        (b"Host: a_b.example:8000\r\n", 200), (b"Host: [::1]:8000\r\n", 200), (b"Host:\r\n", 200),
    ],
)  # fmt: skip
def test_a_host_is_one_name_or_address(patient: Server, host: bytes, status: int) -> None:
    with patient.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n" + host + b"\r\n")
        answer = b"".join(iter(lambda: client.recv(1000), b""))
        assert int(answer.split()[1]) == status


def test_chunks_in_an_old_version_are_no_second_request(patient: Server) -> None:
    with patient.connect() as client:
        client.sendall(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        assert client.recv(1000).split()[1] == b"400"


def test_a_request_in_hand_is_finished_when_the_server_is_stopped() -> None:
    with serving() as server, server.connect() as client:
        client.sendall(b"POST /slow HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc")
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        assert int(client.recv(1000).split()[1]) == 200
        assert server.process.wait(20) == 0


class TestRequestsThatAreBegunInTheLoop:
    def test_they_need_no_thread(self, patient: Server) -> None:
        begun = time.monotonic()
        with ExitStack() as stack:
            clients = [stack.enter_context(patient.connect()) for _ in range(200)]
            for client in clients:
                client.sendall(get("/begun/a/1/9"))
            for client in clients:
                assert answers(client, 1) == ["<a ready>"]
        assert time.monotonic() - begun < 5  # 64 threads would need 4 s and more

    def test_those_of_one_connection_are_answered_in_order(self, patient: Server) -> None:
        with patient.connect() as client:
            client.sendall(get("/begun/a/0.3/9") + get("/begun/b/0/9") + get("/slow", b"abc") + get("/", b"abcd"))
            assert answers(client, 4) == ["<a ready>", "<b ready>", "3", "4"]
            client.sendall(get("/begun/c/0/9"))
            assert answers(client, 1) == ["<c ready>"]

    def test_one_that_is_ready_too_late_does_not_answer_the_next(self, patient: Server) -> None:
        with patient.connect() as client:
            client.sendall(get("/begun/a/0.8/0.1"))
            assert answers(client, 1) == ["<a late>"]
            client.sendall(get("/begun/b/1.5/9"))
            assert answers(client, 1) == ["<b ready>"]

    def test_a_client_that_leaves_harms_nobody(self, patient: Server) -> None:
        with patient.connect() as client:
            client.sendall(get("/begun/a/0.2/9"))
        with patient.connect() as client:
            client.sendall(get("/begun/b/0.4/9"))
            assert answers(client, 1) == ["<b ready>"]

    def test_they_are_answered_before_the_server_stops(self) -> None:
        with serving() as server, server.connect() as client:
            client.sendall(get("/begun/a/1/9"))
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            assert answers(client, 1) == ["<a ready>"]
            assert server.process.wait(20) == 0


def get(path: str, body: bytes = b"") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a.example\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def answers(client: socket.socket, count: int) -> list[str]:
    """The bodies of so many answers."""
    with client.makefile("rb") as stream:
        return [_body(stream) for _ in range(count)]


def _body(stream: BufferedReader) -> str:
    length = 0
    while line := stream.readline().strip():
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return stream.read(length).decode()
