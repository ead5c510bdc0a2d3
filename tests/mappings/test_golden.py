"""The payload in every fixture folder has exactly the outcome that the folder contains."""

import json
from decimal import Decimal

import pytest

from mappings import complete, encode, outcomes, render
from tests.support.fixture_cases import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_golden(case: Case) -> None:
    made = outcomes(case.provider, case.payload, case.context, case.known)
    assert [json.loads(encode(outcome), parse_float=Decimal) for outcome in made] == case.expected


@pytest.mark.parametrize("case", [case for case in CASES if case.updated], ids=lambda case: case.id)
def test_golden_update(case: Case) -> None:
    """The same order again, as an update."""
    [reading] = case.provider.readings(case.payload, case.context)
    order = complete(case.provider.map(reading, case.context), {product.key: product for product in case.known})
    body = render(order, action="updated", occurred_at=order.updated_at, options=case.context.options)
    assert json.loads(encode(body), parse_float=Decimal) == {**case.expected[0], **case.updated}
