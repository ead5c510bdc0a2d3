"""The wheel and the source distribution, and an environment where only the wheel is installed."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
# What git ignores and what tools leave behind; tests/browser and others write to build/.
_NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", ".coverage*", ".env", "*.egg-info", "build", "dist", "site", "*.db*"
)


def copy_source(to: Path) -> Path:
    """A copy of the checkout without what git ignores, so that building leaves the checkout alone."""
    return Path(shutil.copytree(ROOT, to, ignore=_NOT_SOURCE))


def build(source: Path, to: Path) -> tuple[Path, Path]:
    """Build the source distribution, and from it the wheel."""
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(to), str(source))
    [sdist], [wheel] = to.glob("*.tar.gz"), to.glob("*.whl")
    return sdist, wheel


def install(wheel: Path, to: Path) -> Path:
    """Install a wheel into an environment of its own; the environment's commands.

    The libraries come from the environment that runs the tests: downloading them again would take longer than all of this.
    """
    _run(sys.executable, "-m", "venv", "--without-pip", str(to))
    _run(sys.executable, "-m", "pip", "--python", str(to), "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    [packages] = to.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return to / "bin"


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
