"""Runs the command as a person or a program does: a process of its own, with a terminal or without."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

_STYLING = re.compile("\x1b\\[[0-9;]*m")
COMMAND = (sys.executable, "-m", "adapter")


def environment(**variables: str) -> dict[str, str]:
    """What a process of ours needs of this one's environment, and the variables."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "PYTHONPATH") or name.startswith("COV")}
    return kept | {"PYTHONWARNINGS": "error"} | variables


def run(
    *arguments: str, stdin: bytes = b"", timeout: float = 60, variables: Mapping[str, str] | None = None, **more: str
) -> "subprocess.CompletedProcess[bytes]":
    env = environment(**(variables or {}), **more)
    return subprocess.run([*COMMAND, *arguments], input=stdin, capture_output=True, env=env, timeout=timeout, check=False)


def run_in_terminal(columns: int, *arguments: str, cwd: Path | None = None, variables: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Exit status and what stood on a terminal so many columns wide, without its colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    env = environment(TERM="xterm", **(variables or {}))
    process = subprocess.Popen([*COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=cwd)
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux says that nobody holds the other end any more
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    return process.wait(30), _STYLING.sub("", seen.decode().replace("\r\n", "\n"))
