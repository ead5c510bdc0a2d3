"""The commands. Exit status: 0 done, 1 the work failed, 2 wrong use or settings."""

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
import requests
from sqlalchemy import ColumnElement, Engine

from adapter import __version__, logs, show
from adapter import check as checks
from adapter import replay as replays
from adapter.delivery.run import Senders
from adapter.errors import AdapterError, SettingsError, WorkFailed
from adapter.inbox import statements
from adapter.inbox.database import connect, is_migrated, migrate, snapshot, transaction
from adapter.inbox.tables import deliveries
from adapter.overview import overview
from adapter.sandbox import create_sandbox
from adapter.serve import Part, Supervisor, free_port, require_port
from adapter.server import WebServer, end_with_parent
from adapter.settings import DEFAULT_DATABASE_URL, DEFAULT_PORT, SANDBOX_DATABASE_URL, Settings, read_settings
from adapter.web.app import create_app
from mappings import PROVIDERS, Context, Options, absolute_url, encode, outcomes

Params = ParamSpec("Params")
Result = TypeVar("Result")
MOST = 2**63 - 1  # what both databases take for a whole number
AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document a line, for programs.")
PARENT = click.option("--parent", type=int, hidden=True, help="End when this process is gone.")
SANDBOX_URL = click.option("--sandbox-url", default="", hidden=True, help="Send to the stand-in there.")
FIXTURES = Path(__file__).parent.parent / "fixtures"
_STORE_URL_FOR_TRIALS = "https://store.example"


def _header(value: str) -> tuple[str, str]:
    name, colon, rest = value.partition(":")
    if not colon or not name.strip():
        raise click.BadParameter(f"{value!r} is not NAME:VALUE")
    return name.strip().lower(), rest.strip()


def _url(value: str) -> str:
    if value and not absolute_url(value):
        raise click.BadParameter(f"{value!r} is no address such as http://127.0.0.1:8000")
    return value


def _address(value: str) -> str:
    """Where to listen; without a host, at every address of the machine."""
    if not value:
        return ""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise click.BadParameter(f"{value!r} is not HOST:PORT")
    return f"{host or '0.0.0.0'}:{port}"  # noqa: S104 - asked for


def _explained(command: Callable[Params, Result]) -> Callable[Params, Result]:
    """Turn our errors into a message and an exit status."""

    @wraps(command)
    def wrapper(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        try:
            return command(*args, **kwargs)
        except SettingsError as error:
            click.echo(f"settings: {error}".replace("\n", "\nsettings: "), err=True)
            sys.exit(2)
        except AdapterError as error:
            click.echo(str(error), err=True)
            sys.exit(1)

    return wrapper


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="drip-adapter")
def main() -> None:
    """Turns order webhooks of Shopify, Magento and WooCommerce into Drip Order Activity, and loses none."""


# --- running -----------------------------------------------------------------------------------------------------------------------


@main.command()
@click.option(
    "--bind",
    default="",
    type=_address,
    metavar="HOST:PORT",
    help="Where to listen; default 0.0.0.0:$PORT where PORT is set, else 127.0.0.1:8000.",
)
@click.option("--sandbox", is_flag=True, help="Send to a stand-in on this machine in Drip's place.")
@click.option("--sandbox-port", default=0, type=click.IntRange(0, 65535), hidden=True, help="Where the stand-in listens; 8001 if it can.")
@_explained
def serve(bind: str, sandbox: bool, sandbox_port: int) -> None:
    """The whole adapter: web and sender together."""
    sandbox_port = sandbox_port or free_port("127.0.0.1", 8001)
    sandbox_url = f"http://127.0.0.1:{sandbox_port}" if sandbox else ""
    settings = _settings(sandbox_url)
    address = bind or (f"0.0.0.0:{settings.port}" if settings.port else f"127.0.0.1:{DEFAULT_PORT}")
    require_port(address)
    _migrate(settings)
    extra = ("--sandbox-url", sandbox_url) if sandbox else ()
    parts = [Part("sandbox", ("sandbox", "--bind", f"127.0.0.1:{sandbox_port}"), vital=True)] if sandbox else []
    # Without a PUBLIC_URL the parts go by the address that only this process knows.
    environ = {} if settings.public_url_is_set else {"PUBLIC_URL": f"http://{address}"}
    parts.append(Part("web", ("web", "--bind", address, *extra), vital=True, environ=environ))
    parts.append(Part("sender", ("send", *extra), vital=False, environ=environ))
    show.banner(settings, address)
    sys.exit(Supervisor(parts).run())


@main.command()
@SANDBOX_URL
@PARENT
@_explained
def send(sandbox_url: str, parent: int | None) -> None:
    """A sender alone, for a dyno of its own; safe beside others."""
    settings = _settings(sandbox_url)
    if parent:
        end_with_parent(parent)
    senders = Senders(connect(settings.database_url), settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: senders.ask_to_stop())
    senders.start()
    senders.wait()
    senders.stop()


