"""Calls in a process of their own, and the time limit of a process."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.process.isolation import CallFailed, Isolated, call_forked
from mappings import Rejected
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


def double(number: int) -> int:
    return 2 * number


def loop() -> None:
    while True:
        pass


def match_for_ever() -> None:
    re.fullmatch(r"(a|aa)+", "a" * 200 + "b")


def die() -> None:
    os._exit(7)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def reject() -> None:
    raise Rejected({"total_price": ["Missing."]})


@pytest.fixture(scope="module")
def isolated() -> Iterator[Isolated]:
    isolated = Isolated()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(Path(__file__).parent.parent.parent))
        yield isolated
    isolated.close()


CALLS: dict[str, Callable[[Isolated], Callable[..., Any]]] = {"isolated": lambda own: own.call, "forked": lambda own: call_forked}


@pytest.mark.parametrize("how", CALLS)
def test_a_call_returns_or_raises_as_usual(isolated: Isolated, how: str) -> None:
    call = CALLS[how](isolated)
    assert call(20, double, 21) == 42
    with pytest.raises(Rejected) as caught:
        call(20, reject)
    assert caught.value.problems == {"total_price": ["Missing."]}


def test_the_process_has_no_setting_in_its_environment() -> None:
    isolated = Isolated()
    with pytest.MonkeyPatch.context() as patched:
        for name in ("ADMIN_PASSWORD", "SHOPIFY_WEBHOOK_SECRET", "DATABASE_URL", "STORES"):
            patched.setenv(name, "hush hush")
        pid = isolated.call(20, os.getpid)
    assert b"hush" not in Path(f"/proc/{pid}/environ").read_bytes()
    isolated.close()


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize("work", [loop, match_for_ever])
def test_a_call_that_hangs_ends_in_time_and_the_next_one_works(isolated: Isolated, how: str, work: Callable[[], None]) -> None:
    call = CALLS[how](isolated)
    call(20, double, 1)
    begun = time.monotonic()
    with pytest.raises(CallFailed, match=r"took longer than 0\.3 s"):
        call(0.3, work)
    assert time.monotonic() - begun < 5
    assert call(20, double, 21) == 42


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize(("work", "status"), [(die, 7), (crash, -11)])
def test_a_call_that_ends_its_process_says_so_and_the_next_one_works(
    isolated: Isolated, how: str, work: Callable[[], None], status: int
) -> None:
    call = CALLS[how](isolated)
    with pytest.raises(CallFailed, match=rf"ended the process \(exit status {status}\)"):
        call(20, work)
    assert call(20, double, 21) == 42


@pytest.mark.parametrize("work", ["while True: pass", "re.fullmatch(r'(a|aa)+', 'a' * 200 + 'b')", "threading.Event().wait()"])
def test_the_time_limit_ends_a_process_wherever_it_hangs(work: str) -> None:
    program = f"""
import re, threading, time
from adapter.process.time_limit import TimeLimit
limit = TimeLimit(0.5)
for _ in range(100):
    with limit():
        pass
time.sleep(0.7)
def work():
    with limit():
        {work}
threading.Thread(target=work).start()
with limit():
    time.sleep(0.2)
time.sleep(20)
"""
    begun = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", program], timeout=30, check=False)
    assert ended.returncode == -signal.SIGALRM
    assert time.monotonic() - begun < 15


PARENT = """
import sys
from adapter.process.isolation import Isolated, call_forked
from tests.process.test_isolation import report_and_loop
call = Isolated().call if sys.argv[1] == "isolated" else call_forked
call(3.0, report_and_loop, sys.argv[2])
"""


def report_and_loop(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    loop()


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("how", CALLS)
def test_a_call_that_hangs_ends_though_its_parent_was_killed(how: str, tmp_path: Path) -> None:
    root, file = Path(__file__).parent.parent.parent, tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", PARENT, how, str(file)], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}) as parent:
        wait_until(lambda: file.exists() and file.read_text(), what="the call hangs")
        parent.kill()
    pid = int(file.read_text())
    assert runs(pid)
    wait_until(lambda: not runs(pid), what="the process ends")
