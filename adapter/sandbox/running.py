"""The stand-in served from a thread: for tests, and for whoever wants to look on."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from adapter.sandbox.app import create_sandbox


@dataclass(frozen=True, kw_only=True)
class RunningSandbox:
    """A stand-in that answers at `url`."""

    url: str
    app: Flask


@contextmanager
def running_sandbox(host: str = "127.0.0.1", port: int = 0, **options: Any) -> Iterator[RunningSandbox]:
    """Serve a stand-in from a thread, on a free port by default; `options` are those of `create_sandbox`.

    On leaving, whatever still hangs is released.
    """
    app = create_sandbox(**options)
    server = make_server(host, port, app, threaded=True, request_handler=_QuietHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="sandbox", daemon=True)
    thread.start()
    try:
        yield RunningSandbox(url=f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}", app=app)
    finally:
        app.extensions["sandbox"].untell()
        server.shutdown()
        thread.join()
        server.server_close()


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: `GET /requests` tells."""
