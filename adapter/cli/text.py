"""Text that commands print, with control characters as escapes.

On a terminal, long lines are broken between words. Elsewhere, as in a pipe, every line stays whole.
"""

import shutil
import sys
import textwrap

import click

from adapter.printable import printable


def echo(text: str | bytes = "", *, err: bool = False) -> None:
    """Print text, or JSON, as it is but for control characters."""
    click.echo(printable(text if isinstance(text, str) else text.decode()), err=err)


def say(text: str, *, err: bool = False) -> None:
    """Print lines; one that is too long continues below its own indentation."""
    text = printable(text)
    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        width = shutil.get_terminal_size().columns
        text = "\n".join(_wrapped(line, width) for line in text.splitlines())
    echo(text, err=err)


def _wrapped(line: str, width: int) -> str:
    indentation = " " * (len(line) - len(line.lstrip()))
    wrapped = textwrap.fill(line, width, subsequent_indent=indentation + "  ", break_long_words=False, break_on_hyphens=False)
    return wrapped if len(line) > width else line
