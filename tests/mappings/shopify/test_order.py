"""Shopify: details that the golden cases don't cover."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from mappings import PROVIDERS, Context, Options, Order

ORDER = {"id": 9, "email": "ada.shopper@example.com", "currency": "EUR", "total_price": "0.00"}
TRIGGERED = "2026-09-30T12:00:00Z"


def order_of(payload: Mapping[str, Any], headers: Mapping[str, str] | None = None, **options: Any) -> Order:
    received_at = datetime(2026, 10, 1, tzinfo=UTC)
    context = Context(headers=headers or {}, received_at=received_at, options=Options(store_url="https://shop.example", **options))
    [reading] = PROVIDERS["shopify"].readings(json.dumps(payload).encode(), context)
    return PROVIDERS["shopify"].map(reading, context)


@pytest.mark.parametrize(
    ("headers", "placed_at"),
    [
        ({"x-shopify-triggered-at": TRIGGERED}, datetime(2026, 9, 30, 12, tzinfo=UTC)),
        # The name without the prefix, which Shopify's newer webhooks have.
        ({"shopify-triggered-at": TRIGGERED}, datetime(2026, 9, 30, 12, tzinfo=UTC)),
        ({}, datetime(2026, 10, 1, tzinfo=UTC)),
    ],
    ids=["triggered", "triggered, newer name", "received"],
)
def test_without_times_it_was_placed_when_its_webhook_was_triggered_or_received(headers: dict[str, str], placed_at: datetime) -> None:
    assert order_of(ORDER, headers).created_at == placed_at


@pytest.mark.parametrize(
    ("names", "address"),
    [
        ({"name": "#1001-A", "order_number": 1001}, "https://shop.example/o/1001-A"),
        ({"order_number": 1001}, "https://shop.example/o/1001"),
        ({}, "https://shop.example/o/"),
    ],
    ids=["name", "number", "neither"],
)
def test_a_template_gets_the_number_that_the_shopper_sees(names: dict[str, Any], address: str) -> None:
    assert order_of({**ORDER, **names}, order_url_template="https://shop.example/o/{order_public_id}").order_url == address
