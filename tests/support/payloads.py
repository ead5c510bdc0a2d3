"""Whole payloads of each platform, made from its schema, and ways to bend every field of them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from marshmallow import Schema

from mappings import PROVIDERS
from mappings.core.fields import Amount, Flag, Id, Number, Part, Rows, Text, Texts, Time
from tests.support.fixture_cases import CASES
from tests.support.hostile_values import HOSTILE_KEYS, HOSTILE_VALUES, shortened

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
    "magento": {"state": "processing", "status": "processing", "order_currency_code": "EUR", "increment_id": "1"},
    "bigcommerce": {"status_id": 11, "status": "Awaiting Fulfillment", "currency_code": "EUR"},
}
_NEVER = ("tip_payment_gateway", "tip_payment_method", "parent_item_id", "parent_item", "bundled_by", "composite_parent")
_MOST_BENDS = 5
_LONGEST_GOLDEN = 20_000
_PLAUSIBLE: dict[Any, Any] = {
    Id: 7, Amount: "1.50", Number: "2.00", Time: "2026-03-01T10:00:00Z", Flag: True, Texts: ["A"], Text: "Tea",
}  # fmt: skip


def whole(provider: str) -> dict[str, Any]:
    """A payload with a plausible value in every field of the schema, and two entries in every list."""
    payload = _example(PROVIDERS[provider].schema) | _MARKS[provider]
    if provider == "magento":
        payload["line_items"] = []
    return payload


def shapes(provider: str) -> dict[str, Any]:
    """The same in each of the shapes in which a platform's orders arrive, by name."""
    order = whole(provider)
    if provider == "magento":
        event = {"type": "com.adobe.commerce.observer.sales_order_save_after", "time": "2026-03-01T10:00:00Z"}
        wrapped = {"event": {**event, "data": {"key": "k", "value": order, "_metadata": {"storeId": "1"}}}}
        return {"rest": order, "event": wrapped, "line_items": {**order, "items": [], "line_items": order["items"]}}
    if provider == "woocommerce":
        return {"v3": order, "legacy": {"order": order}}
    return {"whole": order}


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


@dataclass(frozen=True)
class Base:
    """A payload to bend: one from the schema, or a golden case's."""

    provider: str
    name: str
    text: str
    places: tuple[Path, ...]


@cache
def bases(provider: str) -> tuple[Base, ...]:
    """Those from the schema first, and so often that half of all examples bend them."""
    made = [_base(provider, name, json.dumps(document)) for name, document in shapes(provider).items()]
    golden = [
        _base(provider, case.folder.name, case.payload.decode())
        for case in CASES
        if case.provider.name == provider and len(case.payload) <= _LONGEST_GOLDEN and _is_container(case.payload)
    ]
    return (*made * (len(golden) // len(made)), *golden)


def _is_container(payload: bytes) -> bool:
    try:
        return isinstance(json.loads(payload), (dict, list))
    except ValueError:
        return False


def _base(provider: str, name: str, text: str) -> Base:
    return Base(provider, name, text, tuple(paths(json.loads(text))))


class _Twin(str):
    """A key that an object already has: JSON allows one twice."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


@dataclass(frozen=True)
class Bend:
    """A change of the value at a place: replaced, left out, there twice, repeated, or with a stranger beside it."""

    kind: str
    value: str = "null"
    """JSON text."""
    key: str = ""

    def apply(self, document: Any, path: Path, mark: str) -> None:
        """Change the document; `mark` stands for the value until it is text. Does nothing where another bend has been."""
        node = document
        for step in path[:-1]:
            try:
                node = node[step]
            except (KeyError, IndexError, TypeError):
                return
        last: Any = path[-1]
        if isinstance(node, dict) and last in node:
            self._change_object(node, last, mark)
        elif isinstance(node, list) and isinstance(last, int) and last < len(node):
            self._change_list(node, last, mark)

    def _change_object(self, node: dict[str, Any], key: str, mark: str) -> None:
        if self.kind == "leave out":
            del node[key]
        elif self.kind == "twice":
            node[_Twin(key)] = mark
        elif self.kind == "beside":
            node[self.key] = mark
        else:
            node[key] = mark if self.kind == "replace" else [node[key]] * 3

    def _change_list(self, node: list[Any], index: int, mark: str) -> None:
        if self.kind == "leave out":
            node.pop(index)
        elif self.kind == "replace":
            node[index] = mark
        else:
            node.insert(index, node[index] if self.kind == "repeat" else mark)


BENDS: tuple[Bend, ...] = (
    *(Bend("replace", value) for value in HOSTILE_VALUES),
    *[Bend("leave out"), Bend("repeat")] * 10,
    *(Bend("twice", value) for value in HOSTILE_VALUES[::5]),
    *(Bend("beside", HOSTILE_VALUES[number], key) for number, key in enumerate(HOSTILE_KEYS)),
)


@dataclass(frozen=True)
class BentPayload:
    """A payload and what was bent in it."""

    base: Base
    bends: tuple[tuple[int, Bend], ...]
    """Each with the number of its place."""

    @property
    def payload(self) -> bytes:
        """The body as a store would post it. What can't be UTF-8 is an escape."""
        document = json.loads(self.base.text)
        for number, (place, bend) in enumerate(self.bends):
            bend.apply(document, self.path(place), f"@bend{number}@")
        text = json.dumps(document)
        for number, (_, bend) in enumerate(self.bends):
            text = text.replace(f'"@bend{number}@"', bend.value)
        return text.encode()

    def path(self, place: int) -> Path:
        """Where a bend is."""
        return self.base.places[place % len(self.base.places)]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Hypothesis would print every field of a dataclass, and fail for a payload that is long."""
        printer.text(repr(self))

    def __repr__(self) -> str:
        bends = ", ".join(
            f"{bend.kind} {'.'.join(map(str, self.path(place)))}: {shortened(bend.value)}{f' as {shortened(bend.key)}' if bend.key else ''}"
            for place, bend in self.bends
        )
        return f"<{self.base.provider} {self.base.name}: {bends}>"


def bent(provider: str) -> SearchStrategy[BentPayload]:
    """A payload with some bends.

    Hypothesis draws small numbers only: to generate nested structures takes it longer than to map them.
    """
    places = st.integers(0, max(len(base.places) for base in bases(provider)) - 1)
    bends = st.lists(st.tuples(places, st.sampled_from(BENDS)), min_size=1, max_size=_MOST_BENDS).map(tuple)
    return st.tuples(st.sampled_from(bases(provider)), bends).map(lambda drawn: BentPayload(*drawn))


_IDS = {"shopify": "id", "woocommerce": "id", "magento": "entity_id", "bigcommerce": "id"}
_TOTALS = ("total_price", "total", "grand_total", "total_inc_tax")


def random_bent(random: Random, provider: str, order_id: int) -> BentPayload:
    """A payload with some bends, of an order with an ID of its own."""
    base = random.choice(bases(provider))
    document = json.loads(base.text)
    if (order := _order_in(document, _IDS[provider])) is not None:
        order[_IDS[provider]] = order_id
    places = [(random.randrange(len(base.places)), random.choice(BENDS)) for _ in range(random.randint(1, _MOST_BENDS))]
    return BentPayload(replace(base, text=json.dumps(document)), tuple(places))


def _order_in(node: Any, id_key: str) -> dict[str, Any] | None:
    """The first object that has an ID and a total."""
    if isinstance(node, dict) and id_key in node and any(name in node for name in _TOTALS):
        return node
    inside = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return next((found for child in inside if (found := _order_in(child, id_key)) is not None), None)
