"""How an exception that nobody expected is shown: where it happened, and its message only where that can't quote an order or a secret.

This holds for those that end a process or a thread and for those in log lines.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

from adapter.errors import AdapterError
from adapter.printable import printable

# Python's own messages about these name files, modules and attributes.
_HARMLESS = (OSError, ImportError, NameError, AttributeError, RecursionError, MemoryError)
_LEFT_OUT = "(message left out: it may quote an order or a secret)"
_CAUSED = "\nThe above exception led to the following one:\n\n"


def shown(error: BaseException) -> str:
    """The traceback of an exception and of those that led to it, with control characters as escapes."""
    return printable(_CAUSED.join("".join(_lines(each)) for each in reversed(list(_chain(error)))).rstrip("\n"))


def show_uncaught() -> None:
    """Show whatever ends this process or one of its threads like that, and warnings as log lines."""
    sys.excepthook = lambda kind, error, trace: _print(error)
    threading.excepthook = lambda ended: _print(ended.exc_value)
    sys.unraisablehook = lambda failed: _print(failed.exc_value)
    logging.captureWarnings(capture=True)


def _print(error: BaseException | None) -> None:
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    elif error is not None:
        print(shown(error), file=sys.stderr)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what led to it, the last one first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _lines(error: BaseException) -> Iterator[str]:
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        yield from traceback.format_tb(error.__traceback__)
    yield f"{_name(type(error))}: {str(error) if _is_harmless(error) else _LEFT_OUT}\n"


def _is_harmless(error: BaseException) -> bool:
    """Libraries derive exceptions of their own from Python's, which may quote anything."""
    return isinstance(error, AdapterError) or (isinstance(error, _HARMLESS) and type(error).__module__ == "builtins")


def _name(kind: type[Any]) -> str:
    return kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
