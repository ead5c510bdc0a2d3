"""WooCommerce: details that the golden cases don't cover, on a small order of the documented shape."""

from decimal import Decimal
from typing import Any

import pytest

from mappings import LOSES_ORDERS, PROVIDERS, Context, Options, encode, outcomes
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

    def test_it_is_taken_from_the_signed_link(self) -> None:
        assert sent(order(payment_url=self.PAYMENT_URL), headers=self.SOURCE)["store_url"] == "https://tea.example/"

    def test_without_the_link_it_is_taken_from_the_payment_page(self) -> None:
        body = sent(order(_links=None, payment_url=self.PAYMENT_URL), headers=self.SOURCE)
        assert body["store_url"] == "https://pay.example/"
        assert body["items"][0]["product_url"] == "https://pay.example/?post_type=product&p=7"
        assert body["order_url"] == "https://pay.example/shop/checkout/order-received/41/?key=wc_order_k41"

    def test_the_unsigned_header_comes_last(self) -> None:
        assert sent(order(_links=None), headers=self.SOURCE)["store_url"] == "https://source.example/"

    def test_the_settings_take_precedence(self) -> None:
        assert sent(order(), store_url="https://www.tea.example/de")["store_url"] == "https://www.tea.example/de/"

    def test_without_any_the_missing_setting_is_named(self) -> None:
        [(path, [why])] = sent(order(_links=None))["rejected"].items()
        assert path == "_links.self"
        assert "WOOCOMMERCE_STORE_URL" in why


LOCAL_TIMES = {"date_created": "2026-03-01T12:00:00", "date_modified": "2026-03-01T12:00:05"}


@pytest.mark.parametrize(
    ("changed", "occurred_at"),
    [
        (LOCAL_TIMES, "2026-03-01T10:00:00Z"),
        (LOCAL_TIMES | {"_links": None}, "2026-03-01T10:00:00Z"),
        # A version that sends `_gmt` and left it out sent only a local time: then the time of arrival is closer.
        (LOCAL_TIMES | {"date_created_gmt": None, "date_modified_gmt": None, "meta_data": None}, "2026-10-01T12:00:00Z"),
    ],
    ids=["both times", "no link that names the version", "no time in UTC"],
)
def test_the_sites_local_time_is_never_taken_for_utc(changed: dict[str, Any], occurred_at: str) -> None:
    document = {key: value for key, value in order(**changed).items() if value is not None}
    assert sent(document, store_url="https://tea.example")["occurred_at"] == occurred_at


class TestTrash:
    """An order in the trash."""

    @pytest.mark.parametrize(
        ("document", "topic", "found"),
        [
            ({"id": 41}, "order.deleted", "41"),
            ({"id": "41"}, "Order.Deleted", "41"),
            ({"id": 41}, "order.updated", ""),
            ({"id": 41}, "product.deleted", ""),
            ({"id": 41, "status": "trash"}, "order.deleted", ""),
            ({"id": "x"}, "order.deleted", ""),
            ({"id": None}, "order.deleted", ""),
            ([41], "order.deleted", ""),
            (None, "order.deleted", ""),
        ],
    )
    def test_its_webhook_contains_only_the_id(self, document: Any, topic: str, found: str) -> None:
        assert WOOCOMMERCE.in_trash(document, Context(topic=topic, received_at=RECEIVED_AT)) == found

    def test_its_last_payload_becomes_that_of_an_order_in_the_trash(self) -> None:
        assert WOOCOMMERCE.trashed(order()) == order(status="trash")
        assert WOOCOMMERCE.trashed({"order": order()}) == order(status="trash")

    def test_it_is_a_draft_but_in_the_lifecycle_vocabulary_canceled_if_it_was_placed(self) -> None:
        document = order(status="trash")
        assert sent(document, topic="order.deleted") == {"skipped": "draft"}
        assert sent(document, topic="order.deleted", vocabulary="lifecycle") == {"skipped": "never_placed"}
        context = Context(topic="order.deleted", received_at=RECEIVED_AT, options=Options(vocabulary="lifecycle"))
        [reading] = WOOCOMMERCE.readings(encode(document), context)
        assert reading.skip(placed=True) is None
        made = WOOCOMMERCE.map(reading, context)
        assert (made.canceled, made.grand_total, made.lost_total, made.updated_at) == (True, Decimal(0), Decimal(10), RECEIVED_AT)


