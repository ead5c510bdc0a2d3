"""What a person does with the dashboard, in a real browser."""

import json
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import text

from adapter.inbox.database import transaction
from tests.adapter_under_test import shopify_order
from tests.browser.conftest import Running

pytestmark = pytest.mark.browser
WIDTHS = (360, 800, 1600)
THEMES = ("light", "dark")
HOSTILE = "<script>document.title = 'taken over'</script><img src=x onerror=\"document.title = 'taken over'\">"


def payload(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def settled(running: Running, page: Page, delivery: int, state: str) -> None:
    """Wait until a delivery has come to a state."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        page.goto(f"/deliveries/{delivery}")
        if page.locator("h1 + .state").inner_text() == state:
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"delivery {delivery} is not {state}: {page.locator('h1 + .state').inner_text()}")


def test_1_from_the_first_run_to_the_first_delivered_order(running: Running, page: Page) -> None:
    page.goto("/stores/shopify")
    expect(page.get_by_text("Waiting for the first webhook")).to_be_visible()
    running.receive(payload(shopify_order(990001)))
    expect(page.get_by_text("Received.")).to_be_visible()  # turns by itself
    page.goto("/")
    page.get_by_role("button", name="Replay the samples").click()
    expect(page.get_by_text("12 of 12 samples are kept")).to_be_visible()
    page.locator("table.list tbody tr", has_text="paid").or_(page.locator("table.list tbody tr")).last.get_by_role("link").first.click()
    settled(running, page, int(page.url.rpartition("/")[2]), "delivered")
    expect(page.get_by_text("Drip took it")).to_be_visible()
    page.goto("/")
    expect(page.get_by_text("Orders move.")).to_be_visible()
    received = requests.get(f"{running.stand_in}/received", timeout=10).json()["orders"]
    assert received


def test_2_order_1042_is_found_among_100000(running: Running, page: Page) -> None:
    engine = running.engine()
    with transaction(engine) as connection:
        connection.execute(
            text(
                """
                INSERT INTO deliveries (store, key, topic, headers, payload, received_at, due_at, order_id, order_number, read_at, placed,
                                        progress, state, settled_at)
                WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 100000)
                SELECT 'shopify', 'many-' || n, 'orders/create', '{}', x'7b7d', :at - n, :at - n, 700000 + n,
                       CASE WHEN n = 50000 THEN '1042' ELSE 'M' || n END, :at, 1, '[]', 'delivered', :at
                FROM s
                """
            ),
            {"at": int(datetime.now(UTC).timestamp() * 1_000_000)},
        )
    engine.dispose()
    page.goto("/")
    began = time.monotonic()
    page.get_by_role("searchbox").fill("#1042")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"Delivery \d+"))
    assert time.monotonic() - began < 3
    expect(page.get_by_role("link", name="order #1042")).to_be_visible()


def test_3_dead_letters_are_mended_and_retried_in_bulk(running: Running, page: Page) -> None:
    rule = {"status": 422, "body": {"errors": [{"code": "presence_error", "attribute": "email"}]}}
    requests.put(f"{running.stand_in}/answers", json=rule, timeout=10).raise_for_status()
    found = [running.receive(payload(shopify_order(880000 + number))) for number in range(3)]
    for delivery in found:
        settled(running, page, delivery, "dead")
    expect(page.get_by_text("nobody retries it unasked").first).to_be_visible()
    requests.delete(f"{running.stand_in}/answers", timeout=10).raise_for_status()
    page.goto("/deliveries?state=dead&topic=orders%2Fupdated")
    page.get_by_role("checkbox", name="all on this page").check()
    page.get_by_role("button", name="Retry selected").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Send 3 deliveries again?")
    page.get_by_role("button", name="Send 3 again").click()
    expect(page.get_by_text("3 deliveries are sent again.")).to_be_visible()
    for delivery in found:
        settled(running, page, delivery, "delivered")
    page.goto("/audit")
    expect(page.get_by_text("3 deliveries picked")).to_be_visible()


def test_4_a_script_in_a_product_name_is_inert(running: Running, page: Page) -> None:
    order = shopify_order(870001)
    order["line_items"][0]["title"] = HOSTILE
    order["note"] = HOSTILE
    delivery = running.receive(payload(order))
    running.receive(payload(shopify_order(870002)), topic=HOSTILE)
    settled(running, page, delivery, "delivered")
    page.get_by_role("button", name="Show personal data").click()
    expect(page.get_by_text("taken over").first).to_be_visible()
    for path in (f"/deliveries/{delivery}", "/deliveries", "/orders/shopify/870001"):
        page.goto(path)
        assert "taken over" not in page.title()


def test_5_a_field_shows_what_it_was_made_from_by_keyboard(running: Running, page: Page) -> None:
    delivery = running.receive(payload(shopify_order(860001)))
    settled(running, page, delivery, "delivered")
    link = page.locator(".from a", has_text="line_items.0.title").first
    link.focus()
    lit = page.locator(".tree .lit")
    expect(lit).to_have_text(re.compile("title"))
    page.keyboard.press("Tab")
    assert lit.count() == 1


def test_6_it_works_without_javascript(running: Running, browser: Browser) -> None:
    context = browser.new_context(base_url=running.address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/deliveries")
    page.locator("input[name=id]").first.check()
    page.get_by_role("button", name="Retry selected").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("again"))
    page.goto("/")
    page.get_by_role("searchbox").fill("nobody at all")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No delivery is like that")).to_be_visible()
    context.close()


def _pages(running: Running, page: Page) -> dict[str, str]:
    """A page of each kind."""
    found = {
        "overview": "/",
        "deliveries": "/deliveries",
        "none": "/deliveries?q=nobody",
        "stores": "/stores",
        "store": "/stores/woocommerce",
    }
    page.goto("/deliveries?state=delivered&topic=orders%2Fupdated")
    row = page.locator("table.list tbody tr").first
    found["delivery"] = str(row.locator("td:nth-child(2) a").get_attribute("href"))
    found["order"] = str(row.locator("td:nth-child(4) a").get_attribute("href"))
    for state in ("dead", "skipped"):
        page.goto(f"/deliveries?state={state}")
        found[state] = str(page.locator("table.list tbody tr td:nth-child(2) a").first.get_attribute("href"))
    return found | {"audit": "/audit", "error": "/deliveries/99999999"}


def test_7_axe_finds_nothing_and_nothing_sticks_out(running: Running, browser: Browser, page: Page, tmp_path: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe

    shots = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    shots.mkdir(parents=True, exist_ok=True)
    paths, faults = _pages(running, page), []
    for theme in THEMES:
        context = browser.new_context(base_url=running.address, color_scheme=theme)  # type: ignore[arg-type]
        shown = context.new_page()
        for name, path in paths.items():
            shown.goto(path)
            results = Axe().run(shown)
            faults += [
                f"{name} {theme}: {each['id']} {[node['target'] for node in each['nodes']][:3]}" for each in results.response["violations"]
            ]
            for width in WIDTHS:
                shown.set_viewport_size({"width": width, "height": 900})
                if shown.evaluate("document.documentElement.scrollWidth") > width:
                    faults.append(f"{name} {theme}: sticks out at {width}")
                shown.screenshot(path=shots / f"{name}-{width}-{theme}.png", full_page=True)
        context.close()
    assert not faults, "\n".join(faults)
    assert len(list(shots.glob("*.png"))) >= len(paths) * len(WIDTHS) * len(THEMES)
