"""Calls a function in a process of its own, which may hang or die without harm to this one.

The process is started at the first call, serves one call after the other, and ends after a minute without any, or with its parent. A call
that takes too long ends it at once, even inside C code that no signal handler and no thread could interrupt; also if the parent was killed
in the meantime, since then a timer of the kernel does it.
"""

import atexit
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection, Pipe
from typing import Any, ParamSpec, TypeVar

_IDLE_S = 60.0
# What a process needs to start, on a busy machine.
_START_S = 30.0
# How much later the timer is than the parent.
_LATER_S = 1.0
_READY = "ready"
_NEEDED = re.compile(r"PATH|HOME|LANG|LC_\w+|TZ|TMPDIR|PYTHON\w*|VIRTUAL_ENV|LD_\w+|COVERAGE\w*")
"""The environment that the process gets: none of the settings, so that what a payload makes of it reads no secret."""
Params = ParamSpec("Params")
Result = TypeVar("Result")


class CallFailed(Exception):  # noqa: N818 - reads as what it is in `except`
    """The call took too long, or ended its process; the message is for people."""


class Isolated:
    """One such process, for the threads of this one in turn."""

    def __init__(self, module: str = "") -> None:
        """`module` is imported as the process starts, so that no call has to wait for it."""
        self._module = module
        self.start_within_s = _START_S
        """How long to wait for the process to start, in seconds; it goes on starting after that."""
        self._turn = threading.Lock()
        self._is_ready = False
        self._connection: Connection | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def call(self, timeout_s: float, function: Callable[Params, Result], *arguments: Params.args, **named: Params.kwargs) -> Result:
        """The function's result; raises what it raises, or `CallFailed`.

        `function` must be defined in a module, and everything passed in either direction must be picklable.
        """
        if not self._turn.acquire(timeout=timeout_s):
            raise CallFailed(f"others are being mapped, and it had to wait longer than {timeout_s:g} s")
        try:
            return self._call(timeout_s, (function, arguments, named))  # type: ignore[no-any-return]
        finally:
            self._turn.release()

    def start(self) -> bool:
        """Start the process now, so that the first call needn't; whether it is ready."""
        if not self._turn.acquire(timeout=self.start_within_s):
            return False
        try:
            self._started(self.start_within_s)
        except (CallFailed, EOFError, OSError):
            return False
        finally:
            self._turn.release()
        return True

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._connection is not None:
            self._connection.close()
        atexit.unregister(self.close)
        self._process = self._connection = None

    def _call(self, timeout_s: float, request: Any) -> Any:
        try:
            connection = self._started(timeout_s)
            connection.send((timeout_s, *request))
            if not connection.poll(timeout_s):
                self.close()
                raise CallFailed(f"took longer than {timeout_s:g} s")
            succeeded, result = connection.recv()
        except (EOFError, OSError):
            status = self._process.wait() if self._process else None
            self.close()
            raise CallFailed(f"ended the process (exit status {status})") from None
        if not succeeded:
            raise result
        return result

    def _started(self, timeout_s: float) -> Connection:
        if self._connection is None or self._process is None or self._process.poll() is not None:
            self.close()
            self._is_ready = False
            ours, theirs = Pipe()
            command = [sys.executable, "-m", "adapter", "isolated", str(theirs.fileno()), self._module]
            environ = {name: value for name, value in os.environ.items() if _NEEDED.fullmatch(name)}
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own module
                    command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=environ
                )
            self._connection = ours
            atexit.register(self.close)
        if not self._is_ready:
            if not self._connection.poll(timeout_s):
                raise CallFailed("has to wait for its process, which is still starting")
            self._connection.recv()
            self._is_ready = True
        return self._connection


def call_forked(timeout_s: float, function: Callable[Params, Result], *arguments: Params.args, **named: Params.kwargs) -> Result:
    """The same by a fork of this process, which takes no time to start; only for a process without other threads."""
    ours, theirs = Pipe()
    process = get_context("fork").Process(target=_answer, args=(theirs, timeout_s, function, arguments, named), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(timeout_s):
            raise CallFailed(f"took longer than {timeout_s:g} s")
        succeeded, result = ours.recv()
    except EOFError:
        process.join()
        raise CallFailed(f"ended the process (exit status {process.exitcode})") from None
    finally:
        process.kill()
        process.join()
        ours.close()
    if not succeeded:
        raise result
    return result  # type: ignore[no-any-return]


def _answer(connection: Connection, timeout_s: float, function: Callable[..., Any], arguments: Any, named: Any) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, timeout_s + _LATER_S)
    try:
        answer = (True, function(*arguments, **named))
    except Exception as error:  # noqa: BLE001 - the caller's to handle
        answer = (False, error)
    signal.setitimer(signal.ITIMER_REAL, 0)
    connection.send(answer)


def serve_calls(descriptor: int, module: str) -> None:
    """Serve the calls that arrive at a descriptor: the other side of `Isolated`."""
    if module:
        import_module(module)
    with Connection(descriptor) as connection:
        connection.send(_READY)
        while connection.poll(_IDLE_S):
            try:
                call = connection.recv()
            except EOFError:
                return
            _answer(connection, *call)
