"""What few payloads contain: each case decides a branch that the golden cases don't reach."""

import json
import pickle
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from mappings import (
    PROVIDERS,
    Context,
    Options,
    Order,
    Rejected,
    Verdict,
    addresses_in,
    encode,
    is_reachable,
    outcomes,
    parse,
    printed,
    wanted,
)
from mappings.bigcommerce.products import products_of
from mappings.core.address import drip_address
from mappings.core.contract import keeps_contract
from mappings.core.json import _what_and_where
from mappings.core.line_options import Choice, line_options
from mappings.core.option_names import names_private
from mappings.core.sensitive import has_email
from mappings.core.signature import Credentials
from tests.support.adapter_under_test import shopify_order
from tests.support.fixture_cases import FIXTURES, RECEIVED_AT

BARE = Context(received_at=RECEIVED_AT, options=Options())


def outcome_of(provider: str, document: Any, **options: Any) -> Mapping[str, Any]:
    settings = Options(**{"store_url": "https://shop.example", "public_url": "https://adapter.example", **options})
    [outcome] = outcomes(PROVIDERS[provider], encode(document), Context(received_at=RECEIVED_AT, options=settings))
    return outcome


def order_of(provider: str, document: Any, **options: Any) -> Order:
    """The order even of a payload that would be skipped, as where another snapshot was placed."""
    context = Context(received_at=RECEIVED_AT, options=Options(store_url="https://shop.example", **options))
    [reading] = PROVIDERS[provider].readings(encode(document), context)
    return PROVIDERS[provider].map(reading, context)


