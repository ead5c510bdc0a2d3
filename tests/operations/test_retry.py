"""How the audit names the deliveries that a retry chose."""

from datetime import UTC, datetime
from typing import Any

import pytest

from adapter.operations.retry import subject_of


@pytest.mark.parametrize(
    ("ids", "filters", "subject"),
    [
        ([17], {}, "delivery 17"),
        ([17, 18], {}, "deliveries: 2 selected"),
        ([17, 18], {"topic": "orders/create"}, "deliveries: 2 selected, topic orders/create"),
        ([], {"state": "dead", "store": "eu", "reason": ""}, "deliveries: store eu, state dead"),
        ([], {"since": datetime(2026, 1, 31, 9, 5, tzinfo=UTC), "until": None}, "deliveries: received since 2026-01-31 09:05"),
        ([], {"is_search": True, "text": "ada@example.com", "email_digest": "9f"}, "deliveries: found by search"),
        ([], {}, "deliveries: all"),
    ],
)
def test_the_subject_of_a_retry(ids: list[int], filters: dict[str, Any], subject: str) -> None:
    assert subject_of(ids, **filters) == subject
