"""A web server that misbehaves in every way, over real HTTP on loopback."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


class HostileServer(ThreadingHTTPServer):
    """Records the path and headers of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.stopped = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def host(self) -> str:
        """`host:port`, as in a store's settings."""
        return f"127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.host}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore that the client disconnected, as it should."""


@contextmanager
def hostile_server() -> Iterator[HostileServer]:
    """Paths: /ok, /drip (a byte at a time), /slow-headers, /huge (endless), /to?<address> (redirect), /circle, /html, /silent."""
    server = HostileServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HostileServer

    def do_GET(self) -> None:
        self.server.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        path, _, query = self.path.partition("?")
        getattr(self, path.strip("/").replace("-", "_"))(query)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *args: object) -> None:
        """Log nothing."""

    def _answer(self, status: int, body: bytes, location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def ok(self, query: str) -> None:
        self._answer(200, b'{"price":19.90}')

    def html(self, query: str) -> None:
        self._answer(200, b"<!doctype html><p>Please wait while we check your browser")

    def to(self, query: str) -> None:
        self._answer(302, b"", unquote(query))

    def circle(self, query: str) -> None:
        self._answer(302, b"", "/circle")

    def drip(self, query: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self._go_on(b" ", 0.05)

    def slow_headers(self, query: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        self._go_on(b"X", 0.05)

    def huge(self, query: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 30))
        self.end_headers()
        self._go_on(b" " * 65536, 0)

    def silent(self, query: str) -> None:
        self.server.stopped.wait(30)

    def _go_on(self, piece: bytes, pause_s: float) -> None:
        while not self.server.stopped.wait(pause_s):
            self.wfile.write(piece)
            self.wfile.flush()
