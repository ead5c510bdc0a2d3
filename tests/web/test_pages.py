"""The pages of deliveries, orders and stores, and their actions."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html import unescape
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
import requests
from sqlalchemy import Engine, text

from adapter.inbox.database import transaction
from adapter.process.replay import find_cases
from adapter.settings import SANDBOX_ACCOUNT
from mappings import PROVIDERS, Credentials, Reason
from tests.support.adapter_under_test import ACCOUNT, AdapterUnderTest, make_settings, shopify_order
from tests.web.conftest import Visitor, audited, delivery_of, visitor, with_dashboard

HOSTILE = "<script>alert('x')</script>"
# Clear the screen, reverse what follows, isolate it, hide a space, a line separator, an invisible tag.
INVISIBLE = "A\x1b[2J\u202e\u2066B\u200b\u2028\U000e0041C"
UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2060-\u206f\U000e0000-\U000e007f]")
REFRESH = {"X-Refresh": "1"}


def test_the_overview_shows_whether_orders_are_reaching_drip(adapter: AdapterUnderTest, page: Visitor) -> None:
    assert "waiting for the first webhook" in page.get("/").text
    adapter.post(shopify_order())
    adapter.settle()
    answer = page.get("/?span=hour")
    assert answer.status_code == 200
    assert "Orders are reaching Drip." in answer.text
    assert re.search(r"1 received, \d+ delivered", answer.text)


def test_the_overview_shows_that_orders_are_stuck(adapter: AdapterUnderTest, page: Visitor) -> None:
    adapter.tell_drip(status=401)
    adapter.post(shopify_order())
    adapter.settle()
    assert "Orders are stuck." in page.get("/").text


def test_without_drip_settings_the_overview_shows_where_to_find_them(engine: Engine) -> None:
    somebody = visitor(with_dashboard(make_settings("http://127.0.0.1:1", account=None)), engine)
    somebody.log_in()
    said = somebody.get("/").text
    assert "DRIP_ACCOUNT_ID" in said
    assert "Orders are stored safely until Drip is connected" in said
    assert "sandbox" not in said


@pytest.mark.parametrize("span", ["hour", "day", "month", "century"])
def test_every_span_has_a_chart_and_a_table(adapter: AdapterUnderTest, page: Visitor, span: str) -> None:
    adapter.post(shopify_order())
    said = page.get(f"/?span={span}").text
    assert said.count('scope="row"') >= 24
    assert "<svg" in said


def test_deliveries_are_listed_newest_first_and_paged_by_id(adapter: AdapterUnderTest, page: Visitor) -> None:
    for number in range(60):
        adapter.post(shopify_order(2000 + number))
    first = page.get("/deliveries").text
    listed = [int(found) for found in re.findall(r'name="id" value="(\d+)"', first)]
    assert listed == sorted(listed, reverse=True)
    assert len(listed) == 50
    adapter.post(shopify_order(3000))  # a new arrival shifts no page
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = [int(found) for found in re.findall(r'name="id" value="(\d+)"', page.get(older[1].replace("&amp;", "&")).text)]
    assert second == list(range(listed[-1] - 1, listed[-1] - 11, -1))


def test_a_search_that_finds_one_order_opens_it(adapter: AdapterUnderTest, page: Visitor) -> None:
    first = delivery_of(adapter.post({**shopify_order(880011), "name": "#1042"}))
    adapter.post({**shopify_order(880012), "name": "#1043", "email": "bea.shopper@example.com"})
    adapter.settle()
    for typed in ("#1042", "1042", "880011", "Ada.Shopper@example.com"):
        assert page.post("/search", {"q": typed}, at="/").location == "/orders/shopify/880011", typed
    assert page.post("/search", {"q": str(first)}, at="/").location == f"/deliveries/{first}"
    adapter.post({**shopify_order(880011, minutes=5, total="120.00"), "name": "#1042"})
    adapter.post({**shopify_order(880013), "name": f"#{first}"})  # also the number of a delivery
    adapter.settle()
    assert page.post("/search", {"q": "#1042"}, at="/").location == "/orders/shopify/880011"
    assert page.post("/search", {"q": str(first)}, at="/").location == "/orders/shopify/880013"
    assert page.post("/search", {"q": "nobody"}, at="/").location == "/deliveries?q=nobody"


def test_a_searched_address_appears_nowhere(adapter: AdapterUnderTest, page: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    adapter.post(shopify_order(1001))
    adapter.post({**shopify_order(1002), "email": "someone.else@example.com"})
    adapter.post(shopify_order(1003))
    adapter.settle()
    found = page.post("/search", {"q": " Ada.Shopper@Example.com "}, at="/")
    assert "ada" not in found.location.lower()
    listed = page.get(found.location).text
    assert re.findall(r'name="id" value="(\d+)"', listed) == [str(adapter.rows()[2].id), str(adapter.rows()[0].id)]
    assert "ada.shopper" not in listed.lower()
    assert "ada.shopper" not in caplog.text.lower()
    assert "No deliveries match" in page.get("/deliveries?mail=lost").text


@pytest.mark.slow
def test_filters_choose_by_store_state_reason_topic_and_time(adapter: AdapterUnderTest, page: Visitor) -> None:
    adapter.post(shopify_order(1001))
    adapter.post({**shopify_order(1002), "test": True}, topic="orders/create")
    adapter.settle()
    for query, count in {
        "state=delivered": 1, "state=skipped&reason=test_order": 1, "reason=stale": 0, "store=shopify": 2, "store=magento": 0,
        "topic=orders/create": 1, "store=shopify&topic=orders/updated": 1, "since=2020-01-01T00:00": 2, "until=2020-01-01T00:00": 0,
        "state=nonsense": 2, "since=nonsense": 2, "before=nonsense": 2,
    }.items():  # fmt: skip
        assert page.get(f"/deliveries?{query}").text.count('name="id"') == count, query


def test_a_delivery_shows_its_timeline_and_the_source_of_each_field(adapter: AdapterUnderTest, page: Visitor) -> None:
    delivery = delivery_of(adapter.post(shopify_order(1001)))
    adapter.settle()
    said = page.get(f"/deliveries/{delivery}").text
    steps = ("Received and stored", "Read", "Mapped", "Sent as created: accepted by Drip", "Delivered")
    for words in (*steps, "No difference"):
        assert words in said
    made_from = re.findall(
        r'<span class="name">(\w+)</span>: <span[^>]*>[^<]*</span> <span class="from">← <a href="#p\d+">([^<]+)</a>', said
    )
    assert {("email", "email"), ("order_id", "id"), ("name", "line_items.0.title")} <= set(made_from)
    assert "products: 2 not looked up" in said


def test_personal_data_is_hidden_until_asked_for_and_that_is_recorded(adapter: AdapterUnderTest, page: Visitor) -> None:
    person = {"first_name": "Augusta", "last_name": "Lovelace", "address1": "12 St James Square", "phone": "+44 20 7946 0000"}
    order = {**shopify_order(1001), "billing_address": person, "customer": {**person, "note": "prefers mornings"}, "note": "ring twice"}
    delivery = delivery_of(adapter.post(order))
    adapter.settle()
    private = ("ada.shopper", "Augusta", "Lovelace", "St James", "7946", "mornings", "ring twice", "key=k")
    for path in (f"/deliveries/{delivery}", "/orders/shopify/1001", "/deliveries"):
        assert [word for word in private if word in page.get(path).text] == [], path
    shown = page.post(f"/deliveries/{delivery}/reveal", at=f"/deliveries/{delivery}").text
    assert [word for word in private if word not in shown] == []
    assert audited(adapter.engine)[-1] == ("viewed personal data", f"delivery {delivery}")
    assert "Augusta" not in page.get(f"/deliveries/{delivery}").text


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_no_fixture_shows_an_address_or_breaks_the_page(adapter: AdapterUnderTest, page: Visitor, provider: str) -> None:
    cases = find_cases([Path(__file__).parent.parent.parent / "fixtures" / provider])[::4]
    for case in cases:
        answer = adapter.post(case.payload, store=provider, headers=case.headers)
        assert answer.status_code == 200
    adapter.settle()
    for row in adapter.rows():
        answer = page.get(f"/deliveries/{row.id}")
        assert answer.status_code == 200
        body = answer.text.partition("<main")[2]
        assert re.findall(r"[\w.+-]+@[\w-]+\.\w+", body) == [], row.id


def test_a_script_in_a_name_is_only_text(adapter: AdapterUnderTest, page: Visitor) -> None:
    order = shopify_order(1001)
    order["line_items"][0]["title"] = HOSTILE
    order["name"] = f"#{HOSTILE}"
    delivery = delivery_of(adapter.post(order))
    adapter.post(shopify_order(1002), topic=HOSTILE)
    adapter.settle()
    for path in ("/deliveries", f"/deliveries/{delivery}", "/orders/shopify/1001", f"/deliveries?q={HOSTILE}&topic={HOSTILE}"):
        said = page.get(path).text
        assert "<script>" not in said, path
        assert "&lt;script&gt;" in said or "alert" not in said, path
    assert "&lt;script&gt;" in page.get("/deliveries").text
    assert "&lt;script&gt;" in page.get(f"/deliveries/{delivery}").text


def test_characters_that_reverse_or_hide_text_are_shown_as_escapes(adapter: AdapterUnderTest, page: Visitor) -> None:
    line = {**shopify_order(1)["line_items"][0], "title": INVISIBLE, "sku": INVISIBLE, "vendor": INVISIBLE}
    texts: dict[str, Any] = dict.fromkeys(("name", "note", "tags", "source_name", INVISIBLE), INVISIBLE)
    order = shopify_order(1001, **texts, line_items=[line])
    adapter.tell_drip(status=422, body={"errors": [{"code": INVISIBLE, "attribute": INVISIBLE, "message": INVISIBLE}]}, times=1)
    adapter.post({**order, "id": f"{INVISIBLE}2"})
    adapter.settle()
    for posted in (order, {**order, "id": 3, "line_items": {INVISIBLE: 1}}, f"{{{INVISIBLE}".encode()):
        adapter.post(posted)
    adapter.settle()
    assert adapter.states() == ["dead", "delivered", "dead", "dead"]
    orders = [f"/orders/shopify/{quote(row.order_id, safe='')}" for row in adapter.rows() if row.order_id]
    assert len(orders) == 3
    deliveries = [f"/deliveries/{row.id}" for row in adapter.rows()]
    searches = [f"/deliveries?{name}={quote(INVISIBLE)}" for name in ("q", "topic", "store")]
    answers = {path: page.get(path) for path in ("/", "/orders", "/deliveries", "/stores", "/audit", *orders, *deliveries, *searches)}
    answers |= {f"{path} revealed": page.post(f"{path}/reveal", at=path) for path in deliveries}
    for path, answer in answers.items():
        shown = re.sub('value="[^"]*"', "", answer.text)
        assert answer.status_code in (200, 404), path
        assert UNPRINTABLE.search(shown) is None, path
    telling = ("/orders", "/deliveries", *orders, *deliveries[:3], f"{deliveries[3]} revealed")
    assert [path for path in telling if "\\u202e" not in answers[path].text] == []
    assert INVISIBLE in unescape(answers[f"/deliveries?topic={quote(INVISIBLE)}"].text), "a filter is kept as it is"
    assert UNPRINTABLE.search(requests.get(adapter.sandbox_url, timeout=10).text) is None


def test_an_unmappable_payload_is_shown_with_what_to_do(adapter: AdapterUnderTest, page: Visitor) -> None:
    broken = shopify_order(1001)
    broken["line_items"][0]["price"] = "ten"
    delivery = delivery_of(adapter.post(broken))
    garbage = delivery_of(adapter.post(b"{not json"))
    adapter.settle()
    said = page.get(f"/deliveries/{delivery}").text
    assert "line_items.0.price" in said
    assert "the current version can&#39;t map it either" in said
    assert "The payload isn't valid JSON" in page.get(f"/deliveries/{garbage}").text
    assert "{not json" in page.post(f"/deliveries/{garbage}/reveal", at="/").text


def test_every_reason_has_a_page(adapter: AdapterUnderTest, page: Visitor) -> None:
    delivery = delivery_of(adapter.post({**shopify_order(1001), "test": True}))
    adapter.settle()
    for reason in Reason:
        with transaction(adapter.engine) as connection:
            connection.execute(text("UPDATE deliveries SET reason = :reason"), {"reason": str(reason)})
        assert page.get(f"/deliveries/{delivery}").status_code == 200, reason


def test_the_preview_shows_what_would_be_sent_now(adapter: AdapterUnderTest, page: Visitor) -> None:
    delivery = delivery_of(adapter.post(shopify_order(1001)))
    adapter.settle()
    store = adapter.settings.stores["shopify"]
    changed = replace(store, options=replace(store.options, drip_provider="my_store"))
    later = visitor(replace(adapter.settings, stores={**adapter.settings.stores, "shopify": changed}), adapter.engine)
    later.log_in()
    said = later.get(f"/deliveries/{delivery}").text
    assert "-  &#34;provider&#34;: &#34;shopify&#34;" in said
    assert "+  &#34;provider&#34;: &#34;my_store&#34;" in said


def test_a_retry_sends_it_again_and_is_recorded(adapter: AdapterUnderTest, page: Visitor) -> None:
    delivery = delivery_of(adapter.post(shopify_order(1001)))
    adapter.settle()
    answer = page.post(f"/deliveries/{delivery}/retry", {"force": "1"}, at=f"/deliveries/{delivery}")
    assert answer.location == f"/deliveries/{delivery}"
    assert adapter.row(delivery).state == "pending"
    adapter.settle()
    assert len(adapter.attempts(delivery)) == 2
    assert audited(adapter.engine)[-1] == ("retried", f"delivery {delivery}")


def test_an_erased_delivery_cant_be_retried(adapter: AdapterUnderTest, page: Visitor) -> None:
    delivery = delivery_of(adapter.post(shopify_order(1001)))
    adapter.settle()
    with transaction(adapter.engine) as connection:
        connection.execute(text("UPDATE deliveries SET payload = NULL"))
        connection.execute(text("UPDATE attempts SET body = NULL"))
    assert "has been erased, so this delivery can't be sent again" in page.get(f"/deliveries/{delivery}").text
    page.post(f"/deliveries/{delivery}/retry", at="/")
    assert adapter.row(delivery).state == "delivered"
    assert "can&#39;t be sent again" in page.get("/").text
    assert page.post(f"/deliveries/{delivery}/fixture", at="/").status_code == 404


def test_the_downloaded_fixture_is_the_payload_byte_for_byte(adapter: AdapterUnderTest, page: Visitor, tmp_path: Path) -> None:
    payload = json.dumps(shopify_order(1001), indent=3).encode()
    delivery = delivery_of(adapter.post(payload, topic="orders/create"))
    answer = page.post(f"/deliveries/{delivery}/fixture", at=f"/deliveries/{delivery}")
    zipfile.ZipFile(io.BytesIO(answer.data)).extractall(tmp_path)
    [case] = find_cases([tmp_path])
    assert case.payload == payload
    assert case.headers["x-shopify-topic"] == "orders/create"
    assert audited(adapter.engine)[-1][1] == f"delivery {delivery}"


def test_an_order_shows_its_history_and_what_drip_has(adapter: AdapterUnderTest, page: Visitor) -> None:
    adapter.post(shopify_order(1001, minutes=5))
    adapter.settle()
    adapter.post(shopify_order(1001, minutes=1))
    adapter.post(shopify_order(1001, minutes=9, total="90.00"))
    adapter.settle()
    said = page.get("/orders/shopify/1001").text
    assert len(re.findall(r">Delivery \d+</a>", said)) == 3
    assert re.findall("<b>(Sent as .*?|Not sent)</b>", said) == ["Sent as created", "Not sent", "Sent as updated"]
    assert "What Drip has" in said
    assert '<span class="value">90.00 USD</span>' in said
    assert "a•••@e•••.com" in said
    assert re.findall(r'<ul class="changes">(.*?)</ul>', said) == ["<li>Total 100.00 USD → 90.00 USD</li>"]
    adapter.post(shopify_order(1001, minutes=2))
    adapter.settle()
    said = page.get("/orders/shopify/1001").text  # a late webhook changes nothing of what Drip has
    assert adapter.states()[-1] == "skipped:stale"
    assert re.findall(r"</h1><span[^>]*>(\w+)</span>", said) == ["delivered"]
    assert re.findall(r'<div class="fact"><span class="label">(.*?)</span>', said) == ["Last sent to Drip", "Total", "Shopper"]
    assert page.get("/orders/shopify/nobody").status_code == 404


def test_the_lists_lead_with_number_shopper_total_items_and_last_action(adapter: AdapterUnderTest, page: Visitor) -> None:
    adapter.post(shopify_order(1001))
    adapter.post({**shopify_order(1002, total="1234.50"), "test": True})  # not sent, and so mapped for the page
    adapter.settle()
    for path in ("/orders", "/"):
        first, second = re.findall(r'<tr data-key="shopify.*?</tr>', page.get(path).text, re.DOTALL)
        for words in ("#1002", "1,234.50 USD", "a•••@e•••.com", "not sent", "test_order"):
            assert words in first, path
        for words in ("#1001", "100.00 USD", "1 item", "created, "):
            assert words in second, path
    assert "1,234.50 USD" in page.get("/deliveries").text
    assert "No orders yet" in page.get("/orders?store=magento").text
    with transaction(adapter.engine) as connection:
        connection.execute(text("UPDATE deliveries SET payload = NULL"))
        connection.execute(text("UPDATE attempts SET body = NULL"))
    assert "USD" not in page.get("/orders").text


def test_only_the_hosts_of_an_orders_pictures_may_show_pictures(adapter: AdapterUnderTest, page: Visitor) -> None:
    order = json.loads((Path(__file__).parent.parent.parent / "fixtures/woocommerce/paid-order/payload.json").read_bytes())

    def pictured(number: int, url: str) -> str:
        line = {**order["line_items"][0], "image": {"src": url}}
        adapter.post({**order, "id": number, "line_items": [line]}, store="woocommerce", topic="order.created")
        adapter.settle()
        answer = page.get(f"/orders/woocommerce/{number}")
        assert answer.status_code == 200
        [policy] = re.findall("img-src ([^;]*);", answer.headers["Content-Security-Policy"])
        assert ("<img" in answer.text) == (policy != "'self'"), url
        return str(policy)

    assert pictured(1, "https://cdn.shop.example/lamp.jpg") == "'self' https://cdn.shop.example"
    assert pictured(2, "http://cdn.shop.example/lamp.jpg") == "'self'"
    assert pictured(3, "https://192.168.1.1/admin") == "'self'"
    assert pictured(4, "https://a.example;script-src *;/lamp.jpg") == "'self'"
    assert 'loading="lazy" referrerpolicy="no-referrer"' in page.get("/orders/woocommerce/1").text


@pytest.mark.slow
def test_many_are_counted_before_they_are_retried(adapter: AdapterUnderTest, page: Visitor) -> None:
    for number in range(450):
        adapter.post(shopify_order(5000 + number))
    adapter.post(shopify_order(7000), topic="orders/create")
    with transaction(adapter.engine) as connection:
        connection.execute(text("""UPDATE deliveries SET state = 'dead', problems = '{"": ["x"]}' WHERE topic = 'orders/updated'"""))
    asked = page.post("/deliveries/retry", {"which": "all", "state": "dead"}, at="/").text
    assert "Send 450 deliveries again?" in asked
    below = re.search(r'name="below" value="(\d+)"', asked)
    assert below is not None
    answer = page.post("/deliveries/retry/now", {"state": "dead", "below": below[1]}, at="/")
    assert answer.location == "/deliveries?state=dead"
    assert {row.state for row in adapter.rows()} == {"pending"}
    assert audited(adapter.engine)[-1] == ("retried", "deliveries: state dead")
    assert "450 deliveries have been queued" in page.get("/deliveries").text


def test_a_retry_that_takes_too_long_continues_where_it_stopped(
    adapter: AdapterUnderTest, page: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(250):
        adapter.post(shopify_order(5000 + number))
    with transaction(adapter.engine) as connection:
        connection.execute(text("""UPDATE deliveries SET state = 'dead', problems = '{"": ["x"]}'"""))
    times = iter([0.0, 1.0, 99.0])
    monkeypatch.setattr("adapter.web.dashboard.bulk_actions.time", SimpleNamespace(monotonic=lambda: next(times)))
    said = page.post("/deliveries/retry/now", {"state": "dead", "below": "1000000"}, at="/").text
    monkeypatch.undo()
    assert "200 deliveries queued so far" in said
    form = dict(re.findall(r'name="(below|done|state)" value="(\w+)"', said))
    page.post("/deliveries/retry/now", form, at="/")
    assert {row.state for row in adapter.rows()} == {"pending"}
    # One entry per request that did something, whatever the form claims was done before.
    assert audited(adapter.engine) == [("logged in", "dashboard"), *[("retried", "deliveries: state dead")] * 2]


def test_only_the_selected_ones_are_retried(adapter: AdapterUnderTest, page: Visitor) -> None:
    first, second = (delivery_of(adapter.post(shopify_order(number))) for number in (1001, 1002))
    adapter.settle()
    asked = page.post("/deliveries/retry", {"which": "picked", "id": [str(first)]}, at="/").text
    assert "Send 1 delivery again?" in asked
    page.post("/deliveries/retry/now", {"id": [str(first)], "below": "99"}, at="/")
    assert (adapter.row(first).state, adapter.row(second).state) == ("pending", "delivered")
    assert "Nothing to send again" in page.post("/deliveries/retry", {"which": "picked"}, at="/").text


def test_a_store_shows_the_address_and_never_the_secret(adapter: AdapterUnderTest, page: Visitor) -> None:
    for name in adapter.settings.stores:
        said = page.get(f"/stores/{name}").text
        assert f"https://adapter.example/webhooks/{name}" in said
        assert f"{name.upper()}_WEBHOOK_SECRET" in said
        assert "the-secret" not in said
    assert page.get("/stores/nobody").status_code == 404


def test_a_store_waits_for_its_first_webhook_and_shows_when_it_arrived(adapter: AdapterUnderTest, page: Visitor) -> None:
    said = page.get("/stores/shopify").text
    assert "Waiting for the first webhook" in said
    assert 'http-equiv="refresh"' in said
    asked = "/stores/shopify/arrivals.json?since=0&refused=0"
    assert page.get(asked).json == {"received": False, "delivery": None, "changed": False}
    adapter.web.post("/webhooks/shopify", data=b"{}", headers={"X-Shopify-Hmac-Sha256": "wrong"})
    assert page.get(asked).json["changed"] is True  # type: ignore[index]
    assert "doesn&#39;t match" in page.get("/stores/shopify").text
    delivery = delivery_of(adapter.post(shopify_order()))
    assert page.get(asked).json == {"received": True, "delivery": delivery, "changed": True}
    assert "Receiving webhooks." in page.get("/stores/shopify").text


def test_the_samples_are_replayed_with_the_sandbox_only(adapter: AdapterUnderTest, page: Visitor) -> None:
    assert page.post("/first-run/samples", at="/").status_code == 404
    sandbox = visitor(
        replace(adapter.settings, sandbox=True, admin_password="", public_url="http://127.0.0.1:8000"),
        adapter.engine,
        "http://127.0.0.1:8000",
    )
    assert "Replay the samples" in sandbox.get("/").text
    with settling(adapter):
        listed = sandbox.post("/first-run/samples", at="/").location
    adapter.settle()
    assert "7 delivered, 4 skipped, 1 refused on purpose." in sandbox.get(listed).text
    assert sorted(adapter.states()) == [
        "dead", *["delivered"] * 7, "skipped:catalog", "skipped:stale", "skipped:test_order", "skipped:unpaid",
    ]  # fmt: skip
    [lantern] = {row.order_id for row in adapter.rows() if row.order_number == "2044"}
    shown = sandbox.get(f"/orders/shopify/{lantern}").text
    assert re.findall(r"<b>(.*?)</b>", shown) == ["Sent as created", "Sent as updated", "Sent as updated", "Not sent"]
    assert "<li>Storm Lantern: 2 → 3</li>" in shown
    assert "<li>Total 193.40 USD → 134.32 USD</li>" in shown


def test_the_samples_do_not_wait_for_a_sender_that_does_not_run(
    adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    monkeypatch.setattr("adapter.web.dashboard.samples._WAITS_S", 0.2)
    sandbox = visitor(
        replace(adapter.settings, sandbox=True, admin_password="", public_url="http://127.0.0.1:8000"), engine, "http://127.0.0.1:8000"
    )
    listed = sandbox.post("/first-run/samples", at="/").location
    assert "12 on their way to the sandbox" in sandbox.get(listed).text


@contextmanager
def settling(adapter: AdapterUnderTest) -> Iterator[None]:
    """Inside, a thread reads and sends what arrives."""
    ended = Event()

    def run() -> None:
        while not ended.wait(0.02):
            adapter.settle()

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_the_audit_lists_the_newest_first(page: Visitor, adapter: AdapterUnderTest) -> None:
    delivery = delivery_of(adapter.post(shopify_order()))
    page.post(f"/deliveries/{delivery}/reveal", at="/")
    said = page.get("/audit").text
    assert said.index("viewed personal data") < said.index("logged in")


def test_a_database_that_is_away_gives_a_page_without_traceback(page: Visitor, adapter: AdapterUnderTest) -> None:
    with transaction(adapter.engine) as connection:
        connection.execute(text("ALTER TABLE deliveries RENAME TO gone"))
    answer = page.get("/deliveries")
    assert answer.status_code == 503
    assert "Traceback" not in answer.text
    with transaction(adapter.engine) as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO deliveries"))


def test_the_overview_lists_findings_and_what_is_wrong_with_each_store(adapter: AdapterUnderTest, page: Visitor) -> None:
    broken = shopify_order(1001)
    broken["line_items"][0]["price"] = "ten"
    adapter.post(broken)
    adapter.settle()
    shown = page.get("/").text
    assert "1 delivery of store shopify could not be sent" in shown
    assert '<a href="/deliveries?state=dead&amp;store=shopify">Show</a>' in shown
    [row] = re.findall(r'<tr><td><a href="/stores/shopify">.*?</tr>', shown, re.DOTALL)
    assert '<td class="roomy"><span class="bad">dead deliveries</span></td>' in row
    assert "none</td>" not in row


def test_retry_is_prominent_only_where_it_can_help(page: Visitor, adapter: AdapterUnderTest) -> None:
    adapter.post(shopify_order(1001))
    adapter.settle()
    shown = page.get("/deliveries").text
    assert '<button class="link" name="which" value="picked">' in shown
    assert "Drip has accepted these." in shown
    unmappable = shopify_order(1002)
    unmappable["line_items"][0]["price"] = "ten"
    dead = delivery_of(adapter.post(unmappable))
    adapter.settle()
    assert '<button class="second" name="which" value="picked">' in page.get("/deliveries").text
    asked = page.post("/deliveries/retry", {"which": "picked", "id": [dead, dead - 1]}, at="/").text
    assert "Send 2 deliveries again?" in asked
    assert "1 delivery would end the same way." in asked
    assert f'<a href="/deliveries/{dead}">Delivery {dead}</a>: The payload can&#39;t be mapped' in asked


_BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize(("method", "path", "status", "title"), [
    ("GET", "/nowhere", 404, "Nothing here"), ("GET", "/deliveries/99", 404, "Nothing here"), ("GET", "/deliveries/x", 404, "Nothing here"),
    ("GET", "/deliveries/1/retry", 405, "Not a page"), ("POST", "/deliveries/1/retry", 400, "The request can&#39;t be used"),
    ("GET", "/webhooks/shopify", 405, "Not a page"), ("GET", "/webhooks/nope", 404, "Nothing here"),
])  # fmt: skip
def test_an_error_is_a_page_for_browsers_and_json_for_programs(page: Visitor, method: str, path: str, status: int, title: str) -> None:
    shown = page.client.open(path, method=method, base_url=page.base, headers=_BROWSER)
    assert (shown.status_code, shown.mimetype) == (status, "text/html")
    assert f"<h1>{title}</h1>" in shown.text
    assert "URL" not in shown.text  # the library's own words
    for accept in ("application/json", "*/*"):
        answer = page.client.open(path, method=method, base_url=page.base, headers={"Accept": accept})
        assert (answer.status_code, list(answer.get_json())) == (status, ["error"])


def test_many_stores_and_accounts_fit_a_page(engine: Engine, sandbox_url: str) -> None:
    settings = with_dashboard(make_settings(sandbox_url))
    shop, account = settings.stores["shopify"], settings.accounts[ACCOUNT.id]
    accounts = {f"shop-{number:02}": replace(account, id=f"account-{number:02}") for number in range(30)}
    stores = {name: replace(shop, name=name, account=each) for name, each in accounts.items()}
    somebody = visitor(replace(settings, stores=stores), engine)
    somebody.client.post("/webhooks/shop-29", data=b"{}", headers={"X-Shopify-Hmac-Sha256": "forged"})
    somebody.log_in()
    shown = somebody.get("/").text
    listed = re.findall(r'<tr><td><a href="/stores/(shop-\d\d)">', shown)
    assert (len(listed), listed[0]) == (20, "shop-29"), "those with problems come first"
    assert "All 30 stores</a>" in shown
    assert len(re.findall(r"<tr><td>account-\d\d</td>", shown)) == 20
    assert "10 more accounts" in shown
    assert shown.count("Single requests left") <= 1
    assert '<option value="">All stores</option><option>shop-00</option>' in somebody.get("/orders").text


def test_times_in_findings_are_shown_in_the_readers_zone(page: Visitor, adapter: AdapterUnderTest) -> None:
    adapter.web.post("/webhooks/shopify", data=b"{}", headers={"X-Shopify-Hmac-Sha256": "forged"})
    shown = page.get("/").text
    assert re.search(r'the last one at <time datetime="[^"]+\+00:00" title="[^"]+ UTC" data-as="minute">\d{4}-[^<]+ UTC</time>', shown)


def test_pages_lead_to_pages_and_not_to_commands(adapter: AdapterUnderTest, page: Visitor) -> None:
    adapter.post({**shopify_order(1001), "total_price": "ten", "current_total_price": "ten"})
    adapter.post(shopify_order(1002))
    adapter.tell_drip(status=401)
    adapter.settle()
    [dead, waiting] = adapter.rows()
    paths = ("/", "/orders", "/deliveries", f"/deliveries/{dead.id}", f"/deliveries/{waiting.id}", "/orders/shopify/1001", "/stores")
    for path in paths:
        shown = page.get(path).text
        assert not re.search(r"drip-adapter \w", shown), path
    assert "Each of them shows why" in page.get("/").text


def test_the_sandboxs_store_page_says_which_secret_is_used(adapter: AdapterUnderTest) -> None:
    store = replace(
        adapter.settings.stores["shopify"],
        credentials=Credentials(secrets=(SANDBOX_ACCOUNT,)),
        secret_setting="SHOPIFY_WEBHOOK_SECRET (unset, so it is 'sandbox')",
    )
    configured = replace(adapter.settings, stores={"shopify": store}, sandbox=True, admin_password="", public_url="http://127.0.0.1:8000")
    sandbox = visitor(configured, adapter.engine, "http://127.0.0.1:8000")
    shown = sandbox.get("/stores/shopify").text
    assert "<code>sandbox</code>, because <code>SHOPIFY_WEBHOOK_SECRET</code> isn't set" in shown
    assert "unset, so it is" not in shown


def test_a_webhook_with_only_an_order_id_is_explained_where_no_store_can_be_asked(adapter: AdapterUnderTest, page: Visitor) -> None:
    body = {"producer": "stores/q7h", "hash": "5f0b", "created_at": 1772529245, "store_id": "1", "scope": "store/order/created"}
    delivery = delivery_of(adapter.post({**body, "data": {"type": "order", "id": 1118}}, store="bigcommerce", topic="store/order/created"))
    adapter.settle()
    assert adapter.states() == ["skipped:no_email"]
    shown = page.get(f"/deliveries/{delivery}").text
    assert "contains only the order's ID" in shown.replace("&#39;", "'")
    assert "in person or by phone" not in shown


def test_a_store_without_problems_has_none(adapter: AdapterUnderTest, page: Visitor) -> None:
    adapter.post(shopify_order(1001))
    adapter.settle()
    [row] = re.findall(r'<tr><td><a href="/stores/shopify">.*?</tr>', page.get("/").text, re.DOTALL)
    assert '<td class="roomy">none</td>' in row


def test_a_refresh_neither_prolongs_the_session_nor_takes_a_message(adapter: AdapterUnderTest, page: Visitor) -> None:
    delivery = delivery_of(adapter.post(shopify_order(1001)))
    adapter.settle()
    page.post(f"/deliveries/{delivery}/retry", at="/")
    path = f"/deliveries/{delivery}"
    for each in ("/", "/orders", "/deliveries", path):
        answer = page.get(each, headers=REFRESH)
        assert (answer.status_code, answer.headers.getlist("Set-Cookie")) == (200, []), each
        assert "will be sent again" not in answer.text
        assert 'data-refresh="' in answer.text
    answer = page.get(path)
    assert "will be sent again" in answer.text
    assert answer.headers.getlist("Set-Cookie") != []


def test_only_what_a_person_does_counts_as_use_of_a_session(adapter: AdapterUnderTest, page: Visitor) -> None:
    def used_after(headers: dict[str, str]) -> int:
        with transaction(adapter.engine) as connection:
            connection.execute(text("UPDATE sessions SET used_at = begun_at - 600000000"))
        assert page.get("/", headers=headers).status_code == 200
        with transaction(adapter.engine) as connection:
            return int(connection.execute(text("SELECT used_at - begun_at FROM sessions")).scalar_one())

    assert used_after(REFRESH) == -600_000_000
    assert used_after({}) >= 0


def test_an_unchanged_delivery_is_not_rendered_again(adapter: AdapterUnderTest, page: Visitor) -> None:
    delivery = delivery_of(adapter.post(shopify_order(1001)))
    [version] = re.findall('data-version="([^"]+)"', page.get(f"/deliveries/{delivery}").text)
    known = REFRESH | {"If-None-Match": f'"{version}"'}
    assert page.get(f"/deliveries/{delivery}", headers=known).status_code == 304
    adapter.settle()
    assert page.get(f"/deliveries/{delivery}", headers=known).status_code == 200


def test_a_page_with_personal_data_is_not_refreshed(adapter: AdapterUnderTest, page: Visitor) -> None:
    delivery = delivery_of(adapter.post(shopify_order(1001)))
    assert "data-refresh" not in page.post(f"/deliveries/{delivery}/reveal", at="/").text
