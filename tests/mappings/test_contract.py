"""Drip's contract as a schema, and rendered bodies."""

import copy
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from mappings import (
    ACTIONS,
    DRIP_ORDER_NAMES,
    VOCABULARIES,
    Item,
    Options,
    Order,
    OrderActivity,
    Rejected,
    digest,
    dotted,
    encode,
    parse,
    render,
    timestamp,
)
from tests.support import contract_example

EXAMPLE: dict[str, Any] = parse(contract_example.EXAMPLE)
# The table's required keys, with `email` for "either person_id or email".
REQUIRED = ("provider", "email", "action", "order_id", "order_url")
ITEM_REQUIRED = ("product_id", "name", "price", "product_url", "image_url")
# The table's optional keys with numbers, and those with text.
NUMBERS = ("grand_total", "total_discounts", "total_taxes", "total_fees", "total_shipping")
ITEM_NUMBERS = ("price", "quantity", "discounts", "taxes", "fees", "shipping", "total")
ITEM_TEXTS = ("product_variant_id", "sku", "brand")
REQUIRED_PATHS = [*REQUIRED, *(f"items.0.{name}" for name in ITEM_REQUIRED)]
OCCURRED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OPTIONS = Options(public_url="https://adapter.example")


def problems(
    path: str = "", change: Callable[[dict[str, Any], str], Any] | None = None, body: dict[str, Any] = EXAMPLE
) -> dict[str, list[str]]:
    """The problems of the body after `change` to the value at `path`."""
    body = copy.deepcopy(body)
    *steps, last = path.split(".")
    node: Any = body
    for step in steps:
        node = node[int(step) if step.isdecimal() else step]
    if change:
        change(node, last)
    return dotted(OrderActivity().validate(body))


def without(path: str) -> dict[str, list[str]]:
    return problems(path, lambda node, key: node.pop(key))


def with_value(path: str, value: Any) -> dict[str, list[str]]:
    return problems(path, lambda node, key: node.update({key: value}))


