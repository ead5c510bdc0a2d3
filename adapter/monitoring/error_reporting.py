"""Where internal errors are reported: to Sentry if SENTRY_DSN is set, else nowhere.

`sentry` decides what a report contains. It is imported only if it is needed, since it makes every process larger.
"""

from collections.abc import Callable


class _Target:
    """Where reports go."""

    report: Callable[[BaseException], None] | None = None


def set_up(dsn: str) -> None:
    """Report errors to Sentry from now on; without a DSN nothing is reported."""
    if dsn:
        from adapter.monitoring import sentry  # noqa: PLC0415

        sentry.set_up(dsn)
        _Target.report = sentry.report


def report(error: BaseException) -> None:
    """Report an error that doesn't stop the process."""
    if _Target.report is not None:
        _Target.report(error)


def why_no_dsn(dsn: str) -> str:
    """What is wrong with a DSN; blank if it is valid."""
    from adapter.monitoring import sentry  # noqa: PLC0415

    return sentry.why_no_dsn(dsn)
