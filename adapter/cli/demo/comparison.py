"""One order side by side: what Drip got, and what in the store's payload each field was made from."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from adapter.cli import output

_FIELDS = (
    "email", "order_id", "order_public_id", "action", "occurred_at", "grand_total", "currency", "total_discounts", "total_taxes",
    "total_shipping", "refunded_total", "financial_status", "discount_codes.0", "item_count", "items.0.name", "items.0.sku",
    "items.0.price", "items.0.quantity", "items.0.discounts", "items.0.total", "items.0.brand", "items.0.product_url",
    "items.0.image_url",
)  # fmt: skip
_OF_THE_PRODUCT = ("items.0.product_url", "items.0.image_url")
_COLUMNS = (output.Column("field"), output.Column("what Drip got"), output.Column("made from, in the payload"))
# The longest field, the longest path with what follows it, and two columns' padding.
_OTHER_COLUMNS = 19 + 32 + 4
_SHORTEST_VALUE = 24


def print_comparison(out: Console, delivery: Mapping[str, Any]) -> None:
    """`delivery` is a delivery as `deliveries show --json` prints it."""
    body, made_from = delivery["tries"][-1]["body"], delivery["today"]["made_from"]
    out.print(f"\nOrder {body['order_public_id']} as Drip has it now, field by field (the main ones):\n")
    longest = max(_SHORTEST_VALUE, out.width - _OTHER_COLUMNS)
    lines = ((path, _shortened(str(_value(body, path)), longest), _source(path, made_from.get(path, ()))) for path in _FIELDS)
    out.print(output.table(_COLUMNS, lines, out.width))


def _source(field: str, paths: Sequence[str]) -> Text:
    if field in _OF_THE_PRODUCT:
        return Text("(the product's own webhook)", "dim")
    if not paths:
        return Text("(whether Drip has the order)", "dim")
    return Text(paths[0] + (f" +{len(paths) - 1}" if len(paths) > 1 else ""))


def _shortened(value: str, longest: int) -> str:
    return value if len(value) <= longest else f"{value[: longest - 1]}…"


def _value(body: Any, path: str) -> Any:
    for key in path.split("."):
        body = body[int(key)] if isinstance(body, list) else body[key]
    return body
