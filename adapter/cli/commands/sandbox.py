"""`sandbox`: the sandbox alone."""

import click

from adapter.cli.exit_status import explained
from adapter.cli.parameters import PARENT, listening_address
from adapter.cli.text import echo
from adapter.monitoring import logs
from adapter.process.gunicorn_server import WebServer
from adapter.process.parent import end_with_parent
from adapter.process.supervisor import require_port
from adapter.sandbox import create_sandbox


@click.command("sandbox")
@click.option("--bind", default="127.0.0.1:8001", show_default=True, type=listening_address, metavar="HOST:PORT", help="Where to listen.")
@PARENT
@explained
def command(bind: str, parent: int | None) -> None:
    """Run the sandbox alone: it answers as Drip would.

    It enforces Drip's contract and quota, and shows what it received: at / for people, at /received for programs.
    """
    logs.set_up("INFO")
    if parent:
        end_with_parent(parent)
    else:
        require_port(bind)
        echo(f"The sandbox listens at http://{bind}; the orders it received: http://{bind}/received")
    WebServer(create_sandbox, bind=bind, workers=1, largest_body=100_000_000).run()
