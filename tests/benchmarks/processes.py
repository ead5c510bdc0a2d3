"""The adapter's commands, and what it is compared with, as processes of their own: started, watched, and ended by their ids."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from adapter.process.supervisor import free_port
from tests.support.adapter_under_test import ACCOUNT, SECRET

ADAPTER = (sys.executable, "-m", "adapter")
DRIP = {"DRIP_ACCOUNT_ID": ACCOUNT.id, "DRIP_API_KEY": ACCOUNT.token}
_TICKS = os.sysconf("SC_CLK_TCK")
_KB = 1024


@dataclass(frozen=True)
class Running:
    """A command and all the processes of its session."""

    pid: int

    def cpu_s(self) -> float:
        """CPU time of all of them so far."""
        return sum(int(ticks) for pid in self.pids() for ticks in _stat(pid)[11:13]) / _TICKS

    def threads(self, role: str = "") -> int:
        """How many threads they have, or those of one role."""
        return sum(int(count) for pid in self.pids() if role in ("", _role(pid)) for count in _stat(pid)[17:18])

    def memory_mb(self) -> dict[str, float]:
        """Proportional memory (PSS) by role: what is shared is divided among those that share it."""
        found: Counter[str] = Counter()
        for pid in self.pids():
            with suppress(OSError):
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                found[_role(pid)] += int(rollup.partition("\nPss:")[2].split()[0])
        return {role: round(kilobytes / _KB, 1) for role, kilobytes in found.items()}

    def pids(self) -> list[int]:
        """The ids of those that run; raises `ProcessLookupError` if none does."""
        found = [pid for pid in _all_pids() if (stat := _stat(pid)) and int(stat[3]) == self.pid]
        if not found:
            raise ProcessLookupError(f"process {self.pid} has ended")
        return found


@contextmanager
def running(command: Sequence[str], variables: dict[str, str], *, up: str = "") -> Iterator[Running]:
    """Run a command until the block ends; `up` is the address that answers once it is ready."""
    process = subprocess.Popen(
        command, env=environment(variables), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        if up:
            wait_until_up(up)
        yield Running(process.pid)
    finally:
        _end(process)


@contextmanager
def serving(variables: dict[str, str], name: str = "serve") -> Iterator[tuple[Running, str]]:
    """`serve`, or `web` alone, at a free port; the processes and the address."""
    bind = f"127.0.0.1:{free_port('127.0.0.1')}"
    with running([*ADAPTER, name, "--bind", bind], variables, up=f"http://{bind}/healthz") as processes:
        yield processes, f"http://{bind}"


@contextmanager
def sandbox() -> Iterator[str]:
    """A sandbox in Drip's place, in a process of its own; its address."""
    bind = f"127.0.0.1:{free_port('127.0.0.1')}"
    with running([*ADAPTER, "sandbox", "--bind", bind], {}, up=f"http://{bind}/received"):
        yield f"http://{bind}"


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command: these variables, and what it needs besides."""
    known = {"SHOPIFY_WEBHOOK_SECRET": SECRET, "PUBLIC_URL": "https://adapter.example", "LOG_LEVEL": "WARNING"}
    return {**os.environ, **known, **variables}


def wait_until_up(url: str, within_s: float = 30.0) -> None:
    """Wait for the first answer; raises `TimeoutError`."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            with urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise TimeoutError(f"nothing answers at {url}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty if the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _role(pid: int) -> str:
    command, parent = _command(pid), _command(int(_stat(pid)[1]))
    if command in ("web", "bare", "naive"):
        return f"{command} worker" if parent == command else f"{command} master"
    return {"send": "sender", "supervise": "supervisor", "serve": "supervisor"}.get(command, command)


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return ""
    return words[words.index("adapter") + 1] if "adapter" in words[:-1] else words[0].rpartition("/")[2]
