"""Where `serve --sandbox` is running, for the commands that are run beside it.

The supervisor writes a small file and holds a lock on it for as long as it lives. So the file of a supervisor that was killed is never
believed: nobody holds its lock.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_TRIES = 10
_BETWEEN_TRIES_S = 0.05


@dataclass(frozen=True, kw_only=True)
class SandboxAddress:
    """Where an adapter with a sandbox can be reached."""

    url: str
    """Where the adapter itself listens."""
    sandbox_url: str


@contextmanager
def announced(path: Path, address: SandboxAddress) -> Iterator[None]:
    """Tell other processes of this user where the sandbox is, until the end of the block or of this process."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:  # no writable folder for temporary files: the commands don't find the sandbox
        yield
        return
    ours = _locked(file)
    try:
        if ours:
            os.ftruncate(file, 0)
            os.write(file, json.dumps(asdict(address)).encode())
        yield
    finally:
        if ours:
            path.unlink(missing_ok=True)
        os.close(file)


def announced_at(path: Path) -> SandboxAddress | None:
    """What is announced there by a process of this user that is still running; None if nothing is."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        if os.fstat(file).st_uid != os.getuid():
            return None
        with suppress(ValueError, TypeError):  # just being written
            return SandboxAddress(**json.loads(os.read(file, 10_000)))
    finally:
        os.close(file)
    return None


def _locked(file: int) -> bool:
    """Lock the file; a command that looks holds it for an instant, another supervisor for good."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_BETWEEN_TRIES_S)
        else:
            return True
    return False
