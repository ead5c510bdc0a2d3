"""Our errors as messages with an exit status."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from adapter.cli.text import say
from adapter.errors import AdapterError, SettingsError

Params = ParamSpec("Params")
Result = TypeVar("Result")


def explained(command: Callable[Params, Result]) -> Callable[Params, Result]:
    """Print our errors without a traceback, and exit with their status."""

    @wraps(command)
    def wrapper(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        try:
            return command(*args, **kwargs)
        except SettingsError as error:
            say("\n".join(f"settings: {line}" for line in str(error).splitlines()), err=True)
            sys.exit(2)
        except AdapterError as error:
            say(f"Error: {error}", err=True)
            sys.exit(1)

    return wrapper
