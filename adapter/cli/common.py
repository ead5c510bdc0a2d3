"""What the commands share: settings, the database, and errors as messages with an exit status."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import click
from sqlalchemy import Engine

from adapter.errors import AdapterError, SettingsError, WorkFailed
from adapter.inbox.database import connect, is_migrated, migrate
from adapter.monitoring import alert_channels, error_reporting, logs
from adapter.settings import DEFAULT_DATABASE_URL, SANDBOX_DATABASE_URL, Settings, read_settings
from mappings import absolute_url

Params = ParamSpec("Params")
Result = TypeVar("Result")
MOST = 2**63 - 1  # what both databases take for a whole number
AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document a line, for programs.")


def header(value: str) -> tuple[str, str]:
    name, colon, rest = value.partition(":")
    if not colon or not name.strip():
        raise click.BadParameter(f"{value!r} is not NAME:VALUE")
    return name.strip().lower(), rest.strip()


def url(value: str) -> str:
    if value and not absolute_url(value):
        raise click.BadParameter(f"{value!r} is no address such as http://127.0.0.1:8000")
    return value


def address(value: str) -> str:
    """Where to listen; without a host, at every address of the machine."""
    if not value:
        return ""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise click.BadParameter(f"{value!r} is not HOST:PORT")
    return f"{host or '0.0.0.0'}:{port}"  # noqa: S104 - asked for


def explained(command: Callable[Params, Result]) -> Callable[Params, Result]:
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


def settings_for(sandbox_url: str = "") -> Settings:
    checks = {"ALERT_URL": alert_channels.why_no_address, "SENTRY_DSN": error_reporting.why_no_dsn}
    settings = read_settings(sandbox=bool(sandbox_url), sandbox_url=sandbox_url, checks=checks)
    logs.set_up(settings.log_level)
    error_reporting.set_up(settings.sentry_dsn)
    return settings


def migrate_database(settings: Settings) -> None:
    with connected(settings) as engine:
        migrate(engine)


@contextmanager
def connected(settings: Settings) -> Iterator[Engine]:
    engine = connect(settings.database_url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def inbox(settings: Settings | None = None) -> Iterator[Engine]:
    settings = settings or settings_for()
    if settings.database_url == DEFAULT_DATABASE_URL and not Path("adapter.db").exists() and Path("sandbox.db").exists():
        click.echo("note: this is what make run, or serve --sandbox, keeps here in sandbox.db", err=True)
        settings = replace(settings, database_url=SANDBOX_DATABASE_URL)
    with connected(settings) as engine:
        if not is_migrated(engine):
            raise WorkFailed("the database of DATABASE_URL lacks the tables of this version: run drip-adapter migrate")
        yield engine
