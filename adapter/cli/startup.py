"""What a command needs before it can work: settings, logging, error reporting."""

from adapter.monitoring import logs
from adapter.settings import Settings, read_settings

# What judges or uses a setting is imported only where the setting is set: these libraries are large, and most commands need none of them.


def settings_for(sandbox_url: str = "") -> Settings:
    """Read the settings, and set up logging and error reporting as they say; orders go to the sandbox at `sandbox_url`, if given."""
    settings = read_settings(sandbox=bool(sandbox_url), sandbox_url=sandbox_url, checks=CHECKS)
    logs.set_up(settings.log_level)
    if settings.sentry_dsn:
        from adapter.monitoring import error_reporting  # noqa: PLC0415

        error_reporting.set_up(settings.sentry_dsn)
    return settings


def _why_no_alert_url(url: str) -> str:
    from adapter.monitoring.alert_channels import why_no_address  # noqa: PLC0415

    return why_no_address(url)


def _why_no_sentry_dsn(dsn: str) -> str:
    from adapter.monitoring.error_reporting import why_no_dsn  # noqa: PLC0415

    return why_no_dsn(dsn)


def _why_no_postgresql(url: str) -> str:
    from sqlalchemy import make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        make_url(url)
    except (ArgumentError, ValueError):  # their messages may quote the password
        return "cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/NAME, with %40 for an @ in the password"
    return ""


CHECKS = {"ALERT_URL": _why_no_alert_url, "SENTRY_DSN": _why_no_sentry_dsn, "DATABASE_URL": _why_no_postgresql}
