"""What people do with the dashboard, in a real browser."""

import json
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import text

from adapter.inbox.database import transaction
from tests.browser.conftest import PASSWORD, Running, opened
from tests.support.adapter_under_test import make_settings, shopify_order
from tests.support.whole_app import create_app

pytestmark = pytest.mark.browser
WIDTHS = (360, 800, 1600)
NARROWEST = 320
"""The width of a window of 1280 pixels at a zoom of 400 % (WCAG 2.2, 1.4.10)."""
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SCREENSHOTS = os.environ.get("SCREENSHOTS", "")
"""Directory for pictures of all pages: `make screenshots`."""
AXE = Axe().axe_script
_COLOR_RULES = ["color-contrast", "link-in-text-block"]
HOSTILE = "<script>document.title = 'taken over'</script><img src=x onerror=\"document.title = 'taken over'\">"


def payload(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def settled(page: Page, delivery: int, state: str) -> None:
    """Wait until a delivery is in a state."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        page.goto(f"/deliveries/{delivery}")
        if page.locator("h1 + .state").inner_text() == state:
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"delivery {delivery} is not {state}: {page.locator('h1 + .state').inner_text()}")


def test_from_the_first_run_to_the_first_delivered_order(fresh: Running, browser: Browser) -> None:
    with opened(browser, fresh) as page:
        page.goto("/")
        expect(page.get_by_text("Ready and waiting for the first webhook.")).to_be_visible()
        expect(page.get_by_text("never to Drip")).to_be_visible()
        page.goto("/stores/shopify")
        expect(page.get_by_text("Waiting for the first webhook")).to_be_visible()
        fresh.receive(payload(shopify_order(990001)))
        expect(page.get_by_text("Receiving webhooks.")).to_be_visible()  # without a reload by hand
        page.goto("/")
        page.get_by_role("button", name="Replay the samples").click()
        expect(page.get_by_text("7 delivered, 4 skipped, 1 refused on purpose.")).to_be_visible(timeout=20_000)  # without a reload
        page.locator("table.list tbody tr", has_text="000004107").get_by_role("link").last.click()
        settled(page, int(page.url.rpartition("/")[2]), "delivered")
        expect(page.get_by_text("accepted by Drip")).to_be_visible()
        page.goto("/")
        expect(page.get_by_text("Orders are reaching the sandbox, but something needs attention.")).to_be_visible()  # one sample is dead
    received = requests.get(f"{fresh.sandbox}/received", timeout=10).json()["orders"]
    assert "990001" in {order["order_id"] for order in received}


def test_order_1042_is_found_among_100000(running: Running, page: Page) -> None:
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
    expect(page.get_by_role("heading", level=1)).to_have_text("Order #1042")
    assert time.monotonic() - began < 3


def test_dead_letters_are_retried_in_bulk(running: Running, page: Page) -> None:
    rule = {"status": 422, "body": {"errors": [{"code": "presence_error", "attribute": "email"}]}}
    requests.put(f"{running.sandbox}/answers", json=rule, timeout=10).raise_for_status()
    found = [running.receive(payload(shopify_order(880000 + number))) for number in range(3)]
    for delivery in found:
        settled(page, delivery, "dead")
    expect(page.get_by_text("won't be retried automatically").first).to_be_visible()
    requests.delete(f"{running.sandbox}/answers", timeout=10).raise_for_status()
    page.goto("/deliveries?state=dead&topic=orders%2Fupdated")
    page.get_by_role("checkbox", name="Select all on this page").check()
    page.get_by_role("button", name="Retry selected").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Send 3 deliveries again?")
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("3 deliveries have been queued and will be sent again.")).to_be_visible()
    for delivery in found:
        settled(page, delivery, "delivered")
    page.goto("/audit")
    expect(page.get_by_text("3 selected")).to_be_visible()


def test_a_script_in_a_product_name_is_inert(running: Running, page: Page) -> None:
    order = shopify_order(870001)
    order["line_items"][0]["title"] = HOSTILE
    order["note"] = HOSTILE
    delivery = running.receive(payload(order))
    running.receive(payload(shopify_order(870002)), topic=HOSTILE)
    settled(page, delivery, "delivered")
    page.get_by_role("button", name="Show personal data").click()
    expect(page.get_by_text("taken over").first).to_be_visible()
    for path in (f"/deliveries/{delivery}", "/deliveries", "/orders/shopify/870001"):
        page.goto(path)
        assert "taken over" not in page.title()


def test_a_field_shows_its_source_by_keyboard(running: Running, page: Page) -> None:
    delivery = running.receive(payload(shopify_order(860001)))
    settled(page, delivery, "delivered")
    link = page.locator(".from a", has_text="line_items.0.title").first
    link.focus()
    lit = page.locator(".tree .lit")
    expect(lit).to_have_text(re.compile("title"))
    page.keyboard.press("Tab")
    assert lit.count() == 1


def test_it_works_without_javascript(running: Running, browser: Browser) -> None:
    running.receive(payload(shopify_order(855001)))
    context = browser.new_context(base_url=running.address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/deliveries")
    page.locator("input[name=id]").first.check()
    page.get_by_role("button", name="Retry selected").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("again"))
    page.goto("/")
    page.get_by_role("searchbox").fill("nobody at all")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No deliveries match")).to_be_visible()
    context.close()


def test_pages_refresh_themselves_and_leave_the_reader_in_peace(running: Running, browser: Browser) -> None:
    context = browser.new_context(base_url=running.address, timezone_id="Asia/Tokyo")
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "x-refresh" in request.headers else None)
    first = running.receive(payload(shopify_order(835001)))
    page.goto("/deliveries")
    box = page.locator(f'input[name="id"][value="{first}"]')
    box.check()
    topic = page.get_by_label("Topic")
    topic.fill("half ty")
    second = running.receive(payload(shopify_order(835002)))
    fresh = page.locator(f'tr[data-key="{second}"]')
    expect(fresh).to_have_class("fresh", timeout=15_000)
    expect(fresh.locator(".state")).to_have_text("delivered", timeout=15_000)
    assert (box.is_checked(), topic.input_value(), topic.evaluate("each => each === document.activeElement")) == (True, "half ty", True)
    expect(page.locator("footer")).to_contain_text("Times are in your time zone, GMT+9")
    received = fresh.locator("time").last
    at = datetime.fromisoformat(received.get_attribute("datetime") or "")
    assert received.inner_text() == f"{at.astimezone(ZoneInfo('Asia/Tokyo')):%d %b %H:%M:%S}"
    assert received.get_attribute("title") == f"{at:%Y-%m-%d %H:%M:%S} UTC"
    # A row that moves keeps the focus.
    page.goto("/orders")
    order = page.get_by_role("link", name="#835001")
    order.focus()
    running.receive(payload(shopify_order(835001, minutes=5, total="120.00")))
    expect(page.locator("tbody tr").first).to_contain_text("120.00", timeout=30_000)
    expect(page.locator("tbody tr").first).to_have_attribute("data-key", "shopify 835001")
    expect(order).to_be_focused()
    # What is open and what is selected stay; Escape closes.
    page.goto("/")
    summary = page.get_by_text("Show as a table")
    summary.click()
    running.receive(payload(shopify_order(835003)))
    expect(page.get_by_role("link", name="#835003")).to_be_visible(timeout=30_000)
    expect(page.locator("details[open]")).to_have_count(1)
    page.evaluate("getSelection().selectAllChildren(document.getElementById('orders'))")
    with page.expect_response(lambda response: "x-refresh" in response.request.headers, timeout=30_000):
        pass
    assert page.evaluate("String(getSelection())") == "Latest orders"
    summary.press("Escape")
    expect(page.locator("details[open]")).to_have_count(0)
    expect(summary).to_be_focused()
    page.goto("/deliveries")
    # Hidden tabs ask for nothing. There is no window to cover in a headless browser, so the page is told.
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    asked.clear()
    page.wait_for_timeout(4500)
    assert asked == []
    page.evaluate("Object.defineProperty(document, 'hidden', { value: false }); document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(500)
    assert len(asked) == 1
    context.close()


def log_in(page: Page, password: str) -> None:
    page.goto("/deliveries?state=dead")
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")


def test_the_login_refuses_and_is_throttled(guarded: Running, browser: Browser) -> None:
    with opened(browser, guarded, "192.0.2.1") as page:
        for _ in range(5):
            log_in(page, "guessed")
            expect(page.get_by_role("alert")).to_have_text("Wrong password.")
        alert = page.get_by_role("alert")
        for _ in range(8):  # the wait doubles, so even a slow browser meets it
            log_in(page, "guessed")
            expect(alert).to_be_visible()
            if alert.inner_text() != "Wrong password.":
                break
        expect(alert).to_have_text(re.compile(r"Too many wrong passwords\. Try again in \d+ s\."))
        page.goto("/")
        expect(page.get_by_label("Password")).to_be_visible()


def test_only_our_own_forms_change_anything(guarded: Running, browser: Browser) -> None:
    delivery = guarded.receive(payload(shopify_order(850001)))
    with opened(browser, guarded, "192.0.2.2") as page:
        log_in(page, PASSWORD)
        expect(page.get_by_role("heading", level=1)).to_have_text("Deliveries")
        settled(page, delivery, "delivered")
        page.evaluate("document.querySelectorAll('[name=csrf_token]').forEach((each) => each.remove())")
        with page.expect_response(re.compile(r"/retry$")) as refused:
            page.get_by_role("button", name="Retry").click()
        assert refused.value.status == 400
        # Another site's form: the browser doesn't send the session with it.
        form = f'<form method="post" action="{guarded.address}/deliveries/{delivery}/retry"><button>win a prize</button></form>'
        page.goto(guarded.sandbox.replace("127.0.0.1", "localhost") + "/received")
        page.set_content(form)
        page.get_by_role("button").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        page.goto("/audit")
        expect(page.get_by_text("logged in")).to_be_visible()
        expect(page.get_by_text("retried")).to_have_count(0)


@pytest.fixture(scope="module")
def every_page(running: Running, browser: Browser) -> dict[str, str]:
    """The address of a page of each kind."""
    found = {
        "overview": "/",
        "month": "/?span=month",
        "orders": "/orders",
        "deliveries": "/deliveries",
        "none": "/deliveries?q=nobody",
        "stores": "/stores",
    }
    found |= {"store": "/stores/woocommerce", "choice of ways": "/stores/magento", "error": "/deliveries/99999999", "audit": "/audit"}
    found |= {"unknown": "/nowhere", "sandbox": running.sandbox}
    order, unmappable = shopify_order(840001), shopify_order(840002)
    unmappable["line_items"][0]["price"] = "no price"
    lines = [
        {"id": 1, "product_id": 1, "title": "W" * 300, "sku": "S" * 200, "price": "1.00", "quantity": 1000000},
        {
            "id": 2,
            "product_id": 2,
            "title": "\N{RIGHT-TO-LEFT OVERRIDE}\N{WRAPPED PRESENT} \N{ARABIC LETTER MEEM}",
            "price": "1.00",
            "quantity": 1,
        },
    ]
    long = shopify_order(840004, total="123456789.00") | {
        "name": f"#{'N' * 80}-0001", "email": f"{'a' * 60}@{'b' * 60}.example", "line_items": lines,
    }  # fmt: skip
    running.receive(payload(shopify_order(839001, total="1234567.00") | {"name": "#000000004107-B"}))
    ended = {
        "delivery": (order, "delivered"), "dead": (unmappable, "dead"), "skipped": (shopify_order(840003) | {"test": True}, "skipped"),
        "long delivery": (long, "delivered"),
    }  # fmt: skip
    with opened(browser, running) as page:
        for name, (document, state) in ended.items():
            delivery = running.receive(payload(document), topic="orders/" + "updated" * 20 if name == "skipped" else "orders/updated")
            settled(page, delivery, state)
            found[name] = f"/deliveries/{delivery}"
    return found | {"order": "/orders/shopify/840001", "long order": "/orders/shopify/840004"}


def faults_of(shown: Page, name: str) -> list[str]:
    """What axe finds in a page as it is, in both themes, and what doesn't fit at each width; takes pictures for SCREENSHOTS.

    The themes differ in their colors only, so the other rules are checked in one of them.
    """
    shown.emulate_media(color_scheme="light")
    faults = violations(shown, name, {"resultTypes": ["violations"]})
    shown.emulate_media(color_scheme="dark")
    faults += violations(shown, f"{name}, dark", {"resultTypes": ["violations"], "runOnly": {"type": "rule", "values": _COLOR_RULES}})
    for width in (NARROWEST, *WIDTHS):
        shown.set_viewport_size({"width": width, "height": 900})
        faults += [f"{name}: {what} at {width}: {each}" for what, script in MISFITS.items() for each in shown.evaluate(script)]
        for theme in THEMES if SCREENSHOTS and width in WIDTHS else ():
            shown.emulate_media(color_scheme=theme)
            shown.screenshot(path=Path(SCREENSHOTS) / f"{name}-{theme}-{width}.png", full_page=True)
    return faults


SMALL_TARGETS = """() => [...document.querySelectorAll("a, button, input:not([type=hidden]), select, summary")].filter((each) => {
  const aim = each.matches("[type=checkbox]") && each.closest("label") || each;
  const { width, height } = aim.getBoundingClientRect();
  const beside = [...each.parentNode.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
  const inSentence = each.matches("a") && beside.some((node) => /[a-z]{2}/i.test(node.data));
  const isShown = each.checkVisibility({ visibilityProperty: true }) && !each.closest(".hidden, .skip, .tree");
  return isShown && !inSentence && (width < 24 || height < 24);
}).map((each) => each.outerHTML.slice(0, 120))"""
"""Controls smaller than 24 by 24 pixels, except links within a sentence (WCAG 2.2, 2.5.8)."""
TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
  .filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && !each.closest(".scroll, .tree, pre"))
  .map((each) => each.outerHTML.slice(0, 120)).slice(0, 3)"""
CUT_OFF = """() => [...document.querySelectorAll(".scroll, .bar nav, .fact, .titled")].filter((each) => each.scrollWidth > each.clientWidth)
  .map((each) => each.getAttribute("aria-label") || each.textContent)"""
BROKEN_NUMBERS = """() => [...document.querySelectorAll("a.order")].map((each) => [each.textContent, each.offsetHeight])
  .filter(([number, height]) => number.length <= 16 && height > 30)"""
MISFITS = {"too wide": TOO_WIDE, "too small": SMALL_TARGETS, "cut off": CUT_OFF, "on two lines": BROKEN_NUMBERS}


def test_every_page_is_among_those_that_are_looked_at(running: Running, every_page: dict[str, str]) -> None:
    known = create_app(make_settings(running.sandbox), running.engine()).url_map
    routes = known.bind("127.0.0.1")
    shown = {routes.match(path.partition("?")[0])[0] for path in every_page.values() if path.startswith("/") and path != "/nowhere"}
    pages = {rule.endpoint for rule in known.iter_rules() if rule.endpoint.startswith("dashboard.") and "GET" in (rule.methods or ())}
    assert pages - shown == {"dashboard.log_in", "dashboard.arrivals"}  # a page that has its own test, and JSON


def test_filters_are_folded_on_a_phone_and_on_one_row_on_a_desktop(running: Running, page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto("/deliveries")
    expect(page.get_by_label("Topic")).to_be_hidden()
    page.get_by_text("Filters", exact=True).click()
    expect(page.get_by_label("Topic")).to_be_visible()
    page.set_viewport_size({"width": 1600, "height": 900})
    page.goto("/deliveries?state=delivered")
    edges = "[...document.querySelectorAll('.filters > label > *, .filters button')].map((each) => each.getBoundingClientRect())"
    assert page.evaluate(f"new Set({edges}.flatMap((each) => [each.top, each.bottom])).size") == 2


def test_the_chart_has_text_of_one_size_at_every_width(running: Running, page: Page) -> None:
    running.receive(payload(shopify_order(838001)))
    sizes = set()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.goto("/")
        tick = page.locator(".chart .tick").first
        sizes.add(tick.evaluate("(each) => Math.round(each.getBoundingClientRect().height)"))
        assert page.locator(".chart .grid").count() == 2
        assert page.locator(".chart .axis").count() == 1
    assert len(sizes) == 1


def violations(shown: Page, name: str, options: dict[str, Any]) -> list[str]:
    if not shown.evaluate("'axe' in window"):
        shown.evaluate(AXE)
    found = shown.evaluate("options => axe.run(options)", options)["violations"]
    return [f"{name}: {each['id']} {[node['target'] for node in each['nodes']][:3]}" for each in found]


def test_axe_finds_nothing_and_every_page_fits_its_window(running: Running, browser: Browser, every_page: dict[str, str]) -> None:
    context = browser.new_context(base_url=running.address)
    shown, faults = context.new_page(), []
    for name, path in every_page.items():
        shown.goto(path)
        faults += faults_of(shown, name)
    # Pages that only a button leads to.
    shown.goto(every_page["delivery"])
    shown.get_by_role("button", name="Show personal data").click()
    faults += faults_of(shown, "revealed")
    shown.goto("/deliveries")
    shown.locator("input[name=id]").first.check()
    shown.get_by_role("button", name="Retry selected").click()
    faults += faults_of(shown, "retry")
    context.close()
    assert not faults, "\n".join(faults)


def test_the_login_page_is_as_accessible(guarded: Running, browser: Browser) -> None:
    context = browser.new_context(base_url=guarded.address, extra_http_headers={"X-Forwarded-For": "192.0.2.3"})
    shown = context.new_page()
    log_in(shown, "guessed")
    expect(shown.get_by_role("alert")).to_be_visible()
    faults = faults_of(shown, "login")
    context.close()
    assert not faults, "\n".join(faults)
