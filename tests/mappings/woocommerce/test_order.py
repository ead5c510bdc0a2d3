"""WooCommerce: what the golden cases leave open, on a small order of the documents' shape."""

from decimal import Decimal
from typing import Any

import pytest

from mappings import PROVIDERS, Context, Options, encode, outcomes
from tests.support.fixture_cases import RECEIVED_AT

WOOCOMMERCE = PROVIDERS["woocommerce"]
SELF = {"self": [{"href": "https://tea.example/wp-json/wc/v3/orders/41"}]}


def line(**more: Any) -> dict[str, Any]:
    return {
        "id": 1, "name": "Tea", "product_id": 7, "variation_id": 0, "quantity": 2, "subtotal": "10.00", "subtotal_tax": "0.00",
        "total": "10.00", "total_tax": "0.00", "sku": "TEA", "price": 5, "meta_data": [], **more,
    }  # fmt: skip


def order(**more: Any) -> dict[str, Any]:
    return {
        "id": 41, "parent_id": 0, "number": "41", "status": "processing", "currency": "EUR", "customer_id": 0, "order_key": "wc_order_k41",
        "date_created_gmt": "2026-03-01T10:00:00", "date_modified_gmt": "2026-03-01T10:00:05", "date_paid_gmt": "2026-03-01T10:00:01",
        "discount_total": "0.00", "shipping_total": "0.00", "total_tax": "0.00", "total": "10.00", "billing": {"email": "ada@example.com"},
        "meta_data": [], "line_items": [line()], "_links": SELF, **more,
    }  # fmt: skip