class TestSchema:
    def test_the_example_on_drips_page_is_valid(self) -> None:
        assert problems() == {}

    @pytest.mark.parametrize("path", REQUIRED_PATHS)
    def test_a_missing_required_key_is_reported_by_its_path(self, path: str) -> None:
        assert without(path) == {path: ["is required"]}
        assert with_value(path, None) == {path: ["is required"]}

    @pytest.mark.parametrize("path", [path for path in REQUIRED_PATHS if path != "items.0.price"])
    @pytest.mark.parametrize("blank", ["", "   "])
    def test_a_blank_required_key_is_reported_by_its_path(self, path: str, blank: str) -> None:
        assert list(with_value(path, blank)) == [path]

    @pytest.mark.parametrize(
        "path", [*REQUIRED_PATHS, *NUMBERS, *(f"items.0.{name}" for name in (*ITEM_NUMBERS, *ITEM_TEXTS, "categories"))]
    )
    @pytest.mark.parametrize("value", [True, {}, {"a": 1}, [7]], ids=repr)
    def test_a_value_of_the_wrong_type_is_reported_by_its_path(self, path: str, value: Any) -> None:
        assert list(with_value(path, value)) == [path]

    @pytest.mark.parametrize(
        "path", [path for path in (*REQUIRED_PATHS, *(f"items.0.{name}" for name in ITEM_TEXTS)) if path != "items.0.price"]
    )
    def test_a_number_is_not_accepted_as_text(self, path: str) -> None:
        assert with_value(path, 456445746) == {path: ["has the wrong type or format"]}

    @pytest.mark.parametrize("path", [*NUMBERS, *(f"items.0.{name}" for name in ITEM_NUMBERS)])
    @pytest.mark.parametrize("value", ["19.99", "", 19.99], ids=repr)
    def test_money_must_be_an_exact_number(self, path: str, value: Any) -> None:
        assert with_value(path, value) == {path: ["has the wrong type or format"]}

    @pytest.mark.parametrize("path", [*NUMBERS, *(f"items.0.{name}" for name in ITEM_NUMBERS)])
    @pytest.mark.parametrize("value", ["NaN", "Infinity", "sNaN"])
    def test_infinity_and_nan_are_rejected(self, path: str, value: str) -> None:
        assert with_value(path, Decimal(value)) == {path: ["is out of range"]}

    @pytest.mark.parametrize("path", ["items.0.price", "items.0.quantity"])
    def test_a_price_or_a_quantity_below_0_is_out_of_range(self, path: str) -> None:
        assert with_value(path, Decimal("-0.01")) == {path: ["is out of range"]}
        assert with_value(path, 0) == {}

    @pytest.mark.parametrize(
        "path", [*(path for path in REQUIRED_PATHS if "url" not in path and "price" not in path), "order_public_id", "items.0.sku"]
    )
    def test_text_over_the_limit_is_too_long(self, path: str) -> None:
        assert "is too long" in with_value(path, "x" * 256)[path]

    @pytest.mark.parametrize(
        "path", ["occurred_at", "order_public_id", *NUMBERS, "currency", "items", "items.0.quantity", "items.0.sku", "items.0.product_tag"]
    )
    def test_an_optional_key_may_be_missing_or_null(self, path: str) -> None:
        assert without(path) == {}
        assert with_value(path, None) == {}

    @pytest.mark.parametrize("provider", ["Magento", "my-store", "my store", "_store", "store_", "1store", "my__store"])
    def test_a_provider_is_lower_snake_case(self, provider: str) -> None:
        assert with_value("provider", provider) == {"provider": ["has the wrong type or format"]}
        assert with_value("provider", "my_store") == {}

    @pytest.mark.parametrize("action", ["cancelled", "Created", "create", "deleted"])
    def test_an_action_is_created_or_updated(self, action: str) -> None:
        assert with_value("action", action) == {"action": ["has the wrong type or format"]}
        assert [with_value("action", each) for each in ("created", "updated")] == [{}, {}]
        assert set(ACTIONS) >= {"created", "updated"}

    @pytest.mark.parametrize("path", ["order_url", "items.0.product_url", "items.0.image_url"])
    @pytest.mark.parametrize(
        "url", ["/order/1", "mysuperstore.com/1", "ftp://x.example/1", "javascript:alert(1)", "https://", "https://x.example/a b"]
    )
    def test_a_url_is_absolute_and_http(self, path: str, url: str) -> None:
        assert with_value(path, url) == {path: ["isn't an absolute http(s) URL"]}

    @pytest.mark.parametrize("email", ["user", "user@", "user@gmail", "a b@gmail.com", "user@gmail.com,other@gmail.com"])
    def test_an_email_must_look_like_one(self, email: str) -> None:
        assert with_value("email", email) == {"email": ["isn't an email address"]}

    @pytest.mark.parametrize("time", ["yesterday", "2019-13-01T00:00:00Z", "17/01/2019", "", 1547758200])
    def test_a_time_is_iso_8601(self, time: Any) -> None:
        assert with_value("occurred_at", time) == {"occurred_at": ["isn't an ISO 8601 time"]}

    @pytest.mark.parametrize("currency", ["usd", "US", "BTC", "$", ""])
    def test_a_currency_is_iso_4217(self, currency: str) -> None:
        assert with_value("currency", currency) == {"currency": ["has the wrong type or format"]}

    def test_a_person_id_replaces_the_email_which_is_then_ignored(self) -> None:
        person = {key: value for key, value in EXAMPLE.items() if key != "email"} | {"person_id": "p-1"}
        assert problems(body=person) == {}
        assert problems(body=person | {"email": "none"}) == {}
        assert problems(body=person | {"person_id": "  "}) == {"email": ["is required"]}

    def test_items_are_a_list_of_objects(self) -> None:
        assert list(with_value("items", {"0": {}})) == ["items"]
        assert list(with_value("items", "none")) == ["items"]
        [item] = EXAMPLE["items"]
        assert with_value("items", [item, None, 7]) == {f"items.{index}": ["has the wrong type or format"] for index in (1, 2)}
        assert with_value("items", []) == {}

    def test_all_problems_are_reported_at_once(self) -> None:
        [item] = EXAMPLE["items"]
        second = {**item, "name": "", "price": "free"}
        body = {**EXAMPLE, "action": "eaten", "items": [item, second]}
        assert set(problems(body=body)) == {"action", "items.1.name", "items.1.price"}

    @pytest.mark.parametrize("value", ["Best Seller", 7, True, ["a"], {"a": [1]}])
    def test_custom_attributes_are_allowed_at_both_levels(self, value: Any) -> None:
        assert with_value("custom", value) == {}
        assert with_value("items.0.custom", value) == {}


ITEM = Item(
    product_id="B01J4SWO1G", product_variant_id="B01J4SWO1G", name="Bottle", price=Decimal("11.16"), quantity=Decimal("2.0"),
    total=Decimal("22.32"), built_url="https://shop.example/",
)  # fmt: skip
ORDER = Order(
    provider="magento", order_id="456445746", email="user@gmail.com", created_at=OCCURRED_AT, updated_at=OCCURRED_AT,
    grand_total=Decimal("19.99"), original_total=Decimal("19.99"), order_url="https://shop.example/order/1", items=(ITEM,),
)  # fmt: skip


