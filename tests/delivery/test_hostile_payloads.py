"""Authentic payloads made to stop the adapter: too many, too deep, too large, and broken in every way. Each costs only its own delivery."""

import json
import time
import tracemalloc
from typing import Any

import pytest
from sqlalchemy import event

from adapter.inbox import receiving
from mappings import PROVIDERS
from tests.support.adapter_under_test import AdapterUnderTest, shopify_order

TOPICS = {"shopify": "orders/updated", "woocommerce": "order.updated", "magento": "sales_order_save_after", "bigcommerce": ""}
LINES = {"shopify": "line_items", "woocommerce": "line_items", "magento": "items", "bigcommerce": "products"}


def an_order(provider: str, lines: str) -> bytes:
    """The smallest body that counts as an order, with these lines."""
    known = {
        "shopify": '"id": 1, "total_price": "1", "email": "ada@example.com"',
        "woocommerce": '"id": 1, "total": "1", "billing": {"email": "ada@example.com"}',
        "magento": '"entity_id": 1, "increment_id": "000000001", "grand_total": 1, "customer_email": "ada@example.com"',
        "bigcommerce": '"id": 1, "status_id": 11, "total_inc_tax": "1", "billing_address": {"email": "ada@example.com"}',
    }
    return f'{{{known[provider]}, "{LINES[provider]}": {lines}}}'.encode()


def problems(adapter: AdapterUnderTest, body: bytes, provider: str) -> dict[str, list[str]]:
    """Why a body that the provider's store posts is dead."""
    assert adapter.post(body, store=provider, topic=TOPICS[provider]).status_code == 200
    adapter.read()
    row = adapter.rows()[-1]
    assert row.state == "dead", (row.state, row.reason)
    found: dict[str, list[str]] = json.loads(row.problems)
    return found


class TestMany:
    @pytest.mark.parametrize(
        ("provider", "body"),
        [
            ("woocommerce", b"[" + b"0," * 299_999 + b"0]"),
            ("magento", b"[" + b"0," * 299_999 + b"0]"),
            ("woocommerce", b'{"orders": [' + b"0," * 299_999 + b"0]}"),
            ("shopify", b'{"orders": [' + b"0," * 299_999 + b"0]}"),
            ("magento", b'{"total_count": 300000, "items": [' + b"0," * 299_999 + b"0]}"),
        ],
    )
    def test_a_body_with_too_many_orders_is_one_dead_delivery(self, adapter: AdapterUnderTest, provider: str, body: bytes) -> None:
        assert problems(adapter, body, provider) == {"": ["contains 300,000 orders, and MAX_ORDERS_PER_PAYLOAD allows 2,000"]}
        assert len(adapter.rows()) == 1

    @pytest.mark.parametrize("provider", PROVIDERS)
    def test_an_order_with_too_many_lines_is_dead_by_a_short_problem(self, adapter: AdapterUnderTest, provider: str) -> None:
        found = problems(adapter, an_order(provider, "[" + "{}," * 99_999 + "{}]"), provider)
        assert found == {LINES[provider]: ["has 100,000 entries, and MAX_LINES_PER_ORDER allows 5,000"]}

    @pytest.mark.parametrize("provider", PROVIDERS)
    def test_a_payload_with_too_many_objects_is_not_even_parsed(self, adapter: AdapterUnderTest, provider: str) -> None:
        body = an_order(provider, "[" + "{}," * 399_999 + "{}]")
        tracemalloc.start()
        found = problems(adapter, body, provider)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found[""][0].startswith("contains 400,00")
        assert found[""][0].endswith("JSON objects, and no order has more than 200,000")
        assert most < 20 * len(body)

    def test_problems_beyond_the_first_are_only_counted(self, adapter: AdapterUnderTest) -> None:
        found = problems(adapter, an_order("shopify", "[" + "{}," * 2_999 + "{}]"), "shopify")
        assert found["line_items.0.price"] == ["Missing data for required field."]
        assert len(found) <= 21
        assert sum(path.startswith("line_items.") for path in found) == 19
        assert found["line_items"] == ["and 2,980 more entries with problems"]
        assert " more " in found[""][0]

    def test_problems_of_lists_within_lines_are_only_counted_too(self, adapter: AdapterUnderTest) -> None:
        taxes = '{"price": "1", "quantity": 1, "tax_lines": [' + '{"price": "?"},' * 5_000 + "{}]}"
        found = problems(adapter, an_order("shopify", f"[{taxes}]"), "shopify")
        assert len(found) <= 21
        assert len(json.dumps(found)) < 3_000