@main.command(hidden=True)
@click.option("--bind", required=True)
@SANDBOX_URL
@PARENT
@_explained
def web(bind: str, sandbox_url: str, parent: int | None) -> None:
    """The web side alone."""
    settings = _settings(sandbox_url)
    if parent:
        end_with_parent(parent)
    WebServer(lambda: create_app(settings), bind=bind, workers=settings.web_concurrency).run()


@main.command()
@click.option("--bind", default="127.0.0.1:8001", show_default=True, type=_address, metavar="HOST:PORT", help="Where to listen.")
@PARENT
@_explained
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


@main.command()
@_explained
def demo() -> None:
    """Shows the main job: fixtures in, what Drip would get out.

    Starts the adapter on a fresh SQLite file with the stand-in in Drip's place, posts the fixtures over HTTP with real signatures, shows
    what became of each, and stops.
    """
    from adapter.demo import run_demo  # noqa: PLC0415 - nothing else needs it

    sys.exit(run_demo(FIXTURES))


# --- looking at mappings -----------------------------------------------------------------------------------------------------------


@main.command("map")
@click.argument("provider", type=click.Choice(sorted(PROVIDERS)))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--topic", default="", help="What the store says happened, as in its topic header.")
@click.option("--header", "headers", multiple=True, type=_header, metavar="NAME:VALUE", help="A header of the request; may be given again.")
@click.option("--store-url", default="", type=_url, metavar="URL", help="The store's address.")
@_explained
def map_(provider: str, files: tuple[str, ...], topic: str, headers: tuple[tuple[str, str], ...], store_url: str) -> None:
    """Shows what Drip would get for payloads; sends nothing.

    Prints one JSON line for each order in each file, taken as at first sight: Drip's body, {"skipped": reason} or
    {"rejected": {path: [why]}}. A file may hold a batch or a page of orders; - reads standard input. Exit status 1 if any was rejected.
    """
    platform = PROVIDERS[provider]
    if platform.needs_address and not store_url:
        click.echo(
            f"note: no payload of {platform.title} holds the store's address; without --store-url it is {_STORE_URL_FOR_TRIALS}", err=True
        )
    named = dict(headers)
    context = Context(
        topic=topic or platform.topic(named),
        headers=named,
        received_at=datetime.now(UTC),
        options=Options(store_url=store_url, fallback_url=_STORE_URL_FOR_TRIALS, public_url=f"http://127.0.0.1:{DEFAULT_PORT}"),
    )
    rejected = False
    for file in files:
        payload = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        for outcome in outcomes(platform, payload, context):
            click.echo(encode(outcome))
            rejected = rejected or "rejected" in outcome
    sys.exit(1 if rejected else 0)


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--to", "url", required=True, type=_url, metavar="URL", help="The adapter's address, such as http://127.0.0.1:8000.")
@click.option("--store", default="", help="The store to post to; default: the platform's first.")
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(1), help="How many times each.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="At most so many a second.")
@click.option("--shuffle", is_flag=True, help="In random order.")
@click.option("--fresh", is_flag=True, help="With new ids and times, so that none is a duplicate.")
@AS_JSON
@_explained
def replay(
    paths: tuple[Path, ...], url: str, store: str, repeat: int, rate: float | None, shuffle: bool, fresh: bool, as_json: bool
) -> None:
    """Posts fixtures to a running adapter, signed as a store signs.

    PATHS are folders <provider>/<case> with headers.json and payload.json, or folders of such.
    """
    settings = read_settings(sandbox=False)
    posted = []
    plan = replays.schedule(replays.find_cases(paths), repeat=repeat, shuffle=shuffle, fresh=fresh)
    with requests.Session() as session:
        for (case, payload), _ in zip(plan, replays.pace(rate), strict=False):
            answer = replays.post(session, url, case, payload, replays.target_of(case, settings, store))
            posted.append(answer)
            show.posted(answer, as_json=as_json)
    refused = sum(answer.status >= 300 for answer in posted)
    if not as_json:
        click.echo(f"{len(posted)} posted, {len(posted) - refused} taken, {refused} refused")
    sys.exit(1 if refused else 0)


# --- the inbox ---------------------------------------------------------------------------------------------------------------------


