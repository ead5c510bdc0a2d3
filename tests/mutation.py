"""Does a test fail when the code is wrong? Changes one comparison, constant or operator at a time and runs the tests that reach it.

python -m tests.mutation --sample 20 --seed 1      works on copies; a survivor is a change that no test notices

The tests of a room are run once without a change, which shows which test reaches which line and how long they may take.
"""

import argparse
import ast
import os
import queue
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from coverage import CoverageData

ROOT = Path(__file__).parents[1]
_LEAST_TIMEOUT_S = 60
_NOTHING_RUN = 5
"""pytest's exit status where no test is selected."""
_GOLDEN = (
    "tests/mappings/test_golden.py",
    "tests/mappings/test_lines.py",
    "tests/mappings/test_rare_cases.py",
    "tests/mappings/test_sums.py",
)
_SIGNATURES = ("tests/mappings/test_signature.py", "tests/mappings/test_providers.py")
_SENDING = tuple(f"tests/delivery/test_{name}.py" for name in ("delivery", "settling", "batches", "proving"))
_ORDERING = ("tests/delivery/test_ordering.py", "tests/delivery/test_returning.py")
# Rooms, and the tests that must notice.
_TESTS: Mapping[str, Sequence[str]] = {
    "mappings/shopify": ("tests/mappings/shopify", "tests/operations/test_compliance.py", *_GOLDEN),
    "mappings/woocommerce": ("tests/mappings/woocommerce", *_GOLDEN),
    "mappings/magento": ("tests/mappings/magento", *_SIGNATURES, *_GOLDEN),
    "mappings/bigcommerce": ("tests/mappings/bigcommerce", *_SIGNATURES, *_GOLDEN),
    "mappings/core": ("tests/mappings",),
    "adapter/web/webhooks.py": ("tests/web/test_webhooks.py", "tests/web/test_origin.py", "tests/web/test_public_address.py"),
    "adapter/web/origin.py": ("tests/web/test_origin.py",),
    "adapter/delivery/pacing.py": ("tests/delivery/test_pacing.py", "tests/delivery/test_batches.py"),
    "adapter/delivery/backoff.py": _SENDING,
    "adapter/delivery/settling.py": _SENDING,
    "adapter/inbox/settling.py": (*_SENDING, *_ORDERING, "tests/operations/test_retry.py"),
    "adapter/inbox/versions.py": ("tests/inbox/test_versions.py", *_ORDERING),
    "adapter/operations/verdict.py": ("tests/operations/test_verdict.py", "tests/operations/test_waiting.py"),
    "adapter/operations/sums.py": ("tests/operations/test_sums.py",),
}
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult}


@dataclass(frozen=True)
class Mutant:
    """A module with one node changed."""

    room: str
    path: str
    line: int
    before: str
    after: str
    source: str


@dataclass(frozen=True)
class Unchanged:
    """What a run of a room's tests without a change showed."""

    seconds: float
    reached: Mapping[str, Mapping[int, Sequence[str]]]
    """Module -> line -> the tests that reach it; a blank name for what runs when the module is imported."""


