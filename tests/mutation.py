"""Does a test fail when the code is wrong? Changes one comparison, constant or operator at a time and runs the tests of that module.

python -m tests.mutation --sample 20 --seed 1      works on a copy; a survivor is a change that no test notices
"""

import argparse
import ast
import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_TIMEOUT_S = 240
# Rooms, and the tests that must notice.
_TESTS = {
    "mappings/shopify": ("tests/mappings/shopify", "tests/mappings/test_golden.py", "tests/mappings/test_lines.py"),
    "mappings/woocommerce": ("tests/mappings/woocommerce", "tests/mappings/test_golden.py", "tests/mappings/test_lines.py"),
    "mappings/magento": ("tests/mappings/magento", "tests/mappings/test_golden.py", "tests/mappings/test_lines.py"),
    "mappings/core": ("tests/mappings",),
    "adapter/delivery/pacing.py": ("tests/delivery/test_pacing.py", "tests/delivery/test_batches.py"),
    "adapter/delivery/backoff.py": ("tests/delivery/test_delivery.py", "tests/delivery/test_batches.py"),
    "adapter/delivery/settling.py": ("tests/delivery/test_delivery.py", "tests/delivery/test_batches.py", "tests/delivery/test_proving.py"),
    "adapter/inbox/versions.py": ("tests/delivery/test_ordering.py", "tests/delivery/test_returning.py"),
}
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult}


@dataclass(frozen=True)
class Mutant:
    """A module with one node changed."""

    path: str
    line: int
    before: str
    after: str
    source: str
    tests: tuple[str, ...]


def main() -> None:
    """Run a sample of all mutants; exit with 1 if any survives."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--only", default="", help="modules whose path contains this")
    options = parser.parse_args()
    mutants = [mutant for room, tests in _TESTS.items() for mutant in _of_room(room, tests) if options.only in mutant.path]
    chosen = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
    print(f"seed {options.seed}: {len(chosen)} of {len(mutants)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="adapter-mutation-") as folder:
        copy = Path(folder) / "tree"
        ignored = shutil.ignore_patterns(".git", ".venv", "build", "*.egg-info", "__pycache__", "node_modules")
        shutil.copytree(ROOT, copy, ignore=ignored)
        survivors = [mutant for mutant in chosen if _survives(mutant, copy)]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} killed")
    sys.exit(1 if survivors else 0)


def _of_room(room: str, tests: tuple[str, ...]) -> Iterator[Mutant]:
    place = ROOT / room
    for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        yield from _of_module(path, tests)


def _of_module(path: Path, tests: tuple[str, ...]) -> Iterator[Mutant]:
    source = path.read_text()
    for index, node in enumerate(ast.walk(ast.parse(source))):
        before = ast.unparse(node) if isinstance(node, ast.expr) else ""
        if before and _change(node):
            tree = ast.parse(source)
            changed = next(each for place, each in enumerate(ast.walk(tree)) if place == index)
            _change(changed)
            name = str(path.relative_to(ROOT))
            yield Mutant(name, getattr(node, "lineno", 0), before, ast.unparse(changed), ast.unparse(tree), tests)


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


def _survives(mutant: Mutant, copy: Path) -> bool:
    target = copy / mutant.path
    original = target.read_text()
    target.write_text(mutant.source)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not postgresql and not slow", *mutant.tests]
    try:
        run = subprocess.run(
            command, cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)}, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
        survives = run.returncode == 0
    except subprocess.TimeoutExpired:
        survives = False
    finally:
        target.write_text(original)
    word = "SURVIVED" if survives else "killed  "
    print(f"{word} {mutant.path}:{mutant.line}  {mutant.before[:70]}  ->  {mutant.after[:70]}", flush=True)
    return survives


if __name__ == "__main__":
    main()
