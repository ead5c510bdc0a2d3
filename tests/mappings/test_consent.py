"""Which values of a flag count as an opt-in to marketing."""

from typing import Any

import pytest

from mappings import encode, parse
from mappings.core.consent import opted_in


def woocommerce(value: Any) -> Any:
    return {"meta_data": [{"id": 1, "key": "other", "value": "1"}, {"id": 2, "key": "newsletter", "value": value}]}


@pytest.mark.parametrize("value", [True, 1, "1", "true", "True", "yes", "Yes", "y", "on", "On", " 1 ", "subscribed", ["yes"], ["1", "on"]])
def test_a_yes(value: Any) -> None:
    assert opted_in(parse(encode(woocommerce(value))), "meta_data.newsletter")


@pytest.mark.parametrize(
    "value",
    [
        False,
        0,
        2,
        -1,
        "",
        " ",
        "0",
        "false",
        "no",
        "off",
        "2",
        "unsubscribed",
        "pending",
        "yes please",
        None,
        [],
        ["yes", "no"],
        {},
        {"1": "1"},
    ],
)
def test_anything_else_is_no(value: Any) -> None:
    assert not opted_in(parse(encode(woocommerce(value))), "meta_data.newsletter")


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({"extension_attributes": {"is_subscribed": True}}, "extension_attributes.is_subscribed"),
        ({"note_attributes": [{"name": "newsletter", "value": "yes"}]}, "note_attributes.newsletter"),
        ({"meta_data": [{"key": "_wc_other/shop/opt-in", "value": "1"}]}, "meta_data._wc_other/shop/opt-in"),
        ({"buyer_accepts_marketing": True}, "buyer_accepts_marketing"),
    ],
)
def test_where_stores_keep_the_flag(payload: Any, path: str) -> None:
    assert opted_in(payload, path)


@pytest.mark.parametrize(
    "payload", [{}, [], None, "1", {"meta_data": None}, {"meta_data": {}}, {"meta_data": "1"}, {"meta_data": [{"key": "newsletter"}]}]
)
def test_a_payload_without_the_flag_is_no(payload: Any) -> None:
    assert not opted_in(payload, "meta_data.newsletter")
