"""A server on loopback that takes whatever is posted to it: a chat's webhook, or Sentry's ingest, as it looks from here."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Listener:
    """Answers each post with `status`, after so many seconds."""

    port: int = 0
    status: int = 200
    silent: threading.Event = field(default_factory=threading.Event)
    """While it is set, nothing is answered."""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def texts(self) -> list[str]:
        """The `text` of each JSON document that was taken."""
        return [str(json.loads(body)["text"]) for body in self.bodies]


@contextmanager
def listening() -> Iterator[Listener]:
    listener, over = Listener(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            listener.headers.append(str(self.headers))
            while listener.silent.is_set() and not over.wait(0.05):
                pass
            if listener.status < 300:
                listener.bodies.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(listener.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        listener.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield listener
        finally:
            over.set()
            server.shutdown()
            thread.join()