def rendered(
    order: Order = ORDER, *, action: str = "created", options: Options = OPTIONS, refund_amount: Decimal | None = None
) -> dict[str, Any]:
    return render(order, action=action, occurred_at=OCCURRED_AT, options=options, refund_amount=refund_amount)


class TestRender:
    def test_a_minimal_order_is_a_complete_body(self) -> None:
        assert rendered() == {
            "provider": "magento",
            "email": "user@gmail.com",
            "initial_status": "unsubscribed",
            "action": "created",
            "order_id": "456445746",
            "occurred_at": "2026-01-02T03:04:05Z",
            "grand_total": Decimal("19.99"),
            "total_discounts": 0,
            "total_taxes": 0,
            "total_fees": 0,
            "total_shipping": 0,
            "order_url": "https://shop.example/order/1",
            "items": [
                {
                    "product_id": "B01J4SWO1G",
                    "product_variant_id": "B01J4SWO1G",
                    "name": "Bottle",
                    "price": Decimal("11.16"),
                    "quantity": 2,
                    "discounts": 0,
                    "discount": 0,
                    "taxes": 0,
                    "fees": 0,
                    "shipping": 0,
                    "total": Decimal("22.32"),
                    "product_url": "https://shop.example/",
                    "image_url": "https://adapter.example/static/placeholder.png",
                }
            ],
            "item_count": 2,
            "item_names": ["Bottle"],
        }

    @pytest.mark.parametrize(
        ("order", "paths"),
        [
            (replace(ORDER, order_id=""), ["order_id"]),
            (replace(ORDER, email=""), ["email"]),
            (replace(ORDER, order_url="/order/1"), ["order_url"]),
            (replace(ORDER, grand_total=Decimal("NaN")), ["grand_total"]),
            (replace(ORDER, items=(ITEM, replace(ITEM, name=" "))), ["items.1.name"]),
            (replace(ORDER, items=(replace(ITEM, price=Decimal(-1), product_id=""),)), ["items.0.price", "items.0.product_id"]),
            (replace(ORDER, items=(replace(ITEM, built_url=""),)), ["items.0.product_url"]),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_a_body_that_breaks_the_contract_is_rejected(self, order: Order, paths: list[str]) -> None:
        with pytest.raises(Rejected) as caught:
            rendered(order)
        assert sorted(caught.value.problems) == paths

    def test_an_unknown_action_is_rejected(self) -> None:
        with pytest.raises(Rejected, match="action"):
            rendered(action="eaten")

    def test_the_rendered_body_is_json_with_exact_numbers(self) -> None:
        assert parse(encode(rendered())) == rendered()

    def test_the_discount_is_sent_under_both_names(self) -> None:
        [item] = rendered(replace(ORDER, items=(replace(ITEM, discounts=Decimal("5.34"), total=Decimal("16.98")),)))["items"]
        assert (item["discount"], item["discounts"], item["sale_price"]) == (Decimal("5.34"), Decimal("5.34"), Decimal("8.49"))

    def test_a_fractional_quantity_is_kept_and_a_whole_one_has_no_decimals(self) -> None:
        body = rendered(replace(ORDER, items=(replace(ITEM, quantity=Decimal("0.750")), replace(ITEM, quantity=Decimal("100")))))
        assert [str(item["quantity"]) for item in body["items"]] == ["0.75", "100"]
        assert str(body["item_count"]) == "100.75"

    def test_the_shops_image_is_preferred_to_the_placeholder(self) -> None:
        def picture(item: Item, options: Options = OPTIONS) -> Any:
            return rendered(replace(ORDER, items=(item,)), options=options)["items"][0]["image_url"]

        own = Options(placeholder_image="https://shop.example/none.png")
        assert picture(ITEM, own) == "https://shop.example/none.png"
        assert picture(replace(ITEM, image_url="https://cdn.example/7.jpg"), own) == "https://cdn.example/7.jpg"

    def test_the_provider_can_be_renamed_for_a_second_store(self) -> None:
        assert rendered(options=dataclasses.replace(OPTIONS, drip_provider="my_store"))["provider"] == "my_store"

    @pytest.mark.parametrize(
        ("accepts", "consent", "status"),
        [
            (False, "send", "unsubscribed"),
            (None, "send", "unsubscribed"),
            (True, "send", None),
            (False, "ignore", None),
            (None, "ignore", None),
            (False, "subscribed", "active"),
            (None, "subscribed", "active"),
            (False, "meta_data.newsletter", "unsubscribed"),
            (True, "meta_data.newsletter", None),
        ],
    )
    @pytest.mark.parametrize("vocabulary", VOCABULARIES)
    def test_only_a_shopper_who_opted_in_is_subscribed(
        self, vocabulary: Any, accepts: bool | None, consent: str, status: str | None
    ) -> None:
        options = dataclasses.replace(OPTIONS, consent=consent, vocabulary=vocabulary)
        body = rendered(replace(ORDER, accepts_marketing=accepts), action=VOCABULARIES[vocabulary][0], options=options)
        assert body.get("initial_status") == status

    def test_a_long_public_id_sku_or_brand_is_cut_off(self) -> None:
        body = rendered(replace(ORDER, order_public_id="x" * 300, items=(replace(ITEM, sku="s" * 300, brand="b" * 300),)))
        [item] = body["items"]
        assert [len(text) for text in (body["order_public_id"], item["sku"], item["brand"])] == [255, 255, 255]

    def test_times_are_utc_and_end_in_z(self) -> None:
        assert timestamp(datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))) == "2025-12-31T23:00:00Z"
        assert timestamp(datetime(2026, 1, 1, 1, 0, 0, 250000, tzinfo=UTC)) == "2026-01-01T01:00:00.250000Z"


