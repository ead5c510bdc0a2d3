"""Standard input, output and error as commands need them, whatever the shell made of them."""

import codecs
import os
import sys

from adapter.printable import escaped

_STANDARD = (("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY), ("stderr", os.O_WRONLY))


def prepare_streams() -> None:
    """Open what the shell has closed, and let no character fail that the terminal's encoding doesn't have: it becomes a JSON escape."""
    codecs.register_error("json", _as_json)
    for descriptor, (name, mode) in enumerate(_STANDARD):
        if getattr(sys, name) is None:  # else the next file would get this descriptor, and be printed into
            _open_nothing(descriptor, mode)
            setattr(sys, name, os.fdopen(descriptor, "r" if mode == os.O_RDONLY else "w", encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if codecs.lookup(stream.encoding).name != "utf-8":
            stream.reconfigure(errors="json")  # type: ignore[union-attr]


def release_streams() -> None:
    """Drop what can't be written, which the command has reported: at its end Python would try again, and complain."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _open_nothing(1, os.O_WRONLY)


def _open_nothing(descriptor: int, mode: int) -> None:
    opened = os.open(os.devnull, mode)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)


def _as_json(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return escaped(error.object[error.start : error.end]), error.end
