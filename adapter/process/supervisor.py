"""`serve`: the whole adapter on one machine. Web and sender are processes of their own, so that neither waits for the other.

The supervisor itself lives as long as the adapter and does nothing but watch, so it imports only the standard library: what `serve` needed
to read the settings and to prepare the database is left behind by `become_supervisor`.
"""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from adapter.errors import WorkFailed
from adapter.process.announcement import SandboxAddress, announced

log = logging.getLogger(__name__)
_POLL_S = 0.2
_RESTART_AFTER_S = 1.0
# Longer than a sender needs to finish the request it is sending.
_STOP_TIMEOUT_S = 12.0


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process of the adapter. When a `vital` one ends, so do the others; any other is started again."""

    name: str
    arguments: Sequence[str]
    vital: bool
    environ: Mapping[str, str] = field(default_factory=dict)


def become_supervisor(parts: Sequence[Part], *announcement: str) -> NoReturn:
    """Replace this process by a supervisor of the parts; its process id stays. `announcement` is what `supervise` takes."""
    sys.stdout.flush()
    sys.stderr.flush()
    described = json.dumps([asdict(part) for part in parts])
    os.execv(sys.executable, [sys.executable, "-m", "adapter", "supervise", described, *announcement])  # noqa: S606 - our own module


def supervise(described: str, path: str = "", url: str = "", sandbox_url: str = "") -> int:
    """Run the parts that `become_supervisor` hands over; with a path, announce the sandbox there. Returns the exit status."""
    supervisor = Supervisor([Part(**part) for part in json.loads(described)])
    if not path:
        return supervisor.run()
    with announced(Path(path), SandboxAddress(url=url, sandbox_url=sandbox_url)):
        return supervisor.run()


class Supervisor:
    """Starts the parts, restarts what may be restarted, and stops them all on SIGTERM or SIGINT."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = [_Running(part) for part in parts]
        self._stopping = False

    def run(self) -> int:
        """Run until asked to stop; the exit status."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        for running in self._parts:
            running.start()
        status = 0
        while not self._stopping:
            time.sleep(_POLL_S)
            if lost := next((running for running in self._parts if running.is_lost()), None):
                log.error("%s ended unexpectedly; stopping the adapter", lost.part.name, extra={"action": "stopping"})
                status = 1
                break
        self._stop_all()
        return status

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _stop_all(self) -> None:
        processes = [running.process for running in self._parts if running.process is not None and running.process.poll() is None]
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        for process in processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class _Running:
    """A part and its process."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.process: subprocess.Popen[bytes] | None = None
        self._ended_at: float | None = None

    def start(self) -> None:
        """Start it as a child of this process, in its group."""
        command = [sys.executable, "-m", "adapter", *self.part.arguments, "--parent", str(os.getpid())]
        self.process = subprocess.Popen(command, env={**os.environ, **self.part.environ})  # noqa: S603 - our own module
        self._ended_at = None

    def is_lost(self) -> bool:
        """Whether it has ended and is vital; any other is started again after a moment."""
        if self.process is None or self.process.poll() is None:
            return False
        if self.part.vital:
            return True
        now = time.monotonic()
        if self._ended_at is None:
            self._ended_at = now
            log.error("%s ended with %s; restarting it", self.part.name, self.process.returncode, extra={"action": "restart"})
        elif now - self._ended_at > _RESTART_AFTER_S:
            self.start()
        return False


def require_port(address: str) -> None:
    """Raise `WorkFailed` if nothing can listen at HOST:PORT, before anything is started."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        with socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        raise WorkFailed(f"cannot listen at {address} ({os.strerror(error.errno or 0)}): choose another address with --bind") from None


def free_port(host: str, wish: int = 0) -> int:
    """`wish` if nothing listens there, else any free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wish))
        except OSError:
            probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
