"""Our errors as messages with an exit status."""

import errno
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import wraps
from typing import ParamSpec, TypeVar

import click

from adapter.cli.text import echo, say
from adapter.errors import AdapterError, SettingsError, WorkFailed

Params = ParamSpec("Params")
Result = TypeVar("Result")
INTERRUPTED = 128 + signal.SIGINT
"""The exit status of what Ctrl-C ended, as shells have it."""
_ABOUT_FILES = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF, errno.ENOENT, errno.EISDIR, errno.ENOTDIR,
    errno.EFBIG, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE,
)  # fmt: skip


class Interrupted(WorkFailed):
    """Whoever runs the command ended it."""


def explained(command: Callable[Params, Result]) -> Callable[Params, Result]:
    """Print our errors without a traceback, and exit with their status. A command that was asked for JSON prints `{"error"}` as well."""

    @wraps(command)
    def wrapper(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        try:
            return command(*args, **kwargs)
        except SettingsError as error:
            _explain("\n".join(f"settings: {line}" for line in str(error).splitlines()), kwargs)
            sys.exit(2)
        except AdapterError as error:
            _explain(f"Error: {error}", kwargs)
            sys.exit(INTERRUPTED if isinstance(error, Interrupted) else 1)
        except OSError as error:
            if error.errno not in _ABOUT_FILES:
                raise
            _explain(f"Error: {error.filename or 'reading or writing failed'}: {error.strerror}", kwargs)
            sys.exit(1)

    return wrapper


def _explain(why: str, options: Mapping[str, object]) -> None:
    """Print what is wrong; for a program as JSON too."""
    say(why, err=True)
    if options.get("as_json"):
        with suppress(OSError):
            echo(json.dumps({"error": why.removeprefix("Error: ")}, ensure_ascii=False))


@contextmanager
def interruptible(consequence: str) -> Iterator[None]:
    """End with a message on Ctrl-C, and on SIGTERM, with which Heroku and systemd stop a command."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {consequence}") from None
    finally:
        signal.signal(signal.SIGTERM, before)


def confirmed(question: str, *, err: bool = False) -> bool:
    """The answer to a yes-or-no question; raises `Interrupted` on Ctrl-C, and `WorkFailed` if nobody can answer."""
    try:
        return click.confirm(question, err=err)
    except click.Abort:
        echo(err=True)
        if sys.stdin.isatty():
            raise Interrupted("interrupted; nothing was changed") from None
        raise WorkFailed("nothing was changed, because there was no answer: run this in a terminal, or add --yes") from None