def main() -> None:
    """Run a sample of all mutants; exit with 1 if any survives."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--only", default="", help="modules whose path contains this; several with commas")
    parser.add_argument("--jobs", type=int, default=2, help="how many run at a time")
    options = parser.parse_args()
    wanted = options.only.split(",")
    mutants = [mutant for room in _TESTS for mutant in _of_room(room) if any(part in mutant.path for part in wanted)]
    chosen = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
    print(f"seed {options.seed}: {len(chosen)} of {len(mutants)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="adapter-mutation-") as folder, ThreadPoolExecutor(options.jobs) as pool:
        copies: queue.Queue[Path] = queue.Queue()
        for number in range(options.jobs):
            copies.put(_copy(Path(folder) / f"tree{number}"))
        rooms = sorted({mutant.room for mutant in chosen})
        unchanged = dict(zip(rooms, pool.map(lambda room: _run_unchanged(room, copies), rooms), strict=True))
        survivors = sum(pool.map(lambda mutant: _survives(mutant, unchanged[mutant.room], copies), chosen))
    print(f"{len(chosen) - survivors} of {len(chosen)} killed")
    sys.exit(1 if survivors else 0)


def _copy(target: Path) -> Path:
    ignored = shutil.ignore_patterns(".git", ".venv", "build", "*.egg-info", "__pycache__", "node_modules")
    shutil.copytree(ROOT, target, ignore=ignored)
    return target


# --- changing -------------------------------------------------------------------------------------------------------------------------


def _of_room(room: str) -> Iterator[Mutant]:
    place = ROOT / room
    for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        yield from _of_module(room, path)


def _of_module(room: str, path: Path) -> Iterator[Mutant]:
    source = path.read_text()
    tree = ast.parse(source)
    # `@dataclass(slots=True)` and the like say how a class is written, not what it does.
    decorators = {id(node) for each in ast.walk(tree) for top in getattr(each, "decorator_list", ()) for node in ast.walk(top)}
    for index, node in enumerate(ast.walk(tree)):
        before = ast.unparse(node) if isinstance(node, ast.expr) and id(node) not in decorators else ""
        if before and _change(node):
            tree = ast.parse(source)
            changed = next(each for place, each in enumerate(ast.walk(tree)) if place == index)
            _change(changed)
            name = str(path.relative_to(ROOT))
            yield Mutant(room, name, getattr(node, "lineno", 0), before, ast.unparse(changed), ast.unparse(tree))


def _change(node: ast.AST) -> bool:
    """Change a node in place; whether it is of a kind that can be changed."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        node.ops[0] = _COMPARISONS[type(node.ops[0])]()
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS and not isinstance(node.right, ast.Name | ast.Constant):
        node.op = _OPERATORS[type(node.op)]()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        node.value = not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        node.value += 1
    else:
        return False
    return True


# --- running --------------------------------------------------------------------------------------------------------------------------


def _run_unchanged(room: str, copies: "queue.Queue[Path]") -> Unchanged:
    """Run a room's tests without a change. Ends the program if they fail: they would seem to notice every change."""
    copy = copies.get()
    recorded = copy / ".coverage-of-mutation"
    module = room.removesuffix(".py").replace("/", ".")
    measure = (f"--cov={module}", "--cov-context=test", "--cov-report=", "--cov-fail-under=0")
    started = time.monotonic()
    run = _pytest(copy, [*measure, *_TESTS[room]], timeout=900, COVERAGE_FILE=str(recorded))
    seconds = time.monotonic() - started
    copies.put(copy)
    if run.returncode:
        sys.exit(f"the tests of {room} fail without any change:\n{run.stdout[-3000:]}")
    data = CoverageData(str(recorded))
    data.read()
    return Unchanged(seconds, {str(Path(path).relative_to(copy)): _tests_by_line(data, path) for path in data.measured_files()})


def _tests_by_line(data: CoverageData, path: str) -> Mapping[int, Sequence[str]]:
    return {
        line: sorted({context.split("|")[0].split("[")[0] for context in contexts})
        for line, contexts in data.contexts_by_lineno(path).items()
    }


def _survives(mutant: Mutant, unchanged: Unchanged, copies: "queue.Queue[Path]") -> bool:
    reaching = unchanged.reached.get(mutant.path, {}).get(mutant.line, ())
    # What runs at import concerns every test of the room, and so does a later line of a statement, which has no tests of its own.
    tests = _TESTS[mutant.room] if "" in reaching or not reaching else reaching
    copy = copies.get()
    target = copy / mutant.path
    original = target.read_text()
    target.write_text(mutant.source)
    try:
        patience = max(_LEAST_TIMEOUT_S, 3 * unchanged.seconds)
        # What the quick tests don't notice, a slow one may.
        survives = _pytest(copy, tests, timeout=patience).returncode == 0 and (
            _pytest(copy, _TESTS[mutant.room], timeout=900, marked="slow").returncode in (0, _NOTHING_RUN)
        )
    except subprocess.TimeoutExpired:
        survives = False
    finally:
        target.write_text(original)
        copies.put(copy)
    word = "SURVIVED" if survives else "killed  "
    print(f"{word} {mutant.path}:{mutant.line}  {mutant.before[:70]}  ->  {mutant.after[:70]}", flush=True)
    return survives


def _pytest(
    copy: Path, arguments: Sequence[str], *, timeout: float, marked: str = "not slow", **variables: str
) -> "subprocess.CompletedProcess[str]":
    chosen = f"not postgresql and not browser and {marked}"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", chosen, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(copy), **variables}
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


if __name__ == "__main__":
    main()
