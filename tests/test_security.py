"""The threat table of docs/security.md names tests that exist."""

import ast
import re

import pytest

from tests.test_docs import ROOT, text_of

# A row without a test says why there is none.
ROWS = re.findall(r"^\| (?!threat|---)(.+?) \| (.+?) \| `(tests/[\w/]+\.py)::(\w+)` \|$", text_of("docs/security.md"), re.MULTILINE)


def test_every_row_names_a_test() -> None:
    rows = [
        line
        for line in text_of("docs/security.md").splitlines()
        if line.startswith("| ") and not line.startswith(("| threat", "| ---")) and "| none: " not in line
    ]
    assert len(rows) == len(ROWS) >= 20


@pytest.mark.parametrize(("path", "name"), [row[2:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_each_named_test_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
