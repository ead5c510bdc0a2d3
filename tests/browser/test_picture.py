"""The picture at the top of the README: made from the samples, so that it can be made again (`make picture`)."""

import os
import struct
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from sqlalchemy import select

from adapter.cli.demo.story import SCENES
from adapter.inbox.database import snapshot
from adapter.inbox.tables import deliveries
from tests.browser.conftest import Running, opened
from tests.support.waiting import wait_until
from tests.test_docs import ROOT

pytestmark = pytest.mark.browser
COMMITTED = ROOT / "docs" / "images" / "dashboard.png"
SIZE = (1200, 1140)

MOST_BYTES = 150_000
LANTERN = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48"><path fill="#fbe9d0" d="M0 0h48v48H0z"/>
<path fill="none" stroke="#7a3b2e" stroke-width="2" d="M16 13a8 8 0 0 1 16 0"/>
<path fill="#c0392b" d="M15 13h18l2 5H13zM13 36h22l3 6H10z"/>
<path fill="#fdf6ec" stroke="#7a3b2e" stroke-width="2" d="M15 18h18l1 18H14z"/>
<path fill="#f5a623" d="M24 22c5 6 4 11 0 11s-5-5 0-11z"/></svg>"""
"""The picture of a product, in the place of the address that the sample contains."""


def size_of(picture: Path) -> tuple[int, int]:
    """Width and height, from a PNG's first chunk."""
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    return width, height


def nothing_waits(running: Running) -> bool:
    engine = running.engine()
    try:
        with snapshot(engine) as connection:
            return not connection.execute(select(deliveries.c.id).where(deliveries.c.state == "pending")).all()
    finally:
        engine.dispose()


def test_the_picture_in_the_readme_can_be_made_again(fresh: Running, browser: Browser, tmp_path: Path) -> None:
    made = Path(os.environ.get("PICTURE") or tmp_path / "dashboard.png")
    assert made.is_absolute(), "tests run in a directory of their own"
    for scene in SCENES:
        if scene.sample.startswith("shopify/lantern") and not scene.sample.endswith("late"):
            topics = [value for name, value in scene.case.headers.items() if name.lower() in scene.case.provider.topic_headers]
            fresh.receive(scene.case.payload, scene.case.provider.name, *topics)
            wait_until(lambda: nothing_waits(fresh))
    with opened(browser, fresh) as page:
        page.route("https://cdn.example.com/**", lambda route: route.fulfill(body=LANTERN, content_type="image/svg+xml"))
        page.set_viewport_size({"width": SIZE[0], "height": SIZE[1]})
        page.goto("/orders/shopify/6011000000404")
        page.screenshot(path=made)
    assert f"](docs/images/{COMMITTED.name})" in (ROOT / "README.md").read_text(encoding="utf-8")
    for picture in (made, COMMITTED):
        assert size_of(picture) == SIZE
        assert picture.stat().st_size < MOST_BYTES
