"""`serve`: web and sender, each a process of its own under one supervisor."""

import os
import secrets

import click

from adapter.cli.exit_status import explained
from adapter.cli.migrating import migrate_database
from adapter.cli.parameters import listening_address
from adapter.cli.startup import settings_for
from adapter.cli.text import echo
from adapter.process.per_database import path_for
from adapter.process.supervisor import Part, Plan, become_supervisor, free_port, require_port
from adapter.settings import DEFAULT_PORT, WEAK_PASSWORD, Settings, secret_variables


@click.command("serve")
@click.option(
    "--bind",
    default="",
    type=listening_address,
    metavar="HOST:PORT",
    help="Where to listen; default: 0.0.0.0:$PORT if PORT is set, else 127.0.0.1:8000.",
)
@click.option("--sandbox", is_flag=True, help="Send to a sandbox on this machine instead of Drip.")
@click.option("--sandbox-port", default=0, type=click.IntRange(0, 65535), hidden=True, help="Where the sandbox listens; default: 8001.")
@explained
def command(bind: str, sandbox: bool, sandbox_port: int) -> None:
    """Run the whole adapter: web and sender.

    Creates the database if there is none, and brings its schema up to date.
    """
    sandbox_port = sandbox_port or free_port("127.0.0.1", 8001)
    sandbox_url = f"http://127.0.0.1:{sandbox_port}" if sandbox else ""
    settings = settings_for(sandbox_url, f"http://{bind}" if bind else "")
    address = bind or (f"0.0.0.0:{settings.port}" if settings.port else f"127.0.0.1:{DEFAULT_PORT}")
    require_port(address)
    migrate_database(settings, wait=True)
    extra = ("--sandbox-url", sandbox_url) if sandbox else ()
    parts = [Part(name="sandbox", arguments=("sandbox", "--bind", f"127.0.0.1:{sandbox_port}"), vital=True)] if sandbox else []
    # Without a PUBLIC_URL the parts go by the address that only this process knows.
    environ = {} if settings.public_url_is_set else {"PUBLIC_URL": f"http://{address}"}
    served = ("--bind", address, "--workers", str(settings.web_concurrency), "--largest-body", str(settings.max_payload_bytes))
    parts.append(Part(name="web", arguments=("web", *served, *extra), vital=True, environ=environ))
    parts.append(Part(name="sender", arguments=("send", *extra), vital=False, environ=environ))
    if not (settings.secret_key or settings.admin_password):
        # The sandbox needs no password to derive a key from. With this one, all workers accept each other's sessions.
        os.environ["SECRET_KEY"] = secrets.token_hex(32)
    # The C library would keep memory apart for each thread, and never give it back. It reads this as a process starts.
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")
    _print_banner(settings, address)
    if settings.password_is_weak:
        echo(f"warning: ADMIN_PASSWORD {WEAK_PASSWORD}", err=True)
    announced_at = str(path_for(settings.database_url, "sandbox")) if sandbox else ""
    dashboard = f" The dashboard is at {_base(settings, address)}" if sandbox or settings.admin_password else ""
    ready = f"Ready.{dashboard}"
    become_supervisor(Plan(parts=parts, address=address, ready=ready, sandbox_url=sandbox_url, announced_at=announced_at))


def _print_banner(settings: Settings, address: str) -> None:
    target = f"the sandbox at {settings.drip_api_url} (never to Drip)" if settings.sandbox else settings.drip_api_url
    where = f"orders go to {target}" if settings.accounts else "orders wait: set DRIP_ACCOUNT_ID and DRIP_API_KEY to send them to Drip"
    echo(f"Starting at http://{address}; {where}")
    base = _base(settings, address)
    for store in settings.stores.values():
        echo(f"  {store.provider.title:12} {base}/webhooks/{store.name}")
    if not settings.stores:
        echo(f"  no store yet: set {secret_variables()}, or STORES")


def _base(settings: Settings, address: str) -> str:
    return settings.public_url if settings.public_url_is_set else f"http://{address}"
