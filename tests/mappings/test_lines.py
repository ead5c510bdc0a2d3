"""Lines of every platform: a price below 1 is a price like any other, and lines that can't be read are never left out."""

import json
from decimal import Decimal
from typing import Any

import pytest

from mappings import outcomes
from tests.support.fixture_cases import CASES

# A case with one plain line each, where its lines are, and the fields that hold the price of one.
_CASES = {
    "shopify": ("refund-partial", "line_items", ("price",)),
    "woocommerce": ("guest-checkout", "line_items", ("price", "subtotal", "total")),
    "magento": ("refund-adjustment", "items", ("price", "original_price", "base_price")),
    "bigcommerce": ("refund-partial", "products", ("price_ex_tax", "base_price", "price_inc_tax")),
}


def mapped(platform: str, price: str) -> dict[str, Any]:
    name, place, names = _CASES[platform]
    [case] = [case for case in CASES if case.id == f"{platform}/{name}"]
    document = json.loads(case.payload)
    for line in document[place]:
        line |= {each: price for each in names if each in line}
        line.pop("price_set", None)
        if platform == "woocommerce":  # its amounts are of the whole line
            line["quantity"] = 1
    [body] = outcomes(case.provider, json.dumps(document).encode(), case.context, case.known)
    return body


@pytest.mark.parametrize("platform", sorted(_CASES))
@pytest.mark.parametrize("price", ["0.40", "0.99", "0"])
def test_a_price_below_1_is_kept(platform: str, price: str) -> None:
    assert {item["price"] for item in mapped(platform, price)["items"]} == {Decimal(price)}


@pytest.mark.parametrize("platform", sorted(_CASES))
@pytest.mark.parametrize("lines", ["none", 7, ["a lamp"], [7]])
def test_an_order_whose_lines_cannot_be_read_is_not_sent_without_them(platform: str, lines: Any) -> None:
    name, place, _ = _CASES[platform]
    [case] = [case for case in CASES if case.id == f"{platform}/{name}"]
    document = {**json.loads(case.payload), place: lines}
    [outcome] = outcomes(case.provider, json.dumps(document).encode(), case.context, case.known)
    assert set(outcome) == {"rejected"}
    assert any(path.startswith(place) for path in outcome["rejected"])
