"""The payload in every fixture folder has exactly the outcome that the folder contains."""

import json
from decimal import Decimal

import pytest

from mappings import encode, outcomes
from tests.support.fixture_cases import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_golden(case: Case) -> None:
    made = outcomes(case.provider, case.payload, case.context, case.known)
    assert [json.loads(encode(outcome), parse_float=Decimal) for outcome in made] == case.expected
