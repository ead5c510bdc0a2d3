"""What a command needs before it can work: settings, logging, error reporting."""

from contextlib import suppress
from pathlib import Path

from adapter.cli.text import echo
from adapter.errors import SettingsError
from adapter.monitoring import error_reporting, logs
from adapter.process.announcement import announced_at
from adapter.process.per_database import path_for
from adapter.settings import DEFAULT_DATABASE_URL, SANDBOX_DATABASE_URL, Settings, read_settings

# What judges or uses a setting is imported only where the setting is set: these libraries are large, and most commands need none of them.


def settings_for(sandbox_url: str = "", listening_url: str = "") -> Settings:
    """Read the settings, and set up logging and error reporting as they say.

    Orders go to the sandbox at `sandbox_url`, if given; `listening_url` is where the web side will listen, if that is decided already.
    """
    settings = read_settings(sandbox=bool(sandbox_url), sandbox_url=sandbox_url, listening_url=listening_url, checks=CHECKS)
    _set_up_reporting(settings)
    return settings


def _set_up_reporting(settings: Settings) -> None:
    logs.set_up(settings.log_level)
    error_reporting.set_up(settings.sentry_dsn)


def current_settings() -> Settings:
    """The settings of the adapter that runs here: of `serve --sandbox`, if that runs on the same database and sends nothing to Drip.

    Without an adapter.db, the sandbox.db that a stopped `serve --sandbox` left behind is used.
    """
    with suppress(SettingsError):
        settings = read_settings(checks=CHECKS)
        if settings.accounts and not _is_left_by_sandbox(settings):  # they can't be those of a sandbox
            _set_up_reporting(settings)
            return settings
    settings = read_settings(maybe_sandbox=True, checks=CHECKS)
    uses_default = settings.database_url == DEFAULT_DATABASE_URL
    database_url = SANDBOX_DATABASE_URL if uses_default else settings.database_url
    running = None if settings.accounts else announced_at(path_for(database_url, "sandbox"))
    if running is None and not _is_left_by_sandbox(settings):
        return settings_for()
    sandbox_url, listening_url = (running.sandbox_url, running.url) if running else ("", "")
    try:
        settings = read_settings(sandbox=True, sandbox_url=sandbox_url, listening_url=listening_url, checks=CHECKS)
    except SettingsError:  # credentials for Drip: these settings aren't those of a sandbox
        return settings_for()
    _set_up_reporting(settings)
    using = f"drip-adapter serve --sandbox at {running.url}" if running else "sandbox.db; drip-adapter serve --sandbox isn't running"
    echo(f"note: using {using}", err=True)
    return settings


def _is_left_by_sandbox(settings: Settings) -> bool:
    """Whether only a `serve --sandbox` can have run here."""
    return settings.database_url == DEFAULT_DATABASE_URL and not Path("adapter.db").exists() and Path("sandbox.db").exists()


def _why_no_alert_url(url: str) -> str:
    from adapter.monitoring.alert_channels import why_no_address  # noqa: PLC0415

    return why_no_address(url)


def _why_no_postgresql(url: str) -> str:
    from sqlalchemy import make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        make_url(url)
    except (ArgumentError, ValueError):  # their messages may quote the password
        return "cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/NAME, with %40 for an @ in the password"
    return ""


CHECKS = {"ALERT_URL": _why_no_alert_url, "SENTRY_DSN": error_reporting.why_no_dsn, "DATABASE_URL": _why_no_postgresql}
