"""When an order without times of its own was placed."""

import json
from datetime import UTC, datetime

import pytest

from mappings import PROVIDERS, Context, Options

ORDER = {"id": 9, "email": "ada.shopper@example.com", "currency": "EUR", "total_price": "0.00"}
TRIGGERED = "2026-09-30T12:00:00Z"


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
def test_it_is_when_its_webhook_was_triggered_or_else_received(headers: dict[str, str], placed_at: datetime) -> None:
    received_at = datetime(2026, 10, 1, tzinfo=UTC)
    context = Context(headers=headers, received_at=received_at, options=Options(store_url="https://shop.example"))
    [reading] = PROVIDERS["shopify"].readings(json.dumps(ORDER).encode(), context)
    assert PROVIDERS["shopify"].map(reading, context).created_at == placed_at