class TestNotSent:
    @pytest.mark.parametrize("status", ["trash", "draft", "auto-draft", "new", "checkout-draft"])
    def test_an_order_in_the_trash_or_not_yet_placed_is_a_draft(self, status: str) -> None:
        assert sent(order(status=status)) == {"skipped": "draft"}

    @pytest.mark.parametrize("topic", ["product.created", "product.updated", "product.deleted", "product.restored"])
    def test_a_product_is_for_the_catalog(self, topic: str) -> None:
        assert sent({"id": 7, "name": "Tea", "catalog_visibility": "visible"}, topic=topic) == {"skipped": "catalog"}

    @pytest.mark.parametrize("topic", ["order.deleted", "customer.updated", "coupon.created", "action.woocommerce_payment_complete"])
    def test_other_topics_are_not_orders_whatever_the_body(self, topic: str) -> None:
        assert sent(order(), topic=topic) == {"skipped": "not_an_order"}

    @pytest.mark.parametrize(
        "topic", ["order.created", "order.updated", "order.restored", "order.completed", "order.paid", "Order.Shipped", ""]
    )
    def test_order_topics_and_orders_without_a_topic_are_orders(self, topic: str) -> None:
        assert sent(order(), topic=topic)["order_id"] == "41"

    @pytest.mark.parametrize(
        "error",
        [
            {"code": "woocommerce_rest_cannot_view", "message": "Sorry, you cannot view this resource.", "data": {"status": 401}},
            {"errors": {"woocommerce_api_user_cannot_read_order": ["You do not have permission"]}, "error_data": {"x": {"status": 401}}},
        ],
        ids=["REST", "legacy"],
    )
    def test_the_stores_own_error_is_recognized_in_either_form(self, error: dict[str, Any]) -> None:
        assert sent(error) == {"skipped": "store_error"}
        [reading] = WOOCOMMERCE.readings(encode(error), Context(topic="order.updated", received_at=RECEIVED_AT))
        [skip] = reading.skips
        assert "may no longer read orders" in skip.detail
        assert skip.detail.startswith(LOSES_ORDERS)
        assert next(iter(error.get("errors", [error.get("code")]))) in skip.detail

    @pytest.mark.parametrize("body", [{"id": 41}, {"id": 41, "status_from": "x"}, {"action": "paid", "arg": 41}])
    def test_an_order_topic_without_an_order_in_the_body_is_not_an_order(self, body: dict[str, Any]) -> None:
        assert sent(body, topic="order.paid") == {"skipped": "not_an_order"}

    @pytest.mark.parametrize(
        "mark",
        [
            {"created_via": "wc_deposits"},
            {"created_via": "yith_wcdp_balance_order"},
            {"created_via": "subscription"},
            {"meta_data": [{"key": "_subscription_renewal", "value": "900"}]},
        ],
    )
    def test_a_child_order_that_collects_money_is_sent(self, mark: dict[str, Any]) -> None:
        assert sent(order(parent_id=40, **mark))["order_id"] == "41"

    @pytest.mark.parametrize("mark", [{}, {"created_via": "dokan"}, {"meta_data": [{"key": "_subscription_renewal", "value": ""}]}])
    def test_any_other_child_order_is_not_sent_and_its_parent_is_named(self, mark: dict[str, Any]) -> None:
        assert sent(order(parent_id=40, **mark)) == {"skipped": "child_order"}
        [reading] = WOOCOMMERCE.readings(encode(order(parent_id=40, **mark)), Context(received_at=RECEIVED_AT))
        assert "40" in reading.skips[0].detail

    @pytest.mark.parametrize("paid", [{"date_paid_gmt": None}, {"date_paid_gmt": ""}, {"date_paid_gmt": None, "date_paid": None}])
    def test_a_pending_order_is_unpaid_only_without_a_payment(self, paid: dict[str, Any]) -> None:
        assert sent(order(status="pending", **paid)) == {"skipped": "unpaid"}
        assert sent(order(status="pending"))["financial_status"] == "paid"