class TestParts:
    def test_parts_are_stored_in_short_transactions(self, adapter: AdapterUnderTest) -> None:
        assert adapter.post({"orders": [0] * 250}).status_code == 200
        inserted: list[int] = [0]

        def count(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            inserted[-1] += statement.startswith("INSERT INTO deliveries")

        event.listen(adapter.engine, "before_cursor_execute", count)
        event.listen(adapter.engine, "commit", lambda connection: inserted.append(0))
        adapter.reader.step()
        assert [number for number in inserted if number] == [100, 100, 50]
        assert adapter.states() == ["skipped:split", *["pending"] * 250]

    def test_a_process_killed_between_two_of_them_loses_and_repeats_nothing(
        self, adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert adapter.post({"orders": [shopify_order(1001), *[0] * 120, shopify_order(1002)]}).status_code == 200
        keep_part, stored = receiving.keep_part, 0

        def dies(*arguments: Any) -> int | None:
            nonlocal stored
            stored += 1
            if stored == 110:
                raise SystemExit
            return keep_part(*arguments)

        monkeypatch.setattr("adapter.delivery.parts.keep_part", dies)
        with pytest.raises(SystemExit):
            adapter.reader.step()
        assert len(adapter.rows()) == 101
        monkeypatch.setattr("adapter.delivery.parts.keep_part", keep_part)
        adapter.new_reader()
        adapter.settle()
        assert adapter.states() == ["skipped:split", "delivered", *["skipped:not_an_order"] * 120, "delivered"]
        assert [order["order_id"] for order in adapter.received()] == ["1001", "1002"]


class TestFairness:
    def test_a_store_with_slow_payloads_holds_up_another_by_one_of_them(
        self, adapter: AdapterUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The reader's own time limit for a step is shortened, so that each payload uses it up."""
        monkeypatch.setattr("adapter.delivery.reader._STEP_S", 0.0)
        for number in range(30):
            adapter.post(shopify_order(number + 1))
        adapter.post(an_order("woocommerce", "[]"), store="woocommerce", topic="order.updated")
        adapter.reader.step()
        adapter.reader.step()
        assert [row.read_at is not None for row in adapter.rows()].count(True) == 2
        assert adapter.rows()[-1].read_at is not None
        adapter.read()
        assert all(row.starts == 0 for row in adapter.rows())


NUMBERS = (
    "1e400",
    "-1e400",
    "1e-400",
    "1" + "0" * 5_000,
    "0." + "1" * 5_000,
    "1e999999999",
    "1e99999999999999999999",
    "-0",
    "1E+2",
    "9" * 40,
)
TEXTS = ("&#" + "9" * 4_301 + ";", "&#x" + "f" * 5_000, "\\u0000", "\\ud800", "\\udc00\\ud800", "\\u202e", "<a" * 5_000, "\\u0301" * 3_000)

BODIES = [
    b"",
    b"\xef\xbb\xbf",
    b"\xff\xfe{\x00}\x00",
    b"\x00",
    b"{",
    b'{"id": 1',
    b'{"id": 1}}',
    b'{"id": NaN}',
    b'{"\\ud800": 1, "total_price": "1"}',
    b'{"id": "\xed\xa0\x80"}',
    b"[" * 100_000,
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b'{"id": 1, "total_price": "1", "line_items": ' + b"[" * 150 + b"]" * 150 + b"}",
    b"null",
    b"true",
    b'"text"',
    b"1" * 100_000,
    b'"' + b"\\u0000" * 50_000 + b'"',
    b'{"id": 1, "id": 2, "total_price": "1", "total_price": "x"}',
    b"[[[[]]]]",
    b"{}" * 1000,
]


class TestBroken:
    @pytest.mark.parametrize("provider", PROVIDERS)
    def test_every_field_of_an_order_may_be_any_number_or_text(self, adapter: AdapterUnderTest, provider: str) -> None:
        for value in (*NUMBERS, *(f'"{number}"' for number in NUMBERS), *(f'"{text}"' for text in TEXTS)):
            keys = PROVIDERS[provider].schema.fields
            names = sorted({str(field.data_key or name) for name, field in keys.items()})
            for part in (names[::2], names[1::2]):
                whole = (
                    "{"
                    + ",".join(f'"{name}": {value}' for name in part)
                    + f', "{LINES[provider]}": [{{"price": {value}, "quantity": 1}}]}}'
                )
                adapter.post(whole.encode(), store=provider, topic=TOPICS[provider])
        adapter.settle()
        assert len(adapter.rows()) > 40
        for row in adapter.rows():
            assert row.state in ("delivered", "skipped", "dead")
            assert "internal error" not in (row.problems or "")

    @pytest.mark.parametrize("provider", PROVIDERS)
    def test_any_other_bytes_are_skipped_or_dead_with_a_reason(self, adapter: AdapterUnderTest, provider: str) -> None:
        for body in BODIES:
            begun = time.process_time()
            assert adapter.post(body, store=provider, topic=TOPICS[provider]).status_code == 200
            adapter.settle()
            assert time.process_time() - begun < 3
        for row in adapter.rows():
            assert row.state in ("skipped", "dead")
            assert row.detail or row.problems
            assert "internal error" not in (row.problems or "")
