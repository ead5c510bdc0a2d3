"""`demo`, in an empty folder, as somebody sees it who has just installed the adapter."""

import re
import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest

from adapter import samples
from adapter.cli.demo.story import SCENES
from tests.support import terminal
from tests.support.fixture_cases import FIXTURES

ROOT = FIXTURES.parent
COLUMNS = 80
# A busy machine's warnings are lines of the log, which a terminal wraps.
LOGGED = re.compile(r"\d{4}-\d\d-\d\dT[\d:]{8}Z [A-Z]+ ")
STORY = """\
Shopify product    page and image of a lantern    nothing; kept for its orders
Shopify #2044      a new order                    created: 138.87 USD, 5 items
Shopify #2044      the same webhook again         nothing; it is a copy
Shopify #2044      edited: one more lantern       updated: 193.40 USD, 6 items
Shopify #2044      refunded in part               updated: 134.32 USD, 4 items
Shopify #2044      an older state, arriving late  nothing; it has a newer state
WooCommerce 10102  a guest's order                created: 92.34 GBP, 4 items
WooCommerce 10102  cancelled and paid back        updated: 0 GBP, 4 items
WooCommerce 10114  an order not paid yet          nothing until it is paid
Magento 000004107  a new order                    created: 216.87 USD, 3 items
Magento 000004107  one of two jackets returned    updated: 125.40 USD, 2 items
Shopify #9999      a test notification            nothing; only a test
"""
COMPARED = """\
grand_total          134.32                     current_total_price +1
items.0.name         Storm Lantern              line_items.0.title
items.0.image_url    https://cdn.example.com/…  (the product's own webhook)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an installation has: the packages, and no checkout around them."""
    folder = tmp_path_factory.mktemp("installed")
    for name in ("adapter", "mappings"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.slow
def test_the_demo_tells_its_story_and_leaves_nothing_behind(package: Path, tmp_path: Path) -> None:
    status, shown = terminal.run_in_terminal(COLUMNS, "demo", cwd=tmp_path, variables={"PYTHONPATH": str(package)})
    assert status == 0, shown
    final = shown[shown.index("order              what the store sent") :]
    lines = [line.rstrip() for line in final.splitlines()]
    assert max(len(line) for line in lines) <= COLUMNS
    assert [line for line in STORY.splitlines() if line not in lines] == [], final
    assert [line for line in COMPARED.splitlines() if line not in lines] == [], final
    assert "needs you" in final
    assert "Try next:" in lines
    assert sum("serve --sandbox" in line or "map shopify" in line or "connect shopify" in line for line in lines) == 3
    assert list(tmp_path.iterdir()) == []


def test_every_sample_is_in_the_story_and_in_the_package() -> None:
    folder = Path(samples.__file__).parent
    files = {path.relative_to(ROOT / "adapter").as_posix() for path in folder.rglob("*.json")}
    assert {scene.sample for scene in SCENES} == set(samples.STORY)
    assert {f"samples/{scene.sample}/{name}.json" for scene in SCENES for name in ("headers", "payload")} == files
    assert '"samples/*/*/*.json"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(fnmatch(file, "samples/*/*/*.json") for file in files)


@pytest.mark.slow
def test_all_fixtures_need_a_checkout_and_the_command_says_so(package: Path) -> None:
    result = terminal.run("demo", "--all", PYTHONPATH=str(package))
    assert result.returncode == 1
    assert b"checkout" in result.stderr


@pytest.mark.slow
def test_all_fixtures_are_posted_and_each_is_shown_with_its_result(tmp_path: Path) -> None:
    status, shown = terminal.run_in_terminal(COLUMNS, "demo", "--all", cwd=tmp_path)
    assert status == 0
    rows = shown.splitlines()
    table = [row for row in rows[: rows.index("One of them, as Drip got it:")] if not LOGGED.match(row)]
    assert [row for row in table if len(row) > COLUMNS] == []
    [paid, *_] = [row.split() for row in rows if row.startswith("paid-order")]
    assert paid[-2:] == ["delivered", "created"]
    assert "Traceback" not in shown
    for word in ("Shopify", "WooCommerce", "Magento", "never_placed", "dead", '"grand_total"'):
        assert word in shown
    assert list(tmp_path.iterdir()) == []
