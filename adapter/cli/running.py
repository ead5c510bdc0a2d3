"""The commands that run something until it is stopped, or show it running."""

import secrets
import signal
import sys
from dataclasses import replace
from pathlib import Path

import click

from adapter.cli import output
from adapter.cli.common import address, explained, migrate_database, settings_for
from adapter.delivery.run import Senders
from adapter.inbox.database import connect
from adapter.monitoring import logs
from adapter.process.gunicorn_server import WebServer, end_with_parent
from adapter.process.supervisor import Part, Supervisor, free_port, require_port
from adapter.sandbox import create_sandbox
from adapter.settings import DEFAULT_PORT
from adapter.web.app import create_app

PARENT = click.option("--parent", type=int, hidden=True, help="End when this process is gone.")
SANDBOX_URL = click.option("--sandbox-url", default="", hidden=True, help="Send to the stand-in there.")
FIXTURES = Path(__file__).parent.parent.parent / "fixtures"


@click.command()
@click.option(
    "--bind",
    default="",
    type=address,
    metavar="HOST:PORT",
    help="Where to listen; default 0.0.0.0:$PORT where PORT is set, else 127.0.0.1:8000.",
)
@click.option("--sandbox", is_flag=True, help="Send to a stand-in on this machine in Drip's place.")
@click.option("--sandbox-port", default=0, type=click.IntRange(0, 65535), hidden=True, help="Where the stand-in listens; 8001 if it can.")
@explained
def serve(bind: str, sandbox: bool, sandbox_port: int) -> None:
    """The whole adapter: web and sender together."""
    sandbox_port = sandbox_port or free_port("127.0.0.1", 8001)
    sandbox_url = f"http://127.0.0.1:{sandbox_port}" if sandbox else ""
    settings = settings_for(sandbox_url)
    address = bind or (f"0.0.0.0:{settings.port}" if settings.port else f"127.0.0.1:{DEFAULT_PORT}")
    require_port(address)
    migrate_database(settings)
    extra = ("--sandbox-url", sandbox_url) if sandbox else ()
    parts = [Part("sandbox", ("sandbox", "--bind", f"127.0.0.1:{sandbox_port}"), vital=True)] if sandbox else []
    # Without a PUBLIC_URL the parts go by the address that only this process knows.
    environ = {} if settings.public_url_is_set else {"PUBLIC_URL": f"http://{address}"}
    parts.append(Part("web", ("web", "--bind", address, *extra), vital=True, environ=environ))
    parts.append(Part("sender", ("send", *extra), vital=False, environ=environ))
    output.banner(settings, address)
    sys.exit(Supervisor(parts).run())


@click.command()
@SANDBOX_URL
@PARENT
@explained
def send(sandbox_url: str, parent: int | None) -> None:
    """A sender alone, for a dyno of its own; safe beside others."""
    settings = settings_for(sandbox_url)
    if parent:
        end_with_parent(parent)
    senders = Senders(connect(settings.database_url), settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: senders.ask_to_stop())
    senders.start()
    senders.wait()
    senders.stop()


@click.command(hidden=True)
@click.option("--bind", required=True)
@SANDBOX_URL
@PARENT
@explained
def web(bind: str, sandbox_url: str, parent: int | None) -> None:
    """The web side alone."""
    settings = settings_for(sandbox_url)
    if parent:
        end_with_parent(parent)
    if not (settings.secret_key or settings.admin_password):
        # Under the stand-in no password need be to make a key from. Made before the workers are, so that they take each other's sessions.
        settings = replace(settings, secret_key=secrets.token_hex(32))
    WebServer(lambda: create_app(settings), bind=bind, workers=settings.web_concurrency).run()


@click.command()
@click.option("--bind", default="127.0.0.1:8001", show_default=True, type=address, metavar="HOST:PORT", help="Where to listen.")
@PARENT
@explained
def sandbox(bind: str, parent: int | None) -> None:
    """The stand-in Drip alone.

    Enforces the contract, and shows what it received: at / to people, at /received to programs.
    """
    logs.set_up("INFO")
    if parent:
        end_with_parent(parent)
    else:
        require_port(bind)
        click.echo(f"A stand-in for Drip listens at http://{bind}; what it received: http://{bind}/received")
    WebServer(create_sandbox, bind=bind, workers=1).run()


@click.command()
@explained
def demo() -> None:
    """Shows the main job: fixtures in, what Drip would get out.

    Starts the adapter on a fresh SQLite file with the stand-in in Drip's place, posts the fixtures over HTTP with real signatures, shows
    what became of each, and stops.
    """
    from adapter.cli.demo import run_demo  # noqa: PLC0415 - nothing else needs it

    sys.exit(run_demo(FIXTURES))


COMMANDS = (serve, send, web, sandbox, demo)