def magento(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    document: dict[str, Any] = parse((FIXTURES / "magento" / "guest-checkout" / "payload.json").read_bytes())
    change(document)
    return document


@pytest.mark.parametrize(("price", "shown", "off"), [("-5.00", "0", "10"), ("-0.01", "0", "0.02"), ("0.50", "0.50", "0")])
def test_a_negative_price_is_a_discount_and_a_small_one_a_price(price: str, shown: str, off: str) -> None:
    lines = [{"id": 1, "product_id": 7, "quantity": 2, "current_quantity": 2, "title": "Lamp", "price": price}]
    [item] = outcome_of("shopify", {**shopify_order(1), "line_items": lines})["items"]
    assert (item["price"], item.get("discounts", 0)) == (Decimal(shown), Decimal(off))


def test_shopify_properties_may_be_an_object() -> None:
    line = {"id": 1, "product_id": 7, "quantity": 1, "title": "Ring", "price": "5.00", "properties": {"Engraving color": "gold"}}
    [item] = outcome_of("shopify", {**shopify_order(1), "line_items": [line]})["items"]
    assert "gold" in str(item)


def test_a_shop_without_any_address_is_a_setting_to_add() -> None:
    without = {key: value for key, value in shopify_order(1).items() if key != "order_status_url"}
    assert "SHOPIFY_STORE_URL" in str(outcome_of("shopify", without, store_url="")["rejected"])


def test_most_payloads_describe_no_product_and_no_platform_but_one_has_a_trash() -> None:
    magento = PROVIDERS["magento"]
    assert (magento.products({}, BARE), magento.in_trash({}, BARE), magento.trashed("order")) == ((), "", "order")


def test_without_a_header_or_link_nothing_says_which_shop_it_was() -> None:
    for provider in ("shopify", "woocommerce", "bigcommerce", "magento"):
        assert list(PROVIDERS[provider].origins({}, b"{}")) == []


def test_a_woocommerce_error_of_version_1_says_so() -> None:
    error = {"code": "woocommerce_rest_invalid_shop_order_id", "message": "Invalid ID.", "data": {"status": 404}}
    context = Context(received_at=RECEIVED_AT, topic="order.updated", options=Options())
    skipped = PROVIDERS["woocommerce"].find(error, context)
    assert "API version v1" in skipped.detail


def test_a_deleted_bigcommerce_product_is_gone_and_a_changed_one_is_not() -> None:
    products = PROVIDERS["bigcommerce"].products
    [gone] = products({"scope": "store/product/deleted", "data": {"type": "product", "id": 7}}, BARE)
    assert (gone.key.product_id, gone.gone) == ("7", True)
    assert products({"scope": "store/product/updated", "data": {"type": "product", "id": 7}}, BARE) == ()
    assert products({"scope": "store/product/deleted", "data": {"type": "product", "id": None}}, BARE) == ()


@pytest.mark.parametrize("document", [None, [], "7", {}, {"id": ""}])
def test_what_is_no_bigcommerce_product_is_none(document: Any) -> None:
    assert products_of(document, "https://shop.example", {}) == ()


def test_what_cannot_be_signed_is_never_genuine() -> None:
    for scheme in (
        PROVIDERS["bigcommerce"].scheme("hmac"),
        PROVIDERS["magento"].scheme("adobe_io"),
        PROVIDERS["magento"].scheme("adobe_webhook"),
    ):
        assert not scheme.check(b"", b"{}", "secret", Credentials(secrets=("secret",)))
    for auth in ("adobe_io", "adobe_webhook"):
        scheme = PROVIDERS["magento"].scheme(auth)
        signed = scheme.signed(b"{}", Credentials(secrets=("secret",)))
        assert scheme.verify(signed, b"{}", Credentials(secrets=("secret",))) is Verdict.MISSING


def test_an_adobe_webhook_gets_an_operation_and_no_receipt() -> None:
    answer = PROVIDERS["magento"].acknowledgement({"x-adobe-commerce-webhook-signature": "x"}, b"{}", {"delivery": "1"})
    assert answer == {"op": "success"}


def test_problems_survive_the_way_between_processes() -> None:
    assert pickle.loads(pickle.dumps(Rejected({"a": ["wrong"]}))).problems == {"a": ["wrong"]}


def test_a_body_for_people_has_a_line_for_each_value() -> None:
    assert printed({"total": Decimal("1.50"), "items": []}) == '{\n  "total": 1.50,\n  "items": []\n}'


def test_no_more_than_ten_thousand_addresses_are_collected() -> None:
    assert 10_000 <= len(addresses_in([f"a{number}@shop.example" for number in range(10_050)])) <= 10_002


def test_an_address_is_found_behind_any_number_of_percent_signs() -> None:
    assert has_email("ada%2540shop.example")
    assert not has_email("ada%25252525252540 shop")


def test_a_name_of_endless_length_is_private_and_no_host() -> None:
    assert names_private("Color " * 1000)
    assert not is_reachable(f"https://{'a.' * 200}example/")


@pytest.mark.parametrize("field", ["qty_ordered", "price"])
def test_a_magento_line_without_quantity_or_price_is_rejected_by_its_path(field: str) -> None:
    document = magento(lambda order: order["items"][0].pop(field))
    assert f"items.0.{field}" in str(outcome_of("magento", document))


def test_a_magento_store_without_any_address_is_a_setting_to_add() -> None:
    document = magento(lambda order: None)
    assert "MAGENTO_STORE_URL" in str(outcome_of("magento", document, store_url=""))


def test_a_magento_parent_within_its_child_is_read_once_and_its_problems_have_a_path() -> None:
    parent = {"item_id": "90", "product_type": "configurable", "sku": "LAMP", "name": "Lamp", "qty_ordered": 2, "price": "5.00"}

    def embed(order: dict[str, Any], **more: Any) -> None:
        child = {**order["items"][0], "parent_item_id": None, "parent_item": {**parent, **more}}
        order["items"] = [{**child, "item_id": "91"}, {**child, "item_id": "92"}]

    assert len(outcome_of("magento", magento(embed))["items"]) == 1
    broken = outcome_of("magento", magento(lambda order: embed(order, qty_ordered="two")))
    assert "items.0.parent_item.qty_ordered" in str(broken)


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
@pytest.mark.parametrize("body", ["5", "null", "true", '"order"'])
def test_a_body_that_is_no_object_is_no_order(provider: str, body: str) -> None:
    assert outcomes(PROVIDERS[provider], body.encode(), BARE) == [{"skipped": "not_an_order"}]


def test_an_item_without_a_price_breaks_the_contract() -> None:
    body = outcome_of("shopify", shopify_order(1))
    [item] = body["items"]
    assert keeps_contract(body)
    assert not keeps_contract({**body, "items": [{**item, "price": None}]})
    assert not keeps_contract({**body, "items": [{key: value for key, value in item.items() if key != "price"}]})


@pytest.mark.parametrize(
    ("kind", "text", "position", "found"),
    [
        ("array", "[1, ]", 2, ("Expecting value", 4)),
        ("array", "[1,\n\t ]", 2, ("Expecting value", 6)),
        ("object", '{"a": 1, }', 7, ("Expecting property name enclosed in double quotes", 9)),
    ],
)
def test_a_trailing_comma_is_reported_as_before_python_3_13(kind: str, text: str, position: int, found: tuple[str, int]) -> None:
    """Since 3.13 `json` has a message of its own for it, at the comma."""
    assert _what_and_where(json.JSONDecodeError(f"Illegal trailing comma before end of {kind}", text, position)) == found
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads(text)
    assert _what_and_where(caught.value) == found


def test_a_host_in_brackets_that_is_no_address_cannot_be_reached() -> None:
    assert not is_reachable("https://[v1.fe:80]/")


def test_only_a_product_of_the_platform_can_be_looked_up() -> None:
    line = {"id": 1, "quantity": 1, "title": "Lamp", "price": "5.00"}
    assert wanted(order_of("shopify", {**shopify_order(1), "line_items": [line]})) == set()
    assert {
        key.product_id for key in wanted(order_of("shopify", {**shopify_order(1), "line_items": [line, {**line, "product_id": 7}]}))
    } == {"7"}


@pytest.mark.parametrize(("financial_status", "total"), [("voided", "0"), ("authorized", "0"), ("paid", "100.00"), ("refunded", "100.00")])
def test_a_canceled_shopify_order_comes_to_nothing_if_nothing_was_captured(financial_status: str, total: str) -> None:
    order = order_of("shopify", shopify_order(1, cancelled_at="2026-09-30T13:00:00Z", financial_status=financial_status))
    assert order.grand_total == Decimal(total)


@pytest.mark.parametrize(
    ("refunded", "tax_lines", "left"),
    [
        ({"tax_amount_set": {"shop_money": {"amount": "2.00"}}}, [], "0.00"),  # GraphQL's field: no need to compute the tax
        ({}, [{"price": "2.00"}], "0.00"),
        ({}, [], "2.00"),
        ({}, [{"price": "12.00"}], "2.00"),  # as much tax as the whole price is no tax
    ],
)
def test_a_refunded_shopify_shipping_line_counts_with_its_tax(refunded: dict[str, Any], tax_lines: list[dict[str, str]], left: str) -> None:
    line = {"shipping_line": {"id": 5, "price": "12.00", "tax_lines": tax_lines}, "shipping_line_id": 5}
    refund = {"refund_shipping_lines": [{**line, "subtotal_amount_set": {"shop_money": {"amount": "10.00"}}, **refunded}]}
    gross = {"total_shipping_price_set": {"shop_money": {"amount": "12.00"}}}
    order = order_of("shopify", {**shopify_order(1, taxes_included=True, refunds=[refund]), **gross})
    assert order.total_shipping == Decimal(left)


def test_a_woocommerce_payment_page_of_another_form_is_not_rewritten() -> None:
    base = "https://shop.example/checkout/order-pay/9/"
    order = {"id": 9, "total": "1.00", "billing": {"email": "ada@shop.example"}, "order_key": "wc_order_k", "status": "processing"}

    def page(payment_url: str) -> str:
        return order_of("woocommerce", {**order, "payment_url": payment_url}).order_url

    received = "https://shop.example/checkout/order-received/9/?key=wc_order_k"
    assert page(f"{base}?pay_for_order=true&key=wc_order_k") == received
    assert page(f"{base}?lang=de&pay_for_order=true&key=wc_order_k") == f"{received.partition('?')[0]}?lang=de&key=wc_order_k"
    assert page(f"{base}?token=secret") == page(f"{base}#pay_for_order=true&key=x") == received


def test_a_negative_magento_price_is_a_discount() -> None:
    def cheaper(order: dict[str, Any]) -> None:
        order["items"] = [{"item_id": 1, "product_id": 7, "sku": "S", "name": "Lamp", "qty_ordered": 2, "price": "-5.00"}]

    [item] = outcome_of("magento", magento(cheaper))["items"]
    assert (item["price"], item["discounts"], item["total"]) == (0, Decimal("10.00"), Decimal("-10.00"))


@pytest.mark.parametrize(("kind", "fulfilled"), [("downloadable", True), ("virtual", True), ("simple", False)])
def test_a_bundle_of_downloads_needs_no_shipment(kind: str, fulfilled: bool) -> None:
    def bundle_beside_what_has_shipped(order: dict[str, Any]) -> None:
        shipped = {"item_id": 1, "product_id": 6, "product_type": "simple", "name": "Lamp", "qty_ordered": 1, "qty_shipped": 1, "price": 5}
        shell = {**shipped, "item_id": 2, "product_type": "bundle", "qty_shipped": 0}
        order["items"] = [shipped, shell, {**shell, "item_id": 3, "parent_item_id": 2, "product_type": kind}]

    assert order_of("magento", magento(bundle_beside_what_has_shipped)).fulfilled is fulfilled


def test_a_body_of_an_adobe_webhook_without_its_header_gets_both_answers_once_the_order_is_saved() -> None:
    def answer(body: bytes) -> Mapping[str, str]:
        return PROVIDERS["magento"].acknowledgement({}, body, {"delivery": "1"})

    assert answer(b'{"order": {"entity_id": 1}}') == {"op": "success", "delivery": "1"}
    assert answer(b'{"order": {"increment_id": "1"}}') == {"op": "success"}
    assert answer(b'{"entity_id": 1}') == {"delivery": "1"}


def bigcommerce_order(**fields: Any) -> dict[str, Any]:
    line = {"id": 1, "product_id": 7, "name": "Lamp", "quantity": 2, "price_ex_tax": "5.00"}
    return {
        "id": 9,
        "status_id": 11,
        "total_inc_tax": "10.00",
        "billing_address": {"email": "ada@shop.example"},
        "products": [line],
        **fields,
    }


def test_a_negative_bigcommerce_price_is_a_discount() -> None:
    lines = [{"id": 1, "product_id": 7, "name": "Lamp", "quantity": 2, "price_ex_tax": "-5.00"}]
    [item] = order_of("bigcommerce", bigcommerce_order(products=lines)).items
    assert (item.price, item.discounts, item.total) == (Decimal(0), Decimal("10.00"), Decimal("-10.00"))


@pytest.mark.parametrize("created", ["Wed, 30 Sep 2026 12:00:00 +0000", "2026-09-30T12:00:00Z", "2026-09-30T14:00:00+02:00"])
def test_bigcommerce_dates_may_be_iso_8601(created: str) -> None:
    assert order_of("bigcommerce", bigcommerce_order(date_created=created)).created_at.isoformat() == "2026-09-30T12:00:00+00:00"


def test_a_bigcommerce_body_without_scope_or_order_is_no_order() -> None:
    assert outcomes(PROVIDERS["bigcommerce"], b'{"data": {"id": 9}}', BARE) == [{"skipped": "not_an_order"}]


def test_numbers_with_spaces_around_them_are_read_in_every_line() -> None:
    line = {"product_id": 7, "title": "Lamp", "price": " 5.00 ", "quantity": 3}
    lines = [
        {**line, "id": 1, "current_quantity": " 2 "},
        {**line, "id": 2, "current_quantity": "1"},
        {**line, "id": 3, "current_quantity": " "},
    ]
    items = order_of("shopify", {**shopify_order(1), "line_items": lines}).items
    assert [(item.price, item.quantity) for item in items] == [(Decimal("5.00"), quantity) for quantity in map(Decimal, (2, 1, 3))]


@pytest.mark.parametrize("address", ["1 Main Street", 5, ["1 Main Street"], None])
def test_an_address_that_is_no_object_is_left_out(address: Any) -> None:
    order = order_of("bigcommerce", bigcommerce_order(), vocabulary="lifecycle")
    assert order.billing_address == {}
    assert order_of("shopify", shopify_order(1, shipping_address=address), vocabulary="lifecycle").shipping_address == {}
    assert drip_address(address) == {}


@pytest.mark.parametrize(("key", "label"), [("pa_" + "c" * 300, "Color"), ("pa_color", "c" * 300)])
def test_an_option_with_a_name_of_endless_length_is_left_out(key: str, label: str) -> None:
    long, short = (
        Choice(key=key, label=label, value="red", is_attribute=True),
        Choice(key="pa_size", label="Size", value="XL", is_attribute=True),
    )
    assert line_options([long, short]) == {"Size": "XL"}


def test_the_same_shopify_body_is_one_delivery_under_every_topic_of_an_order_and_without_any() -> None:
    def key(topic: str) -> str:
        return PROVIDERS["shopify"].key({"x-shopify-topic": topic} if topic else {}, b"{}").value

    assert key("") == key("orders/create") == key("ORDERS_PAID") == key("orders/updated")
    assert len({key("orders/create"), key("products/update"), key("refunds/create")}) == 3


@pytest.mark.parametrize("name", ["total_price", "current_total_price"])
def test_a_shopify_order_needs_one_of_its_totals(name: str) -> None:
    order = {key: value for key, value in shopify_order(1, total="90.00").items() if not key.endswith("total_price")}
    assert order_of("shopify", {**order, name: "90.00"}).grand_total == Decimal("90.00")
    assert list(outcome_of("shopify", order)["rejected"]) == ["total_price"]


@pytest.mark.parametrize(
    ("places", "order_id"),
    [
        ({"entity_id": "1", "id": "2"}, "1"),
        ({"id": "2", "items": [{"order_id": "3"}]}, "2"),
        ({"items": [{"order_id": "3"}], "payment": {"parent_id": "4"}}, "3"),
        ({"payment": {"parent_id": "4"}, "addresses": [{"parent_id": "5"}]}, "4"),
        ({"addresses": [{}, {"parent_id": "5"}]}, "5"),
        ({}, "000000009"),
    ],
)
def test_a_magento_order_has_its_id_in_the_first_of_many_places(places: dict[str, Any], order_id: str) -> None:
    document = {"increment_id": "000000009", "grand_total": 1, "state": "new", "customer_email": "ada@shop.example", **places}
    [reading] = PROVIDERS["magento"].readings(encode(document), BARE)
    assert reading.identity is not None
    assert reading.identity.order_id == order_id


@pytest.mark.parametrize(
    ("place", "email"),
    [
        ({"customer_email": "a@shop.example", "billing_address": {"email": "b@shop.example"}}, "a@shop.example"),
        (
            {"billing_address": {"email": "b@shop.example"}, "addresses": [{"address_type": "billing", "email": "c@shop.example"}]},
            "b@shop.example",
        ),
        (
            {
                "addresses": [
                    {"address_type": "shipping", "email": "e@shop.example"},
                    {"address_type": "billing", "email": "c@shop.example"},
                ],
                "extension_attributes": {"shipping_assignments": [{"shipping": {"address": {"email": "d@shop.example"}}}]},
            },
            "c@shop.example",
        ),
        ({"extension_attributes": {"shipping_assignments": [{"shipping": {"address": {"email": "d@shop.example"}}}]}}, "d@shop.example"),
        ({"addresses": [{"address_type": "shipping", "email": "e@shop.example"}]}, "e@shop.example"),
    ],
)
def test_a_magento_shoppers_address_is_in_the_first_of_many_places(place: dict[str, Any], email: str) -> None:
    assert order_of("magento", {"entity_id": 1, "grand_total": 1, "state": "new", **place}).email == email


@pytest.mark.parametrize(
    ("state", "due", "paid"), [("new", 1, False), ("processing", 0, True), ("closed", 0, True), ("canceled", 0, False)]
)
def test_a_magento_order_is_paid_once_nothing_is_due_unless_it_was_canceled(state: str, due: int, paid: bool) -> None:
    document = {"entity_id": 1, "grand_total": 1, "total_due": due, "state": state, "status": state, "customer_email": "ada@shop.example"}
    assert order_of("magento", document).paid is paid


def test_a_shopify_event_is_recognized_by_two_of_its_keys() -> None:
    def skipped(document: dict[str, Any]) -> str:
        return str(PROVIDERS["shopify"].find(document, BARE).detail)

    one, two = skipped({"handle": "h"}), skipped({"handle": "h", "fields_changed": []})
    assert one != two
    assert two == skipped({"handle": "h", "fields_changed": [], "query_variables": {}})


def test_a_missing_adobe_signature_is_named_as_adobe_does() -> None:
    """Adobe I/O Events, "Signature verification": two headers, of which the first is named where one is expected."""
    scheme = PROVIDERS["magento"].scheme("adobe_io")
    assert list(scheme.headers) == ["x-adobe-digital-signature-1", "x-adobe-digital-signature-2"]
    assert scheme.header(Credentials(secrets=())) == "x-adobe-digital-signature-1"


@pytest.mark.parametrize(
    ("times", "created"),
    [
        ({"processed_at": "2026-01-02T00:00:00Z", "created_at": "2026-03-04T00:00:00Z"}, "2026-01-02"),
        ({"created_at": "2026-03-04T00:00:00Z"}, "2026-03-04"),
        ({"processed_at": "2026-01-02T00:00:00Z", "created_at": None}, "2026-01-02"),
    ],
)
def test_a_shopify_order_was_created_when_it_was_processed_or_else_recorded(times: dict[str, Any], created: str) -> None:
    [reading] = PROVIDERS["shopify"].readings(encode({**shopify_order(1, created_at=None), **times}), BARE)
    assert reading.identity is not None
    assert reading.identity.created_at is not None
    assert reading.identity.created_at.date().isoformat() == created
