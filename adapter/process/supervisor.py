"""`serve`: the whole adapter on one machine. Web and sender are processes of their own, so that neither waits for the other."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FrameType

from adapter.errors import WorkFailed

log = logging.getLogger(__name__)
_POLL_S = 0.2
_RESTART_AFTER_S = 1.0
# Longer than a sender needs to finish the request in hand.
_PATIENCE_S = 12.0


@dataclass
class Part:
    """One process of the adapter. A `vital` one takes the others down with it; any other is started again."""

    name: str
    arguments: tuple[str, ...]
    vital: bool
    environ: Mapping[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    died_at: float = field(default=0.0)

    def start(self) -> None:
        """Start it as a child of this process, in its group."""
        command = [sys.executable, "-m", "adapter", *self.arguments, "--parent", str(os.getpid())]
        self.process = subprocess.Popen(command, env={**os.environ, **self.environ})  # noqa: S603 - our own module
        self.died_at = 0.0


class Supervisor:
    """Starts the parts, restarts what may be restarted, and stops them all on SIGTERM or SIGINT."""

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts
        self._stopping = False

    def run(self) -> int:
        """Run until told to stop; the exit status."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        for part in self._parts:
            part.start()
        status = 0
        while not self._stopping:
            time.sleep(_POLL_S)
            if fallen := self._fallen():
                log.error("%s ended by itself", fallen.name, extra={"action": "stopping"})
                status = 1
                break
        self._end_all()
        return status

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _fallen(self) -> Part | None:
        now = time.monotonic()
        for part in self._parts:
            if part.process is None or part.process.poll() is None:
                continue
            if part.vital:
                return part
            if not part.died_at:
                part.died_at = now
                log.error("%s ended with %s; starting it again", part.name, part.process.returncode, extra={"action": "restart"})
            elif now - part.died_at > _RESTART_AFTER_S:
                part.start()
        return None

    def _end_all(self) -> None:
        running = [part.process for part in self._parts if part.process is not None and part.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _PATIENCE_S
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def require_port(address: str) -> None:
    """Raise `WorkFailed` if nothing can listen at HOST:PORT, before anything is started."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        with socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        raise WorkFailed(f"cannot listen at {address} ({error.strerror}): choose another address with --bind") from None


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
