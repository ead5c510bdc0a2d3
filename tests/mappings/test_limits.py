"""What one payload may hold: beyond a limit the problem names the limit, and only the first problems are kept."""

from typing import Any

import pytest

from mappings import PROVIDERS, Context, Limits, Options, Rejected, parse
from mappings.core.errors import MOST_PROBLEMS
from tests.support.fixture_cases import RECEIVED_AT

LIMITS = Limits(orders=2, lines=MOST_PROBLEMS + 3)
CONTEXT = Context(received_at=RECEIVED_AT, options=Options(store_url="https://shop.example", limits=LIMITS))
LINES = {"shopify": "line_items", "woocommerce": "line_items", "magento": "items", "bigcommerce": "products"}


def problems_of(provider: str, payload: str) -> dict[str, list[str]]:
    try:
        [reading] = PROVIDERS[provider].readings(payload.encode(), CONTEXT)
    except Rejected as rejected:
        return rejected.problems
    return dict(reading.problems)


def an_order(provider: str, lines: str) -> str:
    total = {"shopify": "total_price", "woocommerce": "total", "magento": "grand_total", "bigcommerce": "total_inc_tax"}[provider]
    return f'{{"id": 1, "status_id": 11, "{total}": "1", "{LINES[provider]}": [{lines}]}}'


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_an_order_has_so_many_lines_and_no_more(provider: str) -> None:
    most = LIMITS.lines
    path, why = LINES[provider], [f"has {most + 1} entries, and MAX_LINES_PER_ORDER allows {most}"]
    assert problems_of(provider, an_order(provider, ",".join(["{}"] * (most + 1)))) == {path: why}
    assert "MAX_LINES" not in str(problems_of(provider, an_order(provider, ",".join(["{}"] * most))))


def test_a_body_has_so_many_orders_and_no_more() -> None:
    order = '{"entity_id": 1, "increment_id": "1", "grand_total": 1, "customer_email": "ada@shop.example", "items": []}'
    problems = {"": ["contains 3 orders, and MAX_ORDERS_PER_PAYLOAD allows 2"]}
    assert problems_of("magento", f'{{"items": [{order}, {order}, {order}], "total_count": 3, "search_criteria": {{}}}}') == problems
    assert len(PROVIDERS["magento"].readings(f'{{"items": [{order}, {order}], "search_criteria": {{}}}}'.encode(), CONTEXT)) == 2


def test_a_payload_has_so_many_objects_and_no_more() -> None:
    with pytest.raises(Rejected) as caught:
        parse(b"[" + b"{}," * 200_000 + b"{}]")
    assert caught.value.problems == {"": ["contains 200,001 JSON objects, and no order has more than 200,000"]}
    assert len(parse(b"[" + b"{}," * 199_999 + b"{}]")) == 200_000


@pytest.mark.parametrize("broken", ['{"qty_ordered": "two", "price": "three"}', "5"])
def test_all_lines_with_problems_are_listed_or_counted(broken: str) -> None:
    def problems_of_lines(count: int) -> dict[str, list[str]]:
        return problems_of("magento", f'{{"entity_id": 1, "grand_total": 1, "items": [{",".join([broken] * count)}]}}')

    each = 1 if broken == "5" else 2
    few = problems_of_lines(MOST_PROBLEMS // each)
    assert len(few) == MOST_PROBLEMS
    assert all(path.startswith("items.") for path in few)
    many = problems_of_lines(MOST_PROBLEMS + 3)
    assert many["items"] == ["and 3 more entries with problems"]
    assert sum(path.startswith("items.") for path in many) == MOST_PROBLEMS - 1
    assert many[""] == [f"and {MOST_PROBLEMS * (each - 1) + 1} more problems"]


def test_problems_beyond_the_first_are_a_number() -> None:
    few: dict[str, Any] = {f"line {number}": ["wrong"] for number in range(MOST_PROBLEMS)}
    assert Rejected(few).problems == few
    assert Rejected({**few, "one": ["wrong"], "two": ["wrong"]}).problems == {**few, "": ["and 2 more problems"]}
    assert Rejected({"": ["broken"], **few}).problems[""] == ["broken", "and 1 more problems"]