class TestKey:
    """When a webhook is a copy of another."""

    @pytest.mark.parametrize(
        "error",
        [
            {"code": "woocommerce_rest_cannot_view", "message": "Sorry", "data": {"status": 403}},
            {"code": "woocommerce_rest_shop_order_invalid_id", "message": "Invalid ID.", "data": {"status": 404}},
            {"errors": {"woocommerce_api_invalid_order_id": ["Invalid"]}, "error_data": {}},
        ],
    )
    def test_an_error_is_never_a_copy(self, error: dict[str, Any]) -> None:
        assert WOOCOMMERCE.key({}, encode(error)).value == ""

    def test_neither_is_the_bare_id_of_a_deleted_order(self) -> None:
        """It may be restored and deleted again within hours."""
        assert WOOCOMMERCE.key({"x-wc-webhook-topic": "order.deleted"}, b'{"id":41}').value == ""

    @pytest.mark.parametrize("payload", [b"{}", b'{"code":', b'{"id":41,"code":"x","message":"y"}', b'"code"', b'[{"code":"x"}]', b""])
    def test_otherwise_the_same_body_is_a_copy(self, payload: bytes) -> None:
        key = WOOCOMMERCE.key({}, payload)
        assert (len(key.value), key.expires) == (64, True)
        assert key == WOOCOMMERCE.key({"x-wc-webhook-delivery-id": "1"}, payload)
        assert WOOCOMMERCE.key({}, encode(order(coupon_lines=[{"code": "x"}]))).value

    def test_long_bodies_are_not_parsed_for_it(self) -> None:
        document = {"code": "x", "message": "y" * 5_000}
        assert WOOCOMMERCE.key({}, encode(document)).value


class TestProgress:
    """How snapshots of the same second are ranked."""

    def progress(self, **more: Any) -> tuple[Decimal, ...]:
        [reading] = WOOCOMMERCE.readings(encode(order(**more)), Context(received_at=RECEIVED_AT))
        assert reading.identity
        return reading.identity.progress

    def test_each_step_ranks_above_the_previous_one(self) -> None:
        unpaid: dict[str, Any] = {"date_paid_gmt": None}
        steps = [
            self.progress(status="pending", **unpaid),
            self.progress(status="failed", **unpaid),
            self.progress(status="processing", **unpaid),
            self.progress(status="on-hold", **unpaid),
            self.progress(status="cancelled", **unpaid),
            self.progress(status="processing"),
            self.progress(status="on-hold"),
            self.progress(status="shipped"),
            self.progress(status="cancelled"),
            self.progress(status="completed"),
            self.progress(status="processing", refunds=[{"total": "-1.00"}]),
            self.progress(status="refunded", refunds=[{"total": "-10.00"}]),
            self.progress(status="trash", **unpaid),
            self.progress(status="trash", refunds=[{"total": "-10.00"}]),
        ]
        assert steps == sorted(set(steps))


