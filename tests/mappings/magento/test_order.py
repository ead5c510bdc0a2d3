"""What Magento's own counters mean: canceled and refunded parts, bundles, payment and shipment."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from mappings import PROVIDERS, Context, Options, Order, Reading

OPTIONS = Options(store_url="https://shop.example", public_url="https://adapter.example")
CONTEXT = Context(received_at=datetime(2026, 10, 1, 12, 0, tzinfo=UTC), options=OPTIONS)
ORDER: Mapping[str, Any] = {
    "entity_id": 9,
    "increment_id": "000000009",
    "state": "processing",
    "status": "processing",
    "customer_email": "ada.shopper@example.com",
    "created_at": "2026-09-30 12:00:00",
    "updated_at": "2026-09-30 12:30:00",
    "order_currency_code": "USD",
    "grand_total": 100,
}


def line(item_id: int, **fields: Any) -> dict[str, Any]:
    return {"item_id": item_id, "product_id": item_id, "product_type": "simple", "sku": f"S{item_id}", "name": f"P{item_id}", **fields}


def reading_of(context: Context = CONTEXT, **fields: Any) -> Reading:
    [reading] = PROVIDERS["magento"].readings(json.dumps({**ORDER, **fields}).encode(), context)
    return reading


def order_of(context: Context = CONTEXT, **fields: Any) -> Order:
    return PROVIDERS["magento"].map(reading_of(context, **fields), context)


def numbers(*values: Decimal | None) -> list[Any]:
    return list(values)


def totals(order: Order) -> list[Decimal]:
    return [order.grand_total, order.total_discounts, order.total_taxes, order.total_fees, order.total_shipping]


class TestCanceled:
    CANCELLED: Mapping[str, Any] = {
        "state": "canceled",
        "status": "canceled",
        "grand_total": 77,
        "subtotal": 60,
        "tax_amount": 6,
        "shipping_amount": 5,
        "discount_amount": -6,
        "discount_tax_compensation_amount": 1,
        "cod_fee": 2,
        "extension_attributes": {"custom_fees": [{"custom_fee_amount": 3}], "gw_price": "6.0000"},
        "items": [line(1, price=60, qty_ordered=1, qty_canceled=1, weee_tax_applied_row_amount=4)],
    }
    CONTEXT = replace(CONTEXT, options=replace(OPTIONS, fee_keys=("cod_fee",)))

    @pytest.mark.parametrize(
        "counted",
        [
            {"total_canceled": 77, "tax_canceled": 6, "shipping_canceled": 5, "discount_canceled": 6},
            {},
            {"total_canceled": "0.0000", "tax_canceled": "0.0000", "items": [line(1, price=60, qty_ordered=1)]},
        ],
        ids=["counted by Magento", "without a count", "canceled by its state alone"],
    )
    def test_a_canceled_order_comes_to_nothing(self, counted: Mapping[str, Any]) -> None:
        order = order_of(self.CONTEXT, **{**self.CANCELLED, **counted})
        assert totals(order) == [0] * 5
        assert [numbers(item.quantity, item.total) for item in order.items] == [[1, 60]]
        assert order.attributes["financial_status"] == "pending"

    def test_what_was_paid_before_an_order_was_canceled_stays(self) -> None:
        order = order_of(**{**self.CANCELLED, "total_paid": 20, "tax_invoiced": 2, "shipping_invoiced": 5, "discount_invoiced": -2})
        assert numbers(order.grand_total, order.total_taxes, order.total_shipping) == [20, 2, 5]

    @pytest.mark.parametrize(
        ("canceled", "left"), [(3, 7), (-3, 7), (13, 3), (10, 0)], ids=["plain", "negative", "with invoiced added", "whole"]
    )
    def test_the_canceled_part_of_a_discount(self, canceled: int, left: int) -> None:
        """registerCancellation adds what was invoiced, because discount_invoiced is negative: 10 + 3 where 7 were canceled."""
        assert order_of(discount_amount=-10, discount_canceled=canceled, total_canceled=30).total_discounts == left

    def test_what_is_computed_has_no_more_decimals_than_the_currency(self) -> None:
        """Magento counts the canceled compensation of a line to four decimals."""
        rows = [line(1, price=10, qty_ordered=3, qty_canceled=1, discount_tax_compensation_canceled="0.3333", gw_price="1.0000")]
        order = order_of(discount_amount=-6, discount_tax_compensation_amount=1, discount_canceled=2, total_canceled=10, items=rows)
        assert order.total_discounts == Decimal("3.33")
        order = order_of(items=rows, gw_items_price="1.0000", gw_items_price_refunded="0.0000", total_canceled=10)
        assert order.total_fees == 0
        order = order_of(items=[{**rows[0], "gw_price": "0.3333"}], gw_items_price="1.0000", gw_items_price_refunded="0.0000")
        assert order.total_fees == Decimal("0.67")


class TestFees:
    def test_a_named_fee_is_less_what_was_refunded(self) -> None:
        context = replace(CONTEXT, options=replace(OPTIONS, fee_keys=("cod_fee", "extension_attributes.rush", "discountlike")))
        extension = {"rush": "2.00", "rush_refunded": "unreadable"}
        order = order_of(context, cod_fee=5, cod_fee_refunded="1.50", discountlike=-1, extension_attributes=extension)
        assert order.total_fees == Decimal("4.50")

    def test_wrapping_without_counts_goes_with_its_lines(self) -> None:
        wrapped = line(1, price=10, qty_ordered=4, qty_canceled=1, qty_refunded=1, gw_price="2.0000")
        assert order_of(items=[wrapped]).total_fees == 4
        assert order_of(items=[wrapped], gw_items_price="8.0000").total_fees == 4
        assert order_of(items=[wrapped], gw_items_price="8.0000", gw_items_price_refunded="2.0000").total_fees == 4
        assert order_of(items=[wrapped], gw_items_price="8.0000", gw_items_price_refunded="0.0000").total_fees == 6

    def test_a_product_tax_may_be_in_the_subtotal(self) -> None:
        taxed = line(1, price=90, qty_ordered=1, weee_tax_applied_row_amount=10)
        assert order_of(subtotal=90, items=[taxed]).discrepancy == 0
        assert order_of(subtotal=100, items=[taxed]).discrepancy == 0
        assert order_of(subtotal=80, items=[taxed]).discrepancy == -10

    def test_the_check_counts_the_tax_in_a_discount_on_shipping(self) -> None:
        order = order_of(
            subtotal=80, shipping_amount=10, tax_amount=15, discount_amount=-6, shipping_discount_tax_compensation_amount=1, items=[]
        )
        assert numbers(order.discrepancy, order.total_discounts) == [0, 5]


class TestBundle:
    def bundle(self, *parts: Mapping[str, Any], **fields: Any) -> list[dict[str, Any]]:
        whole = line(1, product_type="bundle", **{"qty_ordered": 2, "price": 70, **fields})
        return [whole, *({**line(number), "parent_item_id": 1, **part} for number, part in enumerate(parts, 2))]

    @pytest.mark.parametrize(
        ("parts", "quantity", "total"),
        [
            # Three of each part in each of two bundles.
            ([{"price": 10, "qty_ordered": 6}, {"price": 20, "qty_ordered": 6, "qty_refunded": 3}], 2, 120),
            ([{"price": 10, "qty_ordered": 6, "qty_refunded": 3}, {"price": 20, "qty_ordered": 6, "qty_refunded": 4}], 1, 70),
            ([{"price": 10, "qty_ordered": 6, "qty_refunded": 6}, {"price": 20, "qty_ordered": 6, "qty_canceled": 5}], 1, 20),
            # REST repeats the bundle's price on a part that is free.
            ([{"price": 70, "qty_ordered": 2, "qty_refunded": 1}, {"price": 70, "base_price": 0, "qty_ordered": 2}], 2, 70),
            ([{"price": 70, "qty_ordered": 2, "qty_refunded": 1}, {"price": 70, "row_total": 0, "qty_ordered": 2}], 2, 70),
        ],
    )
    def test_it_holds_what_its_parts_hold(self, parts: list[dict[str, Any]], quantity: int, total: int) -> None:
        [item] = order_of(items=self.bundle(*parts, qty_refunded=2, qty_shipped=2)).items
        assert numbers(item.quantity, item.total, item.price * item.quantity) == [quantity, total, total]

    def test_without_a_price_of_its_own_it_costs_what_its_parts_cost(self) -> None:
        [item] = order_of(items=self.bundle({"price": 10, "qty_ordered": 6}, {"price": 20, "qty_ordered": 2}, price=0)).items
        assert numbers(item.price, item.quantity, item.total) == [50, 2, 100]

    def test_a_whole_number_of_bundles_is_left_of_a_whole_number(self) -> None:
        [item] = order_of(items=self.bundle({"price": 10, "qty_ordered": 6, "qty_refunded": 1}, qty_ordered=3)).items
        assert numbers(item.quantity, item.total) == [3, 50]
        [item] = order_of(items=self.bundle({"price": 10, "qty_ordered": 6, "qty_refunded": 3}, qty_ordered=3)).items
        assert numbers(item.quantity, item.total) == [2, 30]

    def test_what_only_the_shell_has_is_spread_by_value(self) -> None:
        parts = [{"price": 10, "qty_ordered": 2}, {"price": 60, "qty_ordered": 2, "qty_refunded": 1}]
        [item] = order_of(items=self.bundle(*parts, tax_amount=14, discount_amount=7, weee_tax_applied_row_amount=2)).items
        assert numbers(item.taxes, item.discounts, item.fees, item.total) == [8, 4, Decimal("1.14"), 76]

    def test_a_fixed_price_goes_by_the_bundle_whatever_its_parts_say(self) -> None:
        options = {"product_calculations": 1, "shipment_type": 0}
        parts = [{"price": 35, "qty_ordered": 2}, {"price": 35, "qty_ordered": 2, "qty_refunded": 2}]
        [item] = order_of(items=self.bundle(*parts, qty_canceled=1, product_options=options)).items
        assert numbers(item.quantity, item.price, item.total) == [1, 70, 70]

    def test_all_of_it_canceled_is_shown_as_ordered_if_nothing_else_stands(self) -> None:
        parts = [{"price": 70, "qty_ordered": 2, "qty_canceled": 2}]
        assert [numbers(item.quantity, item.total) for item in order_of(items=self.bundle(*parts)).items] == [[2, 140]]
        items = [*self.bundle(*parts), line(9, price=5, qty_ordered=1)]
        assert [item.product_id for item in order_of(items=items).items] == ["9"]

    @pytest.mark.parametrize(
        ("shell", "first", "second", "fulfilled"),
        [
            ({"qty_shipped": 1}, {"qty_shipped": 1}, {}, False),
            ({"qty_shipped": 2}, {"qty_shipped": 1}, {"qty_shipped": 1}, True),
            ({"qty_shipped": 1}, {"qty_shipped": 1}, {"qty_refunded": 1}, True),
            ({"qty_shipped": 1}, {"qty_shipped": 1}, {"qty_canceled": 1}, True),
            ({"qty_shipped": 1}, {"qty_shipped": 1}, {"is_virtual": 1}, True),
            # Shipped together: older versions do not count the parts, or count each as one.
            ({"qty_shipped": 1}, {}, {}, True),
            ({"qty_shipped": 1, "product_options": {"shipment_type": 0}}, {"qty_shipped": 1}, {}, True),
            ({"qty_shipped": 1, "product_options": '{"shipment_type":"1"}'}, {}, {}, False),
            ({}, {}, {}, False),
        ],
    )
    def test_it_is_fulfilled_when_every_part_that_ships_separately_has_shipped(
        self, shell: dict[str, Any], first: dict[str, Any], second: dict[str, Any], fulfilled: bool
    ) -> None:
        parts = [{"price": 40, "qty_ordered": 1, **first}, {"price": 30, "qty_ordered": 1, **second}]
        assert order_of(items=self.bundle(*parts, qty_ordered=1, **shell)).fulfilled is fulfilled

    def test_complete_in_state_but_with_a_part_to_ship(self) -> None:
        """Magento adds the bundle's shipment to its part's, and calls the order complete with the first."""
        parts = [{"price": 40, "qty_ordered": 1, "qty_shipped": 1}, {"price": 30, "qty_ordered": 1}]
        order = order_of(state="complete", items=self.bundle(*parts, qty_ordered=1, qty_shipped=1))
        assert (order.fulfilled, order.attributes.get("fulfillment_status")) == (False, None)
        parts[1]["qty_shipped"] = 1
        order = order_of(state="complete", items=self.bundle(*parts, qty_ordered=1, qty_shipped=2))
        assert (order.fulfilled, order.attributes.get("fulfillment_status")) == (True, "fulfilled")

    def test_a_canceled_fixed_price_bundle_leaves_nothing_of_its_parts_to_ship(self) -> None:
        """Their own counts do not show that the bundle was canceled."""
        parts = [{"price": 0, "qty_ordered": 4, "qty_shipped": 2}]
        items = self.bundle(*parts, qty_canceled=1, qty_shipped=1, product_options={"shipment_type": "1"})
        assert order_of(items=items).fulfilled


class TestShipment:
    @pytest.mark.parametrize(
        ("fields", "fulfilled"),
        [
            ({"qty_shipped": 3}, True),
            ({"qty_shipped": 2}, False),
            ({"qty_shipped": 2, "qty_refunded": 1}, True),
            ({"qty_shipped": 1, "qty_canceled": 1, "qty_refunded": 1}, True),
            ({"qty_refunded": 3}, False),
            ({"is_virtual": 1}, False),
        ],
    )
    def test_all_that_is_left_has_shipped(self, fields: dict[str, Any], fulfilled: bool) -> None:
        assert order_of(items=[line(1, price=10, qty_ordered=3, **fields)]).fulfilled is fulfilled


class TestPayment:
    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ({"total_due": 100}, "pending"),
            ({"total_due": 0}, "paid"),
            ({"total_due": 100, "total_paid": 100}, "paid"),
            ({"total_due": 40, "total_paid": 60, "total_canceled": 40}, "paid"),
            ({"total_due": 40, "total_paid": 50, "total_canceled": 40}, "pending"),
            ({"total_paid": 100}, "paid"),
            ({}, "pending"),
            ({"state": "closed", "total_due": 100}, "refunded"),
            ({"state": None, "status": "closed"}, "refunded"),
            ({"state": "canceled", "total_canceled": 100, "total_due": 100}, "pending"),
            ({"state": "canceled", "total_canceled": "99.50", "total_paid": "0.50", "total_due": "99.50"}, "paid"),
        ],
    )
    def test_status(self, fields: dict[str, Any], status: str) -> None:
        assert order_of(**fields).attributes["financial_status"] == status

    @pytest.mark.parametrize(
        ("listed", "details", "title"),
        [
            ([{"key": "method_title", "value": "Card"}], ["visa"], "Card"),
            ([{"key": "cc_type", "value": "visa"}], ["Card", "visa", "1111"], "code"),
            ([{"key": "method_title", "value": "NULL "}], {"method_title": "Invoice"}, "Invoice"),
            ([{"key": "method_title", "value": None}], None, "code"),
            (None, '{"method_title": "Pay &amp; collect"}', "Pay & collect"),
            (None, '{"method_title": "cut o', "code"),
            ("null", "null", "code"),
            (None, ["method_title", "Card"], "code"),
        ],
    )
    def test_title(self, listed: Any, details: Any, title: str) -> None:
        payment = {"method": "code", "additional_information": details}
        order = order_of(payment=payment, extension_attributes={"payment_additional_info": listed})
        assert order.attributes["payment_method"] == title

    def test_a_method_without_a_name(self) -> None:
        assert "payment_method" not in order_of(payment={"method": "null"}).attributes


@pytest.mark.parametrize(("state", "is_paid"), [("complete", True), ("canceled", False)])
def test_an_order_that_was_paid_and_then_canceled_no_longer_counts_as_paid(state: str, is_paid: bool) -> None:
    assert order_of(state=state, status=state, total_paid=100, total_due=0).paid == is_paid


@pytest.mark.parametrize(("paid", "is_sent"), [("1.0000", True), ("0.0000", False)])
def test_a_canceled_order_is_sent_if_any_money_stayed(paid: str, is_sent: bool) -> None:
    assert reading_of(state="canceled", status="canceled", grand_total="1.0000", total_paid=paid).placed == is_sent


def test_without_the_customers_address_the_billing_address_counts_before_the_shipping_address() -> None:
    rows = [{"address_type": kind, "email": f"{kind}@example.com"} for kind in ("shipping", "billing")]
    assert order_of(customer_email=None, addresses=rows).email == "billing@example.com"
    assert order_of(customer_email=None, addresses=rows[:1]).email == "shipping@example.com"


def test_an_order_on_hold_is_further_than_one_in_progress() -> None:
    progress = {state: reading_of(state=state, status=state).identity for state in ("processing", "holded", "complete")}
    ranks = [identity.progress for identity in progress.values() if identity]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 3


@pytest.mark.parametrize(
    ("row_total", "discount", "total"),
    [
        ("825.62", 0, "825.62"),
        ("825.62", 10, "815.62"),
        ("815.62", 10, "815.62"),
        ("825.49", 0, "826"),
        ("8.26", 0, "826"),
        (None, 0, "826"),
        ("825,62 USD", 0, "826"),
    ],
    ids=["exact", "before discount", "after discount", "beyond rounding", "of one unit", "none", "unreadable"],
)
def test_a_row_total_counts_where_only_the_unit_price_is_rounded(row_total: str | None, discount: int, total: str) -> None:
    row = line(1, price="8.26", qty_ordered=100, row_total=row_total, discount_amount=discount)
    [item] = order_of(items=[row]).items
    assert item.total == Decimal(total)
    [item] = order_of(items=[{**row, "qty_refunded": 50}]).items
    assert item.total == Decimal(total) / 2


def test_the_id_of_the_order_notifiers_lines_is_the_products() -> None:
    order = order_of(items=None, line_items=[{"id": 41, "sku": "BAG", "name": "Bag", "qty": 2, "price": 50}])
    [item] = order.items
    assert (item.product_id, item.catalog_id, item.built_url) == ("41", "41", "https://shop.example/catalog/product/view/id/41")
    # In events a line's id is the line's own.
    [item] = order_of(items=[{"id": 41, "item_id": 41, "sku": "BAG", "name": "Bag", "qty_ordered": 2, "price": 50}]).items
    assert (item.product_id, item.catalog_id) == ("BAG", "")
