"""A web server that does whatever a store's server should not, over real HTTP on loopback."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class HostileServer:
    """Its address, and what it was asked: path and headers of each request."""

    url: str
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")


@contextmanager
def hostile_server() -> Iterator[HostileServer]:
    """Paths: /ok, /drip (a byte at a time), /slow-headers, /huge (endless), /to?<address> (redirect), /circle, /html, /silent."""
    stopped = threading.Event()
    record = HostileServer("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            record.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            path, _, query = self.path.partition("?")
            try:
                getattr(self, path.strip("/").replace("-", "_"))(query)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def _answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def ok(self, query: str) -> None:
            self._answer(200, b'{"price":19.90}')

        def html(self, query: str) -> None:
            self._answer(200, b"<!doctype html><p>Please wait while we check your browser")

        def to(self, query: str) -> None:
            self._answer(302, b"", Location=query)

        def circle(self, query: str) -> None:
            self._answer(302, b"", Location="/circle")

        def drip(self, query: str) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            while not stopped.wait(0.05):
                self.wfile.write(b" ")
                self.wfile.flush()

        def slow_headers(self, query: str) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not stopped.wait(0.05):
                self.wfile.write(b"X")
                self.wfile.flush()

        def huge(self, query: str) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 30))
            self.end_headers()
            while not stopped.is_set():
                self.wfile.write(b" " * 65536)

        def silent(self, query: str) -> None:
            stopped.wait(30)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    record.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield record
    finally:
        stopped.set()
        time.sleep(0.1)
        server.shutdown()
        server.server_close()
        thread.join()
