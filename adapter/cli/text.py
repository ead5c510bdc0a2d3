"""Text on a terminal: long lines are broken between words. Elsewhere, as in a pipe, every line stays whole."""

import shutil
import sys
import textwrap

import click


def say(text: str, *, err: bool = False) -> None:
    """Print lines; one that is too long continues below its own indentation."""
    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        width = shutil.get_terminal_size().columns
        text = "\n".join(_wrapped(line, width) for line in text.splitlines())
    click.echo(text, err=err)


def _wrapped(line: str, width: int) -> str:
    indentation = " " * (len(line) - len(line.lstrip()))
    wrapped = textwrap.fill(line, width, subsequent_indent=indentation + "  ", break_long_words=False, break_on_hyphens=False)
    return wrapped if len(line) > width else line
