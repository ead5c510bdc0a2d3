"""What changed of an order between two bodies."""

from decimal import Decimal
from typing import Any

import pytest

from adapter.operations.masking import masked_email
from adapter.operations.order_changes import changes
from adapter.operations.order_summary import money

LAMP: dict[str, Any] = {"product_id": "1", "product_variant_id": "1", "name": "Lamp", "quantity": 2, "total": Decimal("80.00")}
BODY: dict[str, Any] = {"email": "ada@example.com", "currency": "EUR", "grand_total": Decimal("80.00"), "total_taxes": 0, "items": [LAMP]}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        ({"action": "updated", "occurred_at": "later"}, []),
        ({"grand_total": Decimal(1200), "total_taxes": Decimal("3.5")}, ["Total 80.00 EUR → 1,200.00 EUR", "Taxes 0.00 EUR → 3.50 EUR"]),
        ({"refund_amount": Decimal("12.5")}, ["Refunded 12.50 EUR"]),
        ({"items": [LAMP | {"quantity": Decimal("1.50")}]}, ["Lamp: 2 → 1.5"]),
        ({"items": [LAMP | {"quantity": 1}, LAMP | {"quantity": 1}]}, []),
        ({"items": [LAMP | {"product_id": "2", "name": "Wick", "quantity": 3}]}, ["Removed Lamp (2)", "Added Wick (3)"]),
        ({"email": "bea@example.com", "tracking": "XY-1", "order_url": "https://shop.example/1"},
         ["Email address changed", "Order url added", "Tracking added"]),
    ],
)  # fmt: skip
def test_changes_in_sentences_without_personal_data(changed: dict[str, Any], said: list[str]) -> None:
    assert changes(BODY, BODY | changed) == said


def test_many_changes_are_counted() -> None:
    many = {f"note_{number}": "x" for number in range(20)}
    assert len(said := changes(BODY, BODY | many)) == 13
    assert said[-1] == "8 more changes"


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("1234.5", "USD", "1,234.50 USD"),
        ("1200", "JPY", "1,200 JPY"),
        ("1.5", "KWD", "1.500 KWD"),
        ("2", "", "2.00"),
        ("0.1250", "EUR", "0.125 EUR"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(amount: str, currency: str, shown: str) -> None:
    assert money(Decimal(amount), currency) == shown


@pytest.mark.parametrize(("address", "shown"), [("ada@example.co.uk", "a•••@e•••.uk"), ("", ""), ("nobody", "")])
def test_a_masked_address(address: str, shown: str) -> None:
    assert masked_email(address) == shown