LIFECYCLE = dataclasses.replace(OPTIONS, vocabulary="lifecycle")
REFUNDED = replace(
    ORDER,
    grand_total=Decimal("70.00"),
    original_total=Decimal("100.00"),
    refunded_total=Decimal("30.00"),
    attributes={"original_total": Decimal("100.00"), "refunded_total": Decimal("30.00"), "status": "processing"},
)
HOME = {"first_name": "Ada", "company": "", "address_1": "1 Quay Road", "postal_code": "04530", "country": "US"}
ADDRESS_KEYS = (
    "label", "first_name", "last_name", "company", "address_1", "address_2", "city", "state", "postal_code", "country", "phone",
)  # fmt: skip


class TestLifecycleVocabulary:
    def test_each_vocabulary_has_its_actions(self) -> None:
        assert VOCABULARIES == {
            "contract": ("created", "updated"),
            "lifecycle": ("placed", "paid", "fulfilled", "refunded", "canceled", "updated"),
        }
        assert sorted(ACTIONS) == ["canceled", "created", "fulfilled", "paid", "placed", "refunded", "updated"]

    def test_the_total_stays_as_ordered_and_the_refund_is_separate(self) -> None:
        body = rendered(REFUNDED, action="refunded", options=LIFECYCLE, refund_amount=Decimal("12.50"))
        assert (body["grand_total"], body["refund_amount"], body["status"]) == (Decimal("100.00"), Decimal("12.50"), "processing")
        assert not {"original_total", "refunded_total"} & set(body)

    def test_an_event_without_a_refund_has_no_refund_amount(self) -> None:
        assert "refund_amount" not in rendered(REFUNDED, action="paid", options=LIFECYCLE)

    def test_in_the_contracts_vocabulary_the_total_follows_refunds_and_newer_fields_are_left_out(self) -> None:
        body = rendered(replace(REFUNDED, billing_address=HOME, shipping_address=HOME), refund_amount=Decimal("12.50"))
        assert (body["grand_total"], body["original_total"], body["refunded_total"]) == (70, 100, 30)
        assert not {"refund_amount", "billing_address", "shipping_address"} & set(body)

    def test_an_address_is_sent_without_blanks_and_an_empty_one_is_left_out(self) -> None:
        body = rendered(replace(ORDER, billing_address=HOME), action="placed", options=LIFECYCLE)
        assert body["billing_address"] == {"first_name": "Ada", "address_1": "1 Quay Road", "postal_code": "04530", "country": "US"}
        assert "shipping_address" not in body

    def test_a_long_part_of_an_address_is_cut_off(self) -> None:
        body = rendered(replace(ORDER, shipping_address={"company": "x" * 300}), action="placed", options=LIFECYCLE)
        assert body["shipping_address"] == {"company": "x" * 255}

    @pytest.mark.parametrize("action", ACTIONS)
    def test_the_schema_accepts_the_actions_of_both(self, action: str) -> None:
        assert OrderActivity().validate(EXAMPLE | {"action": action}) == {}

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("refund_amount", 0),
            ("refund_amount", Decimal("12.50")),
            ("initial_status", "active"),
            ("initial_status", "unsubscribed"),
            ("billing_address", {}),
            ("shipping_address", dict.fromkeys(ADDRESS_KEYS, "x")),
        ],
    )
    def test_the_schema_accepts_the_fields_of_drips_current_page(self, name: str, value: Any) -> None:
        assert with_value(name, value) == {}

    @pytest.mark.parametrize(
        ("name", "value", "why"),
        [
            ("refund_amount", Decimal("-0.01"), "is out of range"),
            ("refund_amount", "12.50", "has the wrong type or format"),
            ("initial_status", "subscribed", "has the wrong type or format"),
            ("billing_address", "1 Quay Road", "has the wrong type or format"),
            ("billing_address", {"street": "1 Quay Road"}, "has the wrong type or format"),
            ("shipping_address", {"postal_code": 4530}, "has the wrong type or format"),
            ("shipping_address", {"city": "x" * 256}, "is too long"),
        ],
    )
    def test_other_values_of_those_fields_are_rejected(self, name: str, value: Any, why: str) -> None:
        assert with_value(name, value) == {name: [why]}


