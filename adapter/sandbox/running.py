"""The sandbox, served from a thread: for tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from adapter.sandbox.app import create_sandbox

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@dataclass(frozen=True, kw_only=True)
class RunningSandbox:
    """A sandbox that listens at `url`."""

    url: str
    app: Flask


@contextmanager
def running_sandbox(host: str = "127.0.0.1", port: int = 0, **options: Any) -> Iterator[RunningSandbox]:
    """Serve a sandbox from a thread, on a free port by default; `options` are those of `create_sandbox`.

    On leaving, requests that are still delayed are answered.
    """
    app = create_sandbox(**options)
    with serving(app, host, port) as url:
        try:
            yield RunningSandbox(url=url, app=app)
        finally:
            app.extensions["sandbox"].clear_rules()


@contextmanager
def serving(app: "WSGIApplication", host: str = "127.0.0.1", port: int = 0, *, tls: tuple[str, str] | None = None) -> Iterator[str]:
    """Serve an app from a thread; yields its address. With `tls`, the paths of a certificate and its key, over HTTPS."""
    server = make_server(host, port, app, threaded=True, request_handler=_QuietHandler, ssl_context=tls)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="sandbox", daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Print nothing: the app keeps its own list of requests."""
