"""The picture at the top of the README: made from the samples, so that it can be made again (`make picture`)."""

import os
import struct
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Running, opened
from tests.test_docs import ROOT

pytestmark = pytest.mark.browser
COMMITTED = ROOT / "docs" / "images" / "dashboard.png"
SIZE = (1200, 750)
MOST_BYTES = 150_000


def size_of(picture: Path) -> tuple[int, int]:
    """Width and height, from a PNG's first chunk."""
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    return width, height


def test_the_picture_in_the_readme_can_be_made_again(fresh: Running, browser: Browser, tmp_path: Path) -> None:
    made = Path(os.environ.get("PICTURE") or tmp_path / "dashboard.png")
    with opened(browser, fresh) as page:
        page.set_viewport_size({"width": SIZE[0], "height": SIZE[1]})
        page.goto("/")
        page.get_by_role("button", name="Replay the samples").click()
        expect(page.get_by_text("12 of 12 samples received")).to_be_visible()
        page.goto("/orders")
        expect(page.get_by_text("#2044").first).to_be_visible()
        expect(page.get_by_text("pending")).to_have_count(0)
        page.screenshot(path=made)
        page.goto("/")
        page.screenshot(path=tmp_path / "overview.png")
    assert f"](docs/images/{COMMITTED.name})" in (ROOT / "README.md").read_text(encoding="utf-8")
    for picture in (made, COMMITTED):
        assert size_of(picture) == SIZE
        assert picture.stat().st_size < MOST_BYTES
