"""Searches for bytes that break what must hold of any, led by the branches that they reach: with atheris, where it can be installed.

`python -m tests.mappings.coverage_guided --seconds 60` gives each target that long; with `--target json`, one of them.
"""

import argparse
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

_LONGEST = 4_096


def main() -> int:
    """The exit status: 0 if nothing was found."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=int, default=60)
    arguments.add_argument("--target", default="")
    given = arguments.parse_args()
    if find_spec("atheris") is None:
        print("atheris can't be installed on this platform: the tests with hypothesis search the same targets")
        return 0
    if given.target:
        _search(given.target, given.seconds)
    from tests.mappings.byte_targets import TARGETS

    # A search ends its process.
    searches = [[sys.executable, "-m", __spec__.name, "--seconds", str(given.seconds), "--target", name] for name in TARGETS]
    return max(subprocess.run(search, check=False).returncode for search in searches)


def _search(name: str, seconds: int) -> None:
    import atheris

    # It would print a line for each module.
    with redirect_stderr(StringIO()), atheris.instrument_imports(include=["mappings"]):
        from tests.mappings.byte_targets import TARGETS
    target = TARGETS[name]

    def one(data: bytes) -> None:
        target.check(data)

    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(target.seeds):
            (Path(folder) / str(number)).write_bytes(seed)
        print(f"{name}: {len(target.seeds)} seeds, {seconds} s", flush=True)
        options = [
            f"-max_total_time={seconds}",
            f"-max_len={_LONGEST}",
            "-timeout=5",
            "-verbosity=0",
            "-print_final_stats=1",
            f"-artifact_prefix={folder}/",
        ]
        atheris.Setup([sys.argv[0], *options, folder], one)
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
