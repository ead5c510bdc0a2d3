"""An order without an email address: whether the shopper gave none, or the webhook has no access to it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from mappings import PROVIDERS, Context, Options

WITHHELD = "the payload has no email field at all: the app or webhook has no access to customer data"
NOT_GIVEN = "the order contains no usable email address"
SHOPIFY: Mapping[str, Any] = {"id": 9, "created_at": "2026-09-30T12:00:00Z", "currency": "USD", "total_price": "5.00", "line_items": []}
WOOCOMMERCE: Mapping[str, Any] = {"id": 9, "number": "9", "status": "processing", "currency": "USD", "total": "5.00", "line_items": []}
MAGENTO: Mapping[str, Any] = {"entity_id": 9, "increment_id": "000000009", "state": "new", "grand_total": 5, "items": []}


@pytest.mark.parametrize(
    ("platform", "payload", "why"),
    [
        ("shopify", SHOPIFY, WITHHELD),
        ("shopify", {**SHOPIFY, "email": ""}, NOT_GIVEN),
        ("shopify", {**SHOPIFY, "customer": {"id": 7}}, WITHHELD),
        ("woocommerce", {**WOOCOMMERCE, "billing": {"first_name": "Ada"}}, WITHHELD),
        ("woocommerce", {**WOOCOMMERCE, "billing": {"email": ""}}, NOT_GIVEN),
        ("magento", MAGENTO, WITHHELD),
        ("magento", {**MAGENTO, "customer_email": ""}, NOT_GIVEN),
        ("magento", {**MAGENTO, "billing_address": {"email": "none"}}, NOT_GIVEN),
    ],
)
def test_a_withheld_address_differs_from_one_that_was_not_given(platform: str, payload: Mapping[str, Any], why: str) -> None:
    context = Context(received_at=datetime(2026, 10, 1, tzinfo=UTC), options=Options(store_url="https://shop.example"))
    [reading] = PROVIDERS[platform].readings(json.dumps(payload).encode(), context)
    skip = reading.skip(placed=True)
    assert skip is not None
    assert (str(skip.reason), skip.detail) == ("no_email", why)
