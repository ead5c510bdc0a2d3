"""Commands find the sandbox that `serve --sandbox` runs on the same database, and never one that is gone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adapter.process.announcement import SandboxAddress, announced, announced_at
from adapter.process.per_database import path_for

HERE = SandboxAddress(url="http://127.0.0.1:8000", sandbox_url="http://127.0.0.1:8001")
_ANNOUNCE = """
import sys
from pathlib import Path
from adapter.process.announcement import SandboxAddress, announced
with announced(Path(sys.argv[1]), SandboxAddress(url="http://a", sandbox_url="http://b")):
    print(flush=True)
    sys.stdin.read()
"""


def find_running_sandbox(database_url: str) -> SandboxAddress | None:
    return announced_at(path_for(database_url, "sandbox"))


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/inbox.db"


def test_it_is_found_until_it_ends(database_url: str) -> None:
    assert find_running_sandbox(database_url) is None
    with announced(path_for(database_url, "sandbox"), HERE):
        assert find_running_sandbox(database_url) == HERE
        assert find_running_sandbox("sqlite:///another.db") is None
    assert find_running_sandbox(database_url) is None
    assert not path_for(database_url, "sandbox").exists()


def test_the_database_counts_and_not_how_it_is_named(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with announced(path_for(database_url, "sandbox"), HERE):
        assert find_running_sandbox("sqlite:///inbox.db") == HERE
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        assert find_running_sandbox("sqlite:///inbox.db") is None
        assert find_running_sandbox("sqlite:///../inbox.db") == HERE


def test_one_that_was_killed_is_not_found_though_its_file_is_left(database_url: str) -> None:
    path = path_for(database_url, "sandbox")
    process = subprocess.Popen([sys.executable, "-c", _ANNOUNCE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    assert find_running_sandbox(database_url) == SandboxAddress(url="http://a", sandbox_url="http://b")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert path.exists()
    assert find_running_sandbox(database_url) is None
    with announced(path, HERE):
        assert find_running_sandbox(database_url) == HERE


def test_a_second_one_on_the_same_database_leaves_the_first_in_place(database_url: str) -> None:
    path = path_for(database_url, "sandbox")
    with announced(path, HERE):
        with announced(path, SandboxAddress(url="http://a", sandbox_url="http://b")):
            assert find_running_sandbox(database_url) == HERE
        assert find_running_sandbox(database_url) == HERE


def test_without_a_folder_to_write_to_it_runs_all_the_same(tmp_path: Path) -> None:
    with announced(tmp_path / "missing" / "file", HERE):
        pass
