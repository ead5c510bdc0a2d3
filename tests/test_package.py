"""The distributions: what they contain, and that the wheel alone is the whole command."""

import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapter import __version__
from tests.support import installed, terminal

PACKAGES = ("adapter", "mappings")
METADATA = f"drip_order_adapter-{__version__}.dist-info"


@dataclass(frozen=True)
class Built:
    """A copy of the checkout, and what was built from it."""

    source: Path
    sdist: Path
    wheel: Path

    def files(self) -> set[str]:
        return {path.relative_to(self.source).as_posix() for path in self.source.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("package")
    source = installed.copy_source(folder / "source")
    before = Built(source, Path(), Path()).files()
    sdist, wheel = installed.build(source, folder / "dist")
    for path in source.rglob("*"):
        if path.is_file() and path.relative_to(source).as_posix() not in before:
            path.unlink()
    return Built(source, sdist, wheel)


@pytest.mark.slow
def test_the_wheel_contains_both_packages_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        metadata = archive.read(f"{METADATA}/METADATA").decode()
    own = {name for name in names if not name.startswith(f"{METADATA}/")}
    assert own == {file for file in built.files() if file.startswith(tuple(f"{package}/" for package in PACKAGES))}
    for line in (
        "License-Expression: MIT",
        "Requires-Python: >=3.11",
        "Classifier: Programming Language :: Python :: 3.13",
        "Project-URL: ",
    ):
        assert f"\n{line}" in metadata
    assert "](" not in metadata, "a link into the checkout leads nowhere on the package's page"


@pytest.mark.slow
def test_the_source_distribution_contains_the_checkout(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert built.files() - names == set()


@pytest.mark.slow
def test_the_wheel_alone_runs_the_demo_in_an_empty_folder(built: Built, tmp_path: Path) -> None:
    commands, empty = installed.install(built.wheel, tmp_path / "environment"), tmp_path / "empty"
    empty.mkdir()

    def run(*arguments: str) -> str:
        command = [str(commands / "drip-adapter"), *arguments]
        done = subprocess.run(command, cwd=empty, env=terminal.environment(), capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert run("--version") == f"drip-adapter, version {__version__}\n"
    shown = run("demo")
    assert "line_items.1.price: Not a valid number." in shown, "lines are broken although there is no terminal"
    assert "\x1b" not in shown
    assert list(empty.iterdir()) == []
