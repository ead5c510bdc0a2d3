"""Receiving, over the real web app and a real database: what is kept, what is answered."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from freezegun import freeze_time
from sqlalchemy import Engine, text

from adapter import __version__
from adapter.inbox import figures
from adapter.inbox.database import connect, snapshot
from adapter.inbox.migration import migrate
from adapter.web.database import UNUSABLE
from tests.support.adapter_under_test import SECRET, AdapterUnderTest, make_settings, run_sender, shopify_order, signed
from tests.support.whole_app import create_app

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def adapter(engine: Engine) -> AdapterUnderTest:
    return AdapterUnderTest(engine, make_settings(NOWHERE), NOWHERE)


def refusals(engine: Engine) -> list[tuple[str, str, int]]:
    with snapshot(engine) as connection:
        return [(row.store, row.reason, row.times) for row in figures.all_refusals(connection)]


def test_an_authentic_delivery_is_kept_byte_for_byte(adapter: AdapterUnderTest) -> None:
    payload = json.dumps(shopify_order()).encode() + b"\n  "
    answer = adapter.post(payload, topic="orders/create")
    assert (answer.status_code, answer.json) == (200, {"delivery": "1", "status": "kept"})
    row = adapter.row(1)
    assert (row.payload, row.store, row.topic, row.state, row.read_at) == (payload, "shopify", "orders/create", "pending", None)


@pytest.mark.parametrize("path", ["/webhooks/shopify", "/webhooks/shopify/"])
def test_a_trailing_slash_makes_no_difference(adapter: AdapterUnderTest, path: str) -> None:
    assert adapter.web.post(path, data=b"{}", headers=signed(b"{}")).status_code == 200


@pytest.mark.parametrize(
    ("proof", "reason"),
    [(None, "missing"), ("", "missing"), ("AAAA", "mismatch"), ("\xe9\xff", "mismatch"), ("right"[:3], "mismatch")],
)
def test_unauthentic_input_leaves_nothing_but_a_count(adapter: AdapterUnderTest, engine: Engine, proof: str | None, reason: str) -> None:
    headers = {} if proof is None else {"X-Shopify-Hmac-Sha256": proof}
    answer = adapter.web.post("/webhooks/shopify", data=json.dumps(shopify_order()), headers=headers)
    assert answer.status_code == 401
    message = answer.get_json()["error"]
    assert "x-shopify-hmac-sha256" in message
    assert ("SHOPIFY_WEBHOOK_SECRET" in message) == (reason == "mismatch")
    assert adapter.rows() == []
    assert refusals(engine) == [("shopify", reason, 1)]


def test_refusals_are_counted_up(adapter: AdapterUnderTest, engine: Engine) -> None:
    for _ in range(3):
        adapter.web.post("/webhooks/shopify", data=b"{}")
    assert refusals(engine) == [("shopify", "missing", 3)]


def test_refusals_that_come_back_after_accepted_webhooks_are_told_from_others(adapter: AdapterUnderTest, engine: Engine) -> None:
    def refuse() -> tuple[int, bool]:
        adapter.web.post("/webhooks/shopify", data=b"{}", headers={"X-Shopify-Hmac-Sha256": "d3Jvbmc="})
        with snapshot(engine) as connection:
            [row] = figures.all_refusals(connection)
        return row.returns, row.before_at is not None

    assert [refuse(), refuse()] == [(0, False)] * 2
    adapter.post(shopify_order(1))
    assert [refuse(), refuse()] == [(1, True)] * 2
    adapter.post(shopify_order(2))
    assert refuse() == (2, True)


def test_a_truncated_signature_is_refused(adapter: AdapterUnderTest) -> None:
    [(name, value)] = signed(b"{}").items()
    assert adapter.web.post("/webhooks/shopify", data=b"{}", headers={name: value[:-2]}).status_code == 401


def test_an_unknown_store_is_404_and_names_the_setting(adapter: AdapterUnderTest) -> None:
    answer = adapter.web.post("/webhooks/prestashop", data=b"{}")
    assert answer.status_code == 404
    assert "STORES" in answer.get_json()["error"]


class TestSize:
    def test_the_longest_allowed_body_is_kept_and_one_byte_more_is_413(self, adapter: AdapterUnderTest) -> None:
        longest = adapter.settings.max_payload_bytes
        assert adapter.post(b" " * longest).status_code == 200
        assert adapter.post(b" " * (longest + 1)).status_code == 413
        assert len(adapter.rows()) == 1

    def test_a_body_without_a_stated_length_is_counted_while_read(self, engine: Engine) -> None:
        """A chunked body, through the real server's input stream."""
        from werkzeug.serving import make_server

        app = create_app(make_settings(NOWHERE), engine)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            import requests

            def chunks(count: int) -> Any:
                yield from (b" " * 100_000 for _ in range(count))

            url = f"http://127.0.0.1:{server.port}/webhooks/shopify"
            assert requests.post(url, data=chunks(10), headers=signed(b" " * 1_000_000), timeout=10).status_code == 200
            try:
                status = requests.post(url, data=chunks(60), headers=signed(b" " * 6_000_000), timeout=10).status_code
            except requests.ConnectionError:
                status = 413  # the server may hang up on a sender that goes on after the answer
            assert status == 413
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class TestHandshakes:
    def test_the_woocommerce_ping_is_200_and_leaves_no_trace(self, adapter: AdapterUnderTest, engine: Engine) -> None:
        answer = adapter.web.post(
            "/webhooks/woocommerce", data=b"webhook_id=27", headers={"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
        )
        assert answer.status_code == 200
        assert adapter.rows() == []
        assert refusals(engine) == []

    def test_a_ping_with_more_in_it_is_no_ping(self, adapter: AdapterUnderTest) -> None:
        assert adapter.web.post("/webhooks/woocommerce", data=b"webhook_id=27&x=1").status_code == 401

    def test_the_adobe_challenge_is_echoed_as_text(self, adapter: AdapterUnderTest) -> None:
        answer = adapter.web.get("/webhooks/magento?challenge=<b>8ef1</b>")
        assert (answer.status_code, answer.text, answer.mimetype) == (200, "<b>8ef1</b>", "text/plain")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    def test_others_do_not_echo(self, adapter: AdapterUnderTest) -> None:
        assert adapter.web.get("/webhooks/shopify?challenge=x").status_code == 405

    def test_an_adobe_commerce_webhook_reads_that_the_sale_may_go_on(self, adapter: AdapterUnderTest) -> None:
        before = adapter.post({"eventName": "sales_order_place_before", "data": {"order": {}}}, store="magento")
        assert before.get_json() == {"op": "success"}
        after = adapter.post({"order": {"entity_id": 1, "increment_id": "1"}}, store="magento").get_json()
        assert (after["op"], after["status"]) == ("success", "kept")

    def test_other_magento_senders_get_the_receipt(self, adapter: AdapterUnderTest) -> None:
        assert adapter.post({"entity_id": 1}, store="magento").get_json() == {"delivery": "1", "status": "kept"}


class TestDuplicates:
    def test_a_copy_changes_nothing(self, adapter: AdapterUnderTest) -> None:
        first = adapter.post(shopify_order(), webhook_id="same").get_json()
        second = adapter.post(shopify_order(), webhook_id="same").get_json()
        assert second == {"delivery": first["delivery"], "status": "duplicate"}
        assert len(adapter.rows()) == 1

    def test_the_same_webhook_id_with_another_body_is_no_copy(self, adapter: AdapterUnderTest) -> None:
        adapter.post(shopify_order(), webhook_id="same")
        adapter.post(shopify_order(total="1.00"), webhook_id="same")
        assert len(adapter.rows()) == 2

    def test_the_same_body_as_an_order_and_as_a_product_is_two_deliveries(self, adapter: AdapterUnderTest) -> None:
        for topic in ("orders/paid", "products/update", "refunds/create", "orders/create", "ORDERS_UPDATED"):
            adapter.post(shopify_order(), topic=topic)
        assert [row.topic for row in adapter.rows()] == ["orders/paid", "products/update", "refunds/create"]

    def test_a_request_about_personal_data_that_is_made_again_is_handled_again(self, adapter: AdapterUnderTest) -> None:
        redact = {"shop_id": 1, "shop_domain": "s.myshopify.com", "customer": {"email": "ada@example.com"}, "orders_to_redact": []}
        for webhook_id in ("a", "b", "b"):
            adapter.post(redact, topic="customers/redact", webhook_id=webhook_id)
        assert len(adapter.rows()) == 2

    def test_a_missing_webhook_id_makes_no_two_deliveries_equal(self, adapter: AdapterUnderTest) -> None:
        for total in ("1.00", "2.00"):
            payload = json.dumps(shopify_order(total=total)).encode()
            adapter.web.post("/webhooks/shopify", data=payload, headers=signed(payload))
        assert len(adapter.rows()) == 2

    def test_a_body_counts_as_a_copy_as_long_as_the_first_is_kept(self, adapter: AdapterUnderTest) -> None:
        with freeze_time("2026-10-01 12:00:00") as now:
            adapter.post({"id": 1}, store="woocommerce")
            now.tick(80 * 24 * 3600)
            assert adapter.post({"id": 1}, store="woocommerce").get_json()["status"] == "duplicate"
        assert len(adapter.rows()) == 1

    def test_the_same_body_for_two_stores_is_two_deliveries(self, adapter: AdapterUnderTest) -> None:
        adapter.post({"id": 1}, store="woocommerce")
        adapter.post({"id": 1}, store="magento")
        assert len(adapter.rows()) == 2

    def test_eight_copies_at_once_are_one_delivery(self, engine: Engine) -> None:
        settings = make_settings(NOWHERE)
        clients = [create_app(settings, engine).test_client() for _ in range(8)]
        barrier = threading.Barrier(8)

        def post(client: FlaskClient) -> str:
            payload = json.dumps(shopify_order()).encode()
            barrier.wait()
            answer = client.post("/webhooks/shopify", data=payload, headers={**signed(payload), "X-Shopify-Webhook-Id": "w"})
            assert answer.status_code == 200, answer.text
            return str(answer.get_json()["status"])

        with ThreadPoolExecutor(8) as pool:
            statuses = sorted(pool.map(post, clients))
        assert statuses == ["duplicate"] * 7 + ["kept"]

    def test_a_copy_of_a_dead_delivery_re_opens_it(self, adapter: AdapterUnderTest) -> None:
        adapter.post(b"not json", webhook_id="w")
        adapter.read()
        assert adapter.states() == ["dead"]
        assert adapter.post(b"not json", webhook_id="w").get_json()["status"] == "duplicate"
        assert adapter.states() == ["pending"]
        adapter.read()
        assert adapter.states() == ["dead"]


WEIRD = {
    "not JSON": b"{oops",
    "not UTF-8": b'{"id": "\xff\xfe"}',
    "a bare number": b"17",
    "null": b"null",
    "a list": b"[]",
    "10,000 levels": b"[" * 10_000 + b"]" * 10_000,
    "10,000 levels of objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "NaN": b'{"id": 1, "line_items": [], "total_price": NaN}',
    "Infinity": b'{"id": 1, "line_items": [], "total_price": -Infinity}',
    "a 400-digit number": b'{"id": 1, "line_items": [], "total_price": ' + b"9" * 400 + b"}",
    "a 5,000-digit number": b'{"id": ' + b"9" * 5000 + b', "line_items": []}',
    "an exponent of a million": b'{"id": 1, "line_items": [], "total": 1e1000000, "total_price": 1e1000000, "grand_total": 1e1000000}',
    "a monstrous exponent": b'{"id": 1, "line_items": [], "total_price": 1e99999999999999999999}',
    "a NUL": b'{"id": "1\\u0000", "line_items": [], "name": "\\u0000", "email": "a\\u0000@b.co", "total_price": "1", "number": "\\u0000"}',
    "a lone surrogate": b'{"id": "\\ud800", "line_items": [], "total_price": "1.00", "email": "a@b.co", "name": "\\udfff"}',
    "nothing": b"",
}


@pytest.mark.parametrize("store", ["shopify", "woocommerce", "magento"])
def test_weird_bodies_are_kept_answered_200_and_settled_with_a_reason(adapter: AdapterUnderTest, store: str) -> None:
    for name, payload in WEIRD.items():
        assert adapter.post(payload, store=store, topic="").status_code == 200, name
    adapter.read()
    for name, row in zip(WEIRD, adapter.rows(), strict=True):
        assert row.payload == WEIRD[name]
        assert row.read_at or (row.state == "skipped" and row.reason) or (row.state == "dead" and json.loads(row.problems)), name


def test_an_id_beyond_2_to_the_53_keeps_every_digit(adapter: AdapterUnderTest) -> None:
    adapter.post(shopify_order(820982911946154508))
    adapter.read()
    assert adapter.row(1).order_id == "820982911946154508"


def test_headers_that_a_database_would_refuse_lose_nothing(adapter: AdapterUnderTest) -> None:
    answer = adapter.post(shopify_order(), topic="orders/\x7fcreate\xff", headers={"X-Shopify-Shop-Domain": "\xe9" * 3000})
    assert answer.status_code == 200
    assert adapter.row(1).topic == "orders/create\xff"


def test_a_row_that_the_database_refuses_is_kept_bare(engine: Engine, adapter: AdapterUnderTest) -> None:
    """The real refusal of a real constraint: here on a topic, as an operator's own might be."""
    if engine.dialect.name == "sqlite":
        trigger = "CREATE TRIGGER picky BEFORE INSERT ON deliveries WHEN NEW.topic <> '' BEGIN SELECT RAISE(ABORT, 'no'); END"
    else:
        trigger = "ALTER TABLE deliveries ADD CONSTRAINT picky CHECK (topic = '')"
    with engine.begin() as connection:
        connection.execute(text(trigger))
    assert adapter.post(shopify_order()).status_code == 200
    [row] = adapter.rows()
    assert (row.topic, json.loads(row.payload)["id"]) == ("", 1001)


class TestDatabaseAway:
    def test_an_unreachable_server_is_503_with_retry_after(self) -> None:
        app = create_app(make_settings(NOWHERE), connect("postgresql+psycopg://nobody@127.0.0.1:1/none"))
        answer = app.test_client().post("/webhooks/shopify", data=b"{}", headers=signed(b"{}"))
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0

    def test_a_locked_file_is_503_within_4_s(self, tmp_path: Path) -> None:
        from time import monotonic

        engine = connect(f"sqlite:///{tmp_path / 'x.db'}")
        migrate(engine)
        client = create_app(make_settings(NOWHERE), engine).test_client()
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM leases"))
            begun = monotonic()
            assert client.post("/webhooks/shopify", data=b"{}", headers=signed(b"{}")).status_code == 503
            assert monotonic() - begun < 4
        assert client.post("/webhooks/shopify", data=b"{}", headers=signed(b"{}")).status_code == 200
        engine.dispose()

    def test_a_wrong_signature_is_401_all_the_same(self) -> None:
        app = create_app(make_settings(NOWHERE), connect("postgresql+psycopg://nobody@127.0.0.1:1/none"))
        assert app.test_client().post("/webhooks/shopify", data=b"{}", headers=signed(b"{}", secret="x")).status_code == 401

    def test_a_database_that_was_never_migrated_is_503(self, database_url: str) -> None:
        engine = connect(database_url)
        answer = create_app(make_settings(NOWHERE), engine).test_client().post("/webhooks/shopify", data=b"{}", headers=signed(b"{}"))
        engine.dispose()
        assert answer.status_code == 503


class TestHealth:
    def test_the_process_answers(self, adapter: AdapterUnderTest) -> None:
        assert adapter.web.get("/healthz").get_json() == {"status": "ok", "version": __version__}

    def test_ready_is_when_a_delivery_can_be_kept(self, adapter: AdapterUnderTest) -> None:
        assert adapter.web.get("/readyz").status_code == 200
        away = create_app(make_settings(NOWHERE), connect("postgresql+psycopg://nobody@127.0.0.1:1/none"))
        assert away.test_client().get("/readyz").status_code == 503

    def test_why_it_is_not_ready_is_for_the_log_only(self, caplog: pytest.LogCaptureFixture) -> None:
        away = create_app(make_settings(NOWHERE), connect("postgresql+psycopg://nobody@127.0.0.1:1/none")).test_client()
        for _ in range(3):
            assert away.get("/readyz").get_json() == {"status": "not ready", "why": UNUSABLE}
        assert len([record for record in caplog.records if "127.0.0.1" in record.message]) == 1

    def test_status_is_for_the_token(self, engine: Engine) -> None:
        run_sender(engine)
        client = create_app(replace(make_settings(NOWHERE), metrics_token="monitor", status_open_to=""), engine).test_client()
        assert client.get("/status").status_code == 401
        assert client.get("/status", headers={"Authorization": "Bearer monitor"}).status_code == 200
        assert client.get("/status", headers={"Authorization": "Bearer \xff"}).status_code == 401

    def test_status_says_why_orders_wait_without_an_account(self, engine: Engine) -> None:
        client = create_app(make_settings(NOWHERE, account=None), engine).test_client()
        answer = client.get("/status")
        assert answer.status_code == 503
        assert "DRIP_ACCOUNT_ID" in answer.get_json()["why"][0]

    def test_the_placeholder_picture_is_served(self, adapter: AdapterUnderTest) -> None:
        with adapter.web.get("/static/placeholder.png") as answer:
            assert (answer.status_code, answer.mimetype, answer.data[:4]) == (200, "image/png", b"\x89PNG")


def test_the_previous_secret_is_taken_while_rotating(engine: Engine) -> None:
    from dataclasses import replace

    settings = make_settings(NOWHERE)
    store = settings.stores["shopify"]
    rotating = replace(store, credentials=replace(store.credentials, secrets=("the new one", SECRET)))
    client = create_app(replace(settings, stores={"shopify": rotating}), engine).test_client()
    for secret in ("the new one", SECRET):
        assert client.post("/webhooks/shopify", data=b"{}", headers=signed(b"{}", secret=secret)).status_code == 200
    assert client.post("/webhooks/shopify", data=b"{}", headers=signed(b"{}", secret="older")).status_code == 401
