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
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from adapter.errors import WorkFailed
from adapter.process.announcement import SandboxAddress, announced

log = logging.getLogger(__name__)
_POLL_S = 0.2
# After so long nobody is waiting for the word any more.
_READY_WITHIN_S = 120.0
_READY_TIMEOUT_S = 1.0
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


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a supervisor does. It must hold no secret: other users of the machine can see it among a process's arguments."""

    parts: Sequence[Part]
    address: str
    """HOST:PORT of the web part."""
    ready: str
    """What to print as soon as the adapter answers there."""
    sandbox_url: str = ""
    announced_at: str = ""
    """The file in which to announce the sandbox."""


def become_supervisor(plan: Plan) -> NoReturn:
    """Replace this process by a supervisor; its process id stays."""
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-m", "adapter", "supervise", json.dumps(asdict(plan))]
    os.execv(sys.executable, command)  # noqa: S606 - our own module


def supervise(described: str) -> int:
    """Carry out the plan of `become_supervisor`; the exit status."""
    values = json.loads(described)
    plan = Plan(**values | {"parts": [Part(**part) for part in values["parts"]]})
    supervisor = Supervisor(plan)
    if not plan.announced_at:
        return supervisor.run()
    with announced(Path(plan.announced_at), SandboxAddress(url=f"http://{plan.address}", sandbox_url=plan.sandbox_url)):
        return supervisor.run()


class Supervisor:
    """Starts the parts, restarts what may be restarted, and stops them all on SIGTERM or SIGINT."""

    def __init__(self, plan: Plan) -> None:
        self._parts = [_Running(part) for part in plan.parts]
        self._plan = plan
        self._stopping = False

    def run(self) -> int:
        """Run until asked to stop; the exit status."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        for running in self._parts:
            running.start()
        status = 0
        asked_until = time.monotonic() + _READY_WITHIN_S
        while not self._stopping:
            time.sleep(_POLL_S)
            if time.monotonic() < asked_until and _answers(self._plan.address):
                asked_until = 0.0
                sys.stdout.write(f"{self._plan.ready}\n")
                sys.stdout.flush()
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


def _answers(address: str) -> bool:
    """Whether the adapter is ready to receive webhooks. Without `http.client`, which is larger than all else in this process."""
    host, _, port = address.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))  # noqa: S104 - asked, not bound
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=_READY_TIMEOUT_S) as connection:
        connection.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        return b" 200 " in connection.recv(100)
    return False


def require_port(address: str) -> None:
    """Raise `WorkFailed` if nothing can listen at HOST:PORT, before anything is started."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        with socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise WorkFailed(f"cannot listen at {address} ({why}): choose another address with --bind") from None


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
