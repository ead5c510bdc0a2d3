"""`web`: the web side alone, as `serve` starts it."""

import threading
from typing import Any

import click

from adapter.cli.exit_status import explained
from adapter.cli.parameters import PARENT, SANDBOX_URL
from adapter.process.gunicorn_server import WebServer
from adapter.process.parent import end_with_parent


@click.command("web", hidden=True)
@click.option("--bind", required=True)
@click.option("--workers", type=int, envvar="WEB_CONCURRENCY", default=2)
@click.option("--largest-body", type=int, envvar="MAX_PAYLOAD_BYTES", default=5_000_000)
@SANDBOX_URL
@PARENT
@explained
def command(bind: str, workers: int, largest_body: int, sandbox_url: str, parent: int | None) -> None:
    """Run the web side alone.

    This process only watches over its workers, so it stays small: settings, the app and all their libraries are loaded in each worker.
    The few settings that it needs are options, which `serve` passes on.
    """
    if parent:
        end_with_parent(parent)

    def make_app() -> Any:
        from adapter.cli.startup import settings_for  # noqa: PLC0415
        from adapter.cli.waiting import report_until_ready  # noqa: PLC0415
        from adapter.inbox.database import connect  # noqa: PLC0415
        from adapter.monitoring.sender_watch import SenderWatch  # noqa: PLC0415
        from adapter.web.app import App  # noqa: PLC0415

        settings = settings_for(sandbox_url)
        engine = connect(settings.database_url, settings.payload_keys)
        threading.Thread(target=report_until_ready, args=(engine,), daemon=True).start()
        if settings.alert_url:
            threading.Thread(target=SenderWatch(engine, settings).run, daemon=True).start()
        return App(settings, engine)

    WebServer(make_app, bind=bind, workers=workers, largest_body=largest_body).run()