@main.group("deliveries")
def deliveries_() -> None:
    """The inbox: what was received and what became of it."""


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that choose deliveries; the command gets them together, as `_which` takes them."""
    time = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
    for option in (
        click.option("--until", type=time, metavar="TIME", help="Only received before then (UTC)."),
        click.option("--since", type=time, metavar="TIME", help="Only received then or later (UTC): 2026-01-31 or 2026-01-31T12:00."),
        click.option("--topic", default="", help="Only this topic."),
        click.option("--reason", default="", help="Only skipped for this reason."),
        click.option("--order", "order_id", default="", help="Only of this order id."),
        click.option("--store", default="", help="Only of this store."),
        click.option("--state", type=click.Choice(["pending", "delivered", "skipped", "dead"]), help="Only in this state."),
    ):
        command = option(command)
    return command


def _which(chosen: Mapping[str, Any]) -> ColumnElement[bool]:
    """The deliveries that the options choose; all without any."""
    times = {name: chosen[name].replace(tzinfo=UTC) for name in ("since", "until") if chosen[name] is not None}
    words = {name: value for name, value in chosen.items() if name not in ("since", "until") and value}
    return statements.filtered(**words, **times)


@deliveries_.command("list")
@_filters
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000), metavar="N", help="At most so many.")
@AS_JSON
@_explained
def deliveries_list(limit: int, as_json: bool, **chosen: Any) -> None:
    """Deliveries, the newest first."""
    with _inbox() as engine, snapshot(engine) as connection:
        rows = statements.listed(connection, _which(chosen), limit)
    show.deliveries(rows, as_json=as_json)


@deliveries_.command("show")
@click.argument("delivery", type=click.IntRange(0, MOST))
@click.option("--payload", is_flag=True, help="Print the payload as received, and nothing else.")
@AS_JSON
@_explained
def deliveries_show(delivery: int, payload: bool, as_json: bool) -> None:
    """One delivery: what became of it, each attempt, and the body that Drip was sent."""
    with _inbox() as engine, snapshot(engine) as connection:
        rows = statements.listed(connection, deliveries.c.id == delivery, 1)
        attempts = statements.attempts_of(connection, delivery)
    if not rows:
        raise click.ClickException(f"there is no delivery {delivery}")
    if payload:
        click.echo(rows[0].payload or b"", nl=False)
    else:
        show.delivery(rows[0], attempts, as_json=as_json)


@deliveries_.command("retry")
@click.argument("ids", nargs=-1, type=click.IntRange(0, MOST))
@_filters
@click.option("--dry-run", is_flag=True, help="Only say how many.")
@click.option("--force", is_flag=True, help="Send also what is unchanged: for what Drip took and lost.")
@_explained
def deliveries_retry(ids: tuple[int, ...], dry_run: bool, force: bool, **chosen: Any) -> None:
    """Sends kept deliveries again, with today's mapping.

    Name them by id, or choose them with the options; with both, those of the named that the options fit.
    """
    if not ids and not any(chosen.values()):
        raise click.UsageError("name deliveries, or choose some with --state, --store, --order, --reason, --topic, --since or --until")
    which = _which(chosen)
    if ids:
        which = which & deliveries.c.id.in_(ids)
    with _inbox() as engine:
        if dry_run:
            with snapshot(engine) as connection:
                click.echo(f"{_counted(statements.retriable(connection, which))} would be sent again")
            return
        with transaction(engine) as connection:
            count = statements.reopen(connection, which, at=datetime.now(UTC), forced=force)
    click.echo(f"{_counted(count)} will be sent again")
    if ids and (missed := len(set(ids)) - count):
        raise click.ClickException(f"{missed} of those named will not: unknown, not what the options ask for, or the payload is erased")


# --- operating ---------------------------------------------------------------------------------------------------------------------


@main.command()
@AS_JSON
@_explained
def check(as_json: bool) -> None:
    """What is wrong with the set-up, and how to mend it."""
    settings = _settings()
    with _connected(settings) as engine:
        whole = show.findings(checks.look(settings, engine), as_json=as_json)
    sys.exit(0 if whole else 1)


@main.command()
@AS_JSON
@_explained
def status(as_json: bool) -> None:
    """Whether orders move, and why not."""
    settings = _settings()
    with _inbox(settings) as engine, snapshot(engine) as connection:
        report = overview(connection, settings, datetime.now(UTC))
    show.status(report, as_json=as_json)
    sys.exit(0 if report["ok"] else 1)


@main.command("migrate")
@_explained
def migrate_() -> None:
    """Brings the database's schema up to date.

    Safe to run again, and from two machines at once.
    """
    _migrate(_settings())
    click.echo("the database is up to date")


def _settings(sandbox_url: str = "") -> Settings:
    settings = read_settings(sandbox=bool(sandbox_url), sandbox_url=sandbox_url)
    logs.set_up(settings.log_level)
    return settings


def _migrate(settings: Settings) -> None:
    with _connected(settings) as engine:
        migrate(engine)


@contextmanager
def _connected(settings: Settings) -> Iterator[Engine]:
    engine = connect(settings.database_url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _inbox(settings: Settings | None = None) -> Iterator[Engine]:
    settings = settings or _settings()
    if settings.database_url == DEFAULT_DATABASE_URL and not Path("adapter.db").exists() and Path("sandbox.db").exists():
        click.echo("note: this is what make run, or serve --sandbox, keeps here in sandbox.db", err=True)
        settings = replace(settings, database_url=SANDBOX_DATABASE_URL)
    with _connected(settings) as engine:
        if not is_migrated(engine):
            raise WorkFailed("the database of DATABASE_URL lacks the tables of this version: run drip-adapter migrate")
        yield engine


def _counted(number: int) -> str:
    return f"{number} {'delivery' if number == 1 else 'deliveries'}"