class TestAmounts:
    def test_a_line_raised_by_hand_has_a_higher_price_and_no_discount(self) -> None:
        item = first_item(quantity=2, subtotal="10.00", total="12.50", subtotal_tax="1.00", total_tax="1.25")
        assert (item["price"], item["discounts"], item["total"]) == (Decimal("6.25"), 0, Decimal("12.50"))
        assert "sale_price" not in item

    def test_its_price_including_tax_is_higher_too(self) -> None:
        raised = line(quantity=2, subtotal="10.00", total="12.50", subtotal_tax="1.00", total_tax="1.25")
        body = sent(order(prices_include_tax=True, line_items=[raised]))
        assert body["items"][0]["price_incl_tax"] == Decimal("6.875")

    @pytest.mark.parametrize(
        ("stated", "discounts"),
        [("-1.50", "1.00"), ("0.00", "0.00"), ("1.00", "1.00")],
        ids=["net of what was raised, as WooCommerce computes it", "set by a plugin", "before anything was raised"],
    )
    def test_a_raised_line_does_not_reduce_the_discounts(self, stated: str, discounts: str) -> None:
        lines = [line(subtotal="10.00", total="12.50"), line(id=2, subtotal="10.00", total="9.00")]
        assert sent(order(line_items=lines, discount_total=stated))["total_discounts"] == Decimal(discounts)

    @pytest.mark.parametrize(
        ("coupon", "codes"),
        [
            ({"code": "tom&amp;jerry"}, ["tom&jerry"]),
            ({"code": "a&lt;b"}, ["a<b"]),
            ({"code": "spring", "discount_type": "percent"}, ["spring"]),
            ({"code": "sc-9x4k", "discount_type": "smart_coupon"}, None),
            ({"code": "sc-9x4k", "discount_type": "store_credit"}, None),
        ],
    )
    def test_coupons_are_named_but_store_credit_is_not(self, coupon: dict[str, str], codes: list[str] | None) -> None:
        assert sent(order(coupon_lines=[coupon])).get("discount_codes") == codes

    def test_an_address_in_the_attribution_is_left_out(self) -> None:
        key = "_wc_order_attribution_"
        meta = [
            {"key": f"{key}utm_source", "value": "newsletter"},
            {"key": f"{key}utm_term", "value": "ada@example.com"},
            {"key": f"{key}utm_campaign", "value": "120211234567890"},
            {"key": f"{key}session_entry", "value": "https://tea.example/unsubscribe/ada%40example.com/?t=1"},
        ]
        body = sent(order(meta_data=meta))
        assert (body["utm_source"], body["utm_campaign"]) == ("newsletter", "120211234567890")
        assert "utm_term" not in body
        assert "landing_site" not in body


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
    def test_part_of_a_bundle_is_sent_and_marked(self, mark: dict[str, Any]) -> None:
        body = sent(order(line_items=[line(id=3), line(id=4, name="Cup", **mark)]))
        assert [(item["name"], item.get("is_bundled")) for item in body["items"]] == [("Tea", None), ("Cup", True)]
        assert "options" not in body["items"][1]

    @pytest.mark.parametrize(
        "mark", [{"bundled_by": ""}, {"bundled_by": 0}, {"bundled_by": None}, {"meta_data": [{"id": 9, "key": "_bundled_by", "value": ""}]}]
    )
    def test_a_blank_mark_does_not_count(self, mark: dict[str, Any]) -> None:
        assert "is_bundled" not in first_item(**mark)

    def test_a_negative_price_becomes_0_with_a_discount(self) -> None:
        """Plugins add credits as lines."""
        body = sent(order(total="6.00", line_items=[line(), line(id=2, name="Credit", quantity=1, subtotal="-4.00", total="-4.00")]))
        credit = body["items"][1]
        assert (credit["price"], credit["discounts"], credit["discount"], credit["total"]) == (0, 4, 4, -4)
        assert credit["sale_price"] == 0
        assert body["grand_total"] == 6

    def test_a_price_that_cannot_be_divided_evenly_has_four_decimals(self) -> None:
        item = first_item(quantity=3, subtotal="10.00", total="9.00")
        assert (item["price"], item["sale_price"], item["discounts"], item["total"]) == (Decimal("3.3333"), 3, 1, 9)

    def test_a_line_without_a_quantity_is_rejected_by_its_path(self) -> None:
        unknown = line()
        del unknown["quantity"]
        assert sent(order(line_items=[unknown])) == {"rejected": {"line_items.0.quantity": ["Missing data for required field."]}}

    def test_a_line_without_any_amount_is_rejected_by_its_path(self) -> None:
        bare = {key: value for key, value in line().items() if key not in ("subtotal", "total")}
        assert list(sent(order(line_items=[line(), bare]))["rejected"]) == ["line_items.1.subtotal"]