class TestCustomAttributes:
    def test_they_are_at_the_root_without_empty_ones(self) -> None:
        body = rendered(replace(ORDER, attributes={"is_guest": False, "refunded": 0, "tags": ["a"], "none": None, "blank": "", "list": []}))
        assert {key: body[key] for key in ("is_guest", "refunded", "tags")} == {"is_guest": False, "refunded": 0, "tags": ["a"]}
        assert not {"none", "blank", "list"} & set(body)

    @pytest.mark.parametrize("name", sorted(DRIP_ORDER_NAMES))
    def test_none_can_have_a_name_with_a_meaning_at_drip(self, name: str) -> None:
        assert rendered(replace(ORDER, attributes={name: "mine"})) == rendered()

    @pytest.mark.parametrize("name", ["item_count", "item_names"])
    def test_none_can_replace_a_field_of_ours(self, name: str) -> None:
        assert rendered(replace(ORDER, attributes={name: "mine"})) == rendered()

    @pytest.mark.parametrize("name", ["product_id", "price", "quantity", "discount", "total", "product_url", "name"])
    def test_an_items_attributes_do_not_replace_its_fields(self, name: str) -> None:
        assert rendered(replace(ORDER, items=(replace(ITEM, attributes={name: "mine"}),))) == rendered()

    def test_the_reserved_names_are_those_of_the_contract_and_of_drips_current_page(self) -> None:
        assert set(EXAMPLE) | {"person_id"} <= DRIP_ORDER_NAMES
        assert {"refund_amount", "initial_status", "billing_address", "shipping_address"} <= DRIP_ORDER_NAMES


class TestDigest:
    def test_keys_about_the_request_do_not_count(self) -> None:
        assert digest(EXAMPLE | {"action": "updated", "occurred_at": "2020-01-01T00:00:00Z"}) == digest(EXAMPLE)
        assert digest(EXAMPLE | {"initial_status": "unsubscribed"}) == digest(EXAMPLE)
        assert digest(EXAMPLE | {"action": "refunded", "refund_amount": Decimal("5.00")}) == digest(EXAMPLE)

    @pytest.mark.parametrize("spelling", ["19.99", "19.9900", "1999E-2", "19.990000000"])
    def test_numbers_count_by_value(self, spelling: str) -> None:
        assert digest(EXAMPLE | {"grand_total": Decimal(spelling)}) == digest(EXAMPLE)

    def test_whole_numbers_too(self) -> None:
        assert len({digest({"grand_total": number}) for number in (200, Decimal("200"), Decimal("2E+2"), Decimal("200.0000"))}) == 1

    def test_the_order_of_keys_does_not_count_and_that_of_lines_does(self) -> None:
        assert digest(dict(reversed(EXAMPLE.items()))) == digest(EXAMPLE)
        assert digest({"items": [{"a": 1}, {"a": 2}]}) != digest({"items": [{"a": 2}, {"a": 1}]})

    @pytest.mark.parametrize(
        "path", ["grand_total", "email", "order_url", "currency", "items", "provider", "items.0.price", "items.0.product_tag"]
    )
    def test_every_other_change_counts(self, path: str) -> None:
        body = copy.deepcopy(EXAMPLE)
        node = body["items"][0] if "." in path else body
        node[path.rpartition(".")[2]] = "other"
        assert digest(body) != digest(EXAMPLE)

    def test_true_is_not_1(self) -> None:
        assert digest({"paid": True}) != digest({"paid": 1})

    def test_a_stored_body_has_the_same_digest(self) -> None:
        body = rendered(replace(ORDER, attributes={"note": "Zoë \U0001f600", "taxes_included": False}))
        assert digest(parse(encode(body))) == digest(body)
