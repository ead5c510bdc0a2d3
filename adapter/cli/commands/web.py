"""`web`: the web side alone, as `serve` starts it."""

import secrets
from dataclasses import replace
from typing import Any

import click

from adapter.cli.exit_status import explained
from adapter.cli.parameters import PARENT, SANDBOX_URL
from adapter.cli.startup import settings_for
from adapter.process.gunicorn_server import WebServer
from adapter.process.parent import end_with_parent


@click.command("web", hidden=True)
@click.option("--bind", required=True)
@SANDBOX_URL
@PARENT
@explained
def command(bind: str, sandbox_url: str, parent: int | None) -> None:
    """Run the web side alone."""
    settings = settings_for(sandbox_url)
    if parent:
        end_with_parent(parent)
    if not (settings.secret_key or settings.admin_password):
        # The sandbox needs no password, so there is none to derive a key from. The workers share this one, and so their sessions.
        settings = replace(settings, secret_key=secrets.token_hex(32))

    def make_app() -> Any:
        """In the worker: the process that only watches over the workers stays small."""
        from adapter.web.app import create_app  # noqa: PLC0415

        return create_app(settings)

    WebServer(make_app, bind=bind, workers=settings.web_concurrency, largest_body=settings.max_payload_bytes).run()