def sent(document: Any, *, topic: str = "order.updated", headers: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
    context = Context(
        topic=topic, headers=headers or {}, received_at=RECEIVED_AT, options=Options(public_url="https://adapter.example", **options)
    )
    [outcome] = outcomes(WOOCOMMERCE, encode(document), context)
    return outcome


def first_item(**more: Any) -> dict[str, Any]:
    item: dict[str, Any] = sent(order(line_items=[line(**more)]))["items"][0]
    return item


class TestStoreAddress:
    PAYMENT_URL = "https://pay.example/shop/checkout/order-pay/41/?pay_for_order=true&key=wc_order_k41"
    SOURCE = {"x-wc-webhook-source": "https://source.example/"}  # noqa: RUF012 - read only

    def test_it_is_that_of_the_signed_link(self) -> None:
        assert sent(order(payment_url=self.PAYMENT_URL), headers=self.SOURCE)["store_url"] == "https://tea.example/"

    def test_without_the_link_it_is_the_payment_pages(self) -> None:
        body = sent(order(_links=None, payment_url=self.PAYMENT_URL), headers=self.SOURCE)
        assert body["store_url"] == "https://pay.example/"
        assert body["items"][0]["product_url"] == "https://pay.example/?post_type=product&p=7"
        assert body["order_url"] == "https://pay.example/shop/checkout/order-received/41/?key=wc_order_k41"

    def test_the_unsigned_header_comes_last(self) -> None:
        assert sent(order(_links=None), headers=self.SOURCE)["store_url"] == "https://source.example/"

    def test_the_settings_go_before_all(self) -> None:
        assert sent(order(), store_url="https://www.tea.example/de")["store_url"] == "https://www.tea.example/de/"

    def test_without_any_the_setting_to_make_is_named(self) -> None:
        [(path, [why])] = sent(order(_links=None))["rejected"].items()
        assert path == "_links.self"
        assert "WOOCOMMERCE_STORE_URL" in why


class TestNotSent:
    @pytest.mark.parametrize("status", ["trash", "draft", "auto-draft", "new", "checkout-draft"])
    def test_an_order_in_the_bin_or_not_yet_placed_is_a_draft(self, status: str) -> None:
        assert sent(order(status=status)) == {"skipped": "draft"}

    @pytest.mark.parametrize("topic", ["product.created", "product.updated", "product.deleted", "product.restored"])
    def test_a_product_is_for_the_catalog(self, topic: str) -> None:
        assert sent({"id": 7, "name": "Tea", "catalog_visibility": "visible"}, topic=topic) == {"skipped": "catalog"}

    @pytest.mark.parametrize("topic", ["order.deleted", "customer.updated", "coupon.created", "action.woocommerce_payment_complete"])
    def test_other_topics_are_no_orders_whatever_the_body(self, topic: str) -> None:
        assert sent(order(), topic=topic) == {"skipped": "not_an_order"}

    @pytest.mark.parametrize("topic", ["order.created", "order.updated", "order.restored", ""])
    def test_order_topics_are_and_so_is_an_order_without_a_topic(self, topic: str) -> None:
        assert sent(order(), topic=topic)["order_id"] == "41"

    @pytest.mark.parametrize(
        "error",
        [
            {"code": "woocommerce_rest_cannot_view", "message": "Sorry, you cannot view this resource.", "data": {"status": 401}},
            {"errors": {"woocommerce_api_user_cannot_read_order": ["You do not have permission"]}, "error_data": {"x": {"status": 401}}},
        ],
        ids=["REST", "legacy"],
    )
    def test_the_stores_own_error_is_told_as_one_in_either_form(self, error: dict[str, Any]) -> None:
        assert sent(error) == {"skipped": "store_error"}
        [reading] = WOOCOMMERCE.readings(encode(error), Context(topic="order.updated", received_at=RECEIVED_AT))
        [skip] = reading.skips
        assert "may no longer read orders" in skip.detail
        assert next(iter(error.get("errors", [error.get("code")]))) in skip.detail


class TestLines:
    @pytest.mark.parametrize(
        "mark",
        [
            {"bundled_by": 3},
            {"bundled_by": "3"},
            {"composite_parent": "3"},
            {"meta_data": [{"id": 9, "key": "_bundled_by", "value": "a87ff679"}]},
        ],
        ids=["bundled_by", "bundled_by as text", "composite_parent", "meta"],
    )
    def test_part_of_a_bundle_stays_and_is_marked_by_any_one_sign(self, mark: dict[str, Any]) -> None:
        body = sent(order(line_items=[line(id=3), line(id=4, name="Cup", **mark)]))
        assert [(item["name"], item.get("is_bundled")) for item in body["items"]] == [("Tea", None), ("Cup", True)]
        assert "options" not in body["items"][1]

    @pytest.mark.parametrize(
        "mark", [{"bundled_by": ""}, {"bundled_by": 0}, {"bundled_by": None}, {"meta_data": [{"id": 9, "key": "_bundled_by", "value": ""}]}]
    )
    def test_a_blank_sign_is_none(self, mark: dict[str, Any]) -> None:
        assert "is_bundled" not in first_item(**mark)

    def test_a_negative_price_becomes_0_and_the_difference_a_discount(self) -> None:
        """Plugins add credits as lines."""
        body = sent(order(total="6.00", line_items=[line(), line(id=2, name="Credit", quantity=1, subtotal="-4.00", total="-4.00")]))
        credit = body["items"][1]
        assert (credit["price"], credit["discounts"], credit["discount"], credit["total"]) == (0, 4, 4, -4)
        assert credit["sale_price"] == 0
        assert body["grand_total"] == 6

    def test_a_price_that_does_not_come_out_even_has_four_decimals(self) -> None:
        item = first_item(quantity=3, subtotal="10.00", total="9.00")
        assert (item["price"], item["sale_price"], item["discounts"], item["total"]) == (Decimal("3.3333"), 3, 1, 9)

    def test_a_line_without_any_amount_is_rejected_by_its_path(self) -> None:
        bare = {key: value for key, value in line().items() if key not in ("subtotal", "total")}
        assert list(sent(order(line_items=[line(), bare]))["rejected"]) == ["line_items.1.subtotal"]
