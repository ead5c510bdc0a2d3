"""The outcome of a payload, as if its orders were new: what the command `map` prints and what the golden fixtures contain."""

from collections.abc import Iterable, Mapping
from typing import Any

from mappings.core.contract import VOCABULARIES
from mappings.core.errors import Rejected
from mappings.core.options import Options
from mappings.core.product import Product, ProductKey, complete
from mappings.core.provider import Provider
from mappings.core.reading import Context, Reading
from mappings.core.rendering import render


def outcomes(provider: Provider, payload: bytes, context: Context, known: Iterable[Product] = ()) -> list[dict[str, Any]]:
    """For each order in the payload Drip's body, `{"skipped": reason}`, or `{"rejected": {path: [why]}}`.

    `known` is the product data that a lookup would return.
    """
    catalog = {product.key: product for product in known}
    try:
        readings = provider.readings(payload, context)
    except Rejected as rejected:
        return [{"rejected": rejected.problems}]
    return [_outcome(provider, reading, context, catalog) for reading in readings]


def first_action(options: Options) -> str:
    """The action of an order that is new to Drip."""
    return VOCABULARIES[options.vocabulary][0]


def _outcome(provider: Provider, reading: Reading, context: Context, catalog: Mapping[ProductKey, Product]) -> dict[str, Any]:
    if skip := reading.skip(placed=reading.placed):
        return {"skipped": str(skip.reason)}
    try:
        order = complete(provider.map(reading, context), catalog)
        return render(order, action=first_action(context.options), occurred_at=order.created_at, options=context.options)
    except Rejected as rejected:
        return {"rejected": rejected.problems}
