"""Whole payloads of each platform, made from its schema, and ways to bend every field of them."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from marshmallow import Schema

from mappings import PROVIDERS
from mappings.core.fields import Amount, Flag, Id, Number, Part, Rows, Text, Texts, Time

Path = tuple[str | int, ...]
# What an order needs beyond a value for every field: which of several shapes it has, and that nothing skips it.
_MARKS: dict[str, dict[str, Any]] = {
    "shopify": {
        "currency": "EUR",
        "financial_status": "paid",
        "test": False,
        "cancelled_at": None,
        "order_status_url": "https://a.example/o",
    },
    "woocommerce": {"status": "processing", "parent_id": 0, "currency": "EUR", "date_created_gmt": "2026-03-01T10:00:00"},
    "magento": {"state": "processing", "status": "processing", "order_currency_code": "EUR", "line_items": [], "increment_id": "1"},
    "bigcommerce": {"status_id": 11, "status": "Awaiting Fulfillment", "currency_code": "EUR"},
}
_NEVER = ("tip_payment_gateway", "tip_payment_method", "parent_item_id", "parent_item", "bundled_by", "composite_parent")


_PLAUSIBLE: dict[Any, Any] = {
    Id: 7, Amount: "1.50", Number: "2.00", Time: "2026-03-01T10:00:00Z", Flag: True, Texts: ["A"], Text: "Tea",
}  # fmt: skip


def whole(provider: str) -> dict[str, Any]:
    """A payload with a plausible value in every field of the schema, and two entries in every list."""
    return _example(PROVIDERS[provider].schema) | _MARKS.get(provider, {})


def _example(schema: Schema) -> dict[str, Any]:
    return {str(field.data_key or name): _value(name, field) for name, field in schema.load_fields.items() if name not in _NEVER}


def _value(name: str, field: Any) -> Any:
    if isinstance(field, Rows):
        return [_example(field.nested), _example(field.nested)]
    if isinstance(field, Part):
        return _example(field.nested)
    if "email" in name:
        return "ada.shopper@example.com"
    if "url" in name or name in ("src", "image", "href"):
        return "https://shop.example/p/7"
    for kind, value in _PLAUSIBLE.items():
        if isinstance(field, kind):
            return value
    return None


def paths(node: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every value, parts and lists included."""
    if path:
        yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from paths(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from paths(value, (*path, index))


_WEIRD: SearchStrategy[Any] = st.sampled_from(
    [
        *(None, "", " ", [], {}, [[]], [None], {"": ""}, True, False, 0, -1, 10**40, "NaN", "-Infinity", "1e400", "0x10", "9" * 500),
        *("\u0000", "&#" + "9" * 5_000, "<a" * 3_000, "\u202e", "\ufdfa" * 99, "//a", "https://[", "a@b.c"),
        *("2026-13-45", "0000-00-00 00:00:00", "9999-12-31T23:59:59+14:00"),
    ]
)
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
_NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6),
    st.decimals(-1000, 1000, places=2).map(str),
    st.integers(-1000, 1000).map(lambda number: number / 100),
)
_TIMES = st.datetimes().map(lambda moment: moment.isoformat())
_SCALARS = st.one_of(_WEIRD, _TEXTS, _NUMBERS, _TIMES)
_NESTED = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3), max_leaves=6)


@st.composite
def bent(draw: st.DrawFn, provider: str) -> dict[str, Any]:
    """A whole payload of which some values are replaced or missing."""
    payload = copy.deepcopy(whole(provider))
    places = st.sampled_from(sorted(set(paths(payload)), key=repr))
    for path, value in draw(st.lists(st.tuples(places, st.one_of(_SCALARS, _NUMBERS, _NESTED, st.just(...))), max_size=6)):
        _bend(payload, path, value)
    return payload


def _bend(node: Any, path: Path, value: Any) -> None:
    for step in path[:-1]:
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):  # bent away already
            return
    if not isinstance(node, (dict, list)) or (isinstance(node, list) and not (isinstance(path[-1], int) and path[-1] < len(node))):
        return
    if value is ...:
        if isinstance(node, list):
            node.pop(int(path[-1]))
        else:
            node.pop(path[-1], None)
    elif isinstance(node, list):
        node[int(path[-1])] = value
    else:
        node[path[-1]] = value
