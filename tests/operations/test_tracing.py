"""The source of each Drip field is found by changing the payload, so it is as accurate as the mapping itself."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapter.operations.tracing import dotted, trace
from adapter.process.replay import Case, find_cases
from mappings import PROVIDERS, Context, Options, parse, render

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
EXPECTED = {
    "shopify": {
        "order_id": "id", "order_public_id": "name", "occurred_at": "processed_at", "currency": "currency",
        "items.0.name": "line_items.0.title", "items.0.price": "line_items.0.price", "items.0.product_id": "line_items.0.product_id",
    },
    "woocommerce": {
        "order_id": "id", "email": "billing.email", "currency": "currency", "occurred_at": "date_created_gmt", "grand_total": "total",
        "items.0.name": "line_items.0.name", "items.0.product_id": "line_items.0.product_id",
    },
    "magento": {
        "order_id": "entity_id", "order_public_id": "increment_id", "email": "customer_email", "currency": "order_currency_code",
        "grand_total": "grand_total", "items.0.name": "items.0.name", "items.0.price": "items.0.price",
    },
    "bigcommerce": {
        "order_id": "id", "email": "billing_address.email", "currency": "default_currency_code", "occurred_at": "date_created",
        "grand_total": "total_inc_tax", "items.0.name": "products.0.name", "items.0.price": "products.0.price_ex_tax",
    },
}  # fmt: skip
CASES = {
    "shopify": "shopify/paid-order", "woocommerce": "woocommerce/paid-order", "magento": "magento/guest-checkout",
    "bigcommerce": "bigcommerce/guest-opted-in",
}  # fmt: skip


def maker(case: Case) -> Callable[[Any], dict[str, Any] | None]:
    options = Options(store_url="https://shop.example", public_url="https://a.example")
    topic = case.provider.topic({name.lower(): value for name, value in case.headers.items()})
    context = Context(topic=topic, received_at=datetime(2026, 9, 30, tzinfo=UTC), options=options)

    def make(document: Any) -> dict[str, Any] | None:
        try:
            order = case.provider.map(case.provider.read(document, context), context)
            return render(order, action="created", occurred_at=order.created_at, options=options)
        except Exception:  # noqa: BLE001 - a changed payload may set off anything
            return None

    return make


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_fields_are_traced_to_where_the_mapping_takes_them_from(provider: str) -> None:
    [case] = find_cases([FIXTURES / CASES[provider]])
    document = parse(case.payload)
    found = {dotted(path): {dotted(source) for source in sources} for path, sources in trace(document, maker(case), 30).items()}
    for field, source in EXPECTED[provider].items():
        last = {name.removeprefix("data.").removeprefix("order.") for name in found.get(field, set())}
        assert source in last, (field, found.get(field))
    assert document == parse(case.payload), "the document is as it was"


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_a_trace_holds_when_the_payload_is_changed_there(provider: str) -> None:
    """The other way round: another value at the source gives another value in the field."""
    [case] = find_cases([FIXTURES / CASES[provider]])
    document, make = parse(case.payload), maker(case)
    before = make(document)
    assert before is not None
    for path, sources in trace(document, make, 30).items():
        for source in sources[:1]:
            changed = parse(case.payload)
            holder = _at(changed, source[:-1])
            value = holder[source[-1]]
            holder[source[-1]] = not value if isinstance(value, bool) else value + 1 if not isinstance(value, str) else _other(value)
            after = make(changed)
            assert after is None or _at(after, path, None) != _at(before, path, None), (path, source)


def test_it_ends_in_time() -> None:
    began = datetime.now(UTC)
    trace({str(index): index for index in range(5000)}, lambda document: {"sum": sum(document.values())}, 0.2)
    assert (datetime.now(UTC) - began).total_seconds() < 2


def test_a_field_of_no_source_has_none_and_two_have_two() -> None:
    found = trace({"a": 1, "b": "2", "c": "x"}, lambda document: {"both": f"{document['a']}{document['b']}", "fixed": 1})
    assert found == {("both",): [("a",), ("b",)]}


def _at(node: Any, path: Any, *default: Any) -> Any:
    for name in path:
        try:
            node = node[name]
        except (KeyError, IndexError, TypeError):
            return default[0] if default else None
    return node


def _other(value: str) -> str:
    if "@" in value:
        return f"x{value}"
    return value[:-1] + ("1" if value[-1] != "1" else "2") if value[-1:].isdigit() else f"{value}x"
